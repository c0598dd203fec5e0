package packet

// Pingreq asks for a Pingresp; it keeps a connection alive.
type Pingreq struct{}

// Type is TypePingreq.
func (p *Pingreq) Type() Type { return TypePingreq }

// Parse implements [Packet].
func (p *Pingreq) Parse(h Header, body []byte, v Version) error {
	r := reader{b: body, typ: TypePingreq, v: v}
	r.check(h, TypePingreq)
	return r.end()
}

// Append implements [Packet].
func (p *Pingreq) Append(b []byte, v Version) ([]byte, error) {
	return append(b, byte(TypePingreq)<<4, 0), nil
}

// Pingresp answers a Pingreq.
type Pingresp struct{}

// Type is TypePingresp.
func (p *Pingresp) Type() Type { return TypePingresp }

// Parse implements [Packet].
func (p *Pingresp) Parse(h Header, body []byte, v Version) error {
	r := reader{b: body, typ: TypePingresp, v: v}
	r.check(h, TypePingresp)
	return r.end()
}

// Append implements [Packet].
func (p *Pingresp) Append(b []byte, v Version) ([]byte, error) {
	return append(b, byte(TypePingresp)<<4, 0), nil
}
