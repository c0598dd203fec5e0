package packet_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// wire makes bytes from a notation close to the standard's tables:
//
//	0a1b   bytes in hex
//	"abc"  a string or Binary Data with its two-byte length
//	'abc'  the bytes alone
//	{ }    what is inside, with its length before it as a Variable Byte Integer
func wire(s string) []byte {
	b, rest := wireUntil(s, false)
	if rest != "" {
		panic("unbalanced braces: " + s)
	}
	return b
}

func wireUntil(s string, braces bool) (b []byte, rest string) {
	for {
		s = strings.TrimLeft(s, " \n\t")
		switch {
		case s == "" && !braces:
			return b, ""
		case s == "":
			panic("unbalanced braces")
		case s[0] == '}':
			return b, s[1:]
		case s[0] == '{':
			var inner []byte
			inner, s = wireUntil(s[1:], true)
			b = append(lengthOf(b, len(inner)), inner...)
		case s[0] == '"', s[0] == '\'':
			text, tail, ok := strings.Cut(s[1:], s[:1])
			if !ok {
				panic("open quote: " + s)
			}
			if s[0] == '"' {
				b = append(b, byte(len(text)>>8), byte(len(text)))
			}
			b = append(b, text...)
			s = tail
		default:
			end := strings.IndexAny(s, " \n\t{}\"'")
			if end < 0 {
				end = len(s)
			}
			part, err := hex.DecodeString(s[:end])
			if err != nil {
				panic(err)
			}
			b = append(b, part...)
			s = s[end:]
		}
	}
}

// lengthOf appends n as a Variable Byte Integer, written as the standard's
// pseudo code has it.
func lengthOf(b []byte, n int) []byte {
	for {
		c := n % 128
		n /= 128
		if n == 0 {
			return append(b, byte(c))
		}
		b = append(b, byte(c|128))
	}
}

// parse reads one whole packet.
func parse(b []byte, v packet.Version) (packet.Packet, error) {
	h, n, err := packet.ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if n == 0 || len(b) != n+h.Length {
		return nil, errors.New("not one whole packet")
	}
	return packet.Parse(h, b[n:], v)
}

// accept parses what must be legal.
func accept[P packet.Packet](t *testing.T, v packet.Version, text string) P {
	t.Helper()
	p, err := parse(wire(text), v)
	if err != nil {
		t.Fatalf("%v %s: %v", v, text, err)
	}
	got, ok := p.(P)
	if !ok {
		t.Fatalf("%v %s is a %v", v, text, p.Type())
	}
	return got
}

// refuse parses what must be refused with code, and with the statement if it is
// not "".
func refuse(t *testing.T, v packet.Version, text string, code packet.ReasonCode, statement string) {
	t.Helper()
	_, err := parse(wire(text), v)
	refused(t, v.String()+" "+text, err, code, statement)
}

func refused(t *testing.T, what string, err error, code packet.ReasonCode, statement string) {
	t.Helper()
	var e *packet.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: got %v, want an Error", what, err)
		return
	}
	if e.Code != code || !errors.Is(err, code) {
		t.Errorf("%s: got %v, want %v", what, err, code)
	}
	if statement != "" && e.Statement != statement {
		t.Errorf("%s: got %v, want statement %s", what, err, statement)
	}
}

// written appends what must be legal.
func written(t *testing.T, v packet.Version, p packet.Packet) []byte {
	t.Helper()
	b, err := p.Append(nil, v)
	if err != nil {
		t.Fatalf("%v %+v: %v", v, p, err)
	}
	return b
}

func ptr[T any](v T) *T { return &v }

const (
	v31  = packet.V31
	v311 = packet.V311
	v5   = packet.V5
)

var versions = []packet.Version{v31, v311, v5}
