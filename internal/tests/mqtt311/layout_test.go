package mqtt311_test

import (
	"bytes"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT311_1_5_3_1_IllFormedText(t *testing.T) {
	violations(t, cases{
		"PUBLISH topic":          `30 04 0002 c328`,
		"PUBLISH surrogate":      `30 05 0003 eda080`,
		"SUBSCRIBE filter":       `82 07 0001 0002 c328 00`,
		"UNSUBSCRIBE filter":     `a2 06 0001 0002 c328`,
		"PUBLISH overlong slash": `30 04 0002 c0af`,
	})
	badConnects(t, both, cases{"ClientID surrogate": `02 0003 eda080`, "ClientID": `02 0002 c328`})
}

func TestMQTT311_1_5_3_2_Null(t *testing.T) {
	violations(t, cases{
		"SUBSCRIBE filter":   `82 08 0001 0003 610062 00`,
		"UNSUBSCRIBE filter": `a2 07 0001 0003 610062`,
		"PUBLISH topic":      `30 05 0003 610062`,
	})
	badConnects(t, both, cases{"ClientID": `02 0002 6100`, "will topic": `06 "c" 0002 6100 "gone"`, "user name": `82 "c" 0002 6100`})
}

func TestMQTT311_1_5_3_3_ByteOrderMark(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		c := subscriber(t, s, v, "\ufefft")
		p := join(t, s, v, "p", true)
		p.Publish("t", "without", 1)
		c.Nothing()
		p.Publish("\ufefft", "with", 1)
		if m := c.Receive(); !bytes.Equal(m.Topic, []byte{0xef, 0xbb, 0xbf, 't'}) || string(m.Payload) != "with" {
			t.Errorf("% x %q", m.Topic, m.Payload)
		}
		c.Nothing()
	})
}

func TestMQTT311_2_2_2_1_ServerFlags(t *testing.T) { script(t, "2.2.2-1") }

func TestMQTT311_2_2_2_2_WrongFlags(t *testing.T) {
	violations(t, cases{
		"CONNECT 0x11": `11 0d "MQTT" 04 02 0000 "a"`, "PUBACK 0x41": `41 02 0001`, "PUBREC 0x52": `52 02 0001`,
		"PUBCOMP 0x71": `71 02 0001`, "SUBSCRIBE 0x80": `80 06 0001 "a" 00`, "PINGREQ 0xC1": `c1 00`, "DISCONNECT 0xE1": `e1 00`,
	})
	bubble(t, "first packet", func(t *testing.T) {
		badConnect(t, mqttx.V311, framed(0x11, connectBody(mqttx.V311, `02 "c"`)))
	})
}

func TestMQTT311_2_3_1_1_PacketIDZero(t *testing.T) {
	violations(t, cases{
		"PUBLISH QoS 1": `32 05 "t" 0000`, "PUBLISH QoS 2": `34 05 "t" 0000`,
		"SUBSCRIBE": `82 06 0000 "a" 00`, "UNSUBSCRIBE": `a2 05 0000 "a"`,
	})
	// The server's own identifiers go once round: none is 0.
	bubble(t, "server", func(t *testing.T) {
		srv := newServer(t)
		c := subscriber(t, srv, mqttx.V311, "t")
		goRound(t, srv, c, func(m *packet.Publish) {
			if m.PacketID == 0 || m.QoS != 1 {
				t.Fatalf("PUBLISH with QoS %d and Packet Identifier %d", m.QoS, m.PacketID)
			}
		})
	})
}

func TestMQTT311_2_3_1_5_NoPacketIDAtQoS0(t *testing.T) { script(t, "2.3.1-5") }

func TestMQTT311_3_3_1_4_QoS3(t *testing.T) {
	violations(t, cases{"0x36": `36 05 "t" 0001`, "0x3E": `3e 05 "t" 0001`, "0x37": `37 05 "t" 0001`})
}

func TestMQTT311_3_6_1_1_PubrelFlags(t *testing.T) {
	violations(t, cases{"0x60": `60 02 0001`, "0x63": `63 02 0001`, "0x66": `66 02 0001`})
	t.Run("server", func(t *testing.T) { script(t, "3.6.1-1") })
}

func TestMQTT311_3_8_1_1_SubscribeFlags(t *testing.T) {
	violations(t, cases{"0x80": `80 06 0001 "a" 00`, "0x83": `83 06 0001 "a" 00`, "0x86": `86 06 0001 "a" 00`})
}

func TestMQTT311_3_8_3_1_FilterText(t *testing.T) {
	violations(t, cases{
		"ill-formed":          `82 07 0001 0002 c328 00`,
		"second":              `82 0b 0001 "a" 00 0002 c328 00`,
		"surrogate":           `82 08 0001 0003 eda080 00`,
		"length past the end": `82 06 0001 0009 61 00`,
	})
}

func TestMQTT311_3_8_3_3_NoFilter(t *testing.T) {
	violations(t, cases{"empty payload": `82 02 0001`, "no QoS": `82 05 0001 "a"`, "no QoS of the second": `82 09 0001 "a" 00 "b"`})
}

func TestMQTT311_3_8_3_4_QoSByte(t *testing.T) {
	violations(t, cases{
		"QoS 3": `82 06 0001 "a" 03`, "0x04": `82 06 0001 "a" 04`, "0x80": `82 06 0001 "a" 80`,
		"second": `82 0a 0001 "a" 00 "b" 40`,
	})
}

func TestMQTT311_3_10_1_1_UnsubscribeFlags(t *testing.T) {
	violations(t, cases{"0xA0": `a0 05 0001 "a"`, "0xA3": `a3 05 0001 "a"`, "0xA6": `a6 05 0001 "a"`})
}

func TestMQTT311_3_10_3_1_FilterText(t *testing.T) {
	violations(t, cases{
		"ill-formed": `a2 06 0001 0002 c328`, "second": `a2 09 0001 "a" 0002 c328`,
		"length past the end": `a2 05 0001 0009 61`, "half a length": `a2 06 0001 "a" 00`,
	})
}

func TestMQTT311_3_10_3_2_NoFilter(t *testing.T) {
	violations(t, cases{"empty payload": `a2 02 0001`})
}

func TestMQTT311_3_14_1_1_DisconnectFlags(t *testing.T) {
	violations(t, cases{"0xE1": `e1 00`, "0xE8": `e8 00`, "0xE2": `e2 00`})
}

func TestMQTT311_4_8_0_1_Violations(t *testing.T) {
	violations(t, cases{
		"type 0": `00 00`, "type 15": `f0 00`, "CONNACK": `20 02 0000`, "SUBACK": `90 03 0001 00`, "UNSUBACK": `b0 02 0001`, "PINGRESP": `d0 00`,
		"second CONNECT": `10 0d "MQTT" 04 02 0000 "a"`, "PUBACK of 1 byte": `40 01 00`, "PUBACK of 3 bytes": `40 03 0001 00`,
		"PUBACK 0": `40 02 0000`, "PINGREQ of 1 byte": `c0 01 00`, "DISCONNECT of 1 byte": `e0 01 00`, "PUBLISH of 0 bytes": `30 00`,
		"PUBLISH without id": `32 03 "t"`, "topic past the end": `30 03 0009 74`, "Remaining Length of 5 bytes": `30 ffffffff7f`,
	})
}
