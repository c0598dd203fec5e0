package packet_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_8_3_1_FilterText(t *testing.T) {
	refuse(t, v5, `82 { 0001 {} 0002 c328 00 }`, packet.MalformedPacket, "MQTT-1.5.4-1")
}

func TestMQTT311_3_8_3_1_FilterText(t *testing.T) {
	refuse(t, v311, `82 { 0001 0002 c328 00 }`, packet.MalformedPacket, "MQTT-1.5.3-1")
}

func TestMQTT5_3_8_3_2_NoFilter(t *testing.T) {
	refuse(t, v5, `82 { 0001 {} }`, packet.ProtocolError, "MQTT-3.8.3-2")
	refuse(t, v5, `82 { 0001 {} "a" }`, packet.MalformedPacket, "")
}

func TestMQTT311_3_8_3_3_NoFilter(t *testing.T) {
	refuse(t, v311, `82 { 0001 }`, packet.ProtocolError, "MQTT-3.8.3-3")
	refuse(t, v31, `82 { 0001 }`, packet.ProtocolError, "")
	refuse(t, v311, `82 { 0001 "a" }`, packet.MalformedPacket, "")
}

func TestMQTT5_3_8_3_5_SubscriptionOptions(t *testing.T) {
	for options := range 256 {
		body := append(wire(`0001 {} "a"`), byte(options))
		p, err := packet.Parse(packet.Header{Type: packet.TypeSubscribe, Flags: 2, Length: len(body)}, body, v5)
		switch {
		case options&0xc0 != 0:
			refused(t, "options", err, packet.MalformedPacket, "MQTT-3.8.3-5")
		case options&3 == 3, options>>4 == 3:
			refused(t, "options", err, packet.ProtocolError, "")
		case err != nil:
			t.Errorf("options %#02x: %v", options, err)
		default:
			want := packet.Filter{
				Filter: "a", QoS: packet.QoS(options & 3), NoLocal: options&4 != 0, RetainAsPublished: options&8 != 0,
				RetainHandling: byte(options >> 4),
			}
			if got := p.(*packet.Subscribe).Filters[0]; got != want {
				t.Errorf("options %#02x: %+v", options, got)
			}
			if b := written(t, v5, p); b[len(b)-1] != byte(options) {
				t.Errorf("options %#02x written as %#02x", options, b[len(b)-1])
			}
		}
	}
}

func TestMQTT311_3_8_3_4_QoSByte(t *testing.T) {
	for _, v := range []packet.Version{v31, v311} {
		for qos := range 256 {
			body := append(wire(`0001 "a"`), byte(qos))
			_, err := packet.Parse(packet.Header{Type: packet.TypeSubscribe, Flags: 2, Length: len(body)}, body, v)
			if qos <= 2 {
				if err != nil {
					t.Errorf("%v QoS byte %#02x: %v", v, qos, err)
				}
				continue
			}
			id := ""
			if v == v311 {
				id = "MQTT-3.8.3-4"
			}
			refused(t, v.String(), err, packet.MalformedPacket, id)
		}
		b := written(t, v, &packet.Subscribe{PacketID: 1, SubscriptionID: 5, Filters: []packet.Filter{
			{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
		}})
		if !bytes.Equal(b, wire(`82 { 0001 "a" 01 }`)) {
			t.Errorf("%v: % x", v, b)
		}
	}
}

func TestSubscribe_SubscriptionID(t *testing.T) {
	refuse(t, v5, `82 { 0001 { 0b 00 } "a" 00 }`, packet.ProtocolError, "")
	p := accept[*packet.Subscribe](t, v5, `82 { 0001 { 0b ffffff7f } "a" 00 }`)
	if p.SubscriptionID != packet.MaxRemainingLength {
		t.Errorf("%d", p.SubscriptionID)
	}
}

func TestMQTT5_3_10_3_1_FilterText(t *testing.T) {
	refuse(t, v5, `a2 { 0001 {} 0002 c328 }`, packet.MalformedPacket, "MQTT-1.5.4-1")
}

func TestMQTT311_3_10_3_1_FilterText(t *testing.T) {
	refuse(t, v311, `a2 { 0001 0002 c328 }`, packet.MalformedPacket, "MQTT-1.5.3-1")
}

func TestMQTT5_3_10_3_2_NoFilter(t *testing.T) {
	refuse(t, v5, `a2 { 0001 {} }`, packet.ProtocolError, "MQTT-3.10.3-2")
}

func TestMQTT311_3_10_3_2_NoFilter(t *testing.T) {
	refuse(t, v311, `a2 { 0001 }`, packet.ProtocolError, "MQTT-3.10.3-2")
	refuse(t, v31, `a2 { 0001 }`, packet.ProtocolError, "")
}

// TestPitfall043_CodePerFilter: as many codes as filters, in their order.
func TestPitfall043_CodePerFilter(t *testing.T) {
	codes := []packet.ReasonCode{packet.GrantedQoS1, packet.NotAuthorized, packet.GrantedQoS0, packet.TopicFilterInvalid}
	s := &packet.Suback{PacketID: 1, Codes: codes}
	for v, want := range map[packet.Version][]packet.ReasonCode{
		v5:   codes,
		v311: {1, packet.UnspecifiedError, 0, packet.UnspecifiedError},
		v31:  {1, packet.UnspecifiedError, 0, packet.UnspecifiedError},
	} {
		p, err := parse(written(t, v, s), v)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.(*packet.Suback).Codes; !slices.Equal(got, want) {
			t.Errorf("%v: %v", v, got)
		}
	}
	u := accept[*packet.Unsuback](t, v5, `b0 { 0001 {} 00 11 87 }`)
	if !slices.Equal(u.Codes, []packet.ReasonCode{packet.Success, packet.NoSubscriptionExisted, packet.NotAuthorized}) {
		t.Errorf("%v", u.Codes)
	}
}

func TestSuback_NoCode(t *testing.T) {
	for _, v := range versions {
		text := `90 { 0001 }`
		if v == v5 {
			text = `90 { 0001 {} }`
		}
		refuse(t, v, text, packet.ProtocolError, "")
	}
	refuse(t, v5, `b0 { 0001 {} }`, packet.ProtocolError, "")
	refuse(t, v311, `b0 { 0001 00 }`, packet.MalformedPacket, "")
	if b := written(t, v311, &packet.Unsuback{PacketID: 1, Codes: []packet.ReasonCode{0x11}}); !bytes.Equal(b, wire(`b0 02 0001`)) {
		t.Errorf("% x", b)
	}
}

// Acknowledgements and DISCONNECT of 3.1 and 3.1.1 have no room for more.
func TestV3_Lengths(t *testing.T) {
	for _, v := range []packet.Version{v31, v311} {
		for _, text := range []string{
			`40 { 0001 00 }`, `50 { 0001 00 }`, `62 { 0001 00 }`, `70 { 0001 00 }`, `20 { 00 00 00 }`, `e0 { 00 }`,
			`40 { 00 }`, `40 {}`, `20 { 00 }`, `20 {}`, `b0 {}`,
		} {
			refuse(t, v, text, packet.MalformedPacket, "")
		}
		for text, p := range map[string]packet.Packet{
			`40 02 0001`: &packet.Puback{PacketID: 1, Code: packet.NotAuthorized, ReasonString: "no"},
			`62 02 0001`: &packet.Pubrel{PacketID: 1, User: []packet.UserProperty{{}}},
			`e0 00`:      &packet.Disconnect{Code: packet.ServerBusy, ReasonString: "no"},
		} {
			if b := written(t, v, p); !bytes.Equal(b, wire(text)) {
				t.Errorf("%v %v: % x", v, p.Type(), b)
			}
		}
	}
}

func TestAck_TrailingBytes(t *testing.T) {
	for _, first := range []string{"40", "50", "62", "70"} {
		refuse(t, v5, first+` { 0001 00 {} 00 }`, packet.MalformedPacket, "")
		refuse(t, v5, first+` { 0001 00 05 }`, packet.MalformedPacket, "")
	}
	refuse(t, v5, `e0 { 00 {} 00 }`, packet.MalformedPacket, "")
	refuse(t, v5, `f0 { 00 {} 00 }`, packet.MalformedPacket, "")
	refuse(t, v5, `f0 { 00 }`, packet.MalformedPacket, "")
	refuse(t, v5, `20 { 00 00 {} 00 }`, packet.MalformedPacket, "")
}

func TestAppendAck(t *testing.T) {
	for typ, text := range map[packet.Type]string{
		packet.TypePuback: "40 02 fffe", packet.TypePubrec: "50 02 fffe", packet.TypePubrel: "62 02 fffe", packet.TypePubcomp: "70 02 fffe",
	} {
		if b := packet.AppendAck([]byte{1}, typ, 0xfffe); !bytes.Equal(b, append([]byte{1}, wire(text)...)) {
			t.Errorf("%v: % x", typ, b)
		}
	}
}

func TestAuth_Method(t *testing.T) {
	refuse(t, v5, `f0 { 18 {} }`, packet.ProtocolError, "")
	refuse(t, v5, `f0 { 18 { 16 "d" } }`, packet.ProtocolError, "")
	refuse(t, v5, `f0 { 00 { 1f "x" } }`, packet.ProtocolError, "")
	refuse(t, v5, `f0 { 00 { 15 "" } }`, packet.BadAuthenticationMethod, "")
	refuse(t, v5, `20 { 00 00 { 16 "d" } }`, packet.ProtocolError, "")
	refuse(t, v5, `20 { 00 00 { 15 "" } }`, packet.BadAuthenticationMethod, "")
}
