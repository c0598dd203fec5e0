package mqttest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// nasty is text that the notation has to quote, or not.
var nasty = []string{
	"a", "a/b", "+/#", "$share/g/t", "ä", "two words", `"`, `\`, "=", "a=b", ",", "a,b", ";", "&", "*", ":", "a:b", "none", "only", "hex", "hex:00",
	"retain", "dup", "clean", "nolocal", "v5", "#", " ", "\t", "\n", "\x00", "\xff", "\u00a0", "\ufeff", "\ufffd", "x*3", "$m", "<", ">",
}

// fill gives all exported fields under v values that are not zero, as far as the codec can tell them apart.
func fill(r *rand.Rand, v reflect.Value) {
	text := func() string {
		s := ""
		for range 1 + r.IntN(3) {
			s += nasty[r.IntN(len(nasty))]
		}
		return s
	}
	switch x := v.Addr().Interface().(type) {
	case *packet.QoS:
		*x = packet.QoS(1 + r.IntN(2))
		return
	case *packet.PayloadFormat:
		*x = packet.PayloadFormat(1 + r.IntN(2))
		return
	case *packet.Version:
		*x = packet.Version(3 + r.IntN(3))
		return
	case *[]byte:
		*x = []byte(text())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(text())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(1 + r.Uint64N(1<<(v.Type().Bits()-1)))
	default:
		panic(v.Type())
	}
}

// Every field of every packet can be written, and is read again as it was: one that is added to package packet fails here.
func TestNotationHasEveryField(t *testing.T) {
	for typ := packet.TypeConnect; typ <= packet.TypeAuth; typ++ {
		for seed := range uint64(300) {
			p := packet.New(typ)
			fill(rand.New(rand.NewPCG(seed, uint64(typ))), reflect.ValueOf(p).Elem())
			if c, ok := p.(*packet.Connect); ok {
				c.Level = 0 // is written from Version
			}
			s := Format(p)
			l, err := ReadFormat(s)
			if err != nil {
				t.Fatalf("%s\n%v", s, err)
			}
			if !reflect.DeepEqual(l.p, p) {
				t.Fatalf("%s\nwritten %+v\nread    %+v", s, p, l.p)
			}
			if again := Format(l.p); again != s {
				t.Fatalf("written %s\nagain   %s", s, again)
			}
			if !l.fits(arrived{p: p}, nil) {
				t.Fatalf("%s does not fit itself", s)
			}
		}
	}
}

// A packet whose fields are all zero is short.
func TestNotationOfEmptyPackets(t *testing.T) {
	for typ, want := range map[packet.Type]string{
		packet.TypeConnect: "CONNECT", packet.TypeConnack: "CONNACK 0 present=0", packet.TypePublish: `PUBLISH "" ""`,
		packet.TypePuback: "PUBACK 0 0", packet.TypeSubscribe: "SUBSCRIBE 0", packet.TypeUnsuback: "UNSUBACK 0",
		packet.TypePingreq: "PINGREQ", packet.TypeDisconnect: "DISCONNECT 0", packet.TypeAuth: "AUTH 0",
	} {
		if got := Format(packet.New(typ)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A named field that differs does not fit, an unnamed one does, unless only stands there.
func TestNotationCompares(t *testing.T) {
	for typ := packet.TypeConnack; typ <= packet.TypeAuth; typ++ {
		if typ == packet.TypeSubscribe || typ == packet.TypePingreq || typ == packet.TypePingresp {
			continue // no server sends it, or it has no fields
		}
		full := packet.New(typ)
		fill(rand.New(rand.NewPCG(1, 1)), reflect.ValueOf(full).Elem())
		other := packet.New(typ)
		fill(rand.New(rand.NewPCG(2, 2)), reflect.ValueOf(other).Elem())
		f := formOf(typ)
		for _, n := range f.named {
			a, b := n.get(full), n.get(other)
			if reflect.DeepEqual(a, b) {
				continue
			}
			s := typ.String()
			for _, w := range a {
				s += " " + n.name + "=" + w
			}
			l, err := ReadFormat(s)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			clean := func(p packet.Packet) arrived { setCode(p); return arrived{p: p} }
			if !l.fits(clean(full), nil) {
				t.Errorf("%s does not fit %s", s, Format(full))
			}
			if l.fits(clean(other), nil) {
				t.Errorf("%s fits %s", s, Format(other))
			}
			l.only = true
			if l.fits(clean(full), nil) {
				t.Errorf("%s only fits %s", s, Format(full))
			}
			if absent, err := ReadFormat(typ.String() + " " + n.name + "=none"); err != nil || absent.fits(clean(full), nil) {
				t.Errorf("%s=none fits %s, error %v", n.name, Format(full), err)
			}
		}
	}
}

// setCode makes p an answer without failure.
func setCode(p packet.Packet) {
	v := reflect.ValueOf(p).Elem()
	if c := v.FieldByName("Code"); c.IsValid() {
		c.SetUint(0)
	}
	if c := v.FieldByName("Codes"); c.IsValid() {
		c.Set(reflect.ValueOf([]packet.ReasonCode{0}))
	}
}

func TestReasonCodesByName(t *testing.T) {
	for c := range 256 {
		want := packet.ReasonCode(c)
		name := strings.ReplaceAll(want.String(), " ", "")
		for _, w := range []string{fmt.Sprint(c), fmt.Sprintf("0x%x", c), name, strings.ToLower(name)} {
			if strings.EqualFold(w, "unknownreason") {
				continue
			}
			var got packet.ReasonCode
			if err := readCode(&got, w); err != nil || got.String() != want.String() {
				t.Errorf("%s: got %v, error %v; want %v", w, got, err, want)
			}
		}
	}
}

// The package comment lists every name.
func TestNotationIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(doc), "# Packets in scripts")
	words := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t\n*[]|,;=/", r) })
	for typ := packet.TypeConnect; typ <= packet.TypeAuth; typ++ {
		names := []string{typ.String()}
		for _, f := range formOf(typ).named {
			names = append(names, f.name)
		}
		for _, n := range names {
			if !slices.Contains(words, n) {
				t.Errorf("%s: doc.go does not list %s", typ, n)
			}
		}
	}
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{
		"a > CONNECT v5 id=x clean will=t/w,payload,1,retain willuser=k:v ; < CONNACK 0 present=0 only",
		`a > PUBLISH a/b "te xt"*3 qos=1 id=3 retain dup alias=4 correlation=hex:0a0b & PINGREQ`,
		"a > SUBSCRIBE 7 a/+ qos=1 nolocal # handling=2 ; a < SUBACK 7 1 SessionTakenOver",
		"== title\nserver Idle=5s\na < PUBLISH id=$m\na > hex 10 0c\nwait 5s\na closed",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		ds, err := readScript("x.txt", script)
		if err != nil {
			return
		}
		for _, d := range ds {
			for _, s := range d.steps {
				for i := range s.words {
					checkLine(t, s.words[i:])
				}
			}
		}
	})
}

// checkLine fails the test if what was read is not read again from what is written of it.
func checkLine(t *testing.T, ws []string) {
	l, err := readLine(ws, map[string]uint16{}, true)
	if err != nil || l.p == nil {
		return
	}
	s := Format(l.p)
	again, err := ReadFormat(s)
	if err != nil {
		t.Fatalf("%q: written %s, but %v", ws, s, err)
	}
	if Format(again.p) != s {
		t.Fatalf("%q: written %s, then %s", ws, s, Format(again.p))
	}
}
