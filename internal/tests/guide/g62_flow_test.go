package guide_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g62Publish is a PUBLISH on topic a whose payload is its packet id.
func g62Publish(qos mqttx.QoS, id uint16) *packet.Publish {
	return &packet.Publish{Topic: []byte("a"), Payload: fmt.Append(nil, id), QoS: qos, PacketID: id}
}

// g62Window is a Server with a Receive Maximum of 2.
func g62Window(t *testing.T, compat mqttx.Compat, h mqttx.Handler) *mqttx.Server {
	return g38Server(t, &mqttx.Server{Limits: mqttx.Limits{ReceiveMaximum: 2}, Compat: compat, Handler: h})
}

// Both QoS 1 and QoS 2 count.
func TestGuide_G62_Standard(t *testing.T) {
	for qos := mqttx.QoS(1); qos <= 2; qos++ {
		g38Bubble(t, fmt.Sprintf("third of QoS %d", qos), func(t *testing.T) {
			srv := g62Window(t, 0, nil)
			sub := g38Subscriber(t, srv, "a")
			c := mqttest.Connect(t, srv, nil)
			for id := uint16(1); id <= 2; id++ {
				if code := g38Send(t, c, g62Publish(2, id)); code != mqttx.Success {
					t.Errorf("PUBREC %v", code)
				}
			}
			c.Send(g62Publish(qos, 3))
			g38Bye(t, c, mqttx.ReceiveMaximumExceeded)
			g38Gets(t, sub, "1", "2")
		})
	}
}

// g62Answer sends p and compares all that comes, as bytes: PUBREC 0x93 is no packet by the standard, so it is not read as one.
func g62Answer(t *testing.T, c *mqttest.Client, p packet.Packet, want ...byte) {
	t.Helper()
	synctest.Wait()
	before := len(c.Raw())
	c.Send(p)
	synctest.Wait()
	if got := c.Raw()[before:]; !bytes.Equal(got, want) {
		t.Errorf("%s: answer % x, want % x", p.Type(), got, want)
	}
}

// The option counts QoS 2 alone and refuses the message instead of the connection.
func TestGuide_G62_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.WindowRefusal93, mqttx.GuideCompat} {
		g38Bubble(t, compat.String(), func(t *testing.T) {
			srv := g62Window(t, compat, nil)
			sub := g38Subscriber(t, srv, "a")
			c := mqttest.Connect(t, srv, nil)
			g62Answer(t, c, g62Publish(2, 1), 0x50, 2, 0, 1)
			g62Answer(t, c, g62Publish(2, 2), 0x50, 2, 0, 2)
			g62Answer(t, c, g62Publish(1, 3), 0x40, 2, 0, 3)
			g62Answer(t, c, g62Publish(2, 4), 0x50, 3, 0, 4, 0x93)
			g62Answer(t, c, g62Publish(1, 5), 0x40, 2, 0, 5)
			g62Answer(t, c, &packet.Pingreq{}, 0xD0, 0)
			g38Gets(t, sub, "1", "2", "3", "5")
		})
	}
}

// QoS 0 never counts, with the window full.
func TestGuide_G62_QoS0(t *testing.T) {
	for _, compat := range []mqttx.Compat{0, mqttx.GuideCompat} {
		g38Bubble(t, compat.String(), func(t *testing.T) {
			srv := g62Window(t, compat, nil)
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			g38Send(t, c, g62Publish(2, 1))
			g38Send(t, c, g62Publish(2, 2))
			for range 10 {
				c.Publish("b", "x", 0)
			}
			c.Nothing()
			g38Gets(t, sub, "1", "2", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x")
		})
	}
}

// A QoS 1 message that was answered counts no more, nor does a QoS 2 one that was refused.
func TestGuide_G62_Answered(t *testing.T) {
	for _, compat := range []mqttx.Compat{0, mqttx.GuideCompat} {
		g38Bubble(t, compat.String(), func(t *testing.T) {
			srv := g62Window(t, compat, mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
				if m.Topic == "no" {
					return mqttx.NotAuthorized
				}
				return nil
			}})
			c := mqttest.Connect(t, srv, nil)
			g38Send(t, c, g62Publish(2, 1))
			for id := uint16(10); id < 20; id++ {
				if code := g38Send(t, c, g62Publish(1, id)); !g38Accepted(code) {
					t.Errorf("PUBACK %v", code)
				}
				no := &packet.Publish{Topic: []byte("no"), QoS: 2, PacketID: id}
				if code := g38Send(t, c, no); code != mqttx.NotAuthorized {
					t.Errorf("PUBREC %v", code)
				}
			}
			if code := g38Send(t, c, g62Publish(2, 2)); !g38Accepted(code) {
				t.Errorf("PUBREC %v", code)
			}
			c.Nothing()
		})
	}
}

// g62Stored is a Server with a Receive Maximum of 2 and a subscriber to a whose session is in the Store, and c, whose session
// is, too: what c sends is answered when it is safe there.
func g62Stored(t *testing.T) (store *mqttest.MemStore, sub, c *mqttest.Client) {
	t.Helper()
	store = new(mqttest.MemStore)
	srv := g38Server(t, &mqttx.Server{
		Limits: mqttx.Limits{ReceiveMaximum: 2}, Store: store,
		Handler: mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
			if m.Topic == "no" {
				return mqttx.NotAuthorized
			}
			return nil
		}},
	})
	sub = mqttest.Connect(t, srv, &packet.Connect{ClientID: "sub", SessionExpiryInterval: new(uint32(60))})
	sub.Subscribe("a", 2)
	return store, sub, mqttest.Connect(t, srv, g47Connect(60))
}

// A message counts as long as its answer waits for the Store, PUBCOMP included.
func TestGuide_G62_SlowStore(t *testing.T) {
	for name, x := range map[string]struct{ before, blocked []packet.Packet }{
		"QoS 1":         {nil, []packet.Packet{g62Publish(1, 1), g62Publish(1, 2)}},
		"QoS 2":         {nil, []packet.Packet{g62Publish(2, 1), g62Publish(2, 2)}},
		"both":          {nil, []packet.Packet{g62Publish(2, 1), g62Publish(1, 2)}},
		"until PUBCOMP": {[]packet.Packet{g62Publish(2, 1), g62Publish(2, 2)}, []packet.Packet{&packet.Pubrel{PacketID: 1}}},
		"refused": {
			[]packet.Packet{g62Publish(2, 1)},
			[]packet.Packet{&packet.Pubrel{PacketID: 1}, &packet.Publish{Topic: []byte("no"), QoS: 2, PacketID: 2}},
		},
	} {
		for qos := mqttx.QoS(1); qos <= 2; qos++ {
			g38Bubble(t, fmt.Sprintf("%s, then QoS %d", name, qos), func(t *testing.T) {
				store, _, c := g62Stored(t)
				for _, p := range x.before {
					g38Send(t, c, p.(*packet.Publish))
				}
				synctest.Wait()
				store.Block()
				for _, p := range x.blocked {
					c.Send(p)
				}
				c.Nothing()
				c.Send(g62Publish(qos, 9))
				g38Bye(t, c, mqttx.ReceiveMaximumExceeded)
				store.Unblock()
			})
		}
	}
}

// It counts once, and other answers that wait do not count.
func TestGuide_G62_SlowStoreCountsOnce(t *testing.T) {
	for qos := mqttx.QoS(1); qos <= 2; qos++ {
		g38Bubble(t, fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			store, sub, c := g62Stored(t)
			synctest.Wait()
			store.Block()
			c.Send(&packet.Subscribe{PacketID: 100, Filters: []packet.Filter{{Filter: "b", QoS: 1}}})
			c.Send(&packet.Unsubscribe{PacketID: 101, Filters: []string{"b"}})
			c.Send(&packet.Pubrel{PacketID: 102})
			c.Send(g62Publish(2, 1))
			c.Send(g62Publish(qos, 2))
			c.Nothing()
			store.Unblock()
			mqttest.Expect[*packet.Suback](c)
			mqttest.Expect[*packet.Unsuback](c)
			mqttest.Expect[*packet.Pubcomp](c)
			if p := mqttest.Expect[*packet.Pubrec](c); p.PacketID != 1 || p.Code != mqttx.Success {
				t.Errorf("PUBREC %d %v", p.PacketID, p.Code)
			}
			if qos == 1 {
				mqttest.Expect[*packet.Puback](c)
			} else if p := mqttest.Expect[*packet.Pubrec](c); p.PacketID != 2 || p.Code != mqttx.Success {
				t.Errorf("PUBREC %d %v", p.PacketID, p.Code)
			}
			c.Nothing()
			g38Gets(t, sub, "1", "2")
		})
	}
}

// CONNACK tells the Receive Maximum.
func TestGuide_G63_Told(t *testing.T) {
	for _, x := range []struct {
		limit int
		told  uint16
	}{{0, 65535}, {10, 10}, {-1, 65535}, {65535, 65535}} {
		g38Bubble(t, fmt.Sprint(x.limit), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{ReceiveMaximum: x.limit}})
			c := mqttest.Connect(t, srv, nil)
			if got := c.Connack.ReceiveMaximum; got != x.told {
				t.Errorf("Receive Maximum %d, want %d", got, x.told)
			}
		})
	}
}

// A message counts from its arrival until PUBCOMP; it is routed once, on arrival, and its id lives in the session.
func TestGuide_G64_UntilPubcomp(t *testing.T) {
	for _, stored := range []bool{false, true} {
		g38Bubble(t, fmt.Sprintf("store %v", stored), func(t *testing.T) {
			srv := &mqttx.Server{Limits: mqttx.Limits{ReceiveMaximum: 2}}
			if stored {
				srv.Store = new(mqttest.MemStore)
			}
			g38Server(t, srv)
			sub := g38Subscriber(t, srv, "a")
			c := mqttest.Connect(t, srv, g47Connect(60))
			for id := uint16(1); id <= 2; id++ {
				if code := g38Send(t, c, g62Publish(2, id)); code != mqttx.Success {
					t.Errorf("PUBREC %d: %v", id, code)
				}
			}
			g38Gets(t, sub, "1", "2") // before any PUBREL
			if code := g38Release(t, c, 1); code != mqttx.Success {
				t.Errorf("PUBCOMP 1: %v", code)
			}
			if code := g38Send(t, c, g62Publish(2, 3)); code != mqttx.Success {
				t.Errorf("PUBREC 3: %v", code)
			}
			g38Gets(t, sub, "3") // before its PUBREL
			c.Drop()
			c = mqttest.Connect(t, srv, g47Connect(60))
			if !c.Connack.SessionPresent {
				t.Error("no session present")
			}
			for _, id := range []uint16{2, 3} {
				if code := g38Release(t, c, id); code != mqttx.Success {
					t.Errorf("PUBCOMP %d after the resume: %v", id, code)
				}
			}
			if code := g38Release(t, c, 2); code != mqttx.PacketIdentifierNotFound {
				t.Errorf("PUBCOMP 2 again: %v", code)
			}
			c.Nothing()
			sub.Nothing()
		})
	}
}

// The id outlives the server in the Store: sent again after a restart, the message is not routed again.
func TestGuide_G64_Restart(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		store := new(mqttest.MemStore)
		first := g38Server(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, first, g47Connect(60))
		g38Send(t, c, g62Publish(2, 7))
		if err := first.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv := g38Server(t, &mqttx.Server{Store: store})
		sub := g38Subscriber(t, srv, "a")
		c = mqttest.Connect(t, srv, g47Connect(60))
		again := g62Publish(2, 7)
		again.Dup = true
		if code := g38Send(t, c, again); code != mqttx.Success {
			t.Errorf("PUBREC %v", code)
		}
		sub.Nothing()
		if code := g38Release(t, c, 7); code != mqttx.Success {
			t.Errorf("PUBCOMP %v", code)
		}
		g38Send(t, c, g62Publish(2, 7))
		g38Gets(t, sub, "7")
	})
}

// Beyond the window the connection ends with 0x93; a duplicate of an open id is never beyond it.
func TestGuide_G65_Standard(t *testing.T) {
	for _, dup := range []bool{true, false} {
		g38Bubble(t, fmt.Sprintf("DUP %v", dup), func(t *testing.T) {
			srv := g62Window(t, 0, nil)
			sub := g38Subscriber(t, srv, "a", "w")
			p := g43Will(mqttx.V5)
			p.SessionExpiryInterval = new(uint32(60))
			c := mqttest.Connect(t, srv, p)
			g38Send(t, c, g62Publish(2, 1))
			g38Send(t, c, g62Publish(2, 2))
			g38Gets(t, sub, "1", "2")
			again := g62Publish(2, 2)
			again.Dup = dup
			if code := g38Send(t, c, again); code != mqttx.Success {
				t.Errorf("PUBREC of the duplicate: %v", code)
			}
			sub.Nothing()
			c.Send(g62Publish(2, 3))
			g38Bye(t, c, mqttx.ReceiveMaximumExceeded)
			g38Gets(t, sub, "gone")
			p.CleanStart = false
			c = mqttest.Connect(t, srv, p)
			for id, want := range map[uint16]mqttx.ReasonCode{1: 0, 2: 0, 3: mqttx.PacketIdentifierNotFound} {
				if code := g38Release(t, c, id); code != want {
					t.Errorf("PUBCOMP %d: %v, want %v", id, code, want)
				}
			}
		})
	}
}

// By the option the message is refused and the connection stays; later it is taken.
func TestGuide_G65_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.WindowRefusal93, mqttx.GuideCompat} {
		g38Bubble(t, compat.String(), func(t *testing.T) {
			srv := g62Window(t, compat, nil)
			sub := g38Subscriber(t, srv, "a")
			c := mqttest.Connect(t, srv, nil)
			g62Answer(t, c, g62Publish(2, 1), 0x50, 2, 0, 1)
			g62Answer(t, c, g62Publish(2, 2), 0x50, 2, 0, 2)
			again := g62Publish(2, 2)
			again.Dup = true
			g62Answer(t, c, again, 0x50, 2, 0, 2)
			g62Answer(t, c, g62Publish(2, 3), 0x50, 3, 0, 3, 0x93)
			g38Gets(t, sub, "1", "2")
			g62Answer(t, c, &packet.Pubrel{PacketID: 1}, 0x70, 2, 0, 1)
			g62Answer(t, c, g62Publish(2, 3), 0x50, 2, 0, 3)
			g38Gets(t, sub, "3")
			g62Answer(t, c, &packet.Pubrel{PacketID: 3}, 0x70, 2, 0, 3)
			sub.Nothing()
		})
	}
}
