package packet

// Subscribe asks for one or more subscriptions.
type Subscribe struct {
	PacketID       uint16
	SubscriptionID uint32 // Subscription Identifier, 5.0 only; 0 absent
	User           []UserProperty
	Filters        []Filter // at least one
}

// Filter is a Topic Filter with its Subscription Options. The codec does not
// judge the filter beyond the rules for strings.
type Filter struct {
	Filter string
	QoS    QoS // the Maximum QoS asked for

	// 5.0 only.
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send retained messages, 1 only if the subscription is new, 2 never
}

// Bits of the Subscription Options.
const (
	optionQoS            = 0x03
	optionNoLocal        = 0x04
	optionRetain         = 0x08
	optionRetainHandling = 0x30
	optionReserved       = 0xC0
)

// Type is TypeSubscribe.
func (p *Subscribe) Type() Type { return TypeSubscribe }

// Parse implements [Packet].
func (p *Subscribe) Parse(h Header, body []byte, v Version) error {
	clear(p.Filters)
	*p = Subscribe{User: resetUsers(p.User), Filters: p.Filters[:0]}
	r := reader{b: body, typ: TypeSubscribe, v: v}
	r.check(h, TypeSubscribe)
	p.PacketID = r.packetID()
	if v >= V5 {
		props := r.open(inSubscribe)
		for props.next(&r) {
			if props.id == propSubscriptionID {
				p.SubscriptionID = props.num
			}
		}
		p.User = props.takeUsers(&r, p.User)
	}
	if len(r.b) == 0 {
		r.fail(ProtocolError, "no Topic Filter", statement(v, "MQTT-3.8.3-2", "MQTT-3.8.3-3"))
	}
	for len(r.b) > 0 {
		f := Filter{Filter: string(r.text("Topic Filter"))}
		f.setOptions(&r, r.byte("Subscription Options"))
		if r.err == nil {
			p.Filters = append(p.Filters, f)
		}
	}
	return r.end()
}

func (f *Filter) setOptions(r *reader, c byte) {
	f.QoS = QoS(c & optionQoS)
	if r.v < V5 {
		if c > 2 {
			r.fail(MalformedPacket, "QoS of a Topic Filter", statement(r.v, "", "MQTT-3.8.3-4"))
		}
		return
	}
	f.NoLocal = c&optionNoLocal != 0
	f.RetainAsPublished = c&optionRetain != 0
	f.RetainHandling = c & optionRetainHandling >> 4
	switch {
	case c&optionReserved != 0:
		r.fail(MalformedPacket, "reserved bits of Subscription Options", "MQTT-3.8.3-5")
	case f.QoS > 2:
		r.fail(ProtocolError, "QoS 3 in Subscription Options", "")
	case f.RetainHandling > 2:
		r.fail(ProtocolError, "Retain Handling 3", "")
	}
}

// Append implements [Packet]. In 3.1 and 3.1.1 it writes no more of a Filter than
// its QoS.
func (p *Subscribe) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeSubscribe, 0x02)
	w.packetID(p.PacketID)
	if v >= V5 {
		at := w.open()
		if p.SubscriptionID != 0 {
			w.subscriptionID(p.SubscriptionID)
		}
		w.users(p.User)
		w.close(at)
	}
	if len(p.Filters) == 0 {
		w.fail(ProtocolError, "no Topic Filter")
	}
	for i := range p.Filters {
		f := &p.Filters[i]
		if f.QoS > 2 || f.RetainHandling > 2 {
			w.fail(ProtocolError, "Subscription Options out of range")
		}
		w.text("Topic Filter", f.Filter)
		w.byte(f.options(v))
	}
	return w.finish()
}

func (f *Filter) options(v Version) byte {
	c := byte(f.QoS)
	if v < V5 {
		return c
	}
	if f.NoLocal {
		c |= optionNoLocal
	}
	if f.RetainAsPublished {
		c |= optionRetain
	}
	return c | f.RetainHandling<<4
}
