package mqtt5_test

import (
	"fmt"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_3_1_1_ResentWithDUP(t *testing.T) { dialogue(t, "3.3.1-1") }

func TestMQTT5_3_3_1_2_NoDUPAtQoS0(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{"DUP": `38 "t" 00 'x'`, "DUP and RETAIN": `39 "t" 00 'x'`})
	dialogue(t, "3.3.1-2")
}

func TestMQTT5_3_3_1_3_DUPIsNotPassedOn(t *testing.T) { dialogue(t, "3.3.1-3") }

func TestMQTT5_3_3_1_4_QoS3(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{"36": `36 "t" 0001 00 'x'`, "37": `37 "t" 0001 00 'x'`, "3e": `3e "t" 0001 00 'x'`, "3f": `3f "t" 0001 00 'x'`})
}

func TestMQTT5_3_3_1_5_RetainReplaces(t *testing.T)        { dialogue(t, "3.3.1-5") }
func TestMQTT5_3_3_1_6_EmptyClearsRetained(t *testing.T)   { dialogue(t, "3.3.1-6") }
func TestMQTT5_3_3_1_8_Retain0LeavesRetained(t *testing.T) { dialogue(t, "3.3.1-8") }
func TestMQTT5_3_3_1_9_RetainHandling0(t *testing.T)       { dialogue(t, "3.3.1-9") }
func TestMQTT5_3_3_1_10_RetainHandling1(t *testing.T)      { dialogue(t, "3.3.1-10") }
func TestMQTT5_3_3_1_11_RetainHandling2(t *testing.T)      { dialogue(t, "3.3.1-11") }
func TestMQTT5_3_3_1_12_NotRetainAsPublished(t *testing.T) { dialogue(t, "3.3.1-12") }
func TestMQTT5_3_3_1_13_RetainAsPublished(t *testing.T)    { dialogue(t, "3.3.1-13") }
func TestMQTT5_3_3_1_7_EmptyIsNotRetained(t *testing.T) {
	dialogue(t, "3.3.1-7")
	virtual(t, "count", func(t *testing.T) {
		s := ruledServer(t)
		c := mqttest.Connect(t, s, nil)
		for _, p := range []struct {
			topic, payload string
			want           int64
		}{{"a", "x", 1}, {"b", "", 1}, {"a", "", 0}, {"a", "", 0}, {"b", "x", 1}} {
			c.Send(&packet.Publish{Topic: []byte(p.topic), Payload: []byte(p.payload), QoS: 1, PacketID: c.NewID(), Retain: true})
			mqttest.Expect[*packet.Puback](c)
			if n := s.Stats().Retained; n != p.want {
				t.Errorf("%s=%q: %d retained, want %d", p.topic, p.payload, n, p.want)
			}
		}
	})
}

func TestMQTT5_3_3_2_1_TopicFirst(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{
		"C3 28": `30 0002c328 00`, "no topic": `30`, "half a topic": `30 0004 74`, "at QoS 1": `32 0002c328 0001 00`,
	})
	dialogue(t, "3.3.2-1")
}

func TestMQTT5_3_3_2_2_NoWildcardInTopic(t *testing.T) {
	violations(t, mqttx.TopicNameInvalid, cases{
		"a/+": `30 "a/+" 00 'x'`, "a/#": `30 "a/#" 00 'x'`, "+": `31 "+" 00 'x'`, "in a level": `32 "a+b" 0001 00 'x'`, "QoS 2": `34 "#" 0001 00 'x'`,
		"with an alias": `30 "a/+" 03 230001 'x'`,
	})
}

func TestMQTT5_3_3_2_3_TopicMatchesFilter(t *testing.T)   { dialogue(t, "3.3.2-3") }
func TestMQTT5_3_3_2_4_PayloadFormat(t *testing.T)        { dialogue(t, "3.3.2-4") }
func TestMQTT5_3_3_2_5_Expired(t *testing.T)              { dialogue(t, "3.3.2-5") }
func TestMQTT5_3_3_2_6_ExpiryLessWaiting(t *testing.T)    { dialogue(t, "3.3.2-6") }
func TestMQTT5_3_3_2_7_AliasesEndWithTheirs(t *testing.T) { dialogue(t, "3.3.2-7") }

func TestMQTT5_3_3_2_8_AliasZero(t *testing.T) {
	violations(t, mqttx.TopicAliasInvalid, cases{"with a topic": `30 "t" 03 230000 'x'`, "without": `30 "" 03 230000 'x'`})
	virtual(t, "deliveries", func(t *testing.T) {
		// An alias of 0 would be parsed as an error by the client, and an absent one needs the topic.
		serverAliases(t, 1, 3)
	})
}

func TestMQTT5_3_3_2_9_AliasOverMaximum(t *testing.T) {
	violations(t, mqttx.TopicAliasInvalid, cases{"101 of 100": `30 "t" 03 230065 'x'`, "65535": `30 "t" 03 23ffff 'x'`, "without a topic": `30 "" 03 230065 'x'`})
}

func TestMQTT5_3_3_2_11_AliasesWithinClientsMaximum(t *testing.T) {
	virtual(t, "3 for 10 topics", func(t *testing.T) { serverAliases(t, 3, 10) })
}

func TestMQTT5_3_3_2_12_AllAliasesTaken(t *testing.T) {
	virtual(t, "1 to 100", func(t *testing.T) {
		s := ruledServer(t)
		w := watcher(t, s)
		c := mqttest.Connect(t, s, &packet.Connect{CleanStart: true})
		n := *c.Connack.TopicAliasMaximum
		if n == 0 {
			t.Fatal("no aliases")
		}
		for _, round := range []string{"first", "second"} {
			for a := n; a > 0; a-- {
				p := &packet.Publish{Payload: []byte(round), TopicAlias: a}
				if round == "first" {
					p.Topic = fmt.Appendf(nil, "t/%d", a)
				}
				c.Send(p)
			}
			for a := n; a > 0; a-- {
				if m := w.Receive(); string(m.Topic) != fmt.Sprint("t/", a) || string(m.Payload) != round {
					t.Errorf("alias %d, %s: %s", a, round, mqttest.Format(m))
				}
			}
		}
		// A topic takes an alias over.
		c.Send(&packet.Publish{Topic: []byte("other"), TopicAlias: n})
		c.Send(&packet.Publish{TopicAlias: n})
		for range 2 {
			if m := w.Receive(); string(m.Topic) != "other" {
				t.Error(mqttest.Format(m))
			}
		}
	})
}

func TestMQTT5_3_3_2_13_ResponseTopicText(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{"C3 28": `30 "t" 05 08 0002c328 'x'`, "00": `30 "t" 04 08 000100 'x'`})
}

func TestMQTT5_3_3_2_14_NoWildcardInResponseTopic(t *testing.T) {
	violations(t, mqttx.ProtocolError, cases{"r/#": `30 "t" 06 08 "r/#" 'x'`, "+": `32 "t" 0001 04 08 "+" 'x'`})
}

func TestMQTT5_3_3_2_15_ResponseTopic(t *testing.T)         { dialogue(t, "3.3.2-15") }
func TestMQTT5_3_3_2_16_CorrelationData(t *testing.T)       { dialogue(t, "3.3.2-16") }
func TestMQTT5_3_3_2_17_UserProperties(t *testing.T)        { dialogue(t, "3.3.2-17") }
func TestMQTT5_3_3_2_18_UserPropertiesInOrder(t *testing.T) { dialogue(t, "3.3.2-18") }

func TestMQTT5_3_3_2_19_ContentTypeText(t *testing.T) {
	violations(t, mqttx.MalformedPacket, cases{"C3 28": `30 "t" 05 03 0002c328 'x'`, "00": `30 "t" 04 03 000100 'x'`})
}

func TestMQTT5_3_3_2_20_ContentType(t *testing.T) { dialogue(t, "3.3.2-20") }
