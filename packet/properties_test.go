package packet_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// propertyPlaces are the 5.0 packets with a property set, at %s.
var propertyPlaces = map[string]string{
	"CONNECT":     `10 { "MQTT" 05 02 0000 { %s } "id" }`,
	"Will":        `10 { "MQTT" 05 06 0000 {} "id" { %s } "w" "" }`,
	"CONNACK":     `20 { 00 00 { %s } }`,
	"PUBLISH":     `30 { "t" { %s } }`,
	"PUBACK":      `40 { 0001 00 { %s } }`,
	"PUBREC":      `50 { 0001 00 { %s } }`,
	"PUBREL":      `62 { 0001 00 { %s } }`,
	"PUBCOMP":     `70 { 0001 00 { %s } }`,
	"SUBSCRIBE":   `82 { 0001 { %s } "a" 00 }`,
	"SUBACK":      `90 { 0001 { %s } 00 }`,
	"UNSUBSCRIBE": `a2 { 0001 { %s } "a" }`,
	"UNSUBACK":    `b0 { 0001 { %s } 00 }`,
	"DISCONNECT":  `e0 { 00 { %s } }`,
	"AUTH":        `f0 { 18 { %s } }`,
}

// propertyValues are legal values of each type that no range forbids and no
// default swallows.
var propertyValues = map[string][]string{
	"byte":                  {"01"},
	"two byte integer":      {"0001", "ffff"},
	"four byte integer":     {"00000001", "ffffffff"},
	"variable byte integer": {"01", "8001", "ffffff7f"},
	"UTF-8 string":          {`"x"`, `"ä/ö"`},
	"binary":                {`"x"`, `0003 00ff80`},
	"UTF-8 string pair":     {`"" ""`, `"name" "value"`},
}

// put makes a packet with the property, and before it the Authentication Method
// if it cannot stand without one.
func put(id, place, property string) string {
	needs := id == "0x16" && (place == "CONNECT" || place == "CONNACK") || id != "0x15" && place == "AUTH"
	if needs {
		property = `15 "m" ` + property
	}
	return fmt.Sprintf(propertyPlaces[place], property)
}

// TestProperties_Table takes every row of the table of properties to every packet.
func TestProperties_Table(t *testing.T) {
	rows := table(t, "properties.tsv")
	if len(rows) != 27 {
		t.Fatalf("%d properties", len(rows))
	}
	for _, row := range rows {
		t.Run(row["name"], func(t *testing.T) {
			id := row["id"]
			values := propertyValues[row["type"]]
			if len(values) == 0 {
				t.Fatalf("type %q", row["type"])
			}
			belongs := strings.Split(row["packets"], ",")
			for _, place := range belongs {
				if propertyPlaces[place] == "" {
					t.Fatalf("packet %q", place)
				}
			}
			for place := range propertyPlaces {
				if slices.Contains(belongs, place) {
					propertyAccepted(t, row, place, values)
				} else {
					refuse(t, v5, put(id, place, id[2:]+values[0]), packet.ProtocolError, "")
				}
			}
		})
	}
}

func propertyAccepted(t *testing.T, row map[string]string, place string, values []string) {
	t.Helper()
	id := row["id"]
	for _, value := range values {
		text := put(id, place, id[2:]+value)
		p, err := parse(wire(text), v5)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		// It came in by its own field: it goes out again where it was. The one
		// value that says what its absence says too is left out.
		if id == "0x17" {
			continue
		}
		if b := written(t, v5, p); !bytes.Equal(b, wire(text)) {
			t.Errorf("%s: written as % x", text, b)
		}
		// Every cut of the value is malformed.
		property := wire(id[2:] + value)
		for i := 1; i < len(property); i++ {
			refuse(t, v5, put(id, place, fmt.Sprintf("%x", property[:i])), packet.MalformedPacket, "")
		}
	}
	twice := put(id, place, id[2:]+values[0]+" "+id[2:]+values[0])
	if repeats(t, row, place) {
		p, err := parse(wire(twice), v5)
		if err != nil {
			t.Errorf("%s: %v", twice, err)
		} else if b := written(t, v5, p); !bytes.Equal(b, wire(twice)) {
			t.Errorf("%s: written as % x", twice, b)
		}
		return
	}
	refuse(t, v5, twice, packet.ProtocolError, "")
}

// repeats reads the column repeat: y, n, or "y in PUBLISH, n in SUBSCRIBE".
func repeats(t *testing.T, row map[string]string, place string) bool {
	t.Helper()
	for part := range strings.SplitSeq(row["repeat"], ", ") {
		answer, in, _ := strings.Cut(part, " in ")
		if in == "" || in == place {
			return answer == "y"
		}
	}
	t.Fatalf("%s does not say whether it repeats in %s", row["name"], place)
	return false
}

// Request Problem Information has its use in the value 0.
func TestProperties_RequestProblemInformation(t *testing.T) {
	for value, want := range map[string]bool{"00": true, "01": false} {
		c := accept[*packet.Connect](t, v5, put("0x17", "CONNECT", "17"+value))
		if c.NoProblemInformation != want {
			t.Errorf("%s: %v", value, c.NoProblemInformation)
		}
	}
	if b := written(t, v5, &packet.Connect{NoProblemInformation: true}); !bytes.Contains(b, []byte{2, 0x17, 0}) {
		t.Errorf("% x", b)
	}
}

// TestProperties_Ranges tries the ends of every range. The table says in words
// which there are: "0 or 1", "1..n" or "0 = 0x82"; a row of these three
// kinds that is missing here fails.
func TestProperties_Ranges(t *testing.T) {
	type limits struct {
		good, bad []string
		code      packet.ReasonCode
	}
	flag := limits{good: []string{"00", "01"}, bad: []string{"02", "80", "ff"}, code: packet.ProtocolError}
	want := map[string]limits{
		"0x01": flag, "0x17": flag, "0x19": flag, "0x24": flag, "0x25": flag, "0x28": flag, "0x29": flag, "0x2A": flag,
		"0x0B": {good: []string{"01", "ffffff7f"}, bad: []string{"00"}, code: packet.ProtocolError},
		"0x11": {good: []string{"00000000", "ffffffff"}},
		"0x21": {good: []string{"0001", "ffff"}, bad: []string{"0000"}, code: packet.ProtocolError},
		"0x22": {good: []string{"0000", "ffff"}},
		"0x23": {good: []string{"0001", "ffff"}, bad: []string{"0000"}, code: packet.TopicAliasInvalid},
		"0x27": {good: []string{"00000001", "ffffffff"}, bad: []string{"00000000"}, code: packet.ProtocolError},
		"0x09": {good: []string{`""`, `"` + strings.Repeat("x", 65535) + `"`}},
	}
	for _, row := range table(t, "properties.tsv") {
		id := row["id"]
		c, listed := want[id]
		for _, sign := range []string{"0 or 1", "..", " = 0x8"} {
			if strings.Contains(row["default_limits"], sign) && !listed {
				t.Errorf("%s: no case for %q", row["name"], row["default_limits"])
			}
		}
		if !listed {
			continue
		}
		for place := range strings.SplitSeq(row["packets"], ",") {
			for _, value := range c.good {
				accept[packet.Packet](t, v5, put(id, place, id[2:]+value))
			}
			for _, value := range c.bad {
				refuse(t, v5, put(id, place, id[2:]+value), c.code, "")
			}
		}
		delete(want, id)
	}
	for id := range want {
		t.Errorf("no property %s in the table", id)
	}
}

// An identifier outside the table is malformed in every packet, whatever follows.
func TestPitfall099_UnknownProperties(t *testing.T) {
	known := map[int]bool{}
	for _, row := range table(t, "properties.tsv") {
		id, err := strconv.ParseUint(row["id"], 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		known[int(id)] = true
	}
	for id := range 256 {
		if known[id] {
			continue
		}
		for place := range propertyPlaces {
			refuse(t, v5, put("", place, fmt.Sprintf("%02x 00 00000000", id)), packet.MalformedPacket, "")
			refuse(t, v5, put("", place, fmt.Sprintf("%02x", id)), packet.MalformedPacket, "")
		}
	}
}

// A Property Length that ends inside a property, or behind the packet.
func TestProperties_Length(t *testing.T) {
	for _, format := range propertyPlaces {
		cut := strings.Replace(format, "{ %s }", `05 26 "a" "b"`, 1) // the set has 7 bytes
		refuse(t, v5, cut, packet.MalformedPacket, "")
		beyond := strings.Replace(format, "{ %s }", `ffffff7f`, 1)
		refuse(t, v5, beyond, packet.MalformedPacket, "")
		refuse(t, v5, strings.Replace(format, "{ %s }", `8000`, 1), packet.MalformedPacket, "")
	}
}

// The order of properties on the wire is that of their identifiers.
func TestAppend_PropertyOrder(t *testing.T) {
	for _, s := range corpus() {
		if s.v != v5 || s.name != "all" || s.loose {
			continue
		}
		if b := written(t, v5, s.want); !bytes.Equal(b, wire(s.wire)) {
			t.Errorf("%v: % x", s, b)
		}
	}
}
