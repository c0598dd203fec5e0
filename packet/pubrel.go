package packet

// Pubrel answers a PUBREC: the sender has let go of the message.
type Pubrel struct {
	PacketID     uint16
	Code         ReasonCode // 5.0 only
	ReasonString string     // 5.0 only, for people to read
	User         []UserProperty
}

// Type is TypePubrel.
func (p *Pubrel) Type() Type { return TypePubrel }

// Parse implements [Packet].
func (p *Pubrel) Parse(h Header, body []byte, v Version) error {
	return (*ack)(p).parse(TypePubrel, h, body, v)
}

// Append implements [Packet].
func (p *Pubrel) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(TypePubrel, b, v)
}
