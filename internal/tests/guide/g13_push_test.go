package guide_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Info may push to its client, which has not subscribed to anything.
func TestGuide_G13_SendFromInfo(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(mqttx.Callbacks[*mqttx.Conn]{
			Info: func(_ context.Context, c *mqttx.Conn, v any) error { return c.Send(v.(*mqttx.Message)) },
		})
		n := on.Start(t, s)
		other := n.Connect(g1Connect("other", v))
		other.Subscribe("x/#", 2)
		c := n.Connect(g1Connect("c", v))
		conn, _ := s.Conn("c")
		for q := range mqttx.QoS(3) {
			if err := conn.Post(&mqttx.Message{Topic: "x/y", Payload: []byte("p"), QoS: q}); err != nil {
				t.Fatalf("Post: %v", err)
			}
			g1Got(t, c.Receive(), "x/y", "p", q, false)
		}
		c.Nothing()
		other.Nothing()
		if st := s.Stats(); st.Retained != 0 || st.Subscriptions != 1 {
			t.Errorf("%d retained, %d subscriptions", st.Retained, st.Subscriptions)
		}
	})
}

// A pushed message is subject to the client's window, packet size and time like any other.
func TestGuide_G13_SendLikeAnyDelivery(t *testing.T) {
	g1Bubble(t, "window", func(t *testing.T) {
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{})
		p := g1Connect("c", mqttx.V5)
		p.ReceiveMaximum = 1
		c := mqttest.Connect(t, s, p)
		conn, _ := s.Conn("c")
		for _, payload := range []string{"one", "two"} {
			if err := conn.Send(&mqttx.Message{Topic: "t", Payload: []byte(payload), QoS: 1}); err != nil {
				t.Fatalf("Send: %v", err)
			}
		}
		m := mqttest.Expect[*packet.Publish](c)
		c.Nothing()
		c.Send(&packet.Puback{PacketID: m.PacketID})
		g1Got(t, c.Receive(), "t", "two", 1, false)
	})
	g1Bubble(t, "size", func(t *testing.T) {
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{})
		p := g1Connect("c", mqttx.V5)
		p.MaximumPacketSize = 100
		c := mqttest.Connect(t, s, p)
		conn, _ := s.Conn("c")
		for q := range mqttx.QoS(3) {
			conn.Send(&mqttx.Message{Topic: "t", Payload: bytes.Repeat([]byte("x"), 100), QoS: q})
		}
		c.Nothing()
		if n := s.Stats().Dropped[mqttx.DropTooLarge]; n != 3 {
			t.Errorf("%d dropped as too large, want 3", n)
		}
		if err := conn.Send(&mqttx.Message{Topic: "t", Payload: []byte("fits"), QoS: 1}); err != nil {
			t.Errorf("Send: %v", err)
		}
		g1Got(t, c.Receive(), "t", "fits", 1, false)
	})
	g1Bubble(t, "expiry", func(t *testing.T) {
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{})
		p := g1Connect("c", mqttx.V5)
		p.ReceiveMaximum = 1
		c := mqttest.Connect(t, s, p)
		conn, _ := s.Conn("c")
		now := time.Now()
		conn.Send(&mqttx.Message{Topic: "t", Payload: []byte("first"), QoS: 1, Expires: now.Add(10 * time.Second)})
		conn.Send(&mqttx.Message{Topic: "t", Payload: []byte("short"), QoS: 1, Expires: now.Add(2 * time.Second)})
		conn.Send(&mqttx.Message{Topic: "t", Payload: []byte("long"), QoS: 1, Expires: now.Add(10 * time.Second)})
		m := mqttest.Expect[*packet.Publish](c)
		if !m.HasMessageExpiry || m.MessageExpiryInterval != 10 {
			t.Errorf("Message Expiry Interval %d (%v)", m.MessageExpiryInterval, m.HasMessageExpiry)
		}
		mqttest.Advance(4 * time.Second)
		c.Send(&packet.Puback{PacketID: m.PacketID})
		m = c.Receive()
		g1Got(t, m, "t", "long", 1, false)
		if m.MessageExpiryInterval != 6 {
			t.Errorf("Message Expiry Interval %d, want 6", m.MessageExpiryInterval)
		}
		c.Nothing()
	})
}

// Send says what it does not take.
func TestGuide_G13_SendErrors(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		conn, _ := s.Conn("c")
		for _, m := range []*mqttx.Message{
			nil,
			{},
			{Topic: "a/#"},
			{Topic: "t", QoS: 3},
			{Topic: strings.Repeat("x", 65536)},
			{Topic: "t", Props: &mqttx.Properties{ResponseTopic: "+"}},
		} {
			if err := conn.Send(m); err == nil {
				t.Errorf("Send takes %+v", m)
			}
		}
		c.Nothing()
		c.Drop()
		if err := conn.Send(&mqttx.Message{Topic: "t"}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send on a closed connection: %v", err)
		}
	})
}

// Publish within the Publish callback reaches all subscribers, and the publisher is answered.
func TestGuide_G13_PublishInPublish(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(nil)
		s.Handler = mqttx.Callbacks[struct{}]{
			Publish: func(ctx context.Context, _ struct{}, m *mqttx.Message) error {
				return s.Publish(ctx, &mqttx.Message{Topic: "x/y", Payload: m.Payload, QoS: 1})
			},
		}
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", v))
		c.Subscribe("x/#", 1)
		other := n.Connect(g1Connect("other", v))
		other.Subscribe("x/y", 1)
		c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("hello"), QoS: 1, PacketID: 3})
		g1Got(t, c.Receive(), "x/y", "hello", 1, false)
		if ack := mqttest.Expect[*packet.Puback](c); ack.PacketID != 3 || ack.Code >= 0x80 {
			t.Errorf("PUBACK of %d, %v", ack.PacketID, ack.Code)
		}
		g1Got(t, other.Receive(), "x/y", "hello", 1, false)
		c.Nothing()
		other.Nothing()
	})
}

// Every callback may publish to all and push to its own client, without deadlock.
func TestGuide_G13_EveryCallback(t *testing.T) {
	g1Bubble(t, "all", func(t *testing.T) {
		s := &mqttx.Server{}
		publish := func(what string) {
			if err := s.Publish(context.Background(), &mqttx.Message{Topic: "log/" + what, QoS: 1}); err != nil {
				t.Errorf("Publish in %s: %v", what, err)
			}
		}
		both := func(c *mqttx.Conn, what string) {
			publish(what)
			if err := c.Send(&mqttx.Message{Topic: "push/" + what, QoS: 1}); err != nil {
				t.Errorf("Send in %s: %v", what, err)
			}
		}
		mine := func(c *mqttx.Conn) bool { return c.ClientID() == "c" }
		s.Handler = mqttx.Callbacks[*mqttx.Conn]{
			Auth: func(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
				both(r.Conn, "auth")
				return func(context.Context, []byte) ([]byte, bool, error) { both(r.Conn, "exchange"); return nil, true, nil }, nil
			},
			Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
				if r.ClientID == "c" {
					both(r.Conn, "connect")
				}
				return r.Conn, nil
			},
			Connected: func(_ context.Context, c *mqttx.Conn) error {
				if mine(c) {
					both(c, "connected")
				}
				return nil
			},
			Publish: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Message) error { both(c, "publish"); return nil },
			Unsubscribe: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error {
				both(c, "unsubscribe")
				return nil
			},
			Subscribe: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error {
				if mine(c) {
					both(c, "subscribe")
				}
				return nil
			},
			Info: func(_ context.Context, c *mqttx.Conn, _ any) error { both(c, "info"); return nil },
			Deliver: func(c *mqttx.Conn, m *mqttx.Message) *mqttx.Message {
				if m.Topic == "to/deliver" {
					both(c, "deliver")
				}
				return m
			},
			Delivered: func(_ context.Context, c *mqttx.Conn, m *mqttx.Message, _ mqttx.ReasonCode) error {
				if m.Topic == "to/deliver" {
					both(c, "delivered")
				}
				return nil
			},
			Allow: func(_ context.Context, a mqttx.Access) error {
				if a.Client.ID == "c" && a.Op == mqttx.OpSubscribe {
					publish("allow")
				}
				return nil
			},
			Disconnected: func(_ context.Context, c *mqttx.Conn, _ error) {
				if mine(c) {
					publish("disconnected")
				}
			},
			SessionExpired: func(_ context.Context, c mqttx.Client) {
				if c.ID == "c" {
					publish("expired")
				}
			},
		}
		g1Started(t, s)
		watch := mqttest.Connect(t, s, g1Connect("watch", mqttx.V5))
		watch.Subscribe("log/#", 1)
		log := func(want ...string) {
			t.Helper()
			for _, w := range want {
				g1Got(t, watch.Receive(), "log/"+w, "", 1, false)
			}
			watch.Nothing()
		}
		p := g1Connect("c", mqttx.V5)
		p.AuthenticationMethod, p.SessionExpiryInterval = "m", new(uint32(1))
		c := mqttest.Connect(t, s, p)
		push := func(want ...string) {
			t.Helper()
			for _, w := range want {
				g1Got(t, c.Receive(), "push/"+w, "", 1, false)
			}
		}
		push("auth", "exchange", "connect", "connected")
		log("auth", "exchange", "connect", "connected")
		c.Subscribe("to/+", 1)
		push("subscribe")
		log("allow", "subscribe")
		c.Publish("t", "", 1)
		push("publish")
		log("publish")
		conn, _ := s.Conn("c")
		conn.Post(nil)
		push("info")
		log("info")
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "to/deliver", QoS: 1}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		g1Got(t, c.Receive(), "to/deliver", "", 1, false)
		push("deliver", "delivered")
		log("deliver", "delivered")
		c.Unsubscribe("to/+")
		push("unsubscribe")
		log("unsubscribe")
		c.Drop()
		log("disconnected")
		mqttest.Advance(time.Second)
		log("expired")
	})
}

// Publish says what it does not take, and is not judged by rules.
func TestGuide_G13_PublishErrors(t *testing.T) {
	g1Bubble(t, "errors", func(t *testing.T) {
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{})
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("#", 2)
		for _, m := range []*mqttx.Message{nil, {}, {Topic: "+"}, {Topic: "t", QoS: 3}} {
			if err := s.Publish(t.Context(), m); err == nil {
				t.Errorf("Publish takes %+v", m)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Publish(over, &mqttx.Message{Topic: "t"}); !errors.Is(err, context.Canceled) {
			t.Errorf("Publish with a context that is over: %v", err)
		}
		c.Nothing()
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 2}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		g1Got(t, c.Receive(), "t", "", 2, false)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t"}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Publish after Close: %v", err)
		}
	})
}
