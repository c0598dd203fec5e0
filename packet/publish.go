package packet

import "math"

// Publish carries a message.
//
// Parse borrows Topic, Payload, ContentType, ResponseTopic and CorrelationData from
// the body: they change when the body does. User is copied.
type Publish struct {
	Dup      bool
	Retain   bool
	QoS      QoS
	PacketID uint16 // 0 at QoS 0

	Topic   []byte // empty only with a TopicAlias
	Payload []byte

	// The properties, 5.0 only.
	PayloadFormat         PayloadFormat
	MessageExpiryInterval uint32 // seconds; counts only with HasMessageExpiry
	HasMessageExpiry      bool
	TopicAlias            uint16 // 0 absent
	ContentType           []byte // nil absent
	ResponseTopic         []byte // nil absent; has no wildcards
	CorrelationData       []byte // nil absent
	SubscriptionIDs       []uint32
	User                  []UserProperty
}

// Type is TypePublish.
func (p *Publish) Type() Type { return TypePublish }

// Parse implements [Packet]. It allocates only for User Properties and to grow
// SubscriptionIDs. A Topic Name with wildcards is TopicNameInvalid, an empty one without
// a Topic Alias ProtocolError, or in 3.1 and 3.1.1 MalformedPacket.
func (p *Publish) Parse(h Header, body []byte, v Version) error {
	*p = Publish{
		Dup:             h.Flags&flagDup != 0,
		Retain:          h.Flags&flagRetain != 0,
		QoS:             QoS(h.Flags & flagQoS >> 1),
		SubscriptionIDs: p.SubscriptionIDs[:0],
		User:            resetUsers(p.User),
	}
	r := reader{b: body, typ: TypePublish, v: v}
	r.check(h, TypePublish)
	p.Topic = r.topic("Topic Name", v >= V5)
	if p.QoS > 0 {
		p.PacketID = r.packetID()
	}
	switch {
	case v < V5:
	case len(r.b) > 0 && r.b[0] == 0 && len(p.Topic) > 0:
		r.b = r.b[1:] // most messages have no properties
	default:
		p.parseProperties(&r)
	}
	p.Payload = r.b
	return r.err
}

func (p *Publish) parseProperties(r *reader) {
	props := r.open(inPublish)
	for props.next(r) {
		switch props.id {
		case propPayloadFormat:
			p.PayloadFormat = FormatBytes + PayloadFormat(props.num)
		case propMessageExpiry:
			p.MessageExpiryInterval, p.HasMessageExpiry = props.num, true
		case propContentType:
			p.ContentType = props.data
		case propResponseTopic:
			p.ResponseTopic = props.data
		case propCorrelationData:
			p.CorrelationData = props.data
		case propSubscriptionID:
			p.SubscriptionIDs = append(p.SubscriptionIDs, props.num)
		case propTopicAlias:
			p.TopicAlias = uint16(props.num)
		}
	}
	p.User = props.takeUsers(r, p.User)
	if len(p.Topic) == 0 && p.TopicAlias == 0 && r.err == nil {
		r.emptyTopic("Topic Name without Topic Alias")
	}
}

// Append implements [Packet].
func (p *Publish) Append(b []byte, v Version) ([]byte, error) {
	if p.QoS > 0 && p.PacketID == 0 {
		return b, &Error{ProtocolError, TypePublish, "Packet Identifier 0", "MQTT-2.2.1-3"}
	}
	out, _, err := p.AppendHead(b, v)
	if err != nil {
		return b, err
	}
	return append(out, p.Payload...), nil
}

// AppendHead appends everything before the payload, with a Remaining Length that
// counts the payload, for callers that send the payload from where it lies and one
// head to many receivers. idAt is the index in out of the two bytes of the Packet
// Identifier, which may be 0 here and set there later; at QoS 0 idAt is 0.
func (p *Publish) AppendHead(b []byte, v Version) (out []byte, idAt int, err error) {
	if err := p.unfit(v); err != nil {
		return b, 0, err
	}
	n := 2 + len(p.Topic)
	if p.QoS > 0 {
		n += 2
	}
	props := 0
	if v >= V5 {
		props = p.propertiesSize()
		n += varintSize(props) + props
	}
	if len(p.Payload) > MaxRemainingLength-n {
		return b, 0, &Error{PacketTooLarge, TypePublish, "Remaining Length over 268435455", ""}
	}
	b = append(b, p.firstByte())
	b = appendVarint(b, n+len(p.Payload))
	b = appendLengthed(b, p.Topic)
	if p.QoS > 0 {
		idAt = len(b)
		b = appendUint16(b, p.PacketID)
	}
	if v >= V5 {
		b = appendVarint(b, props)
		if props > 0 {
			b = p.appendProperties(b)
		}
	}
	return b, idAt, nil
}

func (p *Publish) firstByte() byte {
	c := byte(TypePublish)<<4 | byte(p.QoS)<<1
	if p.Dup {
		c |= flagDup
	}
	if p.Retain {
		c |= flagRetain
	}
	return c
}

// unfit is what keeps the packet from being encoded in version v.
func (p *Publish) unfit(v Version) error {
	what := ""
	switch {
	case p.QoS > 2:
		what = "QoS over 2"
	case p.Dup && p.QoS == 0:
		what = "DUP at QoS 0"
	case len(p.Topic) == 0 && (v < V5 || p.TopicAlias == 0):
		what = "empty Topic Name"
	case v >= V5 && p.PayloadFormat > FormatUTF8:
		what = "Payload Format Indicator out of range"
	}
	if what != "" {
		return &Error{ProtocolError, TypePublish, what, ""}
	}
	if what = p.tooLong(v); what != "" {
		return &Error{MalformedPacket, TypePublish, what + " over 65535 bytes", ""}
	}
	if v < V5 {
		return nil
	}
	for _, id := range p.SubscriptionIDs {
		if id == 0 || id > MaxRemainingLength {
			return &Error{ProtocolError, TypePublish, "Subscription Identifier out of range", ""}
		}
	}
	return nil
}

// tooLong names a field that is longer than its two-byte length can say.
func (p *Publish) tooLong(v Version) string {
	switch {
	case len(p.Topic) > math.MaxUint16:
		return "Topic Name"
	case v < V5:
		return ""
	case len(p.ContentType) > math.MaxUint16:
		return "Content Type"
	case len(p.ResponseTopic) > math.MaxUint16:
		return "Response Topic"
	case len(p.CorrelationData) > math.MaxUint16:
		return "Correlation Data"
	}
	for i := range p.User {
		if len(p.User[i].Name) > math.MaxUint16 || len(p.User[i].Value) > math.MaxUint16 {
			return "User Property"
		}
	}
	return ""
}

func (p *Publish) propertiesSize() (n int) {
	if p.PayloadFormat != FormatAbsent {
		n += 2
	}
	if p.HasMessageExpiry {
		n += 5
	}
	if p.ContentType != nil {
		n += 3 + len(p.ContentType)
	}
	if len(p.ResponseTopic) > 0 {
		n += 3 + len(p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		n += 3 + len(p.CorrelationData)
	}
	for _, id := range p.SubscriptionIDs {
		n += 1 + varintSize(int(id))
	}
	if p.TopicAlias != 0 {
		n += 3
	}
	for i := range p.User {
		n += 5 + len(p.User[i].Name) + len(p.User[i].Value)
	}
	return n
}

func (p *Publish) appendProperties(b []byte) []byte {
	if p.PayloadFormat != FormatAbsent {
		b = append(b, propPayloadFormat, byte(p.PayloadFormat-FormatBytes))
	}
	if n := p.MessageExpiryInterval; p.HasMessageExpiry {
		b = append(b, propMessageExpiry, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	if p.ContentType != nil {
		b = appendLengthed(append(b, propContentType), p.ContentType)
	}
	if len(p.ResponseTopic) > 0 {
		b = appendLengthed(append(b, propResponseTopic), p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		b = appendLengthed(append(b, propCorrelationData), p.CorrelationData)
	}
	for _, id := range p.SubscriptionIDs {
		b = appendVarint(append(b, propSubscriptionID), int(id))
	}
	if p.TopicAlias != 0 {
		b = appendUint16(append(b, propTopicAlias), p.TopicAlias)
	}
	for i := range p.User {
		b = appendLengthed(append(b, propUser), p.User[i].Name)
		b = appendLengthed(b, p.User[i].Value)
	}
	return b
}
