package packet

import "encoding/binary"

// Header is the fixed header of a packet.
type Header struct {
	Type   Type
	Flags  byte // the lower four bits of the first byte
	Length int  // the Remaining Length, the bytes behind the fixed header
}

// Bits of Flags in PUBLISH.
const (
	flagRetain = 0x01
	flagQoS    = 0x06
	flagDup    = 0x08
)

// ParseHeader reads the fixed header at the start of b. It returns its size in
// bytes, 2 to 5; a size of 0 without an error means that b ends too early. A
// Remaining Length of more than four bytes or not in its shortest form is
// MalformedPacket [MQTT-1.5.5-1]. Type and flags are not judged, see
// [Header.Check].
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	h = Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0f}
	if b[1] < 0x80 {
		h.Length = int(b[1])
		return h, 2, nil
	}
	length, size := varint(b[1:])
	if size < 0 {
		return Header{}, 0, &Error{MalformedPacket, h.Type, "Remaining Length", statement(V5, "MQTT-1.5.5-1", "")}
	}
	if size == 0 {
		return Header{}, 0, nil
	}
	h.Length = int(length)
	return h, 1 + size, nil
}

// Check reports whether type and flags are legal in version v; the error is
// MalformedPacket. AUTH is known in 5.0 only. In 3.1 DUP may be set on SUBSCRIBE,
// UNSUBSCRIBE and PUBREL. Before CONNECT, v is 0.
func (h Header) Check(v Version) error {
	switch h.Type {
	case TypePublish:
		if h.Flags&flagQoS == flagQoS {
			return &Error{MalformedPacket, h.Type, "QoS 3", statement(v, "MQTT-3.3.1-4", "MQTT-3.3.1-4")}
		}
		if h.Flags&(flagDup|flagQoS) == flagDup {
			return &Error{MalformedPacket, h.Type, "DUP at QoS 0", statement(v, "MQTT-3.3.1-2", "MQTT-3.3.1-2")}
		}
		return nil
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		if h.Flags == 0x02 || v == V31 && h.Flags == 0x02|flagDup {
			return nil
		}
	case TypeAuth:
		if v != V5 {
			return &Error{MalformedPacket, h.Type, "packet type unknown in version " + v.String(), ""}
		}
		if h.Flags == 0 {
			return nil
		}
	case 0:
		return &Error{MalformedPacket, h.Type, "forbidden packet type", ""}
	default:
		if h.Flags == 0 && h.Type < TypeAuth {
			return nil
		}
	}
	return h.flagError(v)
}

func (h Header) flagError(v Version) error {
	id := statement(v, "MQTT-2.1.3-1", "MQTT-2.2.2-2")
	switch h.Type {
	case TypePubrel:
		id = statement(v, "MQTT-3.6.1-1", "MQTT-3.6.1-1")
	case TypeSubscribe:
		id = statement(v, "MQTT-3.8.1-1", "MQTT-3.8.1-1")
	case TypeUnsubscribe:
		id = statement(v, "MQTT-3.10.1-1", "MQTT-3.10.1-1")
	case TypeDisconnect:
		id = statement(v, "MQTT-3.14.1-1", "MQTT-3.14.1-1")
	case TypeAuth:
		id = "MQTT-3.15.1-1"
	}
	return &Error{MalformedPacket, h.Type, "reserved flags", id}
}

// PeekVersion reads the protocol level byte, bridge bit included, of a CONNECT
// body of which only the beginning need be there. It is not ok while that
// byte is missing and when the protocol name is neither MQTT nor MQIsdp.
func PeekVersion(body []byte) (level byte, ok bool) {
	if len(body) < 2 {
		return 0, false
	}
	n := int(binary.BigEndian.Uint16(body))
	if len(body) < n+3 {
		return 0, false
	}
	if name := string(body[2 : 2+n]); name != nameMQTT && name != nameMQIsdp {
		return 0, false
	}
	return body[2+n], true
}
