package packet

// Pubcomp answers a PUBREL and ends a QoS 2 exchange.
type Pubcomp struct {
	PacketID     uint16
	Code         ReasonCode // 5.0 only
	ReasonString string     // 5.0 only, for people to read
	User         []UserProperty
}

// Type is TypePubcomp.
func (p *Pubcomp) Type() Type { return TypePubcomp }

// Parse implements [Packet].
func (p *Pubcomp) Parse(h Header, body []byte, v Version) error {
	return (*ack)(p).parse(TypePubcomp, h, body, v)
}

// Append implements [Packet].
func (p *Pubcomp) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(TypePubcomp, b, v)
}
