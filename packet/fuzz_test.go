package packet_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// FuzzParse gives any body to any packet type.
func FuzzParse(f *testing.F) {
	for _, s := range corpus() {
		b := wire(s.wire)
		_, n, err := packet.ParseHeader(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[0], byte(s.v), b[n:])
	}
	f.Fuzz(func(t *testing.T, first, level byte, body []byte) {
		v := packet.Version(level)
		h := packet.Header{Type: packet.Type(first >> 4), Flags: first & 15, Length: len(body)}
		p, err := packet.Parse(h, body, v)
		if err != nil {
			var e *packet.Error
			if !errors.As(err, &e) || e.Code < packet.UnspecifiedError || e.What == "" || e.Packet != h.Type {
				t.Fatalf("%+v: %#v", h, err)
			}
			return
		}
		if p.Type() != h.Type {
			t.Fatalf("%v for %v", p.Type(), h.Type)
		}
	})
}

// FuzzHeader holds the reader of fixed headers against the standard's pseudo code.
func FuzzHeader(f *testing.F) {
	for _, text := range []string{"", "c0", "c0 00", "30 80 01", "30 ff ff ff 7f", "30 80 00", "30 ff ff ff ff 01", "30 80 80"} {
		f.Add(wire(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := packet.ParseHeader(b)
		if err != nil {
			if n != 0 {
				t.Fatalf("% x: %d bytes and %v", b, n, err)
			}
			for i := range b[:min(len(b), 5)] { // what a shorter piece said still holds
				if _, m, err := packet.ParseHeader(b[:i]); m != 0 || err != nil && i < 3 {
					t.Fatalf("% x: %d, %v", b[:i], m, err)
				}
			}
			return
		}
		if n == 0 {
			if len(b) >= 5 {
				t.Fatalf("% x: no end", b)
			}
			return
		}
		if again := lengthOf(b[:1:1], h.Length); !bytes.Equal(again, b[:n]) {
			t.Fatalf("% x: length %d is % x", b, h.Length, again)
		}
		for _, v := range versions {
			err := h.Check(v)
			if p, parseErr := packet.Parse(packet.Header{Type: h.Type, Flags: h.Flags}, nil, v); err != nil && parseErr == nil {
				t.Fatalf("%+v in %v: %v, yet parsed: %v", h, v, err, p)
			}
		}
	})
}

// FuzzRoundTrip writes what it could read and reads it again.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range corpus() {
		f.Add(wire(s.wire), byte(s.v))
	}
	f.Fuzz(func(t *testing.T, b []byte, level byte) {
		roundTrip(t, b, packet.V31+packet.Version(level%3))
	})
}
