package packet

import "encoding/binary"

// reader takes a packet body apart from front to back. After the first error all
// its methods return zero values, so that only the end of a packet need look.
type reader struct {
	b   []byte // what is left of the body
	typ Type
	v   Version
	err error
}

// check is the first step of every Parse: the header is one of type t that is legal.
func (r *reader) check(h Header, t Type) {
	switch {
	case h.Type != t:
		r.fail(ProtocolError, "header of "+h.Type.String(), "")
	case h.Length != len(r.b):
		r.fail(MalformedPacket, "body and Remaining Length differ", "")
	default:
		if err := h.Check(r.v); err != nil {
			r.err = err
			r.b = nil
		}
	}
}

// fail keeps the first error.
func (r *reader) fail(code ReasonCode, what, id string) {
	if r.err == nil {
		r.err = &Error{code, r.typ, what, id}
	}
	r.b = nil
}

// cutOff says that the body ends in a field.
func (r *reader) cutOff(what string) {
	if r.err == nil {
		r.fail(MalformedPacket, what+" cut off", "")
	}
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
		r.cutOff(what)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint16(what string) uint16 {
	if len(r.b) < 2 {
		r.cutOff(what)
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

// codes reads the Reason Codes that are the payload of SUBACK and UNSUBACK.
func (r *reader) codes(dst []ReasonCode) []ReasonCode {
	if len(r.b) == 0 {
		r.fail(ProtocolError, "no Reason Code", "")
	}
	for len(r.b) > 0 {
		c := ReasonCode(r.byte("Reason Code"))
		if r.v < V5 && c > GrantedQoS2 && c != UnspecifiedError {
			r.fail(ProtocolError, "return code", statement(r.v, "", "MQTT-3.9.3-2"))
		} else if r.v >= V5 {
			r.checkCode(c)
		}
		dst = append(dst, c)
	}
	return dst
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
		r.cutOff(what)
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

func ptr[T any](v T) *T { return &v }

// clone copies binary data; nil only from nil.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}
