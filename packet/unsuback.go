package packet

// Unsuback answers an Unsubscribe.
type Unsuback struct {
	PacketID     uint16
	Codes        []ReasonCode // one for each Topic Filter, in their order; 5.0 only
	ReasonString string       // 5.0 only, for people to read
	User         []UserProperty
}

// Type is TypeUnsuback.
func (p *Unsuback) Type() Type { return TypeUnsuback }

// Parse implements [Packet].
func (p *Unsuback) Parse(h Header, body []byte, v Version) error {
	*p = Unsuback{Codes: p.Codes[:0], User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeUnsuback, v: v}
	r.check(h, TypeUnsuback)
	p.PacketID = r.packetID()
	if v >= V5 {
		p.ReasonString, p.User = r.reasonProperties(p.User)
		p.Codes = r.codes(p.Codes)
	}
	return r.end()
}

// Append implements [Packet].
func (p *Unsuback) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeUnsuback, 0)
	w.packetID(p.PacketID)
	if v >= V5 {
		w.reasonProperties(p.ReasonString, p.User)
		if len(p.Codes) == 0 {
			w.fail(ProtocolError, "no Reason Code")
		}
		for _, c := range p.Codes {
			w.code(c)
		}
	}
	return w.finish()
}
