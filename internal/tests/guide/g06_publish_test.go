package guide_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1Judge has a Publish that counts its calls and answers with what is last on the topic's path: a code, "ok" or "bye".
func g1Judge(ran *atomic.Int32) mqttx.Handler {
	return mqttx.Callbacks[struct{}]{
		Publish: func(_ context.Context, _ struct{}, m *mqttx.Message) error {
			ran.Add(1)
			switch m.Topic {
			case "t/87":
				return mqttx.NotAuthorized
			case "t/90":
				return mqttx.TopicNameInvalid
			case "t/97":
				return mqttx.QuotaExceeded
			case "t/99":
				return mqttx.PayloadFormatInvalid
			case "t/text":
				return &mqttx.Error{Code: mqttx.NotAuthorized, Text: "not yours", User: []mqttx.UserProperty{{Name: "k", Value: "v"}}}
			case "t/plain":
				return errors.New("no code")
			case "t/bye":
				return mqttx.Disconnect(mqttx.AdministrativeAction)
			}
			return nil
		},
	}
}

// An accepted message is routed and acknowledged: 0x00, or in MQTT 5.0 0x10 if nobody has subscribed.
func TestGuide_G6_Accepted(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		var ran atomic.Int32
		n := on.Start(t, g1Quiet(g1Judge(&ran)))
		sub := n.Connect(g1Connect("sub", mqttx.V5))
		sub.Subscribe("t/#", 2)
		c := n.Connect(g1Connect("c", v))
		for q := mqttx.QoS(1); q <= 2; q++ {
			g1Code(t, "matched", c.Publish("t/ok", "x", q), mqttx.Success)
			g1Got(t, sub.Receive(), "t/ok", "x", q, false)
			g1Code(t, "nobody", c.Publish("u", "x", q), g1Wire(v, mqttx.NoMatchingSubscribers, 0))
		}
		c.Publish("t/ok", "x", 0)
		c.Nothing()
		g1Got(t, sub.Receive(), "t/ok", "x", 0, false)
		sub.Nothing()
		if got := ran.Load(); got != 5 {
			t.Errorf("Publish ran %d times, want 5", got)
		}
	})
}

// A refused message is not routed; its code is in the acknowledgement of MQTT 5.0, and its id is free again.
func TestGuide_G6_RefusedV5(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		var ran atomic.Int32
		n := on.Start(t, g1Quiet(g1Judge(&ran)))
		sub := n.Connect(g1Connect("sub", mqttx.V5))
		sub.Subscribe("t/#", 2)
		c := n.Connect(g1Connect("c", mqttx.V5))
		for _, x := range []struct {
			topic string
			code  mqttx.ReasonCode
		}{
			{"t/87", 0x87},
			{"t/90", 0x90},
			{"t/97", 0x97},
			{"t/99", 0x99},
			{"t/plain", 0x80},
		} {
			for q := mqttx.QoS(1); q <= 2; q++ {
				p := &packet.Publish{Topic: []byte(x.topic), QoS: q, PacketID: 7}
				g1Code(t, x.topic, g1Send(t, c, p), x.code)
			}
			c.Publish(x.topic, "x", 0)
		}
		if got := ran.Load(); got < 14 {
			t.Errorf("Publish ran %d times", got)
		}
		p := &packet.Publish{Topic: []byte("t/ok"), Payload: []byte("x"), QoS: 2, PacketID: 7}
		g1Code(t, "id 7, free again", g1Send(t, c, p), mqttx.Success)
		c.Send(&packet.Pubrel{PacketID: 7})
		g1Code(t, "PUBCOMP", mqttest.Expect[*packet.Pubcomp](c).Code, mqttx.Success)
		g1Got(t, sub.Receive(), "t/ok", "x", 2, false)
		sub.Nothing()
		c.Send(&packet.Publish{Topic: []byte("t/text"), QoS: 1, PacketID: 8})
		ack := mqttest.Expect[*packet.Puback](c)
		if ack.Code != 0x87 || ack.ReasonString != "not yours" || len(ack.User) != 1 || ack.User[0].Value != "v" {
			t.Errorf("PUBACK %v %q %v", ack.Code, ack.ReasonString, ack.User)
		}
		c.Nothing()
		sub.Nothing()
	})
}

// In MQTT 3.1 and 3.1.1 three refusals are acknowledged, as the standard wants it, and the message is dropped.
func TestGuide_G6_AcknowledgedV3(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
			var ran atomic.Int32
			n := on.Start(t, g1Quiet(g1Judge(&ran)))
			sub := n.Connect(g1Connect("sub", mqttx.V5))
			sub.Subscribe("t/#", 2)
			c := n.Connect(g1Connect("c", v))
			for _, topic := range []string{"t/87", "t/90", "t/99", "t/text"} {
				for q := range mqttx.QoS(3) {
					g1Code(t, topic, c.Publish(topic, "x", q), mqttx.Success)
				}
			}
			c.Nothing()
			sub.Nothing()
			if got := ran.Load(); got != 12 {
				t.Errorf("Publish ran %d times, want 12", got)
			}
		}
	})
}

// Any other refusal closes without an acknowledgement.
func TestGuide_G6_ClosedV3(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
			var ran atomic.Int32
			n := on.Start(t, g1Quiet(g1Judge(&ran)))
			sub := n.Connect(g1Connect("sub", mqttx.V5))
			sub.Subscribe("t/#", 2)
			for _, topic := range []string{"t/97", "t/plain", "t/bye"} {
				for q := mqttx.QoS(1); q <= 2; q++ {
					c := n.Connect(g1Connect("c", v))
					c.Send(&packet.Publish{Topic: []byte(topic), QoS: q, PacketID: 7})
					c.Closed()
				}
			}
			sub.Nothing()
		}
	})
}

// A Disconnect error ends the connection.
func TestGuide_G6_Disconnect(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		var ran atomic.Int32
		n := on.Start(t, g1Quiet(g1Judge(&ran)))
		sub := n.Connect(g1Connect("sub", mqttx.V5))
		sub.Subscribe("t/#", 2)
		for q := range mqttx.QoS(3) {
			c := n.Connect(g1Connect("c", mqttx.V5))
			p := &packet.Publish{Topic: []byte("t/bye"), QoS: q}
			if q > 0 {
				p.PacketID = 7
			}
			c.Send(p)
			g1Bye(t, c, mqttx.AdministrativeAction)
		}
		sub.Nothing()
	})
}

// A QoS 2 message is judged and routed when it arrives, and once.
func TestGuide_G6_Once(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		var ran atomic.Int32
		n := on.Start(t, g1Quiet(g1Judge(&ran)))
		sub := n.Connect(g1Connect("sub", mqttx.V5))
		sub.Subscribe("t/#", 2)
		c := n.Connect(g1Connect("c", v))
		p := &packet.Publish{Topic: []byte("t/ok"), Payload: []byte("x"), QoS: 2, PacketID: 9}
		g1Code(t, "PUBREC", g1Send(t, c, p), mqttx.Success)
		g1Got(t, sub.Receive(), "t/ok", "x", 2, false) // before PUBREL
		p.Dup = true
		g1Code(t, "PUBREC", g1Send(t, c, p), mqttx.Success)
		c.Send(&packet.Pubrel{PacketID: 9})
		g1Code(t, "PUBCOMP", mqttest.Expect[*packet.Pubcomp](c).Code, mqttx.Success)
		sub.Nothing()
		if got := ran.Load(); got != 1 {
			t.Errorf("Publish ran %d times, want once", got)
		}
	})
}

// The topic reaches callback and subscriber exactly as it was sent.
func TestGuide_G7_Topic(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		seen := make(chan string, 1)
		n := on.Start(t, g1Quiet(mqttx.Callbacks[struct{}]{
			Publish: func(_ context.Context, _ struct{}, m *mqttx.Message) error { seen <- m.Topic; return nil },
		}))
		c := n.Connect(g1Connect("c", v))
		c.Subscribe("#", 1)
		for _, topic := range []string{"s//t/", "/", "//", "/a", "a/", "S//T/", " a / b "} {
			c.Publish(topic, "x", 1)
			if got := g1Await(t, "Publish", seen); got != topic {
				t.Errorf("Publish saw %q, want %q", got, topic)
			}
			g1Got(t, c.Receive(), topic, "x", 1, false)
			c.Nothing()
		}
	})
}
