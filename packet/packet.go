package packet

import "strconv"

// Type is the type of a control packet, the upper four bits of its first byte.
type Type byte

// The packet types. Type 0 is forbidden in every version, AUTH is new in 5.0.
const (
	TypeConnect Type = iota + 1
	TypeConnack
	TypePublish
	TypePuback
	TypePubrec
	TypePubrel
	TypePubcomp
	TypeSubscribe
	TypeSuback
	TypeUnsubscribe
	TypeUnsuback
	TypePingreq
	TypePingresp
	TypeDisconnect
	TypeAuth
)

var typeNames = [...]string{
	TypeConnect:     "CONNECT",
	TypeConnack:     "CONNACK",
	TypePublish:     "PUBLISH",
	TypePuback:      "PUBACK",
	TypePubrec:      "PUBREC",
	TypePubrel:      "PUBREL",
	TypePubcomp:     "PUBCOMP",
	TypeSubscribe:   "SUBSCRIBE",
	TypeSuback:      "SUBACK",
	TypeUnsubscribe: "UNSUBSCRIBE",
	TypeUnsuback:    "UNSUBACK",
	TypePingreq:     "PINGREQ",
	TypePingresp:    "PINGRESP",
	TypeDisconnect:  "DISCONNECT",
	TypeAuth:        "AUTH",
}

// String is the standard's name, such as "PUBLISH", or "type 0" and the like.
func (t Type) String() string {
	if int(t) < len(typeNames) && t != 0 {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// Version is the protocol version of a connection, equal to the protocol level
// byte of CONNECT.
type Version byte

// The versions of the protocol.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// String is "3.1", "3.1.1" or "5.0", or "level 6" and the like.
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + strconv.Itoa(int(v))
}

// QoS is a Quality of Service level: 0 at most once, 1 at least once, 2 exactly
// once. No parsed packet holds another value.
type QoS byte

// PayloadFormat is the Payload Format Indicator of a message. Its values are not
// those of the wire, so that the zero value means absent.
type PayloadFormat byte

// The payload formats.
const (
	FormatAbsent PayloadFormat = iota // no indicator
	FormatBytes                       // 0 on the wire: bytes of no stated form
	FormatUTF8                        // 1 on the wire: UTF-8 text; the codec does not look
)

// UserProperty is one pair of a User Property list. Names may repeat and the
// order means something.
type UserProperty struct{ Name, Value string }

// MaxRemainingLength is the greatest Remaining Length of a packet in bytes.
const MaxRemainingLength = 268435455

// Packet is a control packet. The implementations are the pointers to the packet
// structs of this package. A packet is not safe for use by several goroutines
// while one of them calls Parse.
type Packet interface {
	// Type is the packet's type.
	Type() Type

	// Parse reads the packet from its header and body, the h.Length bytes behind
	// the fixed header, as version v, one of the three. It begins with h.Check(v),
	// resets every field and keeps the capacity of slices. On an error, an
	// [*Error], the fields hold what was read before it.
	Parse(h Header, body []byte, v Version) error

	// Append appends the whole packet with its fixed header to b, in version v.
	// If a field cannot be encoded, such as a string over 65,535 bytes, it returns b
	// as it was and an [*Error].
	Append(b []byte, v Version) ([]byte, error)
}

// New returns an empty packet of type t, nil if t is none of the fifteen.
func New(t Type) Packet {
	switch t {
	case TypeConnect:
		return new(Connect)
	case TypeConnack:
		return new(Connack)
	case TypePublish:
		return new(Publish)
	case TypePuback:
		return new(Puback)
	case TypePubrec:
		return new(Pubrec)
	case TypePubrel:
		return new(Pubrel)
	case TypePubcomp:
		return new(Pubcomp)
	case TypeSubscribe:
		return new(Subscribe)
	case TypeSuback:
		return new(Suback)
	case TypeUnsubscribe:
		return new(Unsubscribe)
	case TypeUnsuback:
		return new(Unsuback)
	case TypePingreq:
		return new(Pingreq)
	case TypePingresp:
		return new(Pingresp)
	case TypeDisconnect:
		return new(Disconnect)
	case TypeAuth:
		return new(Auth)
	}
	return nil
}

// Parse reads a packet of the type that h names into a new value; see
// [Packet] for the arguments. On an error the packet is nil.
func Parse(h Header, body []byte, v Version) (Packet, error) {
	p := New(h.Type)
	if p == nil {
		return nil, h.Check(v)
	}
	if err := p.Parse(h, body, v); err != nil {
		return nil, err
	}
	return p, nil
}
