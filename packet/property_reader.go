package packet

import (
	"encoding/binary"
	"strings"
)

// propertyReader walks through one property set and holds every property against
// the table. Its methods leave their errors in r, the reader of the packet; it
// does not hold r because that would move r to the heap.
type propertyReader struct {
	rest  []byte // what is left of the set
	place uint   // bit of the packet type, or inWill
	seen  uint64 // bit id: the property was there

	// What next has read.
	id    byte
	num   uint32 // a number
	data  []byte // a string, binary data or the name of a pair
	value []byte // the value of a pair

	users     int    // User Properties so far
	userBytes int    // bytes in their names and values
	userSet   []byte // the set from the first of them on
}

// open begins a property set: it reads the Property Length and takes the set from
// the body.
func (r *reader) open(place uint) propertyReader {
	p := propertyReader{place: place}
	n, size := varint(r.b)
	switch {
	case r.err != nil:
	case size < 0:
		r.fail(MalformedPacket, "Property Length", "MQTT-1.5.5-1")
	case size == 0 || int(n) > len(r.b)-size:
		r.fail(MalformedPacket, "Property Length beyond the packet", "")
	default:
		end := size + int(n)
		p.rest = r.b[size:end:end]
		r.b = r.b[end:]
	}
	return p
}

// next reads the next property of the set, checked against the table. It is
// false at the end of the set and after an error.
func (p *propertyReader) next(r *reader) bool {
	if len(p.rest) == 0 {
		return false
	}
	id := p.rest[0]
	if int(id) >= len(properties) || properties[id].kind == 0 {
		r.fail(MalformedPacket, "unknown property", "")
		return false
	}
	row := &properties[id]
	bit := uint64(1) << id
	switch {
	case row.packets&p.place == 0:
		r.fail(ProtocolError, row.name+" does not belong here", "")
		return false
	case p.seen&bit != 0 && row.repeats&p.place == 0:
		r.fail(ProtocolError, row.name+" twice", "")
		return false
	}
	p.seen |= bit
	p.id = id
	if id == propUser && p.users == 0 {
		p.userSet = p.rest
	}
	return p.readValue(r, row, p.rest[1:])
}

// readValue reads the value of the property of row at the start of b.
func (p *propertyReader) readValue(r *reader, row *property, b []byte) bool {
	ok := true
	switch row.kind {
	case kindFlag:
		if ok = len(b) >= 1; ok {
			p.num, p.rest = uint32(b[0]), b[1:]
			if p.num > 1 {
				r.fail(ProtocolError, row.name+" out of range", "")
			}
		}
	case kindUint16:
		if ok = len(b) >= 2; ok {
			p.num, p.rest = uint32(binary.BigEndian.Uint16(b)), b[2:]
		}
	case kindUint32:
		if ok = len(b) >= 4; ok {
			p.num, p.rest = binary.BigEndian.Uint32(b), b[4:]
		}
	case kindVarint:
		n, size := varint(b)
		if size < 0 {
			r.fail(MalformedPacket, row.name+" not in its shortest form", "MQTT-1.5.5-1")
			return false
		}
		if ok = size > 0; ok {
			p.num, p.rest = n, b[size:]
		}
	case kindBinary:
		p.data, p.rest, ok = lengthed(b)
	case kindString:
		if p.data, p.rest, ok = lengthed(b); ok {
			p.checkText(r, row, p.data)
		}
	case kindPair:
		if p.data, b, ok = lengthed(b); !ok {
			break
		}
		if p.value, p.rest, ok = lengthed(b); ok {
			p.checkText(r, row, p.data)
			p.checkText(r, row, p.value)
			p.users++
			p.userBytes += len(p.data) + len(p.value)
		}
	}
	if !ok {
		r.cutOff(row.name)
	} else if row.zero != Success && p.num == 0 {
		id := ""
		if p.id == propTopicAlias {
			id = "MQTT-3.3.2-8"
		}
		r.fail(row.zero, row.name+" 0", id)
	}
	return r.err == nil
}

// checkText checks the string of a property.
func (p *propertyReader) checkText(r *reader, row *property, s []byte) {
	t := scanText(s)
	if t.null || t.invalid {
		r.checkText(row.name, t)
		return
	}
	switch p.id {
	case propResponseTopic:
		if t.wild {
			r.fail(ProtocolError, "wildcard in "+row.name, "MQTT-3.3.2-14")
		} else if len(s) == 0 {
			r.fail(ProtocolError, "empty "+row.name, "MQTT-4.7.3-1")
		}
	case propAuthMethod:
		if len(s) == 0 {
			r.fail(BadAuthenticationMethod, "empty "+row.name, "")
		}
	}
}

// authPair checks, at the end of a property set, that there is no Authentication
// Data without a method.
func (p *propertyReader) authPair(r *reader) {
	if r.err == nil && p.seen&(1<<propAuthData) != 0 && p.seen&(1<<propAuthMethod) == 0 {
		r.fail(ProtocolError, "Authentication Data without Authentication Method", "")
	}
}

// takeUsers puts the User Properties of the set, read to its end, into dst, which
// is empty. All their text is one allocation, and no byte more than it.
func (p *propertyReader) takeUsers(r *reader, dst []UserProperty) []UserProperty {
	if r.err != nil || p.users == 0 {
		return dst
	}
	if cap(dst) < p.users {
		dst = make([]UserProperty, 0, p.users)
	}
	var text strings.Builder
	text.Grow(p.userBytes)
	again := propertyReader{place: p.place, rest: p.userSet}
	for again.next(r) {
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

// reasonProperties reads a property set that is at most a Reason String and User
// Properties.
func (r *reader) reasonProperties(users []UserProperty) (string, []UserProperty) {
	reason := ""
	props := r.open(1 << r.typ)
	for props.next(r) {
		if props.id == propReasonString {
			reason = string(props.data)
		}
	}
	return reason, props.takeUsers(r, users)
}
