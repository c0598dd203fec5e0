package guide_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g43Will is a CONNECT with the will "gone" on topic w.
func g43Will(v mqttx.Version) *packet.Connect {
	return &packet.Connect{
		Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10,
		Will: &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1},
	}
}

// g43End is a way for a connection to end.
type g43End struct {
	name string
	end  func(t *testing.T, srv *mqttx.Server, c *mqttest.Client)
	only mqttx.Version // 0: every version
}

// g43Ends are all ends but DISCONNECT 0x00.
func g43Ends() []g43End {
	send := func(p packet.Packet) func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
		return func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Send(p) }
	}
	write := func(b ...byte) func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
		return func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Write(b) }
	}
	ends := []g43End{
		{name: "drop", end: func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Drop() }},
		{name: "keep alive", end: func(*testing.T, *mqttx.Server, *mqttest.Client) { mqttest.Advance(15 * time.Second) }},
		{name: "malformed packet", end: write(0, 0)},
		{name: "malformed DISCONNECT", end: write(0xE1, 0)},
		{name: "second CONNECT", end: func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) {
			c.Send(&packet.Connect{Version: c.Version, ClientID: "c", CleanStart: true})
		}},
		{name: "packet of a server", end: send(&packet.Pingresp{})},
		{name: "too large", end: send(&packet.Publish{Topic: []byte("a"), Payload: make([]byte, 2000)})},
		{name: "panic in a callback", end: send(&packet.Publish{Topic: []byte("panic")})},
		{name: "callback disconnects", end: send(&packet.Publish{Topic: []byte("disconnect")})},
		{name: "takeover", end: func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
			mqttest.Connect(t, srv, &packet.Connect{Version: c.Version, ClientID: "c", CleanStart: true})
		}},
		{name: "Server.Disconnect", end: func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			if err := srv.Disconnect("c", mqttx.AdministrativeAction); err != nil {
				t.Error(err)
			}
		}},
		{name: "Conn.Disconnect", end: func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			conn, ok := srv.Conn("c")
			if !ok {
				t.Fatal("no connection")
			}
			if err := conn.Disconnect(mqttx.QuotaExceeded); err != nil {
				t.Error(err)
			}
		}},
		{name: "EndSession", end: func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) {
			if err := srv.EndSession(t.Context(), "c"); err != nil {
				t.Error(err)
			}
		}},
		{name: "DISCONNECT with an interval after 0", end: send(&packet.Disconnect{SessionExpiryInterval: new(uint32(5))}), only: mqttx.V5},
	}
	for _, code := range []mqttx.ReasonCode{0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99} {
		ends = append(ends, g43End{fmt.Sprintf("DISCONNECT %#.2x", byte(code)), send(&packet.Disconnect{Code: code}), mqttx.V5})
	}
	return ends
}

func g43Callbacks() mqttx.Callbacks[int] {
	return mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
		switch m.Topic {
		case "panic":
			panic("of the test")
		case "disconnect":
			return mqttx.Disconnect(mqttx.AdministrativeAction)
		}
		return nil
	}}
}

// Every end but DISCONNECT 0x00 publishes the will, once.
func TestGuide_G43_Ends(t *testing.T) {
	for _, x := range g43Ends() {
		versions := []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}
		if x.only != 0 {
			versions = []mqttx.Version{x.only}
		}
		t.Run(x.name, func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{Handler: g43Callbacks(), Limits: mqttx.Limits{PacketSize: 1000}})
				sub := g38Subscriber(t, srv, "w")
				c := mqttest.Connect(t, srv, g43Will(v))
				sub.Nothing()
				x.end(t, srv, c)
				c.Served()
				g38Gets(t, sub, "gone")
				mqttest.Advance(time.Hour)
				sub.Nothing()
			}, versions...)
		})
	}
}

// DISCONNECT 0x00 forgets the will, in each of its forms.
func TestGuide_G43_NormalDisconnection(t *testing.T) {
	for name, b := range map[string][]byte{"short": {0xE0, 0}, "code": {0xE0, 1, 0}, "properties": {0xE0, 2, 0, 0}} {
		versions := []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}
		if len(b) > 2 {
			versions = versions[2:]
		}
		t.Run(name, func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{})
				sub := g38Subscriber(t, srv, "w")
				c := mqttest.Connect(t, srv, g43Will(v))
				c.Write(b)
				c.Closed()
				c.Served()
				mqttest.Advance(time.Hour)
				sub.Nothing()
			}, versions...)
		})
	}
}

// Shutdown publishes the wills of the connections that it ends.
func TestGuide_G43_Shutdown(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		var mu sync.Mutex
		published := 0
		srv := g38Server(t, &mqttx.Server{Trace: &mqttx.Trace{Published: func(m *mqttx.Message) {
			mu.Lock()
			defer mu.Unlock()
			if m.Topic != "w" || string(m.Payload) != "gone" || m.From.ID != "c" {
				t.Errorf("published %q on %q from %q", m.Payload, m.Topic, m.From.ID)
			}
			published++
		}}})
		mqttest.Connect(t, srv, g43Will(v))
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if published != 1 {
			t.Errorf("will published %d times", published)
		}
	})
}

// The end of the context that a connection is served with is an end by the server.
func TestGuide_G43_Context(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		near, far := mqttest.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- srv.ServeConn(ctx, far) }()
		c := mqttest.NewClient(t, near, v)
		c.Connect(g43Will(v))
		cancel()
		if err := <-served; !errors.Is(err, mqttx.ServerShuttingDown) {
			t.Errorf("ServeConn: %v", err)
		}
		g38Bye(t, c, mqttx.ServerShuttingDown)
		g38Gets(t, sub, "gone")
	})
}

// A Publish callback that refuses the will refuses the CONNECT, with its code as far as CONNACK and the version have it.
func TestGuide_G43_PublishRefuses(t *testing.T) {
	for _, x := range []struct{ code, v3, v5 mqttx.ReasonCode }{
		{mqttx.NotAuthorized, 5, mqttx.NotAuthorized},
		{mqttx.QuotaExceeded, 3, mqttx.QuotaExceeded},
		{mqttx.AdministrativeAction, 3, mqttx.UnspecifiedError},
	} {
		t.Run(x.code.String(), func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				saw := 0
				srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
					Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
						saw++
						if !m.Will || m.Topic != "w" || m.QoS != 1 || m.From.ID != "c" {
							t.Errorf("Publish of %+v", m)
						}
						return x.code
					},
				}})
				sub := g38Subscriber(t, srv, "#")
				c, code := mqttest.TryConnect(t, srv, g43Will(v))
				want := x.v3
				if v == mqttx.V5 {
					want = x.v5
				}
				if code != want {
					t.Errorf("CONNACK %v, want %v", code, want)
				}
				c.Closed()
				c.Served()
				mqttest.Advance(time.Hour)
				sub.Nothing()
				if st := srv.Stats(); saw != 1 || st.Sessions != 1 || st.Connections != 1 {
					t.Errorf("Publish was called %d times, sessions %d, connections %d", saw, st.Sessions, st.Connections)
				}
			})
		})
	}
}

// Allow may refuse a will at CONNECT as well.
func TestGuide_G43_AllowRefuses(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{Allow: func(_ context.Context, a mqttx.Access) error {
			if a.Op == mqttx.OpPublish && a.Client.ID == "c" && a.Topic == "w" && a.QoS == 1 {
				return mqttx.NotAuthorized
			}
			return nil
		}}})
		sub := g38Subscriber(t, srv, "#")
		c, code := mqttest.TryConnect(t, srv, g43Will(v))
		want := mqttx.NotAuthorized
		if v != mqttx.V5 {
			want = 5
		}
		if code != want {
			t.Errorf("CONNACK %v, want %v", code, want)
		}
		c.Closed()
		sub.Nothing()
	})
}

// Allow is asked again when the will is due.
func TestGuide_G43_AllowWithdrawn(t *testing.T) {
	for _, delay := range []uint32{0, 5} {
		g38Bubble(t, fmt.Sprintf("delay %d", delay), func(t *testing.T) {
			var mu sync.Mutex
			withdrawn := false
			srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{Allow: func(_ context.Context, a mqttx.Access) error {
				mu.Lock()
				defer mu.Unlock()
				if withdrawn && a.Op == mqttx.OpPublish && a.Client.ID == "c" {
					return mqttx.NotAuthorized
				}
				return nil
			}}})
			sub := g38Subscriber(t, srv, "w")
			p := g43Will(mqttx.V5)
			p.SessionExpiryInterval = new(uint32(60))
			p.Will.Retain, p.Will.DelayInterval = true, delay
			c := mqttest.Connect(t, srv, p)
			mu.Lock()
			withdrawn = true
			mu.Unlock()
			if err := srv.Recheck(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Drop()
			mqttest.Advance(10 * time.Second)
			sub.Nothing()
			for m := range srv.Retained("#") {
				t.Errorf("retained: %q", m.Payload)
			}
			if n := srv.Stats().Dropped[mqttx.DropNotAllowed]; n != 1 {
				t.Errorf("%d drops for not being allowed, want 1", n)
			}
		})
	}
}

// What Publish makes of a will holds; Handled takes it.
func TestGuide_G43_PublishChanges(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
			Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
				if m.From.ID == "handled" {
					return mqttx.Handled
				}
				m.Topic = "tenant/" + m.Topic
				return nil
			},
		}})
		sub := g38Subscriber(t, srv, "#")
		c := mqttest.Connect(t, srv, g43Will(v))
		c.Drop()
		if p := sub.Receive(); string(p.Topic) != "tenant/w" || string(p.Payload) != "gone" {
			t.Errorf("%q on %q", p.Payload, p.Topic)
		}
		p := g43Will(v)
		p.ClientID = "handled"
		mqttest.Connect(t, srv, p).Drop()
		sub.Nothing()
	})
}

// A CONNECT that is refused for another reason leaves no will behind.
func TestGuide_G43_RefusedConnect(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[string]{
			Connect:   func(_ context.Context, r *mqttx.ConnectRequest) (string, error) { return r.ClientID, nil },
			Connected: func(_ context.Context, id string) error { return map[string]error{"c": mqttx.NotAuthorized}[id] },
		}})
		sub := g38Subscriber(t, srv, "w")
		c, code := mqttest.TryConnect(t, srv, g43Will(v))
		if code == mqttx.Success {
			t.Error("CONNACK 0")
		}
		c.Closed()
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}
