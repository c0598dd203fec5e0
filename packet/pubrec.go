package packet

// Pubrec answers a PUBLISH of QoS 2. With a Code from 0x80 the exchange ends here.
type Pubrec struct {
	PacketID     uint16
	Code         ReasonCode // 5.0 only
	ReasonString string     // 5.0 only, for people to read
	User         []UserProperty
}

// Type is TypePubrec.
func (p *Pubrec) Type() Type { return TypePubrec }

// Parse implements [Packet].
func (p *Pubrec) Parse(h Header, body []byte, v Version) error {
	return (*ack)(p).parse(TypePubrec, h, body, v)
}

// Append implements [Packet].
func (p *Pubrec) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(TypePubrec, b, v)
}
