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
	r := begin(h, TypeSuback, body, v)
	p.PacketID = r.packetID()
	if v >= V5 {
		p.ReasonString, p.User = r.reasonProperties(p.User)
	}
	p.Codes = r.codes(p.Codes)
	return r.end()
}

// reasonProperties reads a property set of Reason String and User Properties.
func (r *reader) reasonProperties(users []UserProperty) (string, []UserProperty) {
	reason := ""
	r.open(1 << r.typ)
	for r.property() {
		if r.id == propReasonString {
			reason = string(r.data)
		}
	}
	return reason, r.takeUsers(users)
}

// codes reads the Reason Codes that are the payload of SUBACK and UNSUBACK.
func (r *reader) codes(dst []ReasonCode) []ReasonCode {
	if len(r.b) == 0 {
		r.fail(ProtocolError, "no Reason Code", "")
	}
	for len(r.b) > 0 {
		c := ReasonCode(r.byte("Reason Code"))
		if r.v < V5 && c > GrantedQoS2 && c != UnspecifiedError {
			r.fail(ProtocolError, "return code", statement(r.v, "", "MQTT-3.9.3-2"))
		} else if r.v >= V5 {
			r.checkCode(c)
		}
		dst = append(dst, c)
	}
	return dst
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

func (w *writer) reasonProperties(reason string, users []UserProperty) {
	at := w.open()
	w.textProperty(propReasonString, reason)
	w.users(users)
	w.close(at)
}
