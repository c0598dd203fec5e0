package packet_test

import (
	"bytes"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_1_2_1_ProtocolName(t *testing.T) {
	for _, name := range []string{"MQTX", "mqtt", "", "MQTT ", "MQT", "mqisdp"} {
		refuse(t, v5, `10 { "`+name+`" 05 02 0000 {} "id" }`, packet.UnsupportedProtocolVersion, "MQTT-3.1.2-1")
	}
	var c packet.Connect
	body := wire(`"MQTX" 05 02 0000 {} "id"`)
	err := c.Parse(packet.Header{Type: packet.TypeConnect, Length: len(body)}, body, 0)
	refused(t, "MQTX", err, packet.UnsupportedProtocolVersion, "")
	if c.Level != 5 || c.Version != 0 {
		t.Errorf("level %d, version %v", c.Level, c.Version)
	}
}

func TestMQTT311_3_1_2_1_ProtocolName(t *testing.T) {
	refuse(t, v311, `10 { "MQTX" 04 02 0000 "id" }`, packet.UnsupportedProtocolVersion, "MQTT-3.1.2-1")
	refuse(t, v311, `10 { "MQIsdp" 04 02 0000 "id" }`, packet.UnsupportedProtocolVersion, "")
}

func TestMQTT5_3_1_2_2_ProtocolLevel(t *testing.T) {
	legal := map[string][]byte{"MQTT": {4, 5, 0x84}, "MQIsdp": {3, 0x83}}
	for name, levels := range legal {
		for level := range 256 {
			body := wire(`"` + name + `"`)
			body = append(body, byte(level), 2, 0, 0)
			if level&0x7f == 5 {
				body = append(body, 0)
			}
			body = append(body, wire(`"id"`)...)
			var c packet.Connect
			err := c.Parse(packet.Header{Type: packet.TypeConnect, Length: len(body)}, body, 0)
			if c.Level != byte(level) {
				t.Errorf("%s level %#x: Level is %#x", name, level, c.Level)
			}
			if bytes.IndexByte(levels, byte(level)) < 0 {
				refused(t, name, err, packet.UnsupportedProtocolVersion, "MQTT-3.1.2-2")
				continue
			}
			if err != nil || c.Version != packet.Version(level&0x7f) || c.Bridge != (level >= 0x80) {
				t.Errorf("%s level %#x: %v, version %v, bridge %v", name, level, err, c.Version, c.Bridge)
			}
		}
	}
	for _, v := range []packet.Version{1, 2, 6, 0x84} {
		if _, err := new(packet.Connect).Append(nil, v); err == nil {
			t.Errorf("%v written", v)
		}
	}
}

func TestMQTT311_3_1_2_2_ProtocolLevel(t *testing.T) {
	refuse(t, v311, `10 { "MQTT" 02 02 0000 "id" }`, packet.UnsupportedProtocolVersion, "MQTT-3.1.2-2")
	refuse(t, v311, `10 { "MQTT" 03 02 0000 "id" }`, packet.UnsupportedProtocolVersion, "MQTT-3.1.2-2")
}

func TestConnect_AppendVersion(t *testing.T) {
	for _, c := range []struct {
		own, v packet.Version
		want   string
	}{
		{0, 0, `"MQTT" 05`},
		{v31, 0, `"MQIsdp" 03`},
		{v311, 0, `"MQTT" 04`},
		{v31, v5, `"MQTT" 05`},
		{v5, v31, `"MQIsdp" 03`},
	} {
		b := written(t, c.v, &packet.Connect{Version: c.own})
		if want := wire(c.want); !bytes.HasPrefix(b[2:], want) {
			t.Errorf("%v as %v: % x", c.own, c.v, b)
		}
	}
	b := written(t, v311, &packet.Connect{Bridge: true, Username: "u"})
	if !bytes.Equal(b, wire(`10 { "MQTT" 84 80 0000 "" "u" }`)) {
		t.Errorf("bridge: % x", b)
	}
	if b := written(t, v5, &packet.Connect{Bridge: true}); b[8] != 5 {
		t.Errorf("bridge in 5.0: % x", b)
	}
}

// connectWith is a CONNECT of each version, the flags and payload given.
func connectWith(v packet.Version, flags, payload string) string {
	switch v {
	case v31:
		return `10 { "MQIsdp" 03 ` + flags + ` 0000 ` + payload + ` }`
	case v311:
		return `10 { "MQTT" 04 ` + flags + ` 0000 ` + payload + ` }`
	}
	return `10 { "MQTT" 05 ` + flags + ` 0000 {} ` + payload + ` }`
}

func malformedConnect(t *testing.T, v packet.Version, flags, payload, statement string) {
	t.Helper()
	refuse(t, v, connectWith(v, flags, payload), packet.MalformedPacket, statement)
}

func TestMQTT5_3_1_2_3_ReservedConnectFlag(t *testing.T) {
	malformedConnect(t, v5, "03", `"id"`, "MQTT-3.1.2-3")
}

func TestMQTT311_3_1_2_3_ReservedConnectFlag(t *testing.T) {
	malformedConnect(t, v311, "03", `"id"`, "MQTT-3.1.2-3")
	malformedConnect(t, v31, "03", `"id"`, "")
}

func TestMQTT5_3_1_2_9_WillFields(t *testing.T) {
	for _, payload := range []string{`"id"`, `"id" {}`, `"id" {} "w"`, `"id" {} "w" 0001`, `"id" { 18 00000000 }`} {
		malformedConnect(t, v5, "06", payload, "")
	}
}

func TestMQTT311_3_1_2_9_WillFields(t *testing.T) {
	for _, v := range []packet.Version{v31, v311} {
		for _, payload := range []string{`"id"`, `"id" "w"`, `"id" "w" 0001`, `"id" 0005 'w'`} {
			malformedConnect(t, v, "06", payload, "")
		}
	}
}

func TestMQTT5_3_1_2_11_WillQoSWithoutWill(t *testing.T) {
	for _, flags := range []string{"0a", "12", "1a"} {
		malformedConnect(t, v5, flags, `"id"`, "MQTT-3.1.2-11")
	}
}

func TestMQTT311_3_1_2_13_WillQoSWithoutWill(t *testing.T) {
	for _, flags := range []string{"0a", "12", "1a"} {
		malformedConnect(t, v311, flags, `"id"`, "MQTT-3.1.2-13")
	}
}

func TestMQTT5_3_1_2_13_WillRetainWithoutWill(t *testing.T) {
	malformedConnect(t, v5, "22", `"id"`, "MQTT-3.1.2-13")
}

func TestMQTT311_3_1_2_15_WillRetainWithoutWill(t *testing.T) {
	malformedConnect(t, v311, "22", `"id"`, "MQTT-3.1.2-15")
}

func TestMQTT311_3_1_2_11_WillWithoutFlag(t *testing.T) {
	malformedConnect(t, v311, "02", `"id" "w" "gone"`, "")
	malformedConnect(t, v311, "2a", `"id"`, "")
}

func TestMQTT5_3_1_2_12_WillQoS(t *testing.T) {
	malformedConnect(t, v5, "1e", `"id" {} "w" ""`, "MQTT-3.1.2-12")
	for qos, flags := range []string{"06", "0e", "16"} {
		c := accept[*packet.Connect](t, v5, connectWith(v5, flags, `"id" {} "w" ""`))
		if c.Will.QoS != packet.QoS(qos) || c.Will.Retain {
			t.Errorf("flags %s: %+v", flags, c.Will)
		}
	}
	if _, err := (&packet.Connect{Will: &packet.Will{Topic: "w", QoS: 3}}).Append(nil, v5); err == nil {
		t.Error("written")
	}
}

func TestMQTT311_3_1_2_14_WillQoS(t *testing.T) {
	malformedConnect(t, v311, "1e", `"id" "w" ""`, "MQTT-3.1.2-14")
	malformedConnect(t, v31, "1e", `"id" "w" ""`, "")
}

func TestMQTT5_3_1_2_16_NoUserName(t *testing.T) {
	malformedConnect(t, v5, "02", `"id" "user"`, "")
}

func TestMQTT5_3_1_2_17_UserName(t *testing.T) {
	malformedConnect(t, v5, "82", `"id"`, "")
}

func TestMQTT5_3_1_2_18_NoPassword(t *testing.T) {
	malformedConnect(t, v5, "82", `"id" "user" "pass"`, "")
}

func TestMQTT5_3_1_2_19_Password(t *testing.T) {
	malformedConnect(t, v5, "42", `"id"`, "")
	malformedConnect(t, v5, "c2", `"id" "user"`, "")
	c := accept[*packet.Connect](t, v5, connectWith(v5, "42", `"id" "pass"`))
	if c.HasUsername || string(c.Password) != "pass" {
		t.Errorf("%+v", c)
	}
}

func TestMQTT311_3_1_2_18_NoUserName(t *testing.T) {
	malformedConnect(t, v311, "02", `"id" "user"`, "")
}

func TestMQTT311_3_1_2_19_UserName(t *testing.T) {
	malformedConnect(t, v311, "82", `"id"`, "")
	malformedConnect(t, v31, "82", `"id"`, "")
}

func TestMQTT311_3_1_2_20_NoPassword(t *testing.T) {
	malformedConnect(t, v311, "82", `"id" "user" "pass"`, "")
}

func TestMQTT311_3_1_2_21_Password(t *testing.T) {
	malformedConnect(t, v311, "c2", `"id" "user"`, "")
	malformedConnect(t, v31, "c2", `"id" "user"`, "")
}

func TestMQTT311_3_1_2_22_PasswordAlone(t *testing.T) {
	malformedConnect(t, v311, "42", `"id" "pass"`, "MQTT-3.1.2-22")
	malformedConnect(t, v31, "42", `"id" "pass"`, "")
	for _, v := range []packet.Version{v31, v311} {
		if _, err := (&packet.Connect{Password: []byte("p")}).Append(nil, v); err == nil {
			t.Errorf("%v: written", v)
		}
	}
}

func TestMQTT5_3_1_3_1_FieldOrder(t *testing.T) {
	c := accept[*packet.Connect](t, v5, connectWith(v5, "e6", `"id" { 03 "c" } "w" "gone" "user" "pass"`))
	if c.ClientID != "id" || c.Will.ContentType != "c" || c.Will.Topic != "w" || string(c.Will.Payload) != "gone" ||
		c.Username != "user" || string(c.Password) != "pass" {
		t.Errorf("%+v, %+v", c, c.Will)
	}
}

func TestMQTT311_3_1_3_1_FieldOrder(t *testing.T) {
	c := accept[*packet.Connect](t, v311, connectWith(v311, "e6", `"id" "w" "gone" "user" "pass"`))
	if c.ClientID != "id" || c.Will.Topic != "w" || string(c.Will.Payload) != "gone" ||
		c.Username != "user" || string(c.Password) != "pass" {
		t.Errorf("%+v, %+v", c, c.Will)
	}
}

func TestMQTT5_3_1_3_3_ClientIDPresent(t *testing.T) {
	malformedConnect(t, v5, "02", ``, "")
	malformedConnect(t, v5, "02", `00`, "")
	accept[*packet.Connect](t, v5, connectWith(v5, "02", `""`))
}

func TestMQTT311_3_1_3_3_ClientIDPresent(t *testing.T) {
	malformedConnect(t, v311, "02", ``, "")
	malformedConnect(t, v311, "02", `0002 'i'`, "")
}

func TestMQTT5_3_1_3_4_ClientIDText(t *testing.T) {
	malformedConnect(t, v5, "02", `0002 fffe`, "MQTT-1.5.4-1")
}

func TestMQTT311_3_1_3_4_ClientIDText(t *testing.T) {
	malformedConnect(t, v311, "02", `0002 fffe`, "MQTT-1.5.3-1")
}

func TestMQTT5_3_1_3_10_WillUserPropertyOrder(t *testing.T) {
	c := accept[*packet.Connect](t, v5, connectWith(v5, "06", `"id" { 26 "b" "1" 26 "a" "2" 26 "b" "3" } "w" ""`))
	want := []packet.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}
	for i, u := range c.Will.User {
		if u != want[i] {
			t.Errorf("%d: %v", i, u)
		}
	}
	if len(c.Will.User) != len(want) {
		t.Errorf("%v", c.Will.User)
	}
}

func TestMQTT5_3_1_3_11_WillTopicText(t *testing.T) {
	malformedConnect(t, v5, "06", `"id" {} 0002 c328 ""`, "MQTT-1.5.4-1")
}

func TestMQTT311_3_1_3_10_WillTopicText(t *testing.T) {
	malformedConnect(t, v311, "06", `"id" 0002 c328 ""`, "MQTT-1.5.3-1")
}

func TestMQTT5_3_1_3_12_UserNameText(t *testing.T) {
	malformedConnect(t, v5, "82", `"id" 0002 c328`, "MQTT-1.5.4-1")
}

func TestMQTT311_3_1_3_11_UserNameText(t *testing.T) {
	malformedConnect(t, v311, "82", `"id" 0002 c328`, "MQTT-1.5.3-1")
}

func TestConnect_WillTopic(t *testing.T) {
	for _, topic := range []string{"a/#", "+", "#", "a+b"} {
		refuse(t, v5, connectWith(v5, "06", `"id" {} "`+topic+`" ""`), packet.TopicNameInvalid, "MQTT-3.3.2-2")
		refuse(t, v311, connectWith(v311, "06", `"id" "`+topic+`" ""`), packet.TopicNameInvalid, "MQTT-3.3.2-2")
	}
	refuse(t, v5, connectWith(v5, "06", `"id" {} "" ""`), packet.ProtocolError, "MQTT-4.7.3-1")
	refuse(t, v311, connectWith(v311, "06", `"id" "" ""`), packet.MalformedPacket, "MQTT-4.7.3-1")
	if _, err := (&packet.Connect{Will: &packet.Will{}}).Append(nil, v5); err == nil {
		t.Error("empty Will Topic written")
	}
}

// The table of bad layouts of the statement.
func TestMQTT5_3_1_4_1_Layout(t *testing.T) {
	for _, c := range []struct {
		text string
		code packet.ReasonCode
	}{
		{`10 {}`, packet.MalformedPacket},
		{`10 { "MQTT" }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 00 }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 {} }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 {} "id" 00 }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 05 "id" }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 { 21 000a 21 000a } "id" }`, packet.ProtocolError},
		{`10 { "MQTT" 05 02 0000 { 7f } "id" }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 { a680 01 } "id" }`, packet.MalformedPacket},
		{`10 { "MQTT" 05 02 0000 { 21 0000 } "id" }`, packet.ProtocolError},
		{`10 { "MQTT" 05 02 0000 { 16 "d" } "id" }`, packet.ProtocolError},
		{`10 { "MQTT" 05 02 0000 { 15 "" } "id" }`, packet.BadAuthenticationMethod},
	} {
		refuse(t, v5, c.text, c.code, "")
	}
}

func TestMQTT5_2_2_2_1_PropertyLength(t *testing.T) {
	for text, p := range map[string]packet.Packet{
		`30 { "t" 00 }`:       &packet.Publish{Topic: []byte("t")},
		`90 { 0001 00 00 }`:   &packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{0}},
		`20 { 00 00 00 }`:     &packet.Connack{},
		`b0 { 0001 00 00 }`:   &packet.Unsuback{PacketID: 1, Codes: []packet.ReasonCode{0}},
		`a2 { 0001 00 "a" }`:  &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}},
		`82 { 0001 00 "" 00}`: &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{}}},
	} {
		if b := written(t, v5, p); !bytes.Equal(b, wire(text)) {
			t.Errorf("%v: % x", p.Type(), b)
		}
	}
	refuse(t, v5, `30 { "t" }`, packet.MalformedPacket, "")
	refuse(t, v5, `20 { 00 00 }`, packet.MalformedPacket, "")
}

// What Parse gave does not change with the bytes it came from.
func TestConnect_BorrowsNothing(t *testing.T) {
	for _, s := range connectSamples() {
		b := wire(s.wire)
		p, err := parse(b, s.v)
		if err != nil {
			t.Fatal(err)
		}
		before := written(t, s.v, p)
		for i := range b {
			b[i] ^= 0xff
		}
		if after := written(t, s.v, p); !bytes.Equal(before, after) {
			t.Errorf("%v changed", s)
		}
	}
}

func TestMQTT5_3_2_2_1_ConnackFlags(t *testing.T) {
	for _, flags := range []string{"02", "03", "80", "ff"} {
		refuse(t, v5, `20 { `+flags+` 00 {} }`, packet.MalformedPacket, "MQTT-3.2.2-1")
		refuse(t, v311, `20 { `+flags+` 00 }`, packet.MalformedPacket, "")
	}
}

func TestMQTT5_3_2_2_6_RefusalWithoutSession(t *testing.T) {
	refuse(t, v5, `20 { 01 87 {} }`, packet.ProtocolError, "MQTT-3.2.2-6")
	if _, err := (&packet.Connack{SessionPresent: true, Code: packet.NotAuthorized}).Append(nil, v5); err == nil {
		t.Error("written")
	}
}

func TestMQTT311_3_2_2_4_RefusalWithoutSession(t *testing.T) {
	refuse(t, v311, `20 { 01 05 }`, packet.ProtocolError, "MQTT-3.2.2-4")
	if _, err := (&packet.Connack{SessionPresent: true, Code: 5}).Append(nil, v311); err == nil {
		t.Error("written")
	}
	b := written(t, v31, &packet.Connack{SessionPresent: true})
	if !bytes.Equal(b, []byte{0x20, 2, 0, 0}) {
		t.Errorf("3.1: % x", b)
	}
}

// TestPitfall019_MaximumQoS: 2 is said by leaving the property out.
func TestPitfall019_MaximumQoS(t *testing.T) {
	if _, err := (&packet.Connack{MaximumQoS: ptr[packet.QoS](2)}).Append(nil, v5); err == nil {
		t.Error("Maximum QoS 2 written")
	}
	refuse(t, v5, `20 { 00 00 { 24 02 } }`, packet.ProtocolError, "")
	for qos := range packet.QoS(2) {
		b := written(t, v5, &packet.Connack{MaximumQoS: &qos})
		if !bytes.Equal(b, append(wire(`20 05 00 00 02 24`), byte(qos))) {
			t.Errorf("% x", b)
		}
	}
}
