package guide_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g36Topics takes n retained messages, in no order, and gives what came as "topic payload QoS".
func g36Topics(t *testing.T, c *mqttest.Client, n int) (got []string) {
	t.Helper()
	for range n {
		p := c.Receive()
		if !p.Retain || p.Dup {
			t.Errorf("%s: RETAIN %v, DUP %v", p.Topic, p.Retain, p.Dup)
		}
		got = append(got, fmt.Sprintf("%s %s %d", p.Topic, p.Payload, p.QoS))
	}
	slices.Sort(got)
	return got
}

// A new subscriber gets what is retained, behind SUBACK, at the lower QoS, and each message once.
func TestGuide_G36_Replayed(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		n := on.Start(t, g1Quiet(nil))
		pub := n.Connect(g1Connect("pub", v))
		g35Retain(t, pub, "a/1", "one", 2)
		g35Retain(t, pub, "a/2", "two", 0)
		g35Retain(t, pub, "a/1/x", "deeper", 1)
		g35Retain(t, pub, "b/1", "elsewhere", 1)
		c := n.Connect(g1Connect("c", v))
		c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a/+", QoS: 1}}})
		g1Codes(t, "SUBACK", mqttest.Expect[*packet.Suback](c).Codes, 1)
		if got, want := g36Topics(t, c, 2), []string{"a/1 one 1", "a/2 two 0"}; !slices.Equal(got, want) {
			t.Errorf("retained %q, want %q", got, want)
		}
		c.Nothing()
		c.Subscribe("a/#", 2)
		if got, want := g36Topics(t, c, 3), []string{"a/1 one 2", "a/1/x deeper 1", "a/2 two 0"}; !slices.Equal(got, want) {
			t.Errorf("retained %q, want %q", got, want)
		}
		pub.Publish("a/1", "live", 1)
		g1Got(t, c.Receive(), "a/1", "live", 1, false)
		c.Nothing()
	})
}

// A live message has RETAIN 0 for those who had subscribed before, unless they asked for it as published.
func TestGuide_G36_LiveFlag(t *testing.T) {
	g1Bubble(t, "v5", func(t *testing.T) {
		s := mqttest.NewServer(t, nil)
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("t", 1)
		as := mqttest.Connect(t, s, nil)
		g1Subscribe(as, &packet.Subscribe{Filters: []packet.Filter{{Filter: "t", QoS: 1, RetainAsPublished: true}}})
		pub := mqttest.Connect(t, s, nil)
		g35Retain(t, pub, "t", "x", 1)
		g1Got(t, c.Receive(), "t", "x", 1, false)
		g1Got(t, as.Receive(), "t", "x", 1, true)
	})
}

// The time that is left is told, and what has expired is not sent and not kept.
func TestGuide_G36_Expiry(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		pub := mqttest.Connect(t, s, nil)
		pub.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true, MessageExpiryInterval: 10, HasMessageExpiry: true})
		mqttest.Expect[*packet.Puback](pub)
		mqttest.Advance(4 * time.Second)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		c.Subscribe("t", 1)
		p := c.Receive()
		g1Got(t, p, "t", "x", 1, true)
		if v == mqttx.V5 && (!p.HasMessageExpiry || p.MessageExpiryInterval != 6) {
			t.Errorf("Message Expiry Interval %d (%v), want 6", p.MessageExpiryInterval, p.HasMessageExpiry)
		}
		mqttest.Advance(6*time.Second - time.Millisecond)
		g35Kept(t, s, "t")
		mqttest.Advance(time.Millisecond)
		g35Kept(t, s)
		c.Subscribe("t", 1)
		c.Nothing()
	})
}

// A message that expires while it waits for the window is not sent any more.
func TestGuide_G36_ExpiryInTheQueue(t *testing.T) {
	g1Bubble(t, "v5", func(t *testing.T) {
		s := mqttest.NewServer(t, nil)
		now := time.Now()
		for _, topic := range []string{"a", "b"} {
			m := &mqttx.Message{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: true, Expires: now.Add(10 * time.Second)}
			if err := s.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		p := g1Connect("c", mqttx.V5)
		p.ReceiveMaximum = 1
		c := mqttest.Connect(t, s, p)
		c.Subscribe("#", 1)
		first := mqttest.Expect[*packet.Publish](c)
		c.Nothing()
		mqttest.Advance(10 * time.Second)
		c.Send(&packet.Puback{PacketID: first.PacketID})
		c.Nothing()
	})
}

// A shared subscription gets nothing that is retained.
func TestGuide_G36_Shared(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		g35Retain(t, c, "a/1", "x", 1)
		g1Code(t, "SUBACK", c.Subscribe("$share/g/a/+", 1), 1)
		c.Nothing()
		c.Subscribe("a/+", 1)
		g36Topics(t, c, 1)
		c.Nothing()
	})
}

// Retained messages go through the client's window like any others, and behind SUBACK.
func TestGuide_G36_Window(t *testing.T) {
	for q := mqttx.QoS(1); q <= 2; q++ {
		g1Bubble(t, fmt.Sprint("QoS ", q), func(t *testing.T) {
			s := mqttest.NewServer(t, nil)
			pub := mqttest.Connect(t, s, nil)
			for i := range 3 {
				g35Retain(t, pub, fmt.Sprint("a/", i), "x", q)
			}
			p := g1Connect("c", mqttx.V5)
			p.ReceiveMaximum = 1
			c := mqttest.Connect(t, s, p)
			c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a/+", QoS: q}}})
			mqttest.Expect[*packet.Suback](c)
			seen := map[string]bool{}
			for range 3 {
				m := mqttest.Expect[*packet.Publish](c)
				seen[string(m.Topic)] = true
				c.Nothing()
				if q == 1 {
					c.Send(&packet.Puback{PacketID: m.PacketID})
					continue
				}
				c.Send(&packet.Pubrec{PacketID: m.PacketID})
				mqttest.Expect[*packet.Pubrel](c)
				c.Nothing()
				c.Send(&packet.Pubcomp{PacketID: m.PacketID})
			}
			c.Nothing()
			if len(seen) != 3 {
				t.Errorf("topics %v", seen)
			}
			if n := s.Stats().Queued; n != 0 {
				t.Errorf("%d still queued", n)
			}
		})
	}
}

// In MQTT 3.1 and 3.1.1 the window is Limits.Inflight.
func TestGuide_G36_WindowV3(t *testing.T) {
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		g1Bubble(t, v.String(), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 2}})
			c := mqttest.Connect(t, s, g1Connect("c", v))
			for i := range 5 {
				g35Retain(t, c, fmt.Sprint("a/", i), "x", 1)
			}
			c.Send(&packet.Subscribe{PacketID: 900, Filters: []packet.Filter{{Filter: "#", QoS: 1}}})
			mqttest.Expect[*packet.Suback](c)
			ids := map[uint16]bool{}
			for range 2 {
				ids[mqttest.Expect[*packet.Publish](c).PacketID] = true
			}
			c.Nothing()
			for id := range ids {
				c.Send(&packet.Puback{PacketID: id})
			}
			if got := g36Topics(t, c, 3); len(got) != 3 || len(ids) != 2 {
				t.Errorf("retained %q, ids %v", got, ids)
			}
			c.Nothing()
		})
	}
}

// Many messages that are not asked for do not matter, and a subscription to very many gets them all, as room allows.
func TestGuide_G36_Many(t *testing.T) {
	g1Bubble(t, "many", func(t *testing.T) {
		const others, wanted = 5_000, 2_000
		s := mqttest.NewServer(t, nil)
		publish := func(topic string) {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: topic, Payload: []byte(topic), Retain: true}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range others {
			publish(fmt.Sprint("other/", i))
		}
		for i := range wanted {
			publish(fmt.Sprint("a/", i, "/x"))
		}
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("a/+/x", 1)
		seen := map[string]bool{}
		for range wanted {
			p := c.Receive()
			if seen[string(p.Topic)] || string(p.Topic) != string(p.Payload) || !p.Retain {
				t.Fatalf("%s came again, or wrong", p.Topic)
			}
			seen[string(p.Topic)] = true
		}
		c.Nothing()
	})
}

// An empty payload clears what is retained, is not kept itself, and is a live message like any other.
func TestGuide_G37_Cleared(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(nil)
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", v))
		live := n.Connect(g1Connect("live", v))
		live.Subscribe("t", 2)
		for q := range mqttx.QoS(3) {
			g35Retain(t, c, "t", "x", 1)
			g1Got(t, live.Receive(), "t", "x", 1, false)
			g35Kept(t, s, "t")
			c.Publish("t", "", q) // without RETAIN it clears nothing
			g1Got(t, live.Receive(), "t", "", q, false)
			g35Kept(t, s, "t")
			g35Retain(t, c, "t", "", q)
			g1Got(t, live.Receive(), "t", "", q, false)
			g35Kept(t, s)
			g35Retain(t, c, "t", "", q) // nothing is there any more
			g1Got(t, live.Receive(), "t", "", q, false)
			g35Kept(t, s)
			late := n.Connect(g1Connect("late", v))
			late.Subscribe("#", 1)
			late.Nothing()
			late.Drop()
			live.Nothing()
		}
	})
}

// A will and the program clear as well.
func TestGuide_G37_ClearedByOthers(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		g35Retain(t, c, "t", "x", 1)
		p := g1Connect("other", v)
		p.Will = &packet.Will{Topic: "t", Retain: true}
		mqttest.Connect(t, s, p).Drop()
		g35Kept(t, s)
		g35Retain(t, c, "t", "x", 1)
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Retain: true}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		g35Kept(t, s)
	})
}

// What was cleared stays so over a restart.
func TestGuide_G37_Stored(t *testing.T) {
	g1Bubble(t, "restart", func(t *testing.T) {
		store := &mqttest.MemStore{}
		first := g1Started(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, first, nil)
		g35Retain(t, c, "t", "x", 1)
		if store.Len() == 0 {
			t.Error("the Store has nothing")
		}
		g35Retain(t, c, "t", "", 1)
		if err := first.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if n := store.Len(); n != 0 {
			t.Errorf("%d records left", n)
		}
		g35Kept(t, g1Started(t, &mqttx.Server{Store: store}))
	})
}
