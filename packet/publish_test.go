package packet_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_2_2_1_2_NoPacketIDAtQoS0(t *testing.T) {
	p := accept[*packet.Publish](t, v5, `30 { "t" { 01 01 } 'x' }`)
	if p.PacketID != 0 || p.PayloadFormat != packet.FormatUTF8 {
		t.Errorf("%+v", p)
	}
	if b := written(t, v5, &packet.Publish{Topic: []byte("t"), PacketID: 9}); !bytes.Equal(b, wire(`30 { "t" {} }`)) {
		t.Errorf("% x", b)
	}
}

func TestMQTT311_2_3_1_5_NoPacketIDAtQoS0(t *testing.T) {
	p := accept[*packet.Publish](t, v311, `30 { "t" 0001 }`)
	if p.PacketID != 0 || !bytes.Equal(p.Payload, []byte{0, 1}) {
		t.Errorf("%+v", p)
	}
	if b := written(t, v311, &packet.Publish{Topic: []byte("t"), PacketID: 9}); !bytes.Equal(b, wire(`30 { "t" }`)) {
		t.Errorf("% x", b)
	}
}

func zeroPacketID(t *testing.T, v packet.Version, statement string) {
	t.Helper()
	props := ""
	if v == v5 {
		props = "{}"
	}
	for _, text := range []string{
		`32 { "t" 0000 ` + props + ` }`,
		`34 { "t" 0000 ` + props + ` }`,
		`82 { 0000 ` + props + ` "a" 00 }`,
		`a2 { 0000 ` + props + ` "a" }`,
		`90 { 0000 ` + props + ` 00 }`,
		`40 { 0000 }`, `50 { 0000 }`, `62 { 0000 }`, `70 { 0000 }`,
	} {
		refuse(t, v, text, packet.ProtocolError, statement)
	}
	for _, p := range []packet.Packet{
		&packet.Publish{QoS: 1, Topic: []byte("t")}, &packet.Puback{}, &packet.Pubrec{}, &packet.Pubrel{}, &packet.Pubcomp{},
		&packet.Subscribe{Filters: []packet.Filter{{}}}, &packet.Suback{Codes: []packet.ReasonCode{0}},
		&packet.Unsubscribe{Filters: []string{"a"}}, &packet.Unsuback{Codes: []packet.ReasonCode{0}},
	} {
		if _, err := p.Append(nil, v); err == nil {
			t.Errorf("%v with id 0 written", p.Type())
		}
	}
}

func TestMQTT5_2_2_1_3_PacketIDZero(t *testing.T) { zeroPacketID(t, v5, "MQTT-2.2.1-3") }

func TestMQTT311_2_3_1_1_PacketIDZero(t *testing.T) {
	zeroPacketID(t, v311, "MQTT-2.3.1-1")
	zeroPacketID(t, v31, "")
}

func TestMQTT5_3_3_2_1_TopicFirst(t *testing.T) {
	refuse(t, v5, `30 { 0002 c328 {} }`, packet.MalformedPacket, "MQTT-1.5.4-1")
	refuse(t, v5, `30 {}`, packet.MalformedPacket, "")
	refuse(t, v5, `30 { 0005 'abc' }`, packet.MalformedPacket, "")
	if b := written(t, v5, &packet.Publish{Topic: []byte("t")}); !bytes.Equal(b[2:5], wire(`"t"`)) {
		t.Errorf("% x", b)
	}
}

func TestMQTT5_3_3_2_2_NoWildcard(t *testing.T) {
	for _, topic := range []string{"a/+", "a/#", "#", "+", "abcdefg+", "abcdefgh#", "abcdefg/#/abcdefgh", "ääääää+"} {
		refuse(t, v5, `30 { "`+topic+`" {} }`, packet.TopicNameInvalid, "MQTT-3.3.2-2")
		refuse(t, v311, `30 { "`+topic+`" }`, packet.TopicNameInvalid, "MQTT-3.3.2-2")
	}
}

func TestMQTT5_3_3_2_8_AliasZero(t *testing.T) {
	refuse(t, v5, `30 { "t" { 23 0000 } }`, packet.TopicAliasInvalid, "MQTT-3.3.2-8")
	if b := written(t, v5, &packet.Publish{Topic: []byte("t")}); len(b) != 6 {
		t.Errorf("% x", b)
	}
}

func TestMQTT5_3_3_2_13_ResponseTopicText(t *testing.T) {
	refuse(t, v5, `30 { "t" { 08 0002 c328 } }`, packet.MalformedPacket, "MQTT-1.5.4-1")
}

func TestMQTT5_3_3_2_14_ResponseTopicWildcard(t *testing.T) {
	for _, topic := range []string{"r/#", "+", "abcdefg/+/abc"} {
		refuse(t, v5, `30 { "t" { 08 "`+topic+`" } }`, packet.ProtocolError, "MQTT-3.3.2-14")
		refuse(t, v5, connectWith(v5, "06", `"id" { 08 "`+topic+`" } "w" ""`), packet.ProtocolError, "MQTT-3.3.2-14")
	}
	refuse(t, v5, `30 { "t" { 08 "" } }`, packet.ProtocolError, "MQTT-4.7.3-1")
}

func TestMQTT5_3_3_2_19_ContentTypeText(t *testing.T) {
	refuse(t, v5, `30 { "t" { 03 0002 c328 } }`, packet.MalformedPacket, "MQTT-1.5.4-1")
}

func TestMQTT5_4_7_3_1_EmptyTopic(t *testing.T) {
	refuse(t, v5, `30 { "" {} }`, packet.ProtocolError, "MQTT-4.7.3-1")
	accept[*packet.Publish](t, v5, `30 { "" { 23 0001 } }`)
	if _, err := new(packet.Publish).Append(nil, v5); err == nil {
		t.Error("written")
	}
	if _, err := (&packet.Publish{TopicAlias: 1}).Append(nil, v311); err == nil {
		t.Error("written with an alias in 3.1.1")
	}
}

func TestMQTT311_4_7_3_1_EmptyTopic(t *testing.T) {
	refuse(t, v311, `30 { "" 'x' }`, packet.MalformedPacket, "MQTT-4.7.3-1")
	refuse(t, v31, `30 { "" 'x' }`, packet.MalformedPacket, "")
}

func TestMQTT5_3_3_2_17_UserPropertiesUnchanged(t *testing.T) {
	b := wire(`30 { "t" { 26 "b" "1" 26 "a" "2" 26 "b" "1" 26 "b" "3" 26 "" "" } 'x' }`)
	p, err := parse(b, v5)
	if err != nil {
		t.Fatal(err)
	}
	if out := written(t, v5, p); !bytes.Equal(out, b) {
		t.Errorf("% x", out)
	}
}

// TestMQTT5_3_3_2_18_UserPropertyOrder puts other properties between the pairs.
func TestMQTT5_3_3_2_18_UserPropertyOrder(t *testing.T) {
	p := accept[*packet.Publish](t, v5, `30 { "t" { 26 "b" "1" 03 "text/x" 26 "a" "2" 0b 07 26 "b" "3" } }`)
	want := []packet.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}
	if !slices.Equal(p.User, want) || string(p.ContentType) != "text/x" || !slices.Equal(p.SubscriptionIDs, []uint32{7}) {
		t.Errorf("%+v", p)
	}
}

func TestPublish_Borrows(t *testing.T) {
	b := wire(`30 { "topic" { 03 "type" 08 "resp" 09 "corr" 26 "name" "value" } 'payload' }`)
	var p packet.Publish
	h, n, err := packet.ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Parse(h, b[n:], v5); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 'z'
	}
	for _, s := range [][]byte{p.Topic, p.ContentType, p.ResponseTopic, p.CorrelationData, p.Payload} {
		if strings.Trim(string(s), "z") != "" {
			t.Errorf("%q is a copy", s)
		}
	}
	if p.User[0] != (packet.UserProperty{Name: "name", Value: "value"}) {
		t.Errorf("%q is borrowed", p.User)
	}
	// Growing a borrowed field must not run into its neighbour.
	if cap(p.Topic) != len(p.Topic) || cap(p.ContentType) != len(p.ContentType) {
		t.Error("borrowed field with room behind it")
	}
}

// The head and the payload make the packet; the id lies where it is said to.
func TestPublish_AppendHead(t *testing.T) {
	for _, s := range publishSamples() {
		p := *s.want.(*packet.Publish)
		whole := written(t, s.v, &p)
		id := p.PacketID
		p.PacketID = 0
		out, at, err := p.AppendHead([]byte("abc"), s.v)
		if err != nil {
			t.Fatal(err)
		}
		if (at == 0) != (p.QoS == 0) {
			t.Errorf("%v: id at %d", s, at)
		}
		if at > 0 {
			out[at], out[at+1] = byte(id>>8), byte(id)
		}
		if out = append(out, p.Payload...); !bytes.Equal(out[3:], whole) {
			t.Errorf("%v: % x, want % x", s, out, whole)
		}
	}
}

func TestPublish_V3LeavesPropertiesOut(t *testing.T) {
	p := &packet.Publish{
		Topic: []byte("t"), Payload: []byte("x"), PayloadFormat: packet.FormatUTF8, TopicAlias: 1, ContentType: []byte("c"),
		HasMessageExpiry: true, SubscriptionIDs: []uint32{1}, User: []packet.UserProperty{{Name: "a"}},
	}
	for _, v := range []packet.Version{v31, v311} {
		if b := written(t, v, p); !bytes.Equal(b, wire(`30 { "t" 'x' }`)) {
			t.Errorf("%v: % x", v, b)
		}
	}
}

// TestPitfall100_UserPropertiesLinear bounds what 10,000 User Properties cost: one
// allocation for their text and one for the list, none at all for a list with room
// but for the text.
func TestPitfall100_UserPropertiesLinear(t *testing.T) {
	const count = 10000
	for _, name := range []string{"", "name"} {
		var want []packet.UserProperty
		for range count {
			want = append(want, packet.UserProperty{Name: name, Value: name})
		}
		b := written(t, v5, &packet.Publish{Topic: []byte("t"), User: want})
		h, n, err := packet.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		var p packet.Publish
		if got := testing.AllocsPerRun(5, func() {
			p = packet.Publish{}
			err = p.Parse(h, b[n:], v5)
		}); got > 2 || err != nil {
			t.Errorf("fresh: %v allocations, %v", got, err)
		}
		if !slices.Equal(p.User, want) {
			t.Error("User Properties changed")
		}
		if got := testing.AllocsPerRun(5, func() { err = p.Parse(h, b[n:], v5) }); got > 1 || err != nil {
			t.Errorf("reused: %v allocations, %v", got, err)
		}
	}
}

func TestAppend_LongStrings(t *testing.T) {
	long := strings.Repeat("x", 65536)
	user := []packet.UserProperty{{Name: "n", Value: long}}
	for _, p := range []packet.Packet{
		&packet.Publish{Topic: []byte(long)},
		&packet.Publish{Topic: []byte("t"), ContentType: []byte(long)},
		&packet.Publish{Topic: []byte("t"), ResponseTopic: []byte(long)},
		&packet.Publish{Topic: []byte("t"), CorrelationData: []byte(long)},
		&packet.Publish{Topic: []byte("t"), User: user},
		&packet.Publish{Topic: []byte("t"), User: []packet.UserProperty{{Name: long}}},
		&packet.Connect{ClientID: long},
		&packet.Connect{Username: long},
		&packet.Connect{Password: []byte(long)},
		&packet.Connect{Will: &packet.Will{Topic: long}},
		&packet.Connect{Will: &packet.Will{Topic: "w", Payload: []byte(long)}},
		&packet.Connect{Will: &packet.Will{Topic: "w", User: user}},
		&packet.Connect{AuthenticationMethod: "m", AuthenticationData: []byte(long)},
		&packet.Connack{ReasonString: long},
		&packet.Connack{User: user},
		&packet.Puback{PacketID: 1, ReasonString: long},
		&packet.Pubcomp{PacketID: 1, User: user},
		&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: long}}},
		&packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{0}, ReasonString: long},
		&packet.Unsubscribe{PacketID: 1, Filters: []string{long}},
		&packet.Unsuback{PacketID: 1, Codes: []packet.ReasonCode{0}, User: user},
		&packet.Disconnect{ServerReference: long},
		&packet.Auth{Code: packet.ReAuthenticate, AuthenticationMethod: long},
	} {
		out, err := p.Append([]byte("abc"), v5)
		refused(t, p.Type().String(), err, packet.MalformedPacket, "")
		if string(out) != "abc" {
			t.Errorf("%v left %d bytes", p.Type(), len(out))
		}
	}
	fits := &packet.Publish{Topic: []byte(long[1:]), ContentType: []byte(long[1:]), User: []packet.UserProperty{{Name: long[1:], Value: long[1:]}}}
	if _, err := parse(written(t, v5, fits), v5); err != nil {
		t.Error(err)
	}
}

func TestAppend_OutOfRange(t *testing.T) {
	for _, p := range []packet.Packet{
		&packet.Publish{Topic: []byte("t"), SubscriptionIDs: []uint32{0}},
		&packet.Publish{Topic: []byte("t"), SubscriptionIDs: []uint32{1, packet.MaxRemainingLength + 1}},
		&packet.Publish{Topic: []byte("t"), PayloadFormat: 3},
		&packet.Connect{Will: &packet.Will{Topic: "w", PayloadFormat: 3}},
		&packet.Connect{AuthenticationData: []byte("d")},
		&packet.Subscribe{PacketID: 1, SubscriptionID: packet.MaxRemainingLength + 1, Filters: []packet.Filter{{}}},
		&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{QoS: 3}}},
		&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{RetainHandling: 3}}},
		&packet.Subscribe{PacketID: 1},
		&packet.Suback{PacketID: 1},
		&packet.Unsubscribe{PacketID: 1},
		&packet.Unsuback{PacketID: 1},
		&packet.Auth{Code: packet.ContinueAuthentication},
		&packet.Auth{ReasonString: "x"},
	} {
		out, err := p.Append([]byte("abc"), v5)
		refused(t, p.Type().String(), err, packet.ProtocolError, "")
		if string(out) != "abc" {
			t.Errorf("%v left %d bytes", p.Type(), len(out))
		}
	}
}
