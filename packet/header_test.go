package packet_test

import (
	"bytes"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		hex    string
		n      int
		length int
	}{
		{"", 0, 0},
		{"c0", 0, 0},
		{"c0 00", 2, 0},
		{"30 7f", 2, 127},
		{"30 80", 0, 0},
		{"30 80 01", 3, 128},
		{"30 ff 7f", 3, 16383},
		{"30 80 80", 0, 0},
		{"30 80 80 01", 4, 16384},
		{"30 ff ff 7f", 4, 2097151},
		{"30 80 80 80", 0, 0},
		{"30 80 80 80 01", 5, 2097152},
		{"30 ff ff ff 7f", 5, 268435455},
		{"3d 05 ff ff", 2, 5},
	} {
		b := wire(c.hex)
		h, n, err := packet.ParseHeader(b)
		if n != c.n || h.Length != c.length || err != nil {
			t.Errorf("%s: %+v, %d, %v", c.hex, h, n, err)
		}
		if n > 0 && (h.Type != packet.Type(b[0]>>4) || h.Flags != b[0]&15) {
			t.Errorf("%s: %+v", c.hex, h)
		}
	}
}

// TestPitfall097_FifthLengthByte also has the overlong forms: both put a lax
// reader and a strict one out of step.
func TestPitfall097_FifthLengthByte(t *testing.T) {
	for _, text := range []string{
		"30 80 80 80 80", "30 80 80 80 80 01", "30 ff ff ff ff", "30 ff ff ff ff 7f",
		"30 80 00", "30 ff 00", "30 80 80 00", "30 80 80 80 00", "c0 80 00",
	} {
		_, n, err := packet.ParseHeader(wire(text))
		refused(t, text, err, packet.MalformedPacket, "MQTT-1.5.5-1")
		if n != 0 {
			t.Errorf("%s: %d bytes used", text, n)
		}
	}
}

func TestMQTT5_1_5_5_1_ShortestLength(t *testing.T) {
	for _, c := range []struct{ payload, length int }{
		{0, 1}, {123, 1}, {124, 2}, {16379, 2}, {16380, 3}, {2097147, 3}, {2097148, 4},
	} {
		for _, v := range []packet.Version{v311, v5} {
			p := &packet.Publish{Topic: []byte("t"), Payload: make([]byte, c.payload)}
			if v == v311 {
				p.Topic = []byte("tt") // as long as t and the Property Length
			}
			b := written(t, v, p)
			if len(b) != 1+c.length+4+c.payload {
				t.Errorf("%v, payload of %d: %d bytes", v, c.payload, len(b))
			}
			if _, err := parse(b, v); err != nil {
				t.Errorf("%v, payload of %d: %v", v, c.payload, err)
			}
		}
	}
	for _, n := range []int{0, 100, 118, 119, 120, 125, 126, 16000, 16374, 16375, 16376, 16381, 16382} {
		s := &packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{0}, User: []packet.UserProperty{{Value: string(bytes.Repeat([]byte("v"), n))}}}
		b := written(t, v5, s)
		props := append([]byte{0x26, 0, 0, byte(n >> 8), byte(n)}, bytes.Repeat([]byte("v"), n)...)
		body := append(append(lengthOf([]byte{0, 1}, len(props)), props...), 0)
		if want := append(lengthOf([]byte{0x90}, len(body)), body...); !bytes.Equal(b, want) {
			t.Errorf("User Property of %d: % x", n, b[:min(len(b), 20)])
		}
	}
	refuse(t, v5, `30 { "t" 8000 }`, packet.MalformedPacket, "MQTT-1.5.5-1")
	refuse(t, v5, `30 { "t" 80808080 01 }`, packet.MalformedPacket, "MQTT-1.5.5-1")
	refuse(t, v5, `30 { "t" { 0b 8100 } }`, packet.MalformedPacket, "MQTT-1.5.5-1")
	refuse(t, v5, `30 { "t" { 0b 80808080 01 } }`, packet.MalformedPacket, "MQTT-1.5.5-1")
}

func TestAppend_TooLong(t *testing.T) {
	p := &packet.Publish{Topic: []byte("t"), Payload: make([]byte, packet.MaxRemainingLength-3)}
	head, _, err := p.AppendHead(nil, v311)
	if want := []byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 't'}; err != nil || !bytes.Equal(head, want) {
		t.Errorf("longest packet: % x, %v", head, err)
	}
	b := []byte("abc")
	out, _, err := p.AppendHead(b, v5)
	refused(t, "a byte over the longest packet", err, packet.PacketTooLarge, "")
	if string(out) != "abc" {
		t.Errorf("left % x", out)
	}
	out, err = p.Append(b, v5)
	refused(t, "a byte over the longest packet", err, packet.PacketTooLarge, "")
	if string(out) != "abc" {
		t.Errorf("left % x", out)
	}
}

// legalFlags are the flags of each packet but PUBLISH.
func legalFlags(typ packet.Type, v packet.Version) []byte {
	switch typ {
	case packet.TypePubrel, packet.TypeSubscribe, packet.TypeUnsubscribe:
		if v == v31 {
			return []byte{0x02, 0x0a}
		}
		return []byte{0x02}
	case 0:
		return nil
	case packet.TypeAuth:
		if v != v5 {
			return nil
		}
	}
	return []byte{0}
}

// checkFlags tries all flags of all types in one version.
func checkFlags(t *testing.T, v packet.Version, only packet.Type, statement string) {
	t.Helper()
	for typ := packet.Type(0); typ <= packet.TypeAuth; typ++ {
		if typ == packet.TypePublish || only != 0 && typ != only {
			continue
		}
		legal := legalFlags(typ, v)
		for flags := range byte(16) {
			h := packet.Header{Type: typ, Flags: flags}
			err := h.Check(v)
			if bytes.IndexByte(legal, flags) >= 0 {
				if err != nil {
					t.Errorf("%v %+v: %v", v, h, err)
				}
				continue
			}
			refused(t, v.String()+" "+typ.String(), err, packet.MalformedPacket, statement)
			// Parse asks Check too.
			if _, err := packet.Parse(h, nil, v); err == nil {
				t.Errorf("%v %+v parsed", v, h)
			}
		}
	}
}

func TestMQTT5_2_1_3_1_ReservedFlags(t *testing.T) {
	checkFlags(t, v5, 0, "")
	for _, typ := range []packet.Type{packet.TypeConnect, packet.TypeConnack, packet.TypePuback, packet.TypePingreq, packet.TypePingresp} {
		checkFlags(t, v5, typ, "MQTT-2.1.3-1")
	}
	for _, s := range corpus() { // the other direction
		b := written(t, s.v, s.want)
		if typ := s.want.Type(); typ != packet.TypePublish && b[0]&15 != legalFlags(typ, s.v)[0] {
			t.Errorf("%v written with flags %x", s, b[0]&15)
		}
	}
}

func TestMQTT311_2_2_2_1_ReservedFlags(t *testing.T) {
	for text, p := range map[string]packet.Packet{
		"20 02 00 00":       &packet.Connack{},
		"40 02 00 01":       &packet.Puback{PacketID: 1},
		"50 02 00 01":       &packet.Pubrec{PacketID: 1},
		"62 02 00 01":       &packet.Pubrel{PacketID: 1},
		"70 02 00 01":       &packet.Pubcomp{PacketID: 1},
		"90 03 00 01 00":    &packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{0}},
		"b0 02 00 01":       &packet.Unsuback{PacketID: 1},
		"d0 00":             &packet.Pingresp{},
		`82 { 0001 "a" 00}`: &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a"}}},
		`a2 { 0001 "a" }`:   &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}},
	} {
		if b := written(t, v311, p); !bytes.Equal(b, wire(text)) {
			t.Errorf("%v: % x", p.Type(), b)
		}
	}
}

func TestMQTT311_2_2_2_2_ReservedFlags(t *testing.T) {
	checkFlags(t, v311, 0, "")
	checkFlags(t, v311, packet.TypeConnect, "MQTT-2.2.2-2")
	checkFlags(t, v31, 0, "")
}

func TestMQTT5_3_6_1_1_PubrelFlags(t *testing.T) {
	checkFlags(t, v5, packet.TypePubrel, "MQTT-3.6.1-1")
}

func TestMQTT311_3_6_1_1_PubrelFlags(t *testing.T) {
	checkFlags(t, v311, packet.TypePubrel, "MQTT-3.6.1-1")
}

func TestMQTT5_3_8_1_1_SubscribeFlags(t *testing.T) {
	checkFlags(t, v5, packet.TypeSubscribe, "MQTT-3.8.1-1")
}

func TestMQTT311_3_8_1_1_SubscribeFlags(t *testing.T) {
	checkFlags(t, v311, packet.TypeSubscribe, "MQTT-3.8.1-1")
}

func TestMQTT5_3_10_1_1_UnsubscribeFlags(t *testing.T) {
	checkFlags(t, v5, packet.TypeUnsubscribe, "MQTT-3.10.1-1")
}

func TestMQTT311_3_10_1_1_UnsubscribeFlags(t *testing.T) {
	checkFlags(t, v311, packet.TypeUnsubscribe, "MQTT-3.10.1-1")
}

func TestMQTT5_3_14_1_1_DisconnectFlags(t *testing.T) {
	checkFlags(t, v5, packet.TypeDisconnect, "MQTT-3.14.1-1")
}

func TestMQTT311_3_14_1_1_DisconnectFlags(t *testing.T) {
	checkFlags(t, v311, packet.TypeDisconnect, "MQTT-3.14.1-1")
}

func TestMQTT5_3_15_1_1_AuthFlags(t *testing.T) {
	checkFlags(t, v5, packet.TypeAuth, "MQTT-3.15.1-1")
}

// AUTH does not exist before 5.0, nor before CONNECT has told the version.
func TestHeader_AuthIsNew(t *testing.T) {
	for _, v := range []packet.Version{0, v31, v311} {
		refused(t, v.String(), packet.Header{Type: packet.TypeAuth}.Check(v), packet.MalformedPacket, "")
		if _, err := new(packet.Auth).Append(nil, v); err == nil {
			t.Errorf("%v: AUTH written", v)
		}
	}
	if err := (packet.Header{Type: packet.TypeConnect}).Check(0); err != nil {
		t.Error(err)
	}
}

func TestHeader_PublishFlags(t *testing.T) {
	for _, v := range versions {
		for flags := range byte(16) {
			h := packet.Header{Type: packet.TypePublish, Flags: flags}
			qos, dup := flags>>1&3, flags&8 != 0
			if err := h.Check(v); (err != nil) != (qos == 3 || dup && qos == 0) {
				t.Errorf("%v flags %04b: %v", v, flags, err)
			}
		}
	}
}

func TestMQTT5_3_3_1_2_DupAtQoS0(t *testing.T) {
	refuse(t, v5, `38 { "t" {} }`, packet.MalformedPacket, "MQTT-3.3.1-2")
	refuse(t, v311, `38 { "t" }`, packet.MalformedPacket, "MQTT-3.3.1-2")
	if _, err := (&packet.Publish{Dup: true, Topic: []byte("t")}).Append(nil, v5); err == nil {
		t.Error("written")
	}
}

func TestMQTT5_3_3_1_4_QoS3(t *testing.T) {
	refuse(t, v5, `36 { "t" 0001 {} }`, packet.MalformedPacket, "MQTT-3.3.1-4")
	if _, err := (&packet.Publish{QoS: 3, PacketID: 1, Topic: []byte("t")}).Append(nil, v5); err == nil {
		t.Error("written")
	}
}

func TestMQTT311_3_3_1_4_QoS3(t *testing.T) {
	refuse(t, v311, `36 { "t" 0001 }`, packet.MalformedPacket, "MQTT-3.3.1-4")
	refuse(t, v31, `36 { "t" 0001 }`, packet.MalformedPacket, "")
}

func TestPeekVersion(t *testing.T) {
	for _, c := range []struct {
		text  string
		level byte
		ok    bool
	}{
		{``, 0, false},
		{`00`, 0, false},
		{`"MQTT"`, 0, false},
		{`"MQTT" 04`, 4, true},
		{`"MQTT" 05 02 0000`, 5, true},
		{`"MQTT" 06`, 6, true},
		{`"MQTT" 84`, 0x84, true},
		{`"MQIsdp" 03`, 3, true},
		{`"MQIsdp" 83 00`, 0x83, true},
		{`"MQTX" 04`, 0, false},
		{`"mqtt" 04`, 0, false},
		{`"" 04`, 0, false},
		{`ffff 'MQTT' 04`, 0, false},
	} {
		if level, ok := packet.PeekVersion(wire(c.text)); level != c.level || ok != c.ok {
			t.Errorf("%s: %d, %v", c.text, level, ok)
		}
	}
}
