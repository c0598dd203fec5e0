package mqtt5_test

import (
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_1_2_4_CleanStart(t *testing.T)             { dialogue(t, "3.1.2-4") }
func TestMQTT5_3_1_2_5_SessionContinues(t *testing.T)       { dialogue(t, "3.1.2-5") }
func TestMQTT5_3_1_2_6_FreshSession(t *testing.T)           { dialogue(t, "3.1.2-6") }
func TestMQTT5_3_1_2_7_WillKept(t *testing.T)               { dialogue(t, "3.1.2-7") }
func TestMQTT5_3_1_2_8_WillPublished(t *testing.T)          { dialogue(t, "3.1.2-8") }
func TestMQTT5_3_1_2_10_WillForgotten(t *testing.T)         { dialogue(t, "3.1.2-10") }
func TestMQTT5_3_1_2_14_WillNotRetained(t *testing.T)       { dialogue(t, "3.1.2-14") }
func TestMQTT5_3_1_2_15_WillRetained(t *testing.T)          { dialogue(t, "3.1.2-15") }
func TestMQTT5_3_1_2_23_SessionExpiry(t *testing.T)         { dialogue(t, "3.1.2-23") }
func TestMQTT5_3_1_2_24_MaximumPacketSize(t *testing.T)     { dialogue(t, "3.1.2-24") }
func TestMQTT5_3_1_2_25_TooLargeIsDelivered(t *testing.T)   { dialogue(t, "3.1.2-25") }
func TestMQTT5_3_1_2_27_NoAliases(t *testing.T)             { dialogue(t, "3.1.2-27") }
func TestMQTT5_3_1_2_28_ResponseInformation(t *testing.T)   { dialogue(t, "3.1.2-28") }
func TestMQTT5_3_1_2_29_ProblemInformation(t *testing.T)    { dialogue(t, "3.1.2-29") }
func TestMQTT5_3_1_2_30_ExchangeBeforeConnack(t *testing.T) { dialogue(t, "3.1.2-30") }
func TestMQTT5_3_1_3_9_WillCancelled(t *testing.T)          { dialogue(t, "3.1.3-9") }
func TestMQTT5_3_1_3_10_WillUserProperties(t *testing.T)    { dialogue(t, "3.1.3-10") }

func TestMQTT5_3_1_2_26_AliasesWithinMaximum(t *testing.T) {
	virtual(t, "2 for 5 topics", func(t *testing.T) { serverAliases(t, 2, 5) })
}

// serverAliases publishes on more topics than a client's Topic Alias Maximum, three times over, and resolves the aliases.
func serverAliases(t *testing.T, maximum uint16, topics int) {
	t.Helper()
	s := ruledServer(t)
	c := mqttest.Connect(t, s, &packet.Connect{CleanStart: true, TopicAliasMaximum: maximum})
	c.Subscribe("t/#", 0)
	names := make(map[uint16]string)
	short := 0
	for range 3 {
		for i := range topics {
			want := "t/" + string(rune('a'+i))
			send(t, s, want, mqttx.QoS(0))
			p := mqttest.Expect[*packet.Publish](c)
			got := string(p.Topic)
			switch {
			case p.TopicAlias > maximum:
				t.Errorf("alias %d", p.TopicAlias)
			case p.TopicAlias == 0 && got == "":
				t.Error("neither topic nor alias")
			case got == "":
				got = names[p.TopicAlias]
				short++
			case p.TopicAlias > 0:
				names[p.TopicAlias] = got
			}
			if got != want {
				t.Errorf("%s came as %s", want, mqttest.Format(p))
			}
		}
	}
	if len(names) == 0 || short == 0 {
		t.Errorf("aliases %v, used %d times", names, short)
	}
	c.Nothing()
}
