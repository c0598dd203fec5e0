package mqtt5_test

import (
	"context"
	"strings"
	"testing"

	"github.com/e8743928/mqttx"
)

func TestMQTT5_4_7_0_1_NoWildcardInName(t *testing.T) {
	play(t, "4.7.0-1")
	offend(t,
		offence{"hash", `30 "a/#" 00`, mqttx.TopicNameInvalid}, offence{"plus", `30 "a/+" 00`, mqttx.TopicNameInvalid},
		offence{"hash within a level", `32 "a#b" 0001 00`, mqttx.TopicNameInvalid}, offence{"plus alone", `34 "+" 0001 00`, mqttx.TopicNameInvalid},
		offence{"with a Topic Alias", `30 "a/#" 03 230001`, mqttx.TopicNameInvalid},
	)
	virtually(t, "in the program's own name", func(t *testing.T, s *mqttx.Server) {
		other := enter(t, s, "other", "#")
		for _, topic := range []string{"a/#", "+", "a+b"} {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: topic}); err == nil {
				t.Errorf("%s was published", topic)
			}
		}
		other.Nothing()
	})
}

func TestMQTT5_4_7_1_1_Hash(t *testing.T) { play(t, "4.7.1-1") }
func TestMQTT5_4_7_1_2_Plus(t *testing.T) { play(t, "4.7.1-2") }

func TestMQTT5_4_7_2_1_Dollar(t *testing.T) {
	play(t, "4.7.2-1")
	virtually(t, "$SYS", func(t *testing.T, s *mqttx.Server) {
		wild := enter(t, s, "wild", "#", "+/x", "+/#")
		named := enter(t, s, "named", "$SYS/#")
		plus := enter(t, s, "plus", "$SYS/+")
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "$SYS/x", Payload: []byte("1"), Retain: true}); err != nil {
			t.Fatal(err)
		}
		takes(t, named, "$SYS/x=1")
		takes(t, plus, "$SYS/x=1")
		wild.Nothing()
		takes(t, enter(t, s, "later", "#", "+/x"))
		takes(t, enter(t, s, "later", "$SYS/#"), "$SYS/x=1")
	})
}

func TestMQTT5_4_7_3_1_NotEmpty(t *testing.T) {
	play(t, "4.7.3-1")
	offend(t,
		offence{"no topic and no alias", `30 "" 00`, mqttx.ProtocolError}, offence{"QoS 1", `32 "" 0001 00`, mqttx.ProtocolError},
		offence{"an alias that stands for nothing", `30 "" 03 230001`, mqttx.ProtocolError},
	)
}

func TestMQTT5_4_7_3_2_NoNull(t *testing.T) {
	offend(t,
		offence{"PUBLISH", "30 0003 610062 00", mqttx.MalformedPacket}, offence{"SUBSCRIBE", "82 0001 00 0003 610062 00", mqttx.MalformedPacket},
		offence{"SUBSCRIBE of nothing else", "82 0001 00 0001 00 00", mqttx.MalformedPacket},
		offence{"UNSUBSCRIBE", "a2 0001 00 0003 610062", mqttx.MalformedPacket},
	)
	virtually(t, "in the program's own name", func(t *testing.T, s *mqttx.Server) {
		other := enter(t, s, "other", "#")
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "a\x00b"}); err == nil {
			t.Error("it was published")
		}
		if _, err := s.Subscribe(t.Context(), "a\x00b"); err == nil {
			t.Error("it was subscribed")
		}
		other.Nothing()
	})
}

func TestMQTT5_4_7_3_3_Longest(t *testing.T) {
	play(t, "4.7.3-3")
	virtually(t, "longer ones are not written", func(t *testing.T, s *mqttx.Server) {
		long := strings.Repeat("é", 1<<15) // 65,536 bytes
		s.Handler = mqttx.Chain(mqttx.AllowAnonymous(), mqttx.Callbacks[*mqttx.Conn]{
			Publish: func(_ context.Context, _ *mqttx.Conn, m *mqttx.Message) error { m.Topic = long; return nil },
			Deliver: func(_ *mqttx.Conn, m *mqttx.Message) *mqttx.Message {
				if m.Topic != "own" {
					return m
				}
				n := *m
				n.Topic = long
				return &n
			},
		})
		other := enter(t, s, "other", "#")
		p := enter(t, s, "p")
		if code := p.Publish("t", "x", 1); code != mqttx.TopicNameInvalid {
			t.Errorf("PUBACK %v", code)
		}
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: long}); err == nil {
			t.Error("it was published")
		}
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: long[2:]}); err != nil {
			t.Error(err)
		}
		if m := other.Receive(); string(m.Topic) != long[2:] {
			t.Errorf("a topic of %d bytes", len(m.Topic))
		}
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "own"}); err != nil {
			t.Error(err)
		}
		other.Nothing()
	})
}

func TestMQTT5_4_7_3_4_NotNormalised(t *testing.T) { play(t, "4.7.3-4") }
