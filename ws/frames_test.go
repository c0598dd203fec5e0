package ws

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	gobwas "github.com/gobwas/ws"
)

// maskedFrame appends a client's frame.
func maskedFrame(b []byte, first byte, payload []byte, mask [4]byte) []byte {
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i%4])
	}
	return b
}

// taken is what became of a stream of frames.
type taken struct {
	data  []byte
	pings []string
	end   string
}

// decodeIn decodes the stream in pieces, whose sizes next gives.
func decodeIn(t testing.TB, stream []byte, next func(left int) int) taken {
	t.Helper()
	var got taken
	f := frames{ping: func(p []byte) { got.pings = append(got.pings, string(p)) }}
	for len(stream) > 0 && f.end == nil {
		k := next(len(stream))
		piece := bytes.Clone(stream[:k])
		stream = stream[k:]
		n := f.decode(piece)
		if n > k {
			t.Fatalf("%d bytes of data out of %d bytes", n, k)
		}
		if cap(f.control) > 2*gobwas.MaxControlFramePayloadSize {
			t.Fatalf("%d bytes kept", cap(f.control))
		}
		got.data = append(got.data, piece[:n]...)
	}
	if f.end != nil {
		got.end = fmt.Sprint(f.end.code, f.end.byPeer, f.end)
	}
	return got
}

func whole(left int) int { return left }
func bytewise(int) int   { return 1 }

func (a taken) differs(b taken) bool {
	return !bytes.Equal(a.data, b.data) || strings.Join(a.pings, "\x00") != strings.Join(b.pings, "\x00") || a.end != b.end
}

// streamOf makes frames of data by what seed says: cuts it into messages and fragments, with pings and pongs between.
func streamOf(data []byte, seed uint64) (stream []byte, want taken) {
	r := rand.New(rand.NewPCG(seed, 98))
	mask := func() (m [4]byte) {
		binary.LittleEndian.PutUint32(m[:], r.Uint32())
		return m
	}
	want.data = data
	begun := false
	for rest := data; len(rest) > 0 || begun; {
		switch r.IntN(6) {
		case 0:
			p := make([]byte, r.IntN(126))
			want.pings = append(want.pings, string(p))
			stream = maskedFrame(stream, 0x89, p, mask())
			continue
		case 1:
			stream = maskedFrame(stream, 0x8A, make([]byte, r.IntN(126)), mask())
			continue
		}
		n := min(len(rest), r.IntN(300))
		fin := r.IntN(2) == 0
		first := byte(gobwas.OpBinary)
		if begun {
			first = byte(gobwas.OpContinuation)
		}
		if fin {
			first |= 0x80
		}
		stream = maskedFrame(stream, first, rest[:n], mask())
		rest, begun = rest[n:], !fin
	}
	return stream, want
}

// Every cut of MQTT packets into frames, and of the frames into what a socket gives, is the same stream of bytes.
func TestPitfall098_EverySplit(t *testing.T) {
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for seed := range uint64(20) {
		stream, want := streamOf(data, seed)
		for cut := range len(stream) {
			first := true
			got := decodeIn(t, stream, func(left int) int {
				if first && cut > 0 {
					first = false
					return cut
				}
				return left
			})
			if got.differs(want) {
				t.Fatalf("seed %d, cut at %d: %d bytes, %d pings, end %q; want %d, %d", seed, cut, len(got.data), len(got.pings), got.end, len(want.data), len(want.pings))
			}
		}
		if got := decodeIn(t, stream, bytewise); got.differs(want) {
			t.Fatalf("seed %d byte by byte: %d bytes, %d pings, end %q", seed, len(got.data), len(got.pings), got.end)
		}
	}
}

// A byte to a frame costs no memory and nothing that grows with what came before: each byte is handled once.
func TestPitfall098_LinearTime(t *testing.T) {
	var stream []byte
	for i := range 10_000 {
		first := byte(gobwas.OpContinuation)
		if i == 0 {
			first = byte(gobwas.OpBinary)
		}
		stream = maskedFrame(stream, first, []byte{byte(i)}, [4]byte{1, 2, 3, 4})
	}
	var f frames
	work := make([]byte, len(stream))
	got := 0
	allocs := testing.AllocsPerRun(5, func() { // counts what other goroutines allocate as well
		f, got = frames{}, 0
		copy(work, stream)
		for i := range work {
			n := f.decode(work[i : i+1])
			for k := range n {
				if work[i+k] != byte(got) {
					t.Fatalf("byte %d is %d", got, work[i+k])
				}
				got++
			}
		}
	})
	if got != 10_000 || allocs > 10 {
		t.Errorf("%d bytes, %v allocations", got, allocs)
	}
}

func TestFramesRefused(t *testing.T) {
	mask := [4]byte{9, 8, 7, 6}
	bin := maskedFrame(nil, 0x82, []byte("data"), mask)
	begun := maskedFrame(nil, 0x02, []byte("data"), mask)
	long := func(first byte, length uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{first, 0xFF}, length), mask[:]...)
	}
	closing := func(payload string) []byte { return maskedFrame(nil, 0x88, []byte(payload), mask) }
	for _, c := range []struct {
		name   string
		stream []byte
		code   gobwas.StatusCode
		byPeer bool
		data   string
	}{
		{"text", maskedFrame(nil, 0x81, []byte("x"), mask), 1003, false, ""},
		{"text, two bytes of it", []byte{0x81, 0x81}, 1003, false, ""},
		{"text begun", maskedFrame(nil, 0x01, nil, mask), 1003, false, ""},
		{"text after data", append(bytes.Clone(bin), 0x81, 0x80), 1003, false, "data"},
		{"text within a message", append(bytes.Clone(begun), 0x81, 0x80), 1002, false, "data"},
		{"binary within a message", append(bytes.Clone(begun), 0x82, 0x80), 1002, false, "data"},
		{"continuation of nothing", []byte{0x80, 0x80}, 1002, false, ""},
		{"not masked", []byte{0x82, 0x04, 'd'}, 1002, false, ""},
		{"close not masked", []byte{0x88, 0x00}, 1002, false, ""},
		{"reserved bit 1, compression", []byte{0xC2, 0x80}, 1002, false, ""},
		{"reserved bit 2", []byte{0xA2, 0x80}, 1002, false, ""},
		{"reserved bit 3", []byte{0x92, 0x80}, 1002, false, ""},
		{"reserved opcode 3", []byte{0x83, 0x80}, 1002, false, ""},
		{"reserved opcode 11", []byte{0x8B, 0x80}, 1002, false, ""},
		{"ping begun", []byte{0x09, 0x80}, 1002, false, ""},
		{"ping of 126 bytes", []byte{0x89, 0xFE}, 1002, false, ""},
		{"close of 64 bits", []byte{0x88, 0xFF}, 1002, false, ""},
		{"length of 64 bits", long(0x82, 1<<63), 1002, false, ""},
		{"a byte over the largest packet", long(0x82, maxPayload+1), 1009, false, ""},
		{"the longest length", long(0x82, 1<<63-1), 1009, false, ""},
		{"close", closing(""), 0, true, ""},
		{"close after data", append(bytes.Clone(bin), closing("\x03\xE8bye")...), 1000, true, "data"},
		{"close within a message", append(bytes.Clone(begun), closing("\x03\xE9")...), 1001, true, "data"},
		{"close with half a code", closing("\x03"), 1002, false, ""},
		{"close with code 1005", closing("\x03\xED"), 1002, false, ""},
		{"close with code 999", closing("\x03\xE7"), 1002, false, ""},
		{"close with bad text", closing("\x03\xE8\xFF"), 1002, false, ""},
		{"close with a code of its own", closing("\x0F\xA0"), 4000, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, next := range []func(int) int{whole, bytewise} {
				got := taken{}
				f := frames{ping: func([]byte) { t.Error("ping") }}
				stream := append(bytes.Clone(c.stream), bin...) // what comes behind is not looked at
				for rest := stream; len(rest) > 0; {
					k := next(len(rest))
					got.data = append(got.data, rest[:f.decode(rest[:k])]...)
					rest = rest[k:]
				}
				if f.end == nil {
					t.Fatal("taken")
				}
				if f.end.code != c.code || f.end.byPeer != c.byPeer || string(got.data) != c.data {
					t.Errorf("%v, code %d, by peer %v, data %q", f.end, f.end.code, f.end.byPeer, got.data)
				}
			}
		})
	}
}

// The largest frame is taken, and nothing is set aside for it.
func TestPitfall110_NothingForALength(t *testing.T) {
	var f frames
	head := append(binary.BigEndian.AppendUint64([]byte{0x82, 0xFF}, maxPayload), 0, 0, 0, 0)
	allocs := testing.AllocsPerRun(10, func() {
		f = frames{}
		if n := f.decode(head); n != 0 || f.end != nil || f.left != maxPayload {
			t.Fatalf("%d bytes, end %v, %d to come", n, f.end, f.left)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestAppendHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, maxFrame} {
		h, err := gobwas.ReadHeader(bytes.NewReader(appendHeader(nil, gobwas.OpBinary, n)))
		if err != nil || h.Length != int64(n) || !h.Fin || h.Masked || h.Rsv != 0 || h.OpCode != gobwas.OpBinary {
			t.Errorf("%d: %+v, %v", n, h, err)
		}
		if got := len(appendHeader(nil, gobwas.OpBinary, n)); got != gobwas.HeaderSize(h) {
			t.Errorf("%d: %d bytes", n, got)
		}
	}
}

// FuzzFrames takes the input for frames, and for data to put into frames. Whatever comes, the pieces in which it comes
// make no difference, and nothing is kept; frames that were made give back what was put in.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, uint64(0))
	f.Add(maskedFrame(nil, 0x82, []byte("\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00"), [4]byte{1, 2, 3, 4}), uint64(1))
	f.Add(maskedFrame(maskedFrame(nil, 0x02, []byte("a"), [4]byte{5}), 0x89, []byte("ping"), [4]byte{6}), uint64(2))
	f.Add([]byte("\x88\x82\x00\x00\x00\x00\x03\xE8"), uint64(3))
	f.Add([]byte("\x82\xFF\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00x"), uint64(4))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 110))
		anyhow := func(left int) int { return 1 + r.IntN(left) }
		want := decodeIn(t, b, whole)
		for _, next := range []func(int) int{bytewise, anyhow} {
			if got := decodeIn(t, b, next); got.differs(want) {
				t.Fatalf("in pieces: %d bytes, end %q; whole: %d, %q", len(got.data), got.end, len(want.data), want.end)
			}
		}
		stream, want := streamOf(b, seed)
		for _, next := range []func(int) int{whole, anyhow} {
			if got := decodeIn(t, stream, next); got.differs(want) {
				t.Fatalf("%d bytes, end %q; want %d", len(got.data), got.end, len(want.data))
			}
		}
	})
}
