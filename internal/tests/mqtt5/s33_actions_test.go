package mqtt5_test

import (
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/google/go-cmp/cmp"
)

func TestMQTT5_3_3_4_1_AnswerFollowsQoS(t *testing.T)        { dialogue(t, "3.3.4-1") }
func TestMQTT5_3_3_4_2_HighestMatchingQoS(t *testing.T)      { dialogue(t, "3.3.4-2") }
func TestMQTT5_3_3_4_3_SubscriptionIdentifiers(t *testing.T) { dialogue(t, "3.3.4-3") }
func TestMQTT5_3_3_4_4_AllInOneCopy(t *testing.T)            { dialogue(t, "3.3.4-4") }

// TestMQTT5_3_3_4_5_SeparateCopies: subscriptions that are not shared get one copy together, so the statement binds where
// there are several copies after all, those of shared subscriptions.
func TestMQTT5_3_3_4_5_SeparateCopies(t *testing.T) {
	virtual(t, "two groups and one alone", func(t *testing.T) {
		s := ruledServer(t)
		c := mqttest.Connect(t, s, nil)
		want := make(map[uint32]int)
		for i, filter := range []string{"$share/g/t", "$share/h/t", "$share/g/#", "t/#"} {
			id := uint32(i + 1)
			c.Send(&packet.Subscribe{PacketID: c.NewID(), SubscriptionID: id, Filters: []packet.Filter{{Filter: filter}}})
			mqttest.Expect[*packet.Suback](c)
			want[id] = 1
		}
		send(t, s, "t", 0)
		got := make(map[uint32]int)
		for range want {
			m := c.Receive()
			if len(m.SubscriptionIDs) != 1 {
				t.Fatal(mqttest.Format(m))
			}
			got[m.SubscriptionIDs[0]]++
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		c.Nothing()
	})
}

func TestMQTT5_3_3_4_6_SubscriptionIdentifierFromClient(t *testing.T) {
	violations(t, mqttx.ProtocolError, cases{
		"QoS 0": `30 "t" 02 0b01 'x'`, "QoS 1": `32 "t" 0001 02 0b01 'x'`, "QoS 2": `34 "t" 0001 02 0b01 'x'`, "two": `30 "t" 04 0b01 0b02 'x'`,
	})
}

func TestMQTT5_3_3_4_7_ReceiveMaximumExceeded(t *testing.T) { dialogue(t, "3.3.4-7") }
func TestMQTT5_3_3_4_8_OtherPacketsAtTheLimit(t *testing.T) { dialogue(t, "3.3.4-8") }
func TestMQTT5_3_3_4_9_ClientsReceiveMaximum(t *testing.T)  { dialogue(t, "3.3.4-9") }
func TestMQTT5_3_3_4_10_ServerAtTheLimit(t *testing.T)      { dialogue(t, "3.3.4-10") }
