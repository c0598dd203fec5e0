package mqtt5_test

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_4_1_0_1_KeptWhileConnected(t *testing.T) { play(t, "4.1.0-1") }
func TestMQTT5_4_1_0_2_ThrownAway(t *testing.T)         { play(t, "4.1.0-2") }

// TestMQTT5_4_2_0_1_Transports sends each byte in a write of its own, over every transport that the server has.
func TestMQTT5_4_2_0_1_Transports(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, &mqttx.Server{Handler: mqttx.AllowAnonymous(), Logger: slog.New(slog.DiscardHandler)})
		c := n.Dial()
		for _, b := range raw(t, `10 "MQTT" 05 02 0000 00 "c"`) {
			c.Write([]byte{b})
		}
		if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.Success || p.SessionPresent {
			t.Errorf("%s", mqttest.Format(p))
		}
		if code := c.Subscribe("t", 1); code != 1 {
			t.Errorf("SUBACK %v", code)
		}
		for _, b := range raw(t, `32 "t" 0009 00 7879`) {
			c.Write([]byte{b})
		}
		if m := c.Receive(); string(m.Topic) != "t" || string(m.Payload) != "xy" {
			t.Errorf("%s", mqttest.Format(m))
		}
		if p := mqttest.Expect[*packet.Puback](c); p.PacketID != 9 || p.Code != mqttx.Success {
			t.Errorf("%s", mqttest.Format(p))
		}
		c.Disconnect(0)
	})
}

func TestMQTT5_4_3_1_1_QoS0(t *testing.T)              { play(t, "4.3.1-1") }
func TestMQTT5_4_3_2_1_UnusedID(t *testing.T)          { unusedIDs(t, 1) }
func TestMQTT5_4_3_2_2_FirstQoS1(t *testing.T)         { play(t, "4.3.2-2") }
func TestMQTT5_4_3_2_3_UntilPuback(t *testing.T)       { play(t, "4.3.2-3") }
func TestMQTT5_4_3_2_5_NewAfterPuback(t *testing.T)    { play(t, "4.3.2-5") }
func TestMQTT5_4_3_3_1_UnusedID(t *testing.T)          { unusedIDs(t, 2) }
func TestMQTT5_4_3_3_2_FirstQoS2(t *testing.T)         { play(t, "4.3.3-2") }
func TestMQTT5_4_3_3_3_UntilPubrec(t *testing.T)       { play(t, "4.3.3-3") }
func TestMQTT5_4_3_3_4_Pubrel(t *testing.T)            { play(t, "4.3.3-4") }
func TestMQTT5_4_3_3_5_UntilPubcomp(t *testing.T)      { play(t, "4.3.3-5") }
func TestMQTT5_4_3_3_6_NoPublishAgain(t *testing.T)    { play(t, "4.3.3-6") }
func TestMQTT5_4_3_3_7_SentDoesNotExpire(t *testing.T) { play(t, "4.3.3-7") }
func TestMQTT5_4_3_3_9_NewAfterRefusal(t *testing.T)   { play(t, "4.3.3-9") }
func TestMQTT5_4_3_3_10_NotTwice(t *testing.T)         { play(t, "4.3.3-10") }
func TestMQTT5_4_3_3_11_Pubcomp(t *testing.T)          { play(t, "4.3.3-11") }
func TestMQTT5_4_3_3_12_NewAfterPubcomp(t *testing.T)  { play(t, "4.3.3-12") }
func TestMQTT5_4_3_3_13_ExpiredGoesOn(t *testing.T)    { play(t, "4.3.3-13") }
func TestMQTT5_4_4_0_1_OnResumeOnly(t *testing.T)      { play(t, "4.4.0-1") }
func TestMQTT5_4_4_0_2_RefusedIsClosed(t *testing.T)   { play(t, "4.4.0-2") }

func TestMQTT5_4_3_2_4_PubackWhenOwned(t *testing.T) {
	play(t, "4.3.2-4")
	whenOwned(t, 1)
}

func TestMQTT5_4_3_3_8_PubrecWhenOwned(t *testing.T) {
	play(t, "4.3.3-8")
	whenOwned(t, 2)
}

// unusedIDs leaves up to fifty deliveries open and finishes them in another order.
func unusedIDs(t *testing.T, q mqttx.QoS) {
	t.Helper()
	virtually(t, "ids", func(t *testing.T, s *mqttx.Server) {
		c, p := enter(t, s, "c", "t"), enter(t, s, "p")
		var open []uint16
		for i := range 600 {
			p.Publish("t", "x", q)
			m := mqttest.Expect[*packet.Publish](c)
			if m.PacketID == 0 || m.QoS != q || slices.Contains(open, m.PacketID) {
				t.Fatalf("%s while %v are open", mqttest.Format(m), open)
			}
			if q == 2 {
				c.Send(&packet.Pubrec{PacketID: m.PacketID})
				mqttest.Expect[*packet.Pubrel](c)
			}
			if open = append(open, m.PacketID); len(open) < 50 {
				continue
			}
			i = i * 7 % len(open)
			if q == 1 {
				c.Send(&packet.Puback{PacketID: open[i]})
			} else {
				c.Send(&packet.Pubcomp{PacketID: open[i]})
			}
			open = slices.Delete(open, i, i+1)
		}
		c.Nothing()
	})
}

// whenOwned shows that a message for a session that outlives the server is acknowledged when the Store has it.
func whenOwned(t *testing.T, q mqttx.QoS) {
	t.Helper()
	virtually(t, "when the Store has it", func(t *testing.T, s *mqttx.Server) {
		store := new(mqttest.MemStore)
		s.Store = store
		resume(t, s, "sub").Subscribe("t", 2)
		s.Disconnect("sub", mqttx.AdministrativeAction)
		p := enter(t, s, "p")
		store.Block()
		p.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: q, PacketID: 5})
		p.Nothing()
		store.Unblock()
		switch a := p.Next().(type) {
		case *packet.Puback:
			if q != 1 || a.PacketID != 5 || a.Code != mqttx.Success {
				t.Errorf("%s", mqttest.Format(a))
			}
		case *packet.Pubrec:
			if q != 2 || a.PacketID != 5 || a.Code != mqttx.Success {
				t.Errorf("%s", mqttest.Format(a))
			}
		default:
			t.Errorf("%s", mqttest.Format(a))
		}
		takes(t, resume(t, s, "sub"), "t=x")
	})
}
