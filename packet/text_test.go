package packet_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/e8743928/mqttx/packet"
)

// textPlaces are packets with a string at %s, in hex with its length.
var textPlaces = []struct {
	name string
	v    packet.Version
	wire string
}{
	{"Client Identifier", v31, `10 { "MQIsdp" 03 02 0000 %s }`},
	{"Client Identifier", v311, `10 { "MQTT" 04 02 0000 %s }`},
	{"Client Identifier", v5, `10 { "MQTT" 05 02 0000 {} %s }`},
	{"Will Topic", v311, `10 { "MQTT" 04 06 0000 "id" %s "" }`},
	{"Will Topic", v5, `10 { "MQTT" 05 06 0000 {} "id" {} %s "" }`},
	{"User Name", v311, `10 { "MQTT" 04 82 0000 "id" %s }`},
	{"User Name", v5, `10 { "MQTT" 05 82 0000 {} "id" %s }`},
	{"Authentication Method", v5, `10 { "MQTT" 05 02 0000 { 15 %s } "id" }`},
	{"User Property", v5, `10 { "MQTT" 05 02 0000 { 26 "" %s } "id" }`},
	{"Will Content Type", v5, `10 { "MQTT" 05 06 0000 {} "id" { 03 %s } "w" "" }`},
	{"Will Response Topic", v5, `10 { "MQTT" 05 06 0000 {} "id" { 08 %s } "w" "" }`},
	{"Will User Property", v5, `10 { "MQTT" 05 06 0000 {} "id" { 26 %s "" } "w" "" }`},
	{"Topic Name", v31, `30 { %s }`},
	{"Topic Name", v311, `30 { %s }`},
	{"Topic Name", v5, `30 { %s {} }`},
	{"Content Type", v5, `30 { "t" { 03 %s } }`},
	{"Response Topic", v5, `30 { "t" { 08 %s } }`},
	{"User Property name", v5, `30 { "t" { 26 %s "" } }`},
	{"User Property value", v5, `30 { "t" { 26 "" %s } }`},
	{"Reason String", v5, `40 { 0001 00 { 1f %s } }`},
	{"Topic Filter", v31, `82 { 0001 %s 00 }`},
	{"Topic Filter", v311, `82 { 0001 %s 00 }`},
	{"Topic Filter", v5, `82 { 0001 {} "a" 00 %s 00 }`},
	{"Topic Filter", v311, `a2 { 0001 %s }`},
	{"Topic Filter", v5, `a2 { 0001 {} "a" %s }`},
	{"Assigned Client Identifier", v5, `20 { 00 00 { 12 %s } }`},
	{"Response Information", v5, `20 { 00 00 { 1a %s } }`},
	{"Server Reference", v5, `e0 { 9c { 1c %s } }`},
}

func inPlace(format string, s []byte) string {
	return fmt.Sprintf(format, fmt.Sprintf("%04x %x", len(s), s))
}

var badUTF8 = [][]byte{
	{0xc3, 0x28},
	{0xc0, 0x80},             // U+0000 overlong
	{0xed, 0xa0, 0x80},       // U+D800
	{0xed, 0xbf, 0xbf},       // U+DFFF
	{0xf4, 0x90, 0x80, 0x80}, // over U+10FFFF
	{0xff, 0xfe},
	{0x80},
	{0xe2, 0x82},             // cut off
	{0xf0, 0x82, 0x82, 0xac}, // overlong
}

func everyTextPlace(t *testing.T, bad []byte, v5ID, v311ID string) {
	t.Helper()
	for _, place := range textPlaces {
		id := map[packet.Version]string{v5: v5ID, v311: v311ID}[place.v]
		for _, pad := range []string{"", "a", "abcdefg", "abcdefgh", "abcdefghi", "ä"} {
			s := append([]byte(pad), bad...)
			refuse(t, place.v, inPlace(place.wire, s), packet.MalformedPacket, id)
			refuse(t, place.v, inPlace(place.wire, append(s, "0123456789"...)), packet.MalformedPacket, id)
		}
	}
}

func TestMQTT5_1_5_4_1_InvalidUTF8(t *testing.T) {
	for _, bad := range badUTF8 {
		everyTextPlace(t, bad, "MQTT-1.5.4-1", "MQTT-1.5.3-1")
	}
}

func TestMQTT311_1_5_3_1_InvalidUTF8(t *testing.T) {
	refuse(t, v311, `30 { 0002 c328 }`, packet.MalformedPacket, "MQTT-1.5.3-1")
	refuse(t, v311, `10 { "MQTT" 04 02 0000 0003 eda080 }`, packet.MalformedPacket, "MQTT-1.5.3-1")
}

func TestMQTT5_1_5_4_2_NoNull(t *testing.T) {
	everyTextPlace(t, []byte{0}, "MQTT-1.5.4-2", "MQTT-1.5.3-2")
}

func TestMQTT311_1_5_3_2_NoNull(t *testing.T) {
	refuse(t, v311, `82 { 0001 0003 610062 00 }`, packet.MalformedPacket, "MQTT-1.5.3-2")
	refuse(t, v311, `30 { 0001 00 }`, packet.MalformedPacket, "MQTT-1.5.3-2")
}

// TestPitfall041_TextOfTopics has U+0000, bad UTF-8 and wildcards behind one another:
// the first two go before.
func TestPitfall041_TextOfTopics(t *testing.T) {
	refuse(t, v5, `30 { 0003 2b00c3 {} }`, packet.MalformedPacket, "MQTT-1.5.4-2")
	refuse(t, v5, `30 { 0003 23c328 {} }`, packet.MalformedPacket, "MQTT-1.5.4-1")
	refuse(t, v5, `30 { 0003 c3a423 {} }`, packet.TopicNameInvalid, "MQTT-3.3.2-2")
}

func TestMQTT5_1_5_4_3_ByteOrderMark(t *testing.T) {
	for _, place := range textPlaces {
		accept[packet.Packet](t, place.v, inPlace(place.wire, []byte("\ufefft")))
	}
	p := accept[*packet.Publish](t, v5, `30 { 0004 efbbbf74 {} }`)
	if string(p.Topic) != "\ufefft" {
		t.Errorf("topic % x", p.Topic)
	}
	if b := written(t, v5, p); !bytes.Contains(b, []byte("\x00\x04\xef\xbb\xbft")) {
		t.Errorf("written % x", b)
	}
}

func TestMQTT311_1_5_3_3_ByteOrderMark(t *testing.T) {
	p := accept[*packet.Subscribe](t, v311, `82 { 0001 0004 efbbbf74 00 }`)
	if p.Filters[0].Filter != "\ufefft" {
		t.Errorf("filter % x", p.Filters[0].Filter)
	}
}

// TestPitfall035_AllOtherBytes: space, DEL and all else but U+0000 is legal.
func TestPitfall035_AllOtherBytes(t *testing.T) {
	for r := rune(1); r < 0x300; r++ {
		if r == '+' || r == '#' {
			continue
		}
		s := []byte("t" + string(r) + "t")
		for _, v := range []packet.Version{v31, v311} {
			p := accept[*packet.Publish](t, v, inPlace(`30 { %s }`, s))
			if !bytes.Equal(p.Topic, s) {
				t.Fatalf("topic % x", p.Topic)
			}
		}
	}
}

func TestMQTT5_1_5_7_1_PairRules(t *testing.T) {
	refuse(t, v5, `30 { "t" { 26 0002 c080 "v" } }`, packet.MalformedPacket, "MQTT-1.5.4-1")
	refuse(t, v5, `30 { "t" { 26 "n" 0001 00 } }`, packet.MalformedPacket, "MQTT-1.5.4-2")
	p := accept[*packet.Publish](t, v5, `30 { "t" { 26 "ä" "" } }`)
	if p.User[0] != (packet.UserProperty{Name: "ä"}) {
		t.Errorf("%q", p.User)
	}
}

// TestPitfall101_OddTopics are no matter for the codec at any length.
func TestPitfall101_OddTopics(t *testing.T) {
	long := strings.Repeat("/", 65535)
	for _, s := range []string{"/", "$", "$x", "$share", "//", long} {
		for _, v := range versions {
			p := &packet.Publish{Topic: []byte(s)}
			b := written(t, v, p)
			got, err := parse(b, v)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.(*packet.Publish).Topic, p.Topic) {
				t.Errorf("%v: topic of %d bytes changed", v, len(s))
			}
			f := &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: s}, {Filter: ""}}}
			if _, err := parse(written(t, v, f), v); err != nil {
				t.Error(err)
			}
		}
	}
}

// The scan by eights agrees with the plain reading at every offset.
func FuzzText(f *testing.F) {
	f.Add([]byte("abcdefgh+bcdefgh#"))
	f.Add([]byte("abcdefgh\x00"))
	f.Add([]byte("\x01\x00\x01\x01\x01\x01\x01\x01"))
	f.Add([]byte("ääääääää\xed\xa0\x80"))
	f.Add([]byte("*,\"$\x80\x81\xff\xfe"))
	f.Fuzz(func(t *testing.T, s []byte) {
		if len(s) == 0 || len(s) > 65535 {
			return
		}
		_, err := packet.Parse(packet.Header{Type: packet.TypePublish, Length: len(s) + 2}, append([]byte{byte(len(s) >> 8), byte(len(s))}, s...), v311)
		var want packet.ReasonCode
		switch {
		case !utf8.Valid(s) || bytes.IndexByte(s, 0) >= 0:
			want = packet.MalformedPacket
		case bytes.ContainsAny(s, "+#"):
			want = packet.TopicNameInvalid
		}
		if want == 0 && err != nil || want != 0 && (err == nil || err.(*packet.Error).Code != want) {
			t.Errorf("%q: %v, want %v", s, err, want)
		}
	})
}
