package packet

import "math"

// writer appends one packet. Lengths that come before what they count are written
// as one byte and widened when they are known, so nothing is measured beforehand.
type writer struct {
	b     []byte
	start int // where the packet begins in b
	typ   Type
	err   error
}

func newWriter(b []byte, t Type, flags byte) writer {
	return writer{b: append(b, byte(t)<<4|flags, 0), start: len(b), typ: t}
}

func (w *writer) fail(code ReasonCode, what string) {
	if w.err == nil {
		w.err = &Error{code, w.typ, what, ""}
	}
}

// finish writes the Remaining Length.
func (w *writer) finish() ([]byte, error) {
	w.close(w.start + 1)
	if w.err != nil {
		return w.b[:w.start], w.err
	}
	return w.b, nil
}

// open leaves room for a Property Length; close at the place it returns.
func (w *writer) open() int {
	w.b = append(w.b, 0)
	return len(w.b) - 1
}

// close writes at the place at the number of bytes behind it.
func (w *writer) close(at int) {
	n := len(w.b) - at - 1
	if n > MaxRemainingLength {
		w.fail(PacketTooLarge, "Remaining Length over 268435455")
		return
	}
	if size := varintSize(n); size > 1 {
		w.b = append(w.b, make([]byte, size-1)...)
		copy(w.b[at+size:], w.b[at+1:at+1+n])
	}
	appendVarint(w.b[:at], n)
}

func (w *writer) byte(c byte)     { w.b = append(w.b, c) }
func (w *writer) uint16(n uint16) { w.b = appendUint16(w.b, n) }
func (w *writer) uint32(n uint32) { w.b = append(w.b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)) }

func (w *writer) packetID(id uint16) {
	if id == 0 {
		w.fail(ProtocolError, "Packet Identifier 0")
	}
	w.uint16(id)
}

func (w *writer) code(c ReasonCode) {
	if !c.writable(w.typ) {
		w.fail(ProtocolError, "Reason Code of another packet: "+c.Error())
	}
	w.byte(byte(c))
}

func (w *writer) text(what, s string) {
	if len(s) > math.MaxUint16 {
		w.fail(MalformedPacket, what+" over 65535 bytes")
		return
	}
	w.b = appendLengthed(w.b, s)
}

func (w *writer) binary(what string, s []byte) {
	if len(s) > math.MaxUint16 {
		w.fail(MalformedPacket, what+" over 65535 bytes")
		return
	}
	w.b = appendLengthed(w.b, s)
}

// The property methods write nothing for an absent value.

func (w *writer) textProperty(id byte, s string) {
	if s != "" {
		w.byte(id)
		w.text(properties[id].name, s)
	}
}

func (w *writer) binaryProperty(id byte, s []byte) {
	if s != nil {
		w.byte(id)
		w.binary(properties[id].name, s)
	}
}

func (w *writer) uint16Property(id byte, n uint16) {
	if n != 0 {
		w.byte(id)
		w.uint16(n)
	}
}

func (w *writer) uint32Property(id byte, n uint32) {
	if n != 0 {
		w.byte(id)
		w.uint32(n)
	}
}

func (w *writer) uint16Pointer(id byte, n *uint16) {
	if n != nil {
		w.byte(id)
		w.uint16(*n)
	}
}

func (w *writer) uint32Pointer(id byte, n *uint32) {
	if n != nil {
		w.byte(id)
		w.uint32(*n)
	}
}

func (w *writer) flagPointer(id byte, set *bool) {
	if set == nil {
		return
	}
	w.flag(id, *set)
}

func (w *writer) flag(id byte, set bool) {
	w.byte(id)
	if set {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) format(f PayloadFormat) {
	if f > FormatUTF8 {
		w.fail(ProtocolError, "Payload Format Indicator out of range")
	}
	if f != FormatAbsent {
		w.byte(propPayloadFormat)
		w.byte(byte(f - FormatBytes))
	}
}

func (w *writer) subscriptionID(id uint32) {
	if id == 0 || id > MaxRemainingLength {
		w.fail(ProtocolError, "Subscription Identifier out of range")
		return
	}
	w.byte(propSubscriptionID)
	w.b = appendVarint(w.b, int(id))
}

func (w *writer) auth(method string, data []byte) {
	if data != nil && method == "" {
		w.fail(ProtocolError, "Authentication Data without Authentication Method")
	}
	w.textProperty(propAuthMethod, method)
	w.binaryProperty(propAuthData, data)
}

func (w *writer) users(list []UserProperty) {
	for i := range list {
		w.byte(propUser)
		w.text("User Property", list[i].Name)
		w.text("User Property", list[i].Value)
	}
}

// reasonProperties writes a property set of Reason String and User Properties.
func (w *writer) reasonProperties(reason string, users []UserProperty) {
	at := w.open()
	w.textProperty(propReasonString, reason)
	w.users(users)
	w.close(at)
}
