package packet

import (
	"encoding/binary"
	"strings"
)

// reader takes a packet body apart from front to back. After the first error all
// its methods return zero values, so that only the end of a packet need look.
type reader struct {
	b   []byte // what is left of the body
	typ Type
	v   Version
	err error

	// The property set that open has begun and property walks through.
	set   []byte // all of it
	rest  []byte // what is left of it
	place uint   // bit of the packet type, or inWill
	seen  uint64 // bit id: the property was there

	// The property that property has read.
	id    byte
	num   uint32 // a number
	data  []byte // a string, binary data or the name of a pair
	value []byte // the value of a pair

	users     int // User Properties so far
	userBytes int // bytes in their names and values
}

// begin checks the header of a packet that is to be of type t.
func begin(h Header, t Type, body []byte, v Version) reader {
	r := reader{b: body, typ: t, v: v}
	switch {
	case h.Type != t:
		r.fail(ProtocolError, "header of "+h.Type.String(), "")
	case h.Length != len(body):
		r.fail(MalformedPacket, "body and Remaining Length differ", "")
	default:
		r.err = h.Check(v)
	}
	return r
}

// fail keeps the first error.
func (r *reader) fail(code ReasonCode, what, id string) {
	if r.err == nil {
		r.err = &Error{code, r.typ, what, id}
	}
	r.b, r.rest = nil, nil
}

// end is the packet's error; bytes that are left over are one.
func (r *reader) end() error {
	if len(r.b) != 0 {
		r.fail(MalformedPacket, "trailing bytes", "")
	}
	return r.err
}

func (r *reader) byte(what string) byte {
	if len(r.b) < 1 {
		r.fail(MalformedPacket, what+" cut off", "")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint16(what string) uint16 {
	if len(r.b) < 2 {
		r.fail(MalformedPacket, what+" cut off", "")
		return 0
	}
	n := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return n
}

func (r *reader) packetID() uint16 {
	id := r.uint16("Packet Identifier")
	if id == 0 {
		r.fail(ProtocolError, "Packet Identifier 0", statement(r.v, "MQTT-2.2.1-3", "MQTT-2.3.1-1"))
	}
	return id
}

// code reads a Reason Code of 5.0.
func (r *reader) code() ReasonCode {
	c := ReasonCode(r.byte("Reason Code"))
	return r.checkCode(c)
}

func (r *reader) checkCode(c ReasonCode) ReasonCode {
	if r.err == nil && !c.In(r.typ) {
		r.fail(ProtocolError, "Reason Code of another packet", reasonStatement(r.typ))
	}
	return c
}

// reasonStatement is the statement that ties a packet to its Reason Codes.
func reasonStatement(t Type) string {
	switch t {
	case TypeConnack:
		return "MQTT-3.2.2-8"
	case TypePuback:
		return "MQTT-3.4.2-1"
	case TypePubrec:
		return "MQTT-3.5.2-1"
	case TypePubrel:
		return "MQTT-3.6.2-1"
	case TypePubcomp:
		return "MQTT-3.7.2-1"
	case TypeSuback:
		return "MQTT-3.9.3-2"
	case TypeUnsuback:
		return "MQTT-3.11.3-2"
	case TypeDisconnect:
		return "MQTT-3.14.2-1"
	case TypeAuth:
		return "MQTT-3.15.2-1"
	}
	return ""
}

// lengthed splits what has a two-byte length off the front of b.
func lengthed(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b)) + 2
	if len(b) < n {
		return nil, nil, false
	}
	return b[2:n:n], b[n:], true
}

// binary reads Binary Data. Unless there was an error it is not nil.
func (r *reader) binary(what string) []byte {
	s, rest, ok := lengthed(r.b)
	if !ok {
		r.fail(MalformedPacket, what+" cut off", "")
		return nil
	}
	r.b = rest
	return s
}

// text reads a UTF-8 string.
func (r *reader) text(what string) []byte {
	s := r.binary(what)
	r.checkText(what, scanText(s))
	return s
}

// topic reads a Topic Name and refuses an empty one unless told otherwise.
func (r *reader) topic(what string, mayBeEmpty bool) []byte {
	s := r.binary(what)
	t := scanText(s)
	switch {
	case r.err != nil:
	case t.null || t.invalid:
		r.checkText(what, t)
	case t.wild:
		r.fail(TopicNameInvalid, "wildcard in "+what, statement(r.v, "MQTT-3.3.2-2", "MQTT-3.3.2-2"))
	case len(s) == 0 && !mayBeEmpty:
		r.emptyTopic(what)
	}
	return s
}

func (r *reader) emptyTopic(what string) {
	code := MalformedPacket
	if r.v >= V5 {
		code = ProtocolError
	}
	r.fail(code, "empty "+what, statement(r.v, "MQTT-4.7.3-1", "MQTT-4.7.3-1"))
}

// checkText reports what the standard forbids in every string.
func (r *reader) checkText(what string, t text) {
	switch {
	case t.null:
		r.fail(MalformedPacket, "U+0000 in "+what, statement(r.v, "MQTT-1.5.4-2", "MQTT-1.5.3-2"))
	case t.invalid:
		r.fail(MalformedPacket, what+" is not UTF-8", statement(r.v, "MQTT-1.5.4-1", "MQTT-1.5.3-1"))
	}
}

// open begins a property set: it reads the Property Length.
func (r *reader) open(place uint) {
	r.place, r.seen, r.users, r.userBytes = place, 0, 0, 0
	r.set, r.rest = nil, nil
	n, size := varint(r.b)
	switch {
	case r.err != nil:
	case size < 0:
		r.fail(MalformedPacket, "Property Length", "MQTT-1.5.5-1")
	case size == 0 || int(n) > len(r.b)-size:
		r.fail(MalformedPacket, "Property Length beyond the packet", "")
	default:
		end := size + int(n)
		r.set = r.b[size:end:end]
		r.rest = r.set
		r.b = r.b[end:]
	}
}

// property reads the next property of the set, checked against the table. It is
// false at the end of the set and after an error.
func (r *reader) property() bool {
	if len(r.rest) == 0 {
		return false
	}
	id := r.rest[0]
	if int(id) >= len(properties) || properties[id].kind == 0 {
		r.fail(MalformedPacket, "unknown property", "")
		return false
	}
	p := &properties[id]
	bit := uint64(1) << id
	switch {
	case p.packets&r.place == 0:
		r.fail(ProtocolError, p.name+" does not belong here", "")
		return false
	case r.seen&bit != 0 && p.repeats&r.place == 0:
		r.fail(ProtocolError, p.name+" twice", "")
		return false
	}
	r.seen |= bit
	r.id = id
	return r.propertyValue(p, r.rest[1:])
}

// propertyValue reads the value of property p at the start of b.
func (r *reader) propertyValue(p *property, b []byte) bool {
	ok := true
	switch p.kind {
	case kindFlag:
		if ok = len(b) >= 1; ok {
			r.num, r.rest = uint32(b[0]), b[1:]
			if r.num > 1 {
				r.fail(ProtocolError, p.name+" out of range", "")
			}
		}
	case kindUint16:
		if ok = len(b) >= 2; ok {
			r.num, r.rest = uint32(binary.BigEndian.Uint16(b)), b[2:]
		}
	case kindUint32:
		if ok = len(b) >= 4; ok {
			r.num, r.rest = binary.BigEndian.Uint32(b), b[4:]
		}
	case kindVarint:
		n, size := varint(b)
		if size < 0 {
			r.fail(MalformedPacket, p.name+" not in its shortest form", "MQTT-1.5.5-1")
			return false
		}
		if ok = size > 0; ok {
			r.num, r.rest = n, b[size:]
		}
	case kindBinary:
		r.data, r.rest, ok = lengthed(b)
	case kindString:
		if r.data, r.rest, ok = lengthed(b); ok {
			r.propertyText(p, r.data)
		}
	case kindPair:
		if r.data, b, ok = lengthed(b); !ok {
			break
		}
		if r.value, r.rest, ok = lengthed(b); ok {
			r.propertyText(p, r.data)
			r.propertyText(p, r.value)
			r.users++
			r.userBytes += len(r.data) + len(r.value)
		}
	}
	if !ok {
		r.fail(MalformedPacket, p.name+" cut off", "")
	} else if p.zero != Success && r.num == 0 {
		id := ""
		if r.id == propTopicAlias {
			id = "MQTT-3.3.2-8"
		}
		r.fail(p.zero, p.name+" 0", id)
	}
	return r.err == nil
}

// propertyText checks a string property.
func (r *reader) propertyText(p *property, s []byte) {
	t := scanText(s)
	if t.null || t.invalid {
		r.checkText(p.name, t)
		return
	}
	switch r.id {
	case propResponseTopic:
		if t.wild {
			r.fail(ProtocolError, "wildcard in "+p.name, "MQTT-3.3.2-14")
		} else if len(s) == 0 {
			r.fail(ProtocolError, "empty "+p.name, "MQTT-4.7.3-1")
		}
	case propAuthMethod:
		if len(s) == 0 {
			r.fail(BadAuthenticationMethod, "empty "+p.name, "")
		}
	}
}

// authPair checks, at the end of a property set, that there is no Authentication
// Data without a method.
func (r *reader) authPair() {
	if r.err == nil && r.seen&(1<<propAuthData) != 0 && r.seen&(1<<propAuthMethod) == 0 {
		r.fail(ProtocolError, "Authentication Data without Authentication Method", "")
	}
}

// takeUsers appends the User Properties of the set that was read to its end to
// dst. All their text is one allocation, and no byte more than it.
func (r *reader) takeUsers(dst []UserProperty) []UserProperty {
	if r.err != nil || r.users == 0 {
		return dst
	}
	n := r.users
	var text strings.Builder
	text.Grow(r.userBytes)
	if cap(dst)-len(dst) < n {
		dst = append(make([]UserProperty, 0, len(dst)+n), dst...)
	}
	again := reader{typ: r.typ, v: r.v, place: r.place, rest: r.set}
	for again.property() {
		if again.id != propUser {
			continue
		}
		at := text.Len()
		text.Write(again.data)
		text.Write(again.value)
		both := text.String()[at:]
		dst = append(dst, UserProperty{both[:len(again.data)], both[len(again.data):]})
	}
	return dst
}

// resetUsers empties a list for reuse and lets go of its text.
func resetUsers(u []UserProperty) []UserProperty {
	clear(u)
	return u[:0]
}

func ptr[T any](v T) *T { return &v }

// clone copies binary data; nil only from nil.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}
