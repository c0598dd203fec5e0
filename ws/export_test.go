package ws

// MaskedFrame appends a client's frame, whose first byte is that of the header.
func MaskedFrame(b []byte, first byte, payload []byte, mask [4]byte) []byte {
	return maskedFrame(b, first, payload, mask)
}
