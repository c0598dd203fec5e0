package mqttest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// only stands for: and nothing else is in the packet.
const only = "only"

// line is a packet as a line of a script names it.
type line struct {
	p     packet.Packet // nil: raw is meant
	raw   []byte
	named []field
	binds []string // names for the Packet Identifier of what comes
	only  bool
}

// readLine reads a packet from words. Names for Packet Identifiers are looked up in ids; one that is not known yet is bound
// to what comes if bind is set.
func readLine(ws []string, ids map[string]uint16, bind bool) (*line, error) {
	if len(ws) == 0 {
		return nil, fmt.Errorf("want a packet")
	}
	if ws[0] == "hex" {
		b, err := hexBytes(ws[1:])
		return &line{raw: b}, err
	}
	l := &line{p: newPacket(ws[0])}
	if l.p == nil {
		return nil, fmt.Errorf("%s is no packet", ws[0])
	}
	r := lineReader{line: l, form: formOf(l.p.Type()), ids: ids, bind: bind}
	for _, w := range ws[1:] {
		if err := r.word(w); err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
	}
	return l, nil
}

// newPacket makes a packet by the name of its type.
func newPacket(name string) packet.Packet {
	for t := packet.TypeConnect; t <= packet.TypeAuth; t++ {
		if t.String() == name {
			return packet.New(t)
		}
	}
	return nil
}

type lineReader struct {
	*line
	form form
	at   int // the next place
	ids  map[string]uint16
	bind bool
}

// word takes one word.
func (r *lineReader) word(w string) error {
	if w == only {
		r.only = true
		return nil
	}
	name, value, assigned := cutWord(w, "=")
	if i := slices.IndexFunc(r.form.named, func(f field) bool { return f.name == name && (assigned || f.flag) }); i >= 0 {
		if !assigned {
			value = "1"
		}
		return r.set(r.form.named[i], value)
	}
	if assigned {
		return fmt.Errorf("%s has no field %s; in a text with = quotes are needed", r.p.Type(), name)
	}
	if r.at == len(r.form.places) {
		return fmt.Errorf("too many words for %s", r.p.Type())
	}
	f := r.form.places[r.at]
	if !f.list {
		r.at++
	}
	return r.set(f, w)
}

func (r *lineReader) set(f field, value string) error {
	if value == none {
		r.named = append(r.named, f)
		return nil
	}
	if name, ok := strings.CutPrefix(value, "$"); ok && f.isID {
		id, known := r.ids[name]
		switch {
		case known:
			value = strconv.Itoa(int(id))
		case r.bind:
			r.binds = append(r.binds, name)
			return nil
		default:
			return fmt.Errorf("no packet came whose identifier has this name")
		}
	}
	r.named = append(r.named, f)
	return f.set(r.p, value)
}

// bytes writes the packet in version v, a CONNECT in its own.
func (l *line) bytes(v mqttx.Version) ([]byte, error) {
	if l.p == nil {
		return l.raw, nil
	}
	if _, ok := l.p.(*packet.Connect); ok {
		v = 0
	}
	return l.p.Append(nil, v)
}

// fits tells whether what came is what the line names, and binds names to its Packet Identifier.
func (l *line) fits(a arrived, ids map[string]uint16) bool {
	if l.p == nil {
		return string(l.raw) == string(a.raw)
	}
	if l.p.Type() != a.p.Type() {
		return false
	}
	f := formOf(l.p.Type())
	for _, f := range slices.Concat(f.places, f.named) {
		named := slices.ContainsFunc(l.named, func(n field) bool { return n.name == f.name })
		switch {
		case f.isID && len(l.binds) > 0:
		case named || l.only:
			if !slices.Equal(f.get(l.p), f.get(a.p)) {
				return false
			}
		case f.name == "code" || f.name == "codes":
			if refuses(a.p) {
				return false
			}
		}
	}
	for _, name := range l.binds {
		ids[name] = packetID(a.p)
	}
	return true
}

// refuses tells whether an answer has the code of a failure.
func refuses(p packet.Packet) bool {
	failed := func(c packet.ReasonCode) bool { return c >= 0x80 }
	switch p := p.(type) {
	case *packet.Connack:
		return p.Code != packet.Success
	case *packet.Puback:
		return failed(p.Code)
	case *packet.Pubrec:
		return failed(p.Code)
	case *packet.Pubrel:
		return failed(p.Code)
	case *packet.Pubcomp:
		return failed(p.Code)
	case *packet.Suback:
		return slices.ContainsFunc(p.Codes, failed)
	case *packet.Unsuback:
		return slices.ContainsFunc(p.Codes, failed)
	}
	return false
}

// Format writes a packet in the notation of scripts, with all that is in it, as the package comment has it.
func Format(p packet.Packet) string {
	f := formOf(p.Type())
	ws := []string{p.Type().String()}
	for _, place := range f.places {
		ws = append(ws, place.get(p)...)
	}
	for _, n := range f.named {
		for _, w := range n.get(p) {
			if n.flag {
				ws = append(ws, n.name)
			} else {
				ws = append(ws, n.name+"="+w)
			}
		}
	}
	return strings.Join(ws, " ")
}

// show writes a packet for messages.
func (c *Client) show(p packet.Packet) string { return clip(Format(p)) }
