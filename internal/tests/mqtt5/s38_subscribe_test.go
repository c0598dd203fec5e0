package mqtt5_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_8_1_1_SubscribeFlags(t *testing.T) {
	offend(t,
		offence{"0x80", `80 0001 00 "#" 00`, mqttx.MalformedPacket}, offence{"0x81", `81 0001 00 "#" 00`, mqttx.MalformedPacket},
		offence{"0x83", `83 0001 00 "#" 00`, mqttx.MalformedPacket}, offence{"0x8A", `8a 0001 00 "#" 00`, mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_8_3_1_FilterUTF8(t *testing.T) {
	offend(t,
		offence{"C3 28", `82 0001 00 0002 c328 00`, mqttx.MalformedPacket},
		offence{"a surrogate", `82 0001 00 0003 eda080 00`, mqttx.MalformedPacket},
		offence{"behind a good one", `82 0001 00 "a" 00 0002 c328 00`, mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_8_3_2_AtLeastOneFilter(t *testing.T) {
	offend(t,
		offence{"no filter", `82 0001 00`, mqttx.ProtocolError},
		offence{"a filter without options", `82 0001 00 "a"`, mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_8_3_3_NoLocal(t *testing.T) { play(t, "3.8.3-3") }

func TestMQTT5_3_8_3_4_NoLocalShared(t *testing.T) {
	offend(t,
		offence{"No Local 1", `82 0001 00 "$share/g/t" 04`, mqttx.ProtocolError},
		offence{"behind one that is allowed", `82 0001 00 "a" 04 "$share/g/t" 05`, mqttx.ProtocolError},
	)
}

func TestMQTT5_3_8_3_5_ReservedOptions(t *testing.T) {
	offend(t,
		offence{"0x40", `82 0001 00 "a" 40`, mqttx.MalformedPacket}, offence{"0x80", `82 0001 00 "a" 80`, mqttx.MalformedPacket},
		offence{"0xC1", `82 0001 00 "a" c1`, mqttx.MalformedPacket}, offence{"QoS 3", `82 0001 00 "a" 03`, mqttx.ProtocolError},
		offence{"Retain Handling 3", `82 0001 00 "a" 30`, mqttx.ProtocolError},
		offence{"the second filter", `82 0001 00 "a" 00 "b" 40`, mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_8_4_1_Answered(t *testing.T)       { play(t, "3.8.4-1") }
func TestMQTT5_3_8_4_2_SameID(t *testing.T)         { play(t, "3.8.4-2") }
func TestMQTT5_3_8_4_3_Replaces(t *testing.T)       { play(t, "3.8.4-3") }
func TestMQTT5_3_8_4_5_SeveralFilters(t *testing.T) { play(t, "3.8.4-5") }
func TestMQTT5_3_8_4_6_CodePerFilter(t *testing.T)  { play(t, "3.8.4-6") }
func TestMQTT5_3_8_4_7_GrantOrFailure(t *testing.T) { play(t, "3.8.4-7") }
func TestMQTT5_3_9_3_1_CodesInOrder(t *testing.T)   { play(t, "3.9.3-1") }

func TestMQTT5_3_8_4_4_ReplacedWithoutGap(t *testing.T) {
	play(t, "3.8.4-4")
	virtually(t, "stream", func(t *testing.T, s *mqttx.Server) {
		sub, p := enter(t, s, "sub", "t/#"), enter(t, s, "p")
		p.Send(&packet.Publish{Topic: []byte("r"), Payload: []byte("kept"), Retain: true})
		p.Nothing()
		for i := range 300 {
			if i%10 == 3 {
				sub.Send(&packet.Subscribe{PacketID: uint16(1 + i), Filters: []packet.Filter{{Filter: "t/#", QoS: 1}, {Filter: "r"}}})
			}
			p.Send(&packet.Publish{Topic: []byte("t/" + strconv.Itoa(i%3)), Payload: []byte(strconv.Itoa(i)), QoS: 1, PacketID: uint16(1 + i)})
		}
		next, kept := 0, 0
		for next < 300 || kept < 30 {
			m, ok := sub.Next().(*packet.Publish)
			switch {
			case !ok:
			case string(m.Topic) == "r":
				kept++
			case string(m.Payload) != strconv.Itoa(next):
				t.Fatalf("%s %s, want %d", m.Topic, m.Payload, next)
			default:
				next++
			}
		}
		if kept != 30 {
			t.Errorf("the retained message came %d times, want 30", kept)
		}
	})
}

func TestMQTT5_3_8_4_8_LowerQoS(t *testing.T) {
	for granted := range mqttx.QoS(3) {
		for published := range mqttx.QoS(3) {
			virtually(t, fmt.Sprintf("published %d granted %d", published, granted), func(t *testing.T, s *mqttx.Server) {
				sub, p := enter(t, s, "sub"), enter(t, s, "p")
				if code := sub.Subscribe("t", granted); code != mqttx.ReasonCode(granted) {
					t.Fatalf("SUBSCRIBE: %v", code)
				}
				p.Publish("t", "x", published)
				if m := sub.Receive(); m.QoS != min(published, granted) {
					t.Errorf("QoS %d", m.QoS)
				}
				sub.Nothing()
			})
		}
	}
}

func TestMQTT5_3_9_3_2_SubackCodes(t *testing.T) {
	play(t, "3.9.3-2")
	virtually(t, "codes of the handler", func(t *testing.T, s *mqttx.Server) {
		c := enter(t, s, "c")
		for _, code := range []mqttx.ReasonCode{0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2} {
			if got := c.Subscribe(fmt.Sprintf("code/%02x", byte(code)), 1); got != code {
				t.Errorf("%v, want %v", got, code)
			}
		}
		for _, code := range []byte{0, 1, 2, 0x11, 0x84, 0x92, 0xFF} {
			if got := c.Subscribe(fmt.Sprintf("code/%02x", code), 1); got != mqttx.UnspecifiedError {
				t.Errorf("0x%02X: %v", code, got)
			}
		}
		if st := s.Stats(); st.Subscriptions != 0 {
			t.Errorf("%d subscriptions", st.Subscriptions)
		}
		c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a"}, {Filter: "code/99"}}})
		if d := mqttest.Expect[*packet.Disconnect](c); d.Code != mqttx.PayloadFormatInvalid {
			t.Errorf("DISCONNECT with %v", d.Code)
		}
		c.Closed()
	})
}

func TestMQTT5_3_10_1_1_UnsubscribeFlags(t *testing.T) {
	offend(t,
		offence{"0xA0", `a0 0001 00 "#"`, mqttx.MalformedPacket}, offence{"0xA3", `a3 0001 00 "#"`, mqttx.MalformedPacket},
		offence{"0xAA", `aa 0001 00 "#"`, mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_10_3_1_FilterUTF8(t *testing.T) {
	offend(t,
		offence{"C3 28", `a2 0001 00 0002 c328`, mqttx.MalformedPacket},
		offence{"behind a good one", `a2 0001 00 "a" 0002 c328`, mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_10_3_2_AtLeastOneFilter(t *testing.T) {
	offend(t, offence{"no filter", `a2 0001 00`, mqttx.ProtocolError})
}

func TestMQTT5_3_10_4_1_IdenticalText(t *testing.T)   { play(t, "3.10.4-1") }
func TestMQTT5_3_10_4_2_NothingNew(t *testing.T)      { play(t, "3.10.4-2") }
func TestMQTT5_3_10_4_3_BegunIsFinished(t *testing.T) { play(t, "3.10.4-3") }
func TestMQTT5_3_10_4_4_Answered(t *testing.T)        { play(t, "3.10.4-4") }
func TestMQTT5_3_10_4_5_AnsweredAnyway(t *testing.T)  { play(t, "3.10.4-5") }
func TestMQTT5_3_10_4_6_SeveralFilters(t *testing.T)  { play(t, "3.10.4-6") }
func TestMQTT5_3_11_3_1_CodesInOrder(t *testing.T)    { play(t, "3.11.3-1") }

func TestMQTT5_3_11_3_2_UnsubackCodes(t *testing.T) {
	play(t, "3.11.3-2")
	virtually(t, "codes of the handler", func(t *testing.T, s *mqttx.Server) {
		c := enter(t, s, "c")
		listed := []mqttx.ReasonCode{0x80, 0x83, 0x87, 0x8F, 0x91}
		for _, code := range append(listed, 0, 0x11, 0x84, 0x85, 0xFF) {
			filter := fmt.Sprintf("keep/code/%02x", byte(code))
			want := code
			if !slices.Contains(listed, code) {
				want = mqttx.UnspecifiedError
			}
			c.Subscribe(filter, 0)
			if got := c.Unsubscribe(filter); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			c.Publish(filter, "x", 0)
			takes(t, c, filter+"=x")
		}
	})
}
