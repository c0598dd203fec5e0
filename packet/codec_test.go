package packet_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

func (s sample) String() string { return s.v.String() + " " + s.want.Type().String() + " " + s.name }

func TestCorpus(t *testing.T) {
	seen := map[packet.Type]int{}
	for _, s := range corpus() {
		seen[s.want.Type()]++
		b := wire(s.wire)
		got, err := parse(b, s.v)
		if err != nil {
			t.Errorf("%v: %v", s, err)
			continue
		}
		if !reflect.DeepEqual(got, s.want) {
			t.Errorf("%v:\n got %#v\nwant %#v", s, got, s.want)
		}
		out := written(t, s.v, s.want)
		if !s.loose && !bytes.Equal(out, b) {
			t.Errorf("%v:\n wrote % x\nwant % x", s, out, b)
		}
		again, err := parse(out, s.v)
		if err != nil {
			t.Errorf("%v: written as % x: %v", s, out, err)
		} else if !reflect.DeepEqual(again, got) {
			t.Errorf("%v: came back as %#v", s, again)
		}
	}
	for typ := packet.TypeConnect; typ <= packet.TypeAuth; typ++ {
		if seen[typ] == 0 {
			t.Errorf("no %v in the corpus", typ)
		}
	}
}

// A value that held another packet before gives the same as a fresh one.
func TestParse_ReusedValue(t *testing.T) {
	all := corpus()
	for _, first := range all {
		for _, second := range all {
			if first.want.Type() != second.want.Type() {
				continue
			}
			p := packet.New(first.want.Type())
			for _, s := range []sample{first, second} {
				b := wire(s.wire)
				h, n, err := packet.ParseHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Parse(h, b[n:], s.v); err != nil {
					t.Fatalf("%v: %v", s, err)
				}
			}
			got, want := written(t, second.v, p), written(t, second.v, second.want)
			if !bytes.Equal(got, want) {
				t.Errorf("%v after %v: % x, want % x", second, first, got, want)
			}
		}
	}
}

// Append leaves alone what was in the slice and writes behind it, in place when
// there is room for exactly the packet.
func TestAppend_Behind(t *testing.T) {
	for _, s := range corpus() {
		want := written(t, s.v, s.want)
		b := make([]byte, 3, 3+len(want))
		copy(b, "abc")
		out, err := s.want.Append(b, s.v)
		if err != nil {
			t.Fatal(err)
		}
		if string(out[:3]) != "abc" || !bytes.Equal(out[3:], want) {
			t.Errorf("%v: % x", s, out)
		}
		if &out[0] != &b[0] {
			t.Errorf("%v: moved although it had room", s)
		}
	}
}

// TestPitfall016_Prefixes cuts every packet of the corpus at every byte. As a
// stream the rest is still to come; as a packet of its own it is refused or is
// another whole packet, such as a shorter payload.
func TestPitfall016_Prefixes(t *testing.T) {
	for _, s := range corpus() {
		b := wire(s.wire)
		h, n, err := packet.ParseHeader(b)
		if err != nil || n+h.Length != len(b) {
			t.Fatalf("%v: header %+v, %d, %v", s, h, n, err)
		}
		for i := range n {
			if _, size, err := packet.ParseHeader(b[:i]); size != 0 || err != nil {
				t.Errorf("%v: %d bytes of the header: %d, %v", s, i, size, err)
			}
		}
		step := 1 + len(b)/1000
		for i := 0; i < h.Length; i += step {
			p, err := packet.Parse(packet.Header{Type: h.Type, Flags: h.Flags, Length: i}, b[n:n+i], s.v)
			if err != nil {
				var code packet.ReasonCode
				if e, ok := err.(*packet.Error); ok {
					code = e.Code
				}
				if code < packet.UnspecifiedError {
					t.Errorf("%v cut at %d: %v", s, i, err)
				}
				continue
			}
			if _, err := p.Append(nil, s.v); err != nil {
				t.Errorf("%v cut at %d parsed but: %v", s, i, err)
			}
			// The body as a whole is announced longer than it is.
			if _, err := packet.Parse(h, b[n:n+i], s.v); err == nil {
				t.Errorf("%v cut at %d under its full length is accepted", s, i)
			}
		}
	}
}

// TestPitfall108_FlippedBytes changes every byte of every packet in several ways:
// no panic, and what is accepted can be written and read back to the same bytes.
func TestPitfall108_FlippedBytes(t *testing.T) {
	for _, s := range corpus() {
		b := wire(s.wire)
		step := 1 + len(b)/500
		for i := 0; i < len(b); i += step {
			for _, flip := range []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, b[i], ^b[i]} {
				changed := bytes.Clone(b)
				changed[i] ^= flip
				for _, v := range versions {
					roundTrip(t, changed, v)
				}
			}
		}
	}
}

// roundTrip parses b; if it is legal, then writing and reading it must lead to one
// form that no longer changes.
func roundTrip(t *testing.T, b []byte, v packet.Version) {
	t.Helper()
	p, err := parse(b, v)
	if err != nil {
		return
	}
	if c, ok := p.(*packet.Connect); ok {
		v = c.Version
	}
	once, err := p.Append(nil, v)
	if err != nil {
		t.Fatalf("% x in %v was read but not written: %v", b, v, err)
	}
	again, err := parse(once, v)
	if err != nil {
		t.Fatalf("% x in %v was written as % x: %v", b, v, once, err)
	}
	twice, err := again.Append(nil, v)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("% x in %v was written as % x, then as % x, %v", b, v, once, twice, err)
	}
}

func TestParse_WrongUse(t *testing.T) {
	p := new(packet.Puback)
	err := p.Parse(packet.Header{Type: packet.TypePubrec, Length: 2}, []byte{0, 1}, v5)
	refused(t, "PUBREC header", err, packet.ProtocolError, "")
	err = p.Parse(packet.Header{Type: packet.TypePuback, Length: 3}, []byte{0, 1}, v5)
	refused(t, "short body", err, packet.MalformedPacket, "")
	if packet.New(0) != nil || packet.New(16) != nil {
		t.Error("New of no type")
	}
}

func TestNames(t *testing.T) {
	for v, want := range map[packet.Version]string{v31: "3.1", v311: "3.1.1", v5: "5.0", 6: "level 6"} {
		if v.String() != want {
			t.Errorf("%d is %q", byte(v), v.String())
		}
	}
	want := []string{
		"type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
		"UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH", "type 16",
	}
	for i, name := range want {
		typ := packet.Type(i)
		if typ.String() != name {
			t.Errorf("%d is %q", i, typ.String())
		}
		if p := packet.New(typ); p != nil && p.Type() != typ {
			t.Errorf("New(%v) is a %v", typ, p.Type())
		}
	}
}

func TestError_Text(t *testing.T) {
	_, err := parse(wire(`80 { 0001 {} "a" 00 }`), v5)
	const want = "packet: SUBSCRIBE: reserved flags: Malformed Packet (0x81) [MQTT-3.8.1-1]"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = parse(wire(`c0 { 00 }`), v5)
	const short = "packet: PINGREQ: trailing bytes: Malformed Packet (0x81)"
	if err == nil || err.Error() != short {
		t.Errorf("got %v, want %s", err, short)
	}
}
