package packet

// Puback answers a PUBLISH of QoS 1.
type Puback struct {
	PacketID     uint16
	Code         ReasonCode // 5.0 only
	ReasonString string     // 5.0 only, for people to read
	User         []UserProperty
}

// Type is TypePuback.
func (p *Puback) Type() Type { return TypePuback }

// Parse implements [Packet].
func (p *Puback) Parse(h Header, body []byte, v Version) error {
	return (*ack)(p).parse(TypePuback, h, body, v)
}

// Append implements [Packet].
func (p *Puback) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(TypePuback, b, v)
}
