package mqtt5_test

import (
	"encoding/binary"
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

func TestMQTT5_4_9_0_1_InitialQuota(t *testing.T) {
	play(t, "4.9.0-1")
	virtually(t, "absent", func(t *testing.T, s *mqttx.Server) {
		c, p := enter(t, s, "c", "t"), enter(t, s, "p")
		const all = 65_535 + 100
		b := raw(t, `32 "t" 0001 00`)
		var batch []byte
		for i := range all {
			binary.BigEndian.PutUint16(b[5:], uint16(i%1000+1))
			if batch = append(batch, b...); (i+1)%1000 == 0 || i == all-1 {
				p.Write(batch)
				batch = batch[:0]
			}
		}
		seen := make([]bool, 1<<16)
		for range 65_535 {
			m := mqttest.Expect[*packet.Publish](c)
			if seen[m.PacketID] || m.PacketID == 0 {
				t.Fatalf("id %d again", m.PacketID)
			}
			seen[m.PacketID] = true
		}
		c.Nothing()
		c.Send(&packet.Puback{PacketID: 77})
		if m := mqttest.Expect[*packet.Publish](c); m.PacketID != 77 {
			t.Errorf("id %d, all but 77 are open", m.PacketID)
		}
		c.Nothing()
	})
}

func TestMQTT5_4_9_0_2_OneQuotaEach(t *testing.T)   { play(t, "4.9.0-2") }
func TestMQTT5_4_9_0_3_OthersGoOn(t *testing.T)     { play(t, "4.9.0-3") }
func TestMQTT5_4_12_0_1_UnknownMethod(t *testing.T) { play(t, "4.12.0-1") }
func TestMQTT5_4_12_0_2_MoreData(t *testing.T)      { play(t, "4.12.0-2") }
func TestMQTT5_4_12_0_3_OnlyContinue(t *testing.T)  { play(t, "4.12.0-3") }
func TestMQTT5_4_12_0_4_Refused(t *testing.T)       { play(t, "4.12.0-4") }
func TestMQTT5_4_12_0_5_SameMethod(t *testing.T)    { play(t, "4.12.0-5") }
func TestMQTT5_4_12_0_6_NoMethod(t *testing.T)      { play(t, "4.12.0-6") }

func TestMQTT5_4_12_0_7_NoAuth(t *testing.T) {
	play(t, "4.12.0-7")
	offend(t,
		offence{"Re-authenticate", `f0 19 06 15 0003 74776f`, mqttx.ProtocolError}, offence{"Continue", `f0 18 06 15 0003 74776f`, mqttx.ProtocolError},
		offence{"without a method", `f0 19 00`, mqttx.ProtocolError}, offence{"bare", `f0`, mqttx.ProtocolError},
	)
}

func TestMQTT5_4_12_1_1_MethodStays(t *testing.T) { play(t, "4.12.1-1") }
func TestMQTT5_4_12_1_2_FailedAgain(t *testing.T) { play(t, "4.12.1-2") }
