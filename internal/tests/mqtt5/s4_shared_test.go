package mqtt5_test

import (
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_4_8_2_1_ShareName(t *testing.T)        { play(t, "4.8.2-1") }
func TestMQTT5_4_8_2_2_SharedFilter(t *testing.T)     { play(t, "4.8.2-2") }
func TestMQTT5_4_8_2_4_FinishedOnReturn(t *testing.T) { play(t, "4.8.2-4") }
func TestMQTT5_4_8_2_5_NobodyElse(t *testing.T)       { play(t, "4.8.2-5") }
func TestMQTT5_4_8_2_6_RefusedForAll(t *testing.T)    { play(t, "4.8.2-6") }

func TestMQTT5_4_8_2_3_GrantedQoS(t *testing.T) {
	virtually(t, "QoS 0, 1 and 2", func(t *testing.T, s *mqttx.Server) {
		var members []*mqttest.Client
		for q, id := range []string{"zero", "one", "two"} {
			c := enter(t, s, id)
			if code := c.Subscribe("$share/g/t", mqttx.QoS(q)); code != mqttx.ReasonCode(q) {
				t.Fatalf("SUBSCRIBE: %v", code)
			}
			members = append(members, c)
		}
		p := enter(t, s, "p")
		sum := 0
		for range 30 {
			p.Publish("t", "x", 2)
		}
		for q, c := range members {
			before := sum
			c.Send(&packet.Pingreq{})
			for {
				m, ok := c.Next().(*packet.Publish)
				if !ok {
					break
				}
				if sum++; m.QoS != mqttx.QoS(q) {
					t.Errorf("QoS %d for the member with %d", m.QoS, q)
				}
			}
			if sum == before {
				t.Errorf("the member with QoS %d got nothing", q)
			}
		}
		if sum != 30 {
			t.Errorf("%d deliveries", sum)
		}
	})
}
