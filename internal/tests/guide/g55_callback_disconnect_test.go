package guide_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g55Handler refuses the topic forbidden with why.
func g55Handler(why error) mqttx.Handler {
	return mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
		if m.Topic == "forbidden" {
			return why
		}
		return nil
	}}
}

// A Disconnect error from Publish ends the connection at once, at every QoS, and nothing of the message is left. A bare
// code that no acknowledgement may carry is the same.
func TestGuide_G55_Publish(t *testing.T) {
	for name, why := range map[string]error{
		"Disconnect": mqttx.Disconnect(mqttx.AdministrativeAction), "code alone": mqttx.AdministrativeAction,
	} {
		for qos := range mqttx.QoS(3) {
			t.Run(fmt.Sprintf("%s, QoS %d", name, qos), func(t *testing.T) {
				g38Each(t, func(t *testing.T, v mqttx.Version) {
					srv := g38Server(t, &mqttx.Server{Handler: g55Handler(why)})
					sub := g38Subscriber(t, srv, "#")
					p := &packet.Connect{Version: v, ClientID: "c", SessionExpiryInterval: new(uint32(30))}
					c := mqttest.Connect(t, srv, p)
					begun := len(c.Raw())
					publish := &packet.Publish{Topic: []byte("forbidden"), Payload: []byte("x"), QoS: qos, Retain: true}
					if qos > 0 {
						publish.PacketID = 9
					}
					c.Send(publish)
					if v == mqttx.V5 {
						g38Bye(t, c, mqttx.AdministrativeAction)
					} else {
						c.Closed()
						if b := c.Raw()[begun:]; len(b) > 0 {
							t.Errorf("% x before the close", b)
						}
					}
					sub.Nothing()
					for m := range srv.Retained("#") {
						t.Errorf("retained on %q", m.Topic)
					}
					if qos < 2 {
						return
					}
					c = mqttest.Connect(t, srv, p) // the packet id is not in use
					if code := g38Release(t, c, 9); v == mqttx.V5 && code != mqttx.PacketIdentifierNotFound {
						t.Errorf("PUBCOMP %v", code)
					}
					sub.Nothing()
				})
			})
		}
	}
}

// What the client has published before is delivered and acknowledged, in one write too; what comes behind is not looked at.
func TestGuide_G55_Before(t *testing.T) {
	for qos := range mqttx.QoS(3) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{Handler: g55Handler(mqttx.Disconnect(mqttx.AdministrativeAction))})
				sub := g38Subscriber(t, srv, "#")
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
				var b []byte
				for i, topic := range []string{"first", "second", "forbidden", "third"} {
					p := &packet.Publish{Topic: []byte(topic), Payload: []byte(topic), QoS: qos}
					if qos > 0 {
						p.PacketID = uint16(i + 1)
					}
					var err error
					if b, err = p.Append(b, v); err != nil {
						t.Fatal(err)
					}
				}
				c.Write(b)
				for id := uint16(1); qos > 0 && id < 3; id++ {
					var got uint16
					if qos == 1 {
						got = mqttest.Expect[*packet.Puback](c).PacketID
					} else {
						got = mqttest.Expect[*packet.Pubrec](c).PacketID
					}
					if got != id {
						t.Errorf("packet id %d acknowledged, want %d", got, id)
					}
				}
				g38Bye(t, c, mqttx.AdministrativeAction)
				g38Gets(t, sub, "first", "second")
			})
		})
	}
}

// Every callback may end the connection.
func TestGuide_G55_OtherCallbacks(t *testing.T) {
	end := mqttx.Disconnect(&mqttx.Error{Code: mqttx.AdministrativeAction, Text: "no"})
	for name, x := range map[string]struct {
		cb mqttx.Callbacks[*mqttx.Conn]
		do func(t *testing.T, srv *mqttx.Server, c *mqttest.Client)
	}{
		"Subscribe": {
			mqttx.Callbacks[*mqttx.Conn]{Subscribe: func(context.Context, *mqttx.Conn, *mqttx.Subscription) error { return end }},
			func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) {
				c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a"}}})
			},
		},
		"Unsubscribe": {
			mqttx.Callbacks[*mqttx.Conn]{Unsubscribe: func(context.Context, *mqttx.Conn, *mqttx.Subscription) error { return end }},
			func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) {
				c.Send(&packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}})
			},
		},
		"Info": {
			mqttx.Callbacks[*mqttx.Conn]{Info: func(context.Context, *mqttx.Conn, any) error { return end }},
			func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
				conn, _ := srv.Conn("c")
				if err := conn.Post(1); err != nil {
					t.Error(err)
				}
			},
		},
		"Delivered": {
			mqttx.Callbacks[*mqttx.Conn]{Delivered: func(context.Context, *mqttx.Conn, *mqttx.Message, mqttx.ReasonCode) error { return end }},
			func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
				conn, _ := srv.Conn("c")
				if err := conn.Send(&mqttx.Message{Topic: "a", QoS: 1}); err != nil {
					t.Error(err)
				}
				c.Receive()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{Handler: x.cb})
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
				x.do(t, srv, c)
				if p := g38Bye(t, c, mqttx.AdministrativeAction); p != nil && p.ReasonString != "no" {
					t.Errorf("Reason String %q", p.ReasonString)
				}
				c.Served()
				if st := srv.Stats(); st.Subscriptions != 0 || st.Sessions > 0 {
					t.Errorf("left: %d subscriptions, %d sessions", st.Subscriptions, st.Sessions)
				}
			})
		})
	}
}

// However the server ends a connection of 3.1 or 3.1.1, no byte goes before the close.
func TestGuide_G56_Version3(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, srv *mqttx.Server, c *mqttest.Client){
		"kick": func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			if err := srv.Disconnect("c", &mqttx.Error{Code: mqttx.AdministrativeAction, Text: "kicked"}); err != nil {
				t.Error(err)
			}
		},
		"keep alive": func(*testing.T, *mqttx.Server, *mqttest.Client) { mqttest.Advance(15 * time.Second) },
		"takeover": func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			mqttest.Connect(t, srv, &packet.Connect{ClientID: "c"})
		},
		"protocol error": func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Send(&packet.Pingresp{}) },
		"malformed":      func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Write([]byte{0, 0}) },
		"shutdown": func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{})
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10})
				end(t, srv, c)
				c.Closed()
				if b := c.Raw(); !bytes.Equal(b, []byte{0x20, 2, 0, 0}) {
					t.Errorf("after CONNACK came % x", b[min(4, len(b)):])
				}
			}, mqttx.V31, mqttx.V311)
		})
	}
}

// Before CONNECT nobody is told anything.
func TestGuide_G56_FirstPacket(t *testing.T) {
	for name, b := range map[string][]byte{
		"PINGREQ":    {0xC0, 0},
		"DISCONNECT": {0xE0, 0},
		"AUTH":       {0xF0, 0},
		"PUBLISH":    {0x30, 3, 0, 1, 'a'},
		"noise":      []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		g38Bubble(t, name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			c := mqttest.Dial(t, srv)
			c.Write(b)
			c.Closed()
			if b := c.Raw(); len(b) > 0 {
				t.Errorf("% x came", b)
			}
		})
	}
	for name, end := range map[string]func(t *testing.T, srv *mqttx.Server){
		"silence": func(*testing.T, *mqttx.Server) { mqttest.Advance(10 * time.Second) },
		"shutdown": func(t *testing.T, srv *mqttx.Server) {
			mqttest.Advance(time.Second)
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		g38Bubble(t, name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			c := mqttest.Dial(t, srv)
			end(t, srv)
			c.Closed()
			if b := c.Raw(); len(b) > 0 {
				t.Errorf("% x came", b)
			}
		})
	}
}

// g56Exchange is a handler whose exchange asks for a second AUTH.
func g56Exchange() mqttx.Callbacks[*mqttx.Conn] {
	return mqttx.Callbacks[*mqttx.Conn]{
		Auth: func(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
			step := 0
			return func(context.Context, []byte) ([]byte, bool, error) {
				step++
				return []byte("challenge"), step > 1, nil
			}, nil
		},
	}
}

// Nor is a client told within an authentication exchange: there is CONNACK for that, or nothing.
func TestGuide_G56_DuringExchange(t *testing.T) {
	for name, x := range map[string]struct {
		end  func(t *testing.T, srv *mqttx.Server, c *mqttest.Client)
		code mqttx.ReasonCode // that CONNACK may have
	}{
		"shutdown": {func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}, mqttx.ServerUnavailable},
		"malformed": {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Write([]byte{0, 0}) }, mqttx.MalformedPacket},
		"PINGREQ":   {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Send(&packet.Pingreq{}) }, mqttx.ProtocolError},
		"silence":   {func(*testing.T, *mqttx.Server, *mqttest.Client) { mqttest.Advance(10 * time.Second) }, mqttx.ServerUnavailable},
	} {
		g38Bubble(t, name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Handler: g56Exchange()})
			c := mqttest.Dial(t, srv)
			c.Send(&packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true, AuthenticationMethod: "X"})
			if p := mqttest.Expect[*packet.Auth](c); p.Code != mqttx.ContinueAuthentication {
				t.Errorf("AUTH %v", p.Code)
			}
			before := len(c.Raw())
			x.end(t, srv, c)
			if err := c.Served(); err == nil {
				t.Error("ServeConn gave no error")
			}
			if len(c.Raw()) > before {
				if p := mqttest.Expect[*packet.Connack](c); p.Code != x.code || p.SessionPresent {
					t.Errorf("CONNACK %v, want %v", p.Code, x.code)
				}
			}
			c.Closed()
			g47Sessions(t, srv, 0)
		})
	}
}
