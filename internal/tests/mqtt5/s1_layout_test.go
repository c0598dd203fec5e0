package mqtt5_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_1_5_4_1_UTF8(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{
		"topic C3 28": `30 0002c328 00`, "topic with a surrogate": `30 0003eda080 00`, "topic with an overlong /": `30 0002c0af 00`,
		"topic over U+10FFFF": `30 0004f4908080 00`, "filter cut off in a character": `82 0001 00 0002e282 00`,
		"filter to unsubscribe": `a2 0001 00 0001ff`, "Reason String": `40 0001 00 04 1f 0001 ff`,
	})
	badConnects(t, mqttx.MalformedPacket, cases{"ClientID with a surrogate": `02 00 0003eda080`, "ClientID FF": `02 00 0001ff`})
}

func TestMQTT5_1_5_4_2_CodePointZero(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{
		"filter": `82 0001 00 0003610062 00`, "filter to unsubscribe": `a2 0001 00 0003610062`, "topic": `30 000100 00`,
		"value of a User Property": `30 "t" 08 26 "n" 0002 7600`,
	})
	badConnects(t, mqttx.MalformedPacket, cases{"ClientID": `02 00 0002 6300`, "user name": `82 00 "c" 0001 00`})
}

func TestMQTT5_1_5_4_3_ByteOrderMark(t *testing.T) { dialogue(t, "1.5.4-3") }

func TestMQTT5_1_5_5_1_ShortestForm(t *testing.T) {
	virtual(t, "sent", func(t *testing.T) {
		s := ruledServer(t)
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("t", 0)
		for _, l := range []struct {
			remaining int
			want      string
		}{
			{0, "d0 00"},
			{127, "30 7f"},
			{128, "30 8001"},
			{16383, "30 ff7f"},
			{16384, "30 808001"},
			{2097151, "30 ffff7f"},
			{2097152, "30 80808001"},
		} {
			from := len(c.Raw())
			if l.remaining == 0 {
				c.Send(&packet.Pingreq{})
			} else {
				// Topic, Property Length and payload.
				if err := s.Publish(context.Background(), &mqttx.Message{Topic: "t", Payload: make([]byte, l.remaining-4)}); err != nil {
					t.Fatal(err)
				}
			}
			c.Next()
			got, want := c.Raw()[from:], octets(l.want)
			if !bytes.HasPrefix(got, want) || len(got) != len(want)+l.remaining {
				t.Errorf("%d bytes: %d, beginning with % x, want %s", l.remaining, len(got), got[:min(len(got), 5)], l.want)
			}
		}
	})
	for name, b := range (cases{
		"5 bytes": `c0 ffffffff7f`, "5 bytes, not the shortest": `c0 8080808000`, "80 00": `c0 8000`,
		"Property Length": `30 06 "t" 8000 'x'`, "Subscription Identifier": `82 0a 0001 03 0b8100 "t" 00`,
	}) {
		virtual(t, name, func(t *testing.T) { violate(t, mqttx.MalformedPacket, octets(b)) })
	}
}

func TestMQTT5_1_5_7_1_StringPair(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{
		"name C0 80": `30 "t" 08 26 0002c080 "v"`, "value C0 80": `30 "t" 08 26 "n" 0002c080`, "name with 00": `30 "t" 07 26 000100 "v"`,
		"value with 00": `30 "t" 07 26 "n" 000100`, "no value": `30 "t" 04 26 "n"`,
	})
}

func TestMQTT5_2_1_3_1_ReservedFlags(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{
		"PUBACK 41": `41 0001`, "PUBREC 52": `52 0001`, "PUBREL 60": `60 0001`, "PUBCOMP 71": `71 0001`, "SUBSCRIBE 80": `80 0001 00 "t" 00`,
		"UNSUBSCRIBE a0": `a0 0001 00 "t"`, "PINGREQ c1": `c1`, "DISCONNECT e1": `e1`, "AUTH f1": `f1`,
	})
	dialogue(t, "2.1.3-1")
}

func TestMQTT5_2_2_1_2_QoS0HasNoPacketID(t *testing.T) { dialogue(t, "2.2.1-2") }

func TestMQTT5_2_2_1_3_PacketIDZero(t *testing.T) {
	violations(t, mqttx.ProtocolError, cases{
		"SUBSCRIBE": `82 0000 00 "t" 00`, "UNSUBSCRIBE": `a2 0000 00 "t"`, "QoS 1": `32 "t" 0000 00 'x'`, "QoS 2": `34 "t" 0000 00 'x'`,
	})
}

func TestMQTT5_2_2_1_4_FreePacketIDs(t *testing.T) {
	virtual(t, "five", func(t *testing.T) {
		s := ruledServer(t)
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("t", 1)
		seen := make(map[uint16]bool)
		for range 5 {
			send(t, s, "t", 1)
			seen[mqttest.Expect[*packet.Publish](c).PacketID] = true
		}
		if len(seen) != 5 || seen[0] {
			t.Errorf("ids %v", seen)
		}
	})
	virtual(t, "after all were used", func(t *testing.T) {
		s := ruledServer(t)
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("t", 1)
		held := make(map[uint16]bool)
		used := make(map[uint16]int)
		const batch = 1000
		for n := 0; n < 70_000; n += batch {
			for range batch {
				send(t, s, "t", 1)
			}
			var acks []byte
			for i := range batch {
				id := mqttest.Expect[*packet.Publish](c).PacketID
				if used[id]++; id == 0 || held[id] {
					t.Fatalf("id %d is 0 or in flight", id)
				}
				if i == 7 && n < 3*batch {
					held[id] = true
					continue
				}
				acks = append(acks, 0x40, 2, byte(id>>8), byte(id))
			}
			c.Write(acks)
			synctest.Wait()
		}
		if len(used) != 65535 || len(held) != 3 {
			t.Errorf("%d ids used, %d held", len(used), len(held))
		}
	})
}

// send publishes in the server's own name.
func send(t *testing.T, s *mqttx.Server, topic string, q mqttx.QoS) {
	t.Helper()
	if err := s.Publish(context.Background(), &mqttx.Message{Topic: topic, Payload: []byte("x"), QoS: q}); err != nil {
		t.Fatal(err)
	}
}

func TestMQTT5_2_2_1_5_AcknowledgementsEchoPacketID(t *testing.T) { dialogue(t, "2.2.1-5") }
func TestMQTT5_2_2_1_6_SubackEchoesPacketID(t *testing.T)         { dialogue(t, "2.2.1-6") }

func TestMQTT5_2_2_2_1_EmptyPropertySet(t *testing.T) {
	dialogue(t, "2.2.2-1")
	badConnects(t, mqttx.MalformedPacket, cases{"CONNECT without a Property Length": `02 "c"`, "will without one": `06 00 "c" "w" "gone"`})
}
