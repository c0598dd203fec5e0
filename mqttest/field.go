package mqttest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/e8743928/mqttx/packet"
)

// field is a part of a packet in the notation: a word in its place, or name=value.
type field struct {
	name string
	flag bool // name alone is name=1
	isID bool // a Packet Identifier, for which $name may stand
	list bool // may repeat; in its place: takes all words that are left
	get  func(p packet.Packet) []string
	set  func(p packet.Packet, word string) error
}

// none stands for a field that is absent.
const none = "none"

var errNoWill = errors.New("will= has to stand before its properties")

// of makes a field of a packet type P from what finds the value in a packet (nil: there is no place for it), what writes
// it, nil if it is absent, and what reads a word.
func of[P any, V any](name string, at func(p *P) *V, write func(V) []string, read func(v *V, word string) error) field {
	return field{
		name: name,
		get: func(p packet.Packet) []string {
			v := at(any(p).(*P))
			if v == nil {
				return nil
			}
			return write(*v)
		},
		set: func(p packet.Packet, word string) error {
			v := at(any(p).(*P))
			if v == nil {
				return errNoWill
			}
			return read(v, word)
		},
	}
}

type number interface {
	~uint8 | ~uint16 | ~uint32
}

func readNumber[N number](v *N, word string) error {
	n, err := strconv.ParseUint(word, 0, 32)
	if err != nil || uint64(N(n)) != n {
		return fmt.Errorf("%s is not a number of this field", word)
	}
	*v = N(n)
	return nil
}

// num is a number that is absent when 0.
func num[P any, N number](name string, at func(p *P) *N) field {
	return of(name, at, func(n N) []string {
		if n == 0 {
			return nil
		}
		return []string{strconv.FormatUint(uint64(n), 10)}
	}, readNumber[N])
}

// optNum is a number that is absent when nil.
func optNum[P any, N number](name string, at func(p *P) **N) field {
	return of(name, at, func(n *N) []string {
		if n == nil {
			return nil
		}
		return []string{strconv.FormatUint(uint64(*n), 10)}
	}, func(v **N, word string) error {
		*v = new(N)
		return readNumber(*v, word)
	})
}

// str is text that is absent when empty.
func str[P any](name string, at func(p *P) *string) field {
	return of(name, at, func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{quoteText(s)}
	}, func(v *string, word string) (err error) {
		*v, err = text(word)
		return err
	})
}

// bin is bytes that are absent when nil.
func bin[P any](name string, at func(p *P) *[]byte) field {
	return of(name, at, func(b []byte) []string {
		if b == nil {
			return nil
		}
		return []string{quoteData(b)}
	}, func(v *[]byte, word string) (err error) {
		*v, err = data(word)
		return err
	})
}

// word is text kept as bytes, absent when nil.
func word[P any](name string, at func(p *P) *[]byte) field {
	return of(name, at, func(b []byte) []string {
		if b == nil {
			return nil
		}
		return []string{quoteText(string(b))}
	}, func(v *[]byte, word string) (err error) {
		*v, err = data(word)
		return err
	})
}

func writeBool(b bool) []string {
	if b {
		return []string{"1"}
	}
	return []string{"0"}
}

func readBool(v *bool, word string) error {
	if word != "0" && word != "1" {
		return fmt.Errorf("%s is neither 0 nor 1", word)
	}
	*v = word == "1"
	return nil
}

// flag is a bit that is absent when false.
func flag[P any](name string, at func(p *P) *bool) field {
	f := of(name, at, func(b bool) []string {
		if !b {
			return nil
		}
		return writeBool(b)
	}, readBool)
	f.flag = true
	return f
}

// bit is a bit that is always there.
func bit[P any](name string, at func(p *P) *bool) field { return of(name, at, writeBool, readBool) }

// optBit is a bit that is absent when nil.
func optBit[P any](name string, at func(p *P) **bool) field {
	return of(name, at, func(b *bool) []string {
		if b == nil {
			return nil
		}
		return writeBool(*b)
	}, func(v **bool, word string) error {
		*v = new(bool)
		return readBool(*v, word)
	})
}

// users is the list of User Properties, each name:value.
func users[P any](name string, at func(p *P) *[]packet.UserProperty) field {
	f := of(name, at, func(us []packet.UserProperty) []string {
		var out []string
		for _, u := range us {
			out = append(out, quoteText(u.Name)+":"+quoteText(u.Value))
		}
		return out
	}, func(v *[]packet.UserProperty, word string) error {
		k, val, ok := cutWord(word, ":")
		if !ok {
			return fmt.Errorf("%s: want name:value", word)
		}
		k, err1 := text(k)
		val, err2 := text(val)
		*v = append(*v, packet.UserProperty{Name: k, Value: val})
		return errors.Join(err1, err2)
	})
	f.list = true
	return f
}

var formats = []string{packet.FormatBytes: "bytes", packet.FormatUTF8: "utf8"}

// format is a Payload Format Indicator, bytes or utf8.
func format[P any](name string, at func(p *P) *packet.PayloadFormat) field {
	return of(name, at, func(f packet.PayloadFormat) []string {
		if f == packet.FormatAbsent {
			return nil
		}
		return []string{formats[f]}
	}, func(v *packet.PayloadFormat, word string) error {
		i := slices.Index(formats, word)
		if i < 1 {
			return fmt.Errorf("%s is neither bytes nor utf8", word)
		}
		*v = packet.PayloadFormat(i)
		return nil
	})
}

func writeCode(c packet.ReasonCode) string {
	if c <= 2 {
		return strconv.Itoa(int(c))
	}
	return fmt.Sprintf("0x%02X", byte(c))
}

// unknownCode is the name of the codes that have none.
var unknownCode = packet.ReasonCode(0xFF).String()

// readCode takes a number or the standard's name without spaces.
func readCode(v *packet.ReasonCode, word string) error {
	if n, err := strconv.ParseUint(word, 0, 8); err == nil {
		*v = packet.ReasonCode(n)
		return nil
	}
	for c := range 256 {
		if name := packet.ReasonCode(c).String(); name != unknownCode && strings.EqualFold(strings.ReplaceAll(name, " ", ""), word) {
			*v = packet.ReasonCode(c)
			return nil
		}
	}
	return fmt.Errorf("%s is no Reason Code", word)
}

// code is a Reason Code in its place; it is always there.
func code[P any](at func(p *P) *packet.ReasonCode) field {
	return of("code", at, func(c packet.ReasonCode) []string { return []string{writeCode(c)} }, readCode)
}

// codes are Reason Codes in their place.
func codes[P any](at func(p *P) *[]packet.ReasonCode) field {
	f := of("codes", at, func(cs []packet.ReasonCode) []string {
		var out []string
		for _, c := range cs {
			out = append(out, writeCode(c))
		}
		return out
	}, func(v *[]packet.ReasonCode, word string) error {
		*v = append(*v, 0)
		return readCode(&(*v)[len(*v)-1], word)
	})
	f.list = true
	return f
}

// id is a Packet Identifier in its place; it is always there.
func id[P any](at func(p *P) *uint16) field {
	return asID(of("id", at, func(n uint16) []string { return []string{strconv.Itoa(int(n))} }, readNumber[uint16]))
}

// asID marks a Packet Identifier.
func asID(f field) field {
	f.isID = true
	return f
}
