package packet

// Unsubscribe ends one or more subscriptions.
type Unsubscribe struct {
	PacketID uint16
	Filters  []string // at least one; judged only by the rules for strings
	User     []UserProperty
}

// Type is TypeUnsubscribe.
func (p *Unsubscribe) Type() Type { return TypeUnsubscribe }

// Parse implements [Packet].
func (p *Unsubscribe) Parse(h Header, body []byte, v Version) error {
	clear(p.Filters)
	*p = Unsubscribe{Filters: p.Filters[:0], User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeUnsubscribe, v: v}
	r.check(h, TypeUnsubscribe)
	p.PacketID = r.packetID()
	if v >= V5 {
		_, p.User = r.reasonProperties(p.User)
	}
	if len(r.b) == 0 {
		r.fail(ProtocolError, "no Topic Filter", statement(v, "MQTT-3.10.3-2", "MQTT-3.10.3-2"))
	}
	for len(r.b) > 0 {
		if f := r.text("Topic Filter"); r.err == nil {
			p.Filters = append(p.Filters, string(f))
		}
	}
	return r.end()
}

// Append implements [Packet].
func (p *Unsubscribe) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeUnsubscribe, 0x02)
	w.packetID(p.PacketID)
	if v >= V5 {
		w.reasonProperties("", p.User)
	}
	if len(p.Filters) == 0 {
		w.fail(ProtocolError, "no Topic Filter")
	}
	for _, f := range p.Filters {
		w.text("Topic Filter", f)
	}
	return w.finish()
}
