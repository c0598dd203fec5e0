package guide_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1Act makes callbacks do what act says, for the client "c" and by their name: "publish" and so on.
func g1Act(act func(callback string) error) mqttx.Handler {
	of := func(c *mqttx.Conn, callback string) error {
		if c.ClientID() != "c" {
			return nil
		}
		return act(callback)
	}
	return mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			if r.ClientID != "c" {
				return r.Conn, nil
			}
			return r.Conn, act("connect")
		},
		Auth: func(context.Context, *mqttx.ConnectRequest) (mqttx.Exchange, error) {
			done := func(context.Context, []byte) ([]byte, bool, error) { return nil, true, nil }
			return done, act("auth")
		},
		Connected: func(_ context.Context, c *mqttx.Conn) error { return of(c, "connected") },
		Publish: func(_ context.Context, c *mqttx.Conn, m *mqttx.Message) error {
			if m.Will {
				return nil
			}
			return of(c, "publish")
		},
		Subscribe:   func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error { return of(c, "subscribe") },
		Unsubscribe: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error { return of(c, "unsubscribe") },
		Info:        func(_ context.Context, c *mqttx.Conn, _ any) error { return of(c, "info") },
		Delivered: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Message, _ mqttx.ReasonCode) error {
			return of(c, "delivered")
		},
		Allow: func(_ context.Context, a mqttx.Access) error {
			if a.Client.ID != "c" || a.Topic == "will" {
				return nil
			}
			return act("allow " + a.Op.String())
		},
	}
}

// g1Provoke makes a callback run for the client "c", which is subscribed to "in".
func g1Provoke(t *testing.T, s *mqttx.Server, c *mqttest.Client, callback string) {
	t.Helper()
	switch callback {
	case "auth":
		c.Send(&packet.Auth{Code: mqttx.ReAuthenticate, AuthenticationMethod: "m"})
	case "publish", "allow publish":
		c.Send(&packet.Publish{Topic: []byte("out"), QoS: 1, PacketID: 77})
	case "subscribe", "allow subscribe":
		c.Send(&packet.Subscribe{PacketID: 77, Filters: []packet.Filter{{Filter: "more"}, {Filter: "and/more"}}})
	case "unsubscribe":
		c.Send(&packet.Unsubscribe{PacketID: 77, Filters: []string{"in"}})
	case "info":
		if conn, ok := s.Conn("c"); !ok || conn.Post(1) != nil {
			t.Error("Post has failed")
		}
	case "delivered", "allow receive":
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "in", QoS: 1}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		if callback == "delivered" {
			c.Receive()
		}
	default:
		t.Fatalf("no such callback: %s", callback)
	}
}

// g1Acting are the callbacks of a connection that is open.
func g1Acting() []string {
	return []string{
		"auth", "publish", "subscribe", "unsubscribe", "info", "delivered",
		"allow publish", "allow subscribe", "allow receive",
	}
}

// g1ActingClients connects a client that watches for the will of c, and c itself, whose callback is then to act.
func g1ActingClients(connect func(*packet.Connect) *mqttest.Client, v mqttx.Version) (watch, c *mqttest.Client) {
	watch = connect(g1Connect("watch", mqttx.V5))
	watch.Subscribe("#", 1)
	p := g1Connect("c", v)
	p.Will = &packet.Will{Topic: "will", Payload: []byte("gone"), QoS: 1}
	if v == mqttx.V5 {
		p.AuthenticationMethod = "m"
	}
	c = connect(p)
	c.Subscribe("in", 1)
	return watch, c
}

// Disconnect from any callback of an open connection ends it: MQTT 5.0 is told why, others are just closed; the will goes out,
// and what the client asked for is not done.
func TestGuide_G14_AnyCallback(t *testing.T) {
	for _, callback := range g1Acting() {
		t.Run(callback, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				if callback == "auth" && v != mqttx.V5 {
					return
				}
				on := false
				s := mqttest.NewServer(t, g1Act(func(which string) error {
					if on && which == callback {
						return mqttx.Disconnect(&mqttx.Error{
							Code: mqttx.AdministrativeAction, Text: "bye", User: []mqttx.UserProperty{{Name: "k", Value: "v"}},
						})
					}
					return nil
				}))
				watch, c := g1ActingClients(func(p *packet.Connect) *mqttest.Client { return mqttest.Connect(t, s, p) }, v)
				on = true
				g1Provoke(t, s, c, callback)
				if v == mqttx.V5 {
					p := mqttest.Expect[*packet.Disconnect](c)
					if p.Code != mqttx.AdministrativeAction || p.ReasonString != "bye" || len(p.User) != 1 || p.User[0].Value != "v" {
						t.Errorf("DISCONNECT %v %q %v", p.Code, p.ReasonString, p.User)
					}
				}
				c.Closed()
				want := []string{"will"}
				if callback == "delivered" || callback == "allow receive" {
					want = []string{"in", "will"}
				}
				var got []string
				for range want { // they are of different publishers, so their order is open
					got = append(got, string(watch.Receive().Topic))
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("the other client has got %q, want %q", got, want)
				}
				watch.Nothing()
				if n := s.Stats().Subscriptions; n != 1 {
					t.Errorf("%d subscriptions, want that of the other client", n)
				}
			})
		})
	}
}

func TestGuide_G14_Transports(t *testing.T) {
	for _, callback := range []string{"publish", "subscribe", "info"} {
		t.Run(callback, func(t *testing.T) {
			g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
				s := g1Quiet(g1Act(func(which string) error {
					if which == callback {
						return mqttx.Disconnect(&mqttx.Error{Code: mqttx.AdministrativeAction, Text: "bye"})
					}
					return nil
				}))
				n := on.Start(t, s)
				watch := n.Connect(g1Connect("watch", mqttx.V5))
				watch.Subscribe("#", 1)
				p := g1Connect("c", v)
				p.Will = &packet.Will{Topic: "will", Payload: []byte("gone"), QoS: 1}
				c := n.Connect(p)
				g1Provoke(t, s, c, callback)
				if v == mqttx.V5 {
					if p := mqttest.Expect[*packet.Disconnect](c); p.Code != mqttx.AdministrativeAction || p.ReasonString != "bye" {
						t.Errorf("DISCONNECT %v %q", p.Code, p.ReasonString)
					}
				}
				c.Closed()
				g1Got(t, watch.Receive(), "will", "gone", 1, false)
				watch.Nothing()
			})
		})
	}
}

// Before CONNACK a Disconnect error is the refusing CONNACK, from Connected too, which comes before it; codes that CONNACK has
// not are 0x80 there. No DISCONNECT, no will.
func TestGuide_G14_BeforeConnack(t *testing.T) {
	for _, x := range []struct {
		callback string
		give     mqttx.ReasonCode
		v5, v3   mqttx.ReasonCode
	}{
		{"connect", mqttx.ServerBusy, 0x89, 3},
		{"connect", mqttx.AdministrativeAction, 0x80, 3},
		{"auth", mqttx.ServerBusy, 0x89, 0},
		{"connected", mqttx.ServerBusy, 0x89, 3},
		{"connected", mqttx.AdministrativeAction, 0x80, 3},
	} {
		t.Run(x.callback+" "+x.give.String(), func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				if x.callback == "auth" && v != mqttx.V5 {
					return
				}
				s := mqttest.NewServer(t, g1Act(func(which string) error {
					if which == x.callback {
						return mqttx.Disconnect(&mqttx.Error{Code: x.give, Text: "bye"})
					}
					return nil
				}))
				watch := mqttest.Connect(t, s, g1Connect("watch", mqttx.V5))
				watch.Subscribe("#", 1)
				p := g1Connect("c", v)
				p.Will = &packet.Will{Topic: "will", QoS: 1}
				if v == mqttx.V5 {
					p.AuthenticationMethod = "m"
				}
				c, code := mqttest.TryConnect(t, s, p)
				g1Code(t, "CONNACK", code, g1Wire(v, x.v5, x.v3))
				if v == mqttx.V5 && c.Connack.ReasonString != "bye" {
					t.Errorf("CONNACK says %q", c.Connack.ReasonString)
				}
				c.Closed()
				watch.Nothing()
				if st := s.Stats(); st.Sessions != 1 || st.Connections != 1 {
					t.Errorf("%d sessions and %d connections left", st.Sessions, st.Connections)
				}
			})
		})
	}
}

// A bare code that the answer cannot carry but DISCONNECT can is a Disconnect error.
func TestGuide_G14_BareCode(t *testing.T) {
	for _, callback := range []string{"publish", "allow publish", "subscribe", "allow subscribe", "unsubscribe", "info"} {
		t.Run(callback, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				on := false
				s := mqttest.NewServer(t, g1Act(func(which string) error {
					if on && which == callback {
						return mqttx.AdministrativeAction
					}
					return nil
				}))
				watch, c := g1ActingClients(func(p *packet.Connect) *mqttest.Client { return mqttest.Connect(t, s, p) }, v)
				on = true
				g1Provoke(t, s, c, callback)
				g1Bye(t, c, mqttx.AdministrativeAction)
				g1Got(t, watch.Receive(), "will", "gone", 1, false)
				watch.Nothing()
			})
		})
	}
}

// A panic ends its own connection only, with 0x80.
func TestGuide_G14_Panic(t *testing.T) {
	for _, callback := range append(g1Acting(), "connect", "connected") {
		t.Run(callback, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				if callback == "auth" && v != mqttx.V5 {
					return
				}
				on := callback == "connect" || callback == "connected"
				s := g1Started(t, g1Quiet(g1Act(func(which string) error {
					if on && which == callback {
						panic("secret")
					}
					return nil
				})))
				watch := mqttest.Connect(t, s, g1Connect("other", mqttx.V5))
				watch.Subscribe("alive", 1)
				if on {
					c, code := mqttest.TryConnect(t, s, g1Connect("c", v))
					g1Code(t, "CONNACK", code, g1Wire(v, mqttx.UnspecifiedError, 3))
					c.Closed()
				} else {
					_, c := g1ActingClients(func(p *packet.Connect) *mqttest.Client { return mqttest.Connect(t, s, p) }, v)
					on = true
					g1Provoke(t, s, c, callback)
					g1Bye(t, c, mqttx.UnspecifiedError)
					if bytes.Contains(c.Raw(), []byte("secret")) {
						t.Error("the client was told what only the log should say")
					}
				}
				on = false
				g1Code(t, "the other client", watch.Publish("alive", "x", 1), mqttx.Success)
				g1Got(t, watch.Receive(), "alive", "x", 1, false)
				again := mqttest.Connect(t, s, g1Connect("c", v))
				again.Nothing()
			})
		})
	}
}

// Callbacks that have nothing to answer may panic too.
func TestGuide_G14_PanicWithoutAnswer(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		on := false
		s := g1Started(t, g1Quiet(mqttx.Callbacks[*mqttx.Conn]{
			Deliver: func(c *mqttx.Conn, m *mqttx.Message) *mqttx.Message {
				if on && c.ClientID() == "c" {
					panic("Deliver")
				}
				return m
			},
			Disconnected:   func(context.Context, *mqttx.Conn, error) { panic("Disconnected") },
			SessionExpired: func(context.Context, mqttx.Client) { panic("SessionExpired") },
		}))
		c := mqttest.Connect(t, s, g1Connect("c", v))
		c.Subscribe("t", 0)
		other := mqttest.Connect(t, s, g1Connect("other", v))
		other.Subscribe("t", 0)
		on = true
		other.Publish("t", "x", 0)
		g1Bye(t, c, mqttx.UnspecifiedError)
		g1Got(t, other.Receive(), "t", "x", 0, false)
		other.Drop()
		mqttest.Connect(t, s, g1Connect("c", v)).Nothing()
	})
}
