package packet_test

import (
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// What a broker does for every message allocates nothing in either direction.
func TestAllocations_None(t *testing.T) {
	for _, s := range corpus() {
		switch p := s.want.(type) {
		case *packet.Publish:
			if len(p.User) > 0 {
				continue
			}
		case *packet.Puback, *packet.Pubrec, *packet.Pubrel, *packet.Pubcomp:
			if s.name == "all" || s.name == "success with properties" {
				continue
			}
		case *packet.Pingreq, *packet.Pingresp:
		default:
			continue
		}
		b := wire(s.wire)
		h, n, err := packet.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		p := packet.New(h.Type)
		if got := testing.AllocsPerRun(20, func() { err = p.Parse(h, b[n:], s.v) }); got != 0 || err != nil {
			t.Errorf("%v parsed: %v allocations, %v", s, got, err)
		}
	}
}

func TestAllocations_Append(t *testing.T) {
	for _, s := range corpus() {
		buf := make([]byte, 0, len(written(t, s.v, s.want)))
		var err error
		if got := testing.AllocsPerRun(20, func() { _, err = s.want.Append(buf, s.v) }); got != 0 || err != nil {
			t.Errorf("%v written: %v allocations, %v", s, got, err)
		}
	}
}

func TestAllocations_Header(t *testing.T) {
	b := wire(`32 { "t" 0001 {} }`)
	var err error
	if got := testing.AllocsPerRun(20, func() {
		h, _, e := packet.ParseHeader(b)
		if err = e; err == nil {
			err = h.Check(v5)
		}
		b = packet.AppendAck(b[:6], packet.TypePuback, 1)[:6]
	}); got != 0 || err != nil {
		t.Errorf("%v allocations, %v", got, err)
	}
}

// TestPitfall017_LengthTakesNoMemory: a header that announces the longest packet
// costs nothing, and neither does a body that announces long fields.
func TestPitfall017_LengthTakesNoMemory(t *testing.T) {
	head := wire("30 ffffff7f")
	if got := testing.AllocsPerRun(20, func() {
		if h, n, err := packet.ParseHeader(head); h.Length != packet.MaxRemainingLength || n != 5 || err != nil {
			t.Error(h, n, err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	for _, text := range []string{`10 { "MQTT" 04 02 0000 ffff }`, `30 { "t" ffffff7f }`, `82 { 0001 ffff }`, `10 { ffff }`} {
		b := wire(text)
		h, n, err := packet.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		p := packet.New(h.Type)
		v := v5
		if got := testing.AllocsPerRun(20, func() { err = p.Parse(h, b[n:], v) }); got > 4 || err == nil {
			t.Errorf("%s: %v allocations, %v", text, got, err)
		}
	}
}
