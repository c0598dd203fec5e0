package guide_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1Ending is a way for a connection to end, with what Disconnected is told.
type g1Ending struct {
	name string
	end  func(t *testing.T, e *g1EndingServer)
	by   mqttx.Side
	code mqttx.ReasonCode
	text string
	v5   bool // of MQTT 5.0 alone
}

// g1EndingServer is a Server with one client whose connection is to end.
type g1EndingServer struct {
	s       *mqttx.Server
	c       *mqttest.Client
	connect func(id string) *mqttest.Client
}

func g1Endings() []g1Ending {
	bad := []byte{0x00, 0x00} // packet type 0
	return []g1Ending{
		{"DISCONNECT", func(_ *testing.T, e *g1EndingServer) { e.c.Send(&packet.Disconnect{}) }, mqttx.ByClient, 0x00, "", false},
		{"DISCONNECT 04", func(_ *testing.T, e *g1EndingServer) {
			e.c.Send(&packet.Disconnect{Code: 0x04, ReasonString: "will you"})
		}, mqttx.ByClient, 0x04, "will you", true},
		{"drop", func(_ *testing.T, e *g1EndingServer) { e.c.Drop() }, mqttx.ByNetwork, 0x00, "", false},
		{"takeover", func(_ *testing.T, e *g1EndingServer) { e.connect("c") }, mqttx.ByServer, 0x8E, "", false},
		{"kick", func(t *testing.T, e *g1EndingServer) {
			if err := e.s.Disconnect("c", &mqttx.Error{Code: mqttx.QuotaExceeded, Text: "enough"}); err != nil {
				t.Errorf("Disconnect: %v", err)
			}
		}, mqttx.ByServer, 0x97, "enough", false},
		{"malformed", func(_ *testing.T, e *g1EndingServer) { e.c.Write(bad) }, mqttx.ByServer, 0x81, "", false},
		{"Disconnect error", func(_ *testing.T, e *g1EndingServer) { e.c.Publish("bye", "", 0) }, mqttx.ByServer, 0x98, "forbidden", false},
		{"Shutdown", func(t *testing.T, e *g1EndingServer) {
			if err := e.s.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}, mqttx.ByServer, 0x8B, "", false},
	}
}

// g1Ended is a Server whose Disconnected sends what it is told of c to a channel.
func g1Ended(ended chan<- error) *mqttx.Server {
	return g1Quiet(mqttx.Callbacks[*mqttx.Conn]{
		Publish: func(_ context.Context, _ *mqttx.Conn, m *mqttx.Message) error {
			if m.Topic == "bye" {
				return mqttx.Disconnect(&mqttx.Error{Code: mqttx.AdministrativeAction, Text: "forbidden"})
			}
			return nil
		},
		Disconnected: func(_ context.Context, c *mqttx.Conn, why error) { ended <- why },
	})
}

// g1Why compares the reason of an end.
func g1Why(t *testing.T, why error, by mqttx.Side, code mqttx.ReasonCode, text string) {
	t.Helper()
	var d *mqttx.DisconnectError
	if !errors.As(why, &d) {
		t.Fatalf("the reason is %T: %v", why, why)
	}
	if d.By != by || d.Code != code || d.Text != text {
		t.Errorf("ended by %v with %v, %q; want by %v with %v, %q", d.By, d.Code, d.Text, by, code, text)
	}
	if code >= 0x80 && !errors.Is(why, code) {
		t.Errorf("%v is not %v", why, code)
	}
}

// Disconnected is called once for each connection, with who ended it and the code.
func TestGuide_G10_Endings(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		for _, x := range g1Endings() {
			if x.v5 && v != mqttx.V5 {
				continue
			}
			t.Run(x.name, func(t *testing.T) {
				ended := make(chan error, 8)
				s := g1Ended(ended)
				n := on.Start(t, s)
				e := &g1EndingServer{s: s, connect: func(id string) *mqttest.Client { return n.Connect(g1Connect(id, v)) }}
				e.c = e.connect("c")
				x.end(t, e)
				g1Why(t, g1Await(t, "Disconnected", ended), x.by, x.code, x.text)
				if x.by == mqttx.ByServer {
					if v == mqttx.V5 {
						if p := mqttest.Expect[*packet.Disconnect](e.c); p.Code != x.code || p.ReasonString != x.text {
							t.Errorf("DISCONNECT %v %q", p.Code, p.ReasonString)
						}
					}
					e.c.Closed()
				}
				if err := s.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if more := len(ended); more != 0 && !(x.name == "takeover" && more == 1) {
					t.Errorf("Disconnected ran %d times more", more)
				}
			})
		}
	})
}

func TestGuide_G10_KeepAlive(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		ended := make(chan error, 8)
		s := g1Started(t, g1Ended(ended))
		p := g1Connect("c", v)
		p.KeepAlive = 10
		c := mqttest.Connect(t, s, p)
		mqttest.Advance(15*time.Second - time.Millisecond)
		if len(ended) != 0 {
			t.Error("ended before 15 s")
		}
		mqttest.Advance(time.Second)
		g1Why(t, g1Await(t, "Disconnected", ended), mqttx.ByServer, 0x8D, "")
		g1Bye(t, c, mqttx.KeepAliveTimeout)
		mqttest.Advance(time.Hour)
		if len(ended) != 0 {
			t.Error("Disconnected ran again")
		}
	})
}

// The end below is in the reason.
func TestGuide_G10_ErrorBelow(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		broken := errors.New("broken")
		ended := make(chan error, 1)
		s := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{
			Publish:      func(context.Context, *mqttx.Conn, *mqttx.Message) error { return mqttx.Disconnect(broken) },
			Disconnected: func(_ context.Context, _ *mqttx.Conn, why error) { ended <- why },
		})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		c.Publish("t", "", 0)
		why := g1Await(t, "Disconnected", ended)
		g1Why(t, why, mqttx.ByServer, mqttx.UnspecifiedError, "")
		if !errors.Is(why, broken) {
			t.Errorf("%v does not wrap the error", why)
		}
		if got := c.Served(); got != why {
			t.Errorf("ServeConn returned %v, Disconnected was told %v", got, why)
		}
	})
}

// In a chain only those whose Connect accepted hear of the end, last one first; a refusal ends all.
func TestGuide_G10_OnlyWhoAccepted(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var notes g1Notes
		handler := func(name string, err error) mqttx.Handler {
			return mqttx.Callbacks[*mqttx.Conn]{
				Connect:      func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) { return r.Conn, err },
				Disconnected: func(context.Context, *mqttx.Conn, error) { notes.add(name) },
			}
		}
		s := mqttest.NewServer(t, mqttx.Chain(handler("first", nil), handler("second", nil), handler("third", mqttx.NotAuthorized)))
		c, code := mqttest.TryConnect(t, s, g1Connect("c", v))
		g1Code(t, "CONNACK", code, g1Wire(v, 0x87, 5))
		c.Closed()
		c.Served()
		notes.want(t, "second", "first")
	})
}

// It is the last of a connection's callbacks, and its context lives on.
func TestGuide_G10_Last(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var notes g1Notes
		entered, leave := make(chan struct{}), make(chan struct{})
		s := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{
			Publish: func(context.Context, *mqttx.Conn, *mqttx.Message) error {
				notes.add("publish begins")
				close(entered)
				<-leave
				notes.add("publish ends")
				return nil
			},
			Info: func(context.Context, *mqttx.Conn, any) error { notes.add("info"); return nil },
			Disconnected: func(ctx context.Context, _ *mqttx.Conn, _ error) {
				if ctx.Err() != nil {
					t.Errorf("Disconnected has a context that ended: %v", ctx.Err())
				}
				notes.add("disconnected")
			},
		})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		conn, _ := s.Conn("c")
		c.Publish("t", "", 0)
		<-entered
		if err := conn.Disconnect(mqttx.AdministrativeAction); err != nil {
			t.Errorf("Disconnect: %v", err)
		}
		g1Bye(t, c, mqttx.AdministrativeAction)
		notes.want(t, "publish begins")
		close(leave)
		c.Served()
		conn.Post("late")
		mqttest.Advance(time.Second)
		notes.want(t, "publish begins", "publish ends", "disconnected")
	})
}
