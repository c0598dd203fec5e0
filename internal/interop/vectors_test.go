package interop

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
	"github.com/google/go-cmp/cmp"
)

// vector is a test case of mqtt-packet as js/vectors.mjs prints it.
type vector struct {
	Name    string
	Kind    string // parse, generate, error or refuse
	Version byte
	Hex     string
	Zeros   int // the length of a payload of zeros that is in neither Hex nor Fields
	Fields  object
}

// stricter are the cases that mean something to mqtt-packet and are refused here, each with the reason.
var stricter = map[string]string{
	"connect MQTT bridge 132":                                               "the level of 3.1.1 with the protocol name of 3.1",
	"connect MQTT bridge 132, generated":                                    "the level of 3.1.1 with the protocol name of 3.1",
	"Version 4 CONACK in Version 5 mode":                                    "5.0 has neither Return Codes nor a CONNACK without a Property Length",
	"Version 5 CONNACK test 1":                                              "CONNACK always has a Reason Code",
	"Version 5 CONNACK test 2":                                              "CONNACK always has a Property Length",
	"connack MQTT 5 with properties":                                        "Maximum QoS is 2, which the property may not say",
	"connack MQTT 5 with properties, generated":                             "Maximum QoS is 2, which the property may not say",
	"connack MQTT 5 with properties and doubled user properties":            "Maximum QoS is 2, which the property may not say",
	"connack MQTT 5 with properties and doubled user properties, generated": "Maximum QoS is 2, which the property may not say",
}

// unwritable are packets that mqtt-packet refuses to write, and so does the codec. Where the value that is wrong does not
// fit the field here, it is the nearest wrong value that does.
var unwritable = map[string]packet.Packet{
	"Invalid protocol version":                                    &packet.Connect{Version: 1, ClientID: "test"},
	"Invalid will topic":                                          &packet.Connect{Version: packet.V31, ClientID: "test", Will: &packet.Will{Payload: []byte("payload")}},
	"Username is required to use password":                        &packet.Connect{Version: packet.V31, ClientID: "test", Password: []byte("password")},
	"Invalid return code":                                         &packet.Connack{Code: 6},
	"MQTT 5.0 var byte integer >24 bits throws error":             &packet.Publish{QoS: 2, PacketID: 10, Topic: []byte("test"), SubscriptionIDs: []uint32{268435456}},
	"Invalid subscriptionIdentifier: -120":                        &packet.Publish{QoS: 2, PacketID: 10, Topic: []byte("test"), SubscriptionIDs: []uint32{0xFFFFFF88}},
	"unsubscribe with unsubscriptions not an array":               &packet.Unsubscribe{PacketID: 7},
	"Invalid messageId on publish":                                &packet.Publish{QoS: 1, Topic: []byte("test")},
	"Invalid messageId on puback":                                 &packet.Puback{},
	"Invalid messageId on pubrec":                                 &packet.Pubrec{},
	"Invalid messageId on pubrel":                                 &packet.Pubrel{},
	"Invalid messageId on subscribe":                              &packet.Subscribe{Filters: []packet.Filter{{Filter: "test"}}},
	"Invalid messageId on suback":                                 &packet.Suback{Codes: []packet.ReasonCode{0}},
	"Invalid messageId on unsubscribe":                            &packet.Unsubscribe{Filters: []string{"test"}},
	"Invalid messageId on unsuback":                               &packet.Unsuback{},
	"Length var byte integer over max allowed value throws error": &packet.Publish{Topic: []byte("test")}, // with its zeros
}

// elsewhere are the packets that mqtt-packet refuses to write and that the codec is not asked to judge, each with the
// reason.
var elsewhere = map[string]string{
	"Unknown command":                                 "there is no such type",
	"Invalid protocolId":                              "the name follows from the version",
	"clientId must be supplied before 3.1.1":          "an empty Client Identifier in 3.1 is for the server to judge",
	"clientId must be given if cleanSession set to 0": "an empty Client Identifier with a session to keep is for the server to judge",
	"Invalid keepalive":                               "a uint16 is always one",
	"Invalid keepalive 2":                             "a uint16 is always one",
	"Invalid will":                                    "a *Will is always one",
	"Invalid will payload":                            "a []byte is always one",
	"Invalid username":                                "a string is always one",
	"Invalid password":                                "a []byte is always one",
	"Invalid messageExpiryInterval: -4321":            "a uint32 is always one",
	"Invalid topicAlias: -100":                        "a uint16 is always one",
	"unsubscribe with unsubscriptions as an object":   "a []string is always one",
}

// TestMQTTPacketVectors runs every case that mqtt-packet tests itself with through the codec.
func TestMQTTPacketVectors(t *testing.T) {
	node := need(t, "node")
	if _, err := os.Stat("js/node_modules/mqtt-packet/test.js"); err != nil {
		missing(t, "mqtt-packet (npm ci in internal/interop/js)")
	}
	ran, known := make(map[string]int), make(map[string]bool)
	exact := 0
	for line := range strings.Lines(run(t, node, "js/vectors.mjs").wait()) {
		var v vector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		ran[v.Kind]++
		known[v.Name] = true
		t.Run(v.Kind+"/"+v.Name, func(t *testing.T) {
			switch v.Kind {
			case "parse", "generate":
				if v.valid(t) {
					exact++
				}
			case "error":
				v.invalid(t)
			case "refuse":
				v.refused(t)
			default:
				t.Fatalf("kind %q", v.Kind)
			}
		})
	}
	t.Logf("%v; written byte for byte: %d", ran, exact)
	if ran["parse"] < 60 || ran["generate"] < 50 || ran["error"] < 50 || ran["refuse"] < 20 || exact < 100 {
		t.Errorf("too few cases: %v, %d of them written byte for byte", ran, exact)
	}
	for name := range stricter {
		if !known[name] {
			t.Errorf("there is no case %q any more", name)
		}
	}
}

// read parses the bytes of a vector, which are one packet and nothing more.
func (v *vector) read(t *testing.T) (h packet.Header, p packet.Packet, as packet.Version, err error) {
	t.Helper()
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	if v.Zeros > 0 {
		b = append(b, make([]byte, v.Zeros)...)
	}
	h, n, err := packet.ParseHeader(b)
	if err != nil {
		return h, nil, 0, err
	}
	if n == 0 || len(b) < n+h.Length {
		return h, nil, 0, errIncomplete
	}
	as = packet.Version(v.Version)
	if h.Type == packet.TypeConnect {
		as = 0
	}
	if err := h.Check(as); err != nil {
		return h, nil, as, err
	}
	p, err = packet.Parse(h, b[n:n+h.Length], as)
	if err == nil && len(b) > n+h.Length {
		err = errTrailing
	}
	if c, ok := p.(*packet.Connect); ok {
		as = c.Version
	}
	return h, p, as, err
}

// The vectors that are not one packet.
var (
	errIncomplete = errors.New("the packet is not complete")
	errTrailing   = errors.New("there are bytes behind the packet")
)

// valid checks bytes that mean something, and tells whether they are written as they were.
func (v *vector) valid(t *testing.T) (exact bool) {
	h, p, as, err := v.read(t)
	if reason := stricter[v.Name]; reason != "" {
		var refused *packet.Error
		if !errors.As(err, &refused) {
			t.Errorf("%s is not refused, as it should be: %s (%v)", v.Hex, reason, err)
		}
		return false
	}
	if err != nil {
		t.Errorf("version %d, %s: %v", v.Version, v.Hex, err)
		return false
	}
	b, _ := hex.DecodeString(v.Hex)
	if v.Zeros > 0 {
		// one such payload in memory is enough
		pub := p.(*packet.Publish)
		if len(pub.Payload) != v.Zeros {
			t.Errorf("a payload of %d bytes, want %d", len(pub.Payload), v.Zeros)
		}
		head, _, err := pub.AppendHead(nil, as)
		if err != nil || !bytes.Equal(head, b) {
			t.Errorf("written as %x, %v", head, err)
		}
		pub.Payload = nil
		v.compare(t, fieldsOf(t, h, p, as))
		return true
	}
	v.compare(t, fieldsOf(t, h, p, as))
	again, err := p.Append(nil, as)
	if err != nil {
		t.Errorf("Append: %v", err)
		return false
	}
	if bytes.Equal(again, b) {
		return true
	}
	second := *v
	second.Hex = hex.EncodeToString(again)
	_, back, _, err := second.read(t)
	if diff := cmp.Diff(p, back); err != nil || diff != "" {
		t.Errorf("%s was written as %s: %v\n%s", v.Hex, second.Hex, err, diff)
	}
	return false
}

// compare compares the fields that mqtt-packet names with ours.
func (v *vector) compare(t *testing.T, got object) {
	t.Helper()
	want := object{}
	for key, value := range v.Fields {
		if value != nil {
			want[key] = value
		}
	}
	if props, ok := want["properties"].(map[string]any); ok && props["requestProblemInformation"] == true {
		delete(props, "requestProblemInformation") // as if it were absent
	}
	for key := range got {
		if _, ok := want[key]; !ok && key != "properties" && key != "will" {
			delete(got, key)
		}
	}
	if diff := cmp.Diff(map[string]any(want), map[string]any(got)); diff != "" {
		t.Errorf("%s (-mqtt-packet +here)\n%s", v.Hex, diff)
	}
}

// invalid checks bytes that are to be refused.
func (v *vector) invalid(t *testing.T) {
	_, p, _, err := v.read(t)
	var refused *packet.Error
	if !errors.As(err, &refused) {
		t.Errorf("version %d, %s: %v, %v", v.Version, v.Hex, fmt.Sprintf("%+v", p), err)
	}
}

// refused checks a packet that is not to be written.
func (v *vector) refused(t *testing.T) {
	if elsewhere[v.Name] != "" {
		return
	}
	p, ok := unwritable[v.Name]
	if !ok {
		t.Fatalf("a new case: %v", v.Fields)
	}
	as := packet.Version(v.Version)
	if c, ok := p.(*packet.Connect); ok {
		as = c.Version
	}
	if pub, ok := p.(*packet.Publish); ok && v.Zeros > 0 {
		pub.Payload = make([]byte, v.Zeros)
		defer func() { pub.Payload = nil }()
	}
	b, err := p.Append([]byte("before"), as)
	var refused *packet.Error
	if !errors.As(err, &refused) || string(b) != "before" {
		t.Errorf("%+v was written as %.80x, %v", p, b, err)
	}
}
