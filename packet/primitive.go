package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// varint reads a Variable Byte Integer at the start of b. size is the number of
// bytes used, 0 if b ends too early, negative if there is a fifth byte or the
// value has a shorter form [MQTT-1.5.5-1].
func varint(b []byte) (value uint32, size int) {
	for i := range 4 {
		if i >= len(b) {
			return 0, 0
		}
		c := b[i]
		value |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, -1
			}
			return value, i + 1
		}
	}
	return 0, -1
}

// varintSize is the number of bytes of n, at most MaxRemainingLength, as a
// Variable Byte Integer.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func appendUint16(b []byte, n uint16) []byte { return append(b, byte(n>>8), byte(n)) }

// appendLengthed appends a UTF-8 string or Binary Data with its two-byte length.
// The caller has seen to it that the length fits.
func appendLengthed[T string | []byte](b []byte, s T) []byte {
	return append(append(b, byte(len(s)>>8), byte(len(s))), s...)
}

// text is what scanText found out about a string.
type text struct {
	invalid bool // not UTF-8, or surrogate code points
	null    bool // U+0000
	wild    bool // the wildcard characters + or #
}

// Eight bytes at a time.
const (
	every01   = 0x0101010101010101
	every80   = 0x8080808080808080
	everyPlus = '+' * every01
	everyHash = '#' * every01
)

// zeroBytes is not 0 exactly if one of the eight bytes of x is 0.
func zeroBytes(x uint64) uint64 { return (x - every01) &^ x & every80 }

// scanText looks at a string once. What it says of null and wild holds up to the
// first fault.
func scanText(b []byte) text {
	var wild uint64
	rest := b
	for len(rest) >= 8 {
		x := binary.LittleEndian.Uint64(rest)
		if (x|zeroBytes(x))&every80 != 0 {
			return scanBytes(rest, wild != 0)
		}
		wild |= zeroBytes(x^everyPlus) | zeroBytes(x^everyHash)
		rest = rest[8:]
	}
	if len(rest) == 0 || len(b) < 8 {
		return scanBytes(rest, wild != 0)
	}
	// The last eight again are faster than up to seven single ones.
	x := binary.LittleEndian.Uint64(b[len(b)-8:])
	if (x|zeroBytes(x))&every80 != 0 {
		return scanBytes(rest, wild != 0)
	}
	wild |= zeroBytes(x^everyPlus) | zeroBytes(x^everyHash)
	return text{wild: wild != 0}
}

// scanBytes does the rest of scanText, byte by byte up to what is not ASCII.
func scanBytes(b []byte, wild bool) text {
	t := text{wild: wild}
	for i, c := range b {
		switch {
		case c == 0:
			t.null = true
			return t
		case c >= utf8.RuneSelf:
			rest := b[i:]
			t.invalid = !utf8.Valid(rest)
			t.null = bytes.IndexByte(rest, 0) >= 0
			t.wild = t.wild || bytes.IndexByte(rest, '+') >= 0 || bytes.IndexByte(rest, '#') >= 0
			return t
		case c == '+' || c == '#':
			t.wild = true
		}
	}
	return t
}
