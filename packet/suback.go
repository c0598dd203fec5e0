package packet

// Suback answers a Subscribe.
type Suback struct {
	PacketID     uint16
	Codes        []ReasonCode // one for each Topic Filter, in their order
	ReasonString string       // 5.0 only, for people to read
	User         []UserProperty
}

// Type is TypeSuback.
func (p *Suback) Type() Type { return TypeSuback }

// Parse implements [Packet].
func (p *Suback) Parse(h Header, body []byte, v Version) error {
	*p = Suback{Codes: p.Codes[:0], User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeSuback, v: v}
	r.check(h, TypeSuback)
	p.PacketID = r.packetID()
	if v >= V5 {
		p.ReasonString, p.User = r.reasonProperties(p.User)
	}
	p.Codes = r.codes(p.Codes)
	return r.end()
}

// Append implements [Packet]. In 3.1 and 3.1.1, which know one failure, every code
// from 0x80 is written as 0x80.
func (p *Suback) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeSuback, 0)
	w.packetID(p.PacketID)
	if v >= V5 {
		w.reasonProperties(p.ReasonString, p.User)
	}
	if len(p.Codes) == 0 {
		w.fail(ProtocolError, "no Reason Code")
	}
	for _, c := range p.Codes {
		if v < V5 && c >= UnspecifiedError {
			c = UnspecifiedError
		}
		w.code(c)
	}
	return w.finish()
}
