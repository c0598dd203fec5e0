package packet

// ack is the common form of PUBACK, PUBREC, PUBREL and PUBCOMP. The four types have
// its fields and are converted to it.
type ack struct {
	PacketID     uint16
	Code         ReasonCode
	ReasonString string
	User         []UserProperty
}

func (p *ack) parse(t Type, h Header, body []byte, v Version) error {
	*p = ack{User: resetUsers(p.User)}
	r := reader{b: body, typ: t, v: v}
	r.check(h, t)
	p.PacketID = r.packetID()
	if v < V5 || len(r.b) == 0 {
		return r.end()
	}
	p.Code = r.code()
	if len(r.b) == 0 {
		return r.end()
	}
	p.ReasonString, p.User = r.reasonProperties(p.User)
	return r.end()
}

func (p *ack) append(t Type, b []byte, v Version) ([]byte, error) {
	bare := p.ReasonString == "" && len(p.User) == 0
	if p.PacketID != 0 && (v < V5 || bare && p.Code == Success) {
		return AppendAck(b, t, p.PacketID), nil
	}
	w := newWriter(b, t, ackFlags(t))
	w.packetID(p.PacketID)
	if v >= V5 {
		w.code(p.Code)
		if !bare {
			w.reasonProperties(p.ReasonString, p.User)
		}
	}
	return w.finish()
}

// AppendAck appends the four-byte form of PUBACK, PUBREC, PUBREL or PUBCOMP: Reason
// Code 0x00 and no properties. It is the same in all versions, and the only form
// that 3.1 and 3.1.1 have. It does not check id.
func AppendAck(b []byte, t Type, id uint16) []byte {
	return append(b, byte(t)<<4|ackFlags(t), 2, byte(id>>8), byte(id))
}

func ackFlags(t Type) byte {
	if t == TypePubrel {
		return 0x02
	}
	return 0
}
