package guide_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A Server with nothing but a counting Publish routes between clients of all versions.
func TestGuide_G1_RoutesByItself(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		var ran atomic.Int32
		s := g1Quiet(mqttx.Callbacks[struct{}]{
			Publish: func(context.Context, struct{}, *mqttx.Message) error { ran.Add(1); return nil },
		})
		n := on.Start(t, s)
		var subscribers []*mqttest.Client
		for _, v := range g1Versions() {
			c := n.Connect(g1Connect("sub-"+v.String(), v))
			if code := c.Subscribe("a/+", 1); code != 1 {
				t.Fatalf("SUBACK %v", code)
			}
			subscribers = append(subscribers, c)
		}
		for i, v := range g1Versions() {
			c := n.Connect(g1Connect("pub-"+v.String(), v))
			g1Code(t, "PUBACK", c.Publish("a/b", "x", 1), mqttx.Success)
			if got := ran.Load(); got != int32(i+1) {
				t.Errorf("Publish ran %d times, want %d", got, i+1)
			}
			for _, sub := range subscribers {
				g1Got(t, sub.Receive(), "a/b", "x", 1, false)
				sub.Nothing()
			}
			c.Publish("a/b/c", "x", 1)
			c.Nothing()
			for _, sub := range subscribers {
				sub.Nothing()
			}
			ran.Add(-1)
		}
	})
}

// Every callback may be missing; each has its stated meaning then.
func TestGuide_G2_Defaults(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(mqttx.Callbacks[struct{}]{})
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", v))
		for q := range mqttx.QoS(3) {
			g1Code(t, "SUBACK", c.Subscribe("t", q), mqttx.ReasonCode(q))
		}
		for q := range mqttx.QoS(3) {
			g1Code(t, "PUBLISH", c.Publish("t", "x", q), mqttx.Success)
			g1Got(t, c.Receive(), "t", "x", q, false)
		}
		conn, ok := s.Conn("c")
		if !ok {
			t.Fatal("no connection of c")
		}
		if err := conn.Post(1); err != nil {
			t.Errorf("Post: %v", err)
		}
		c.Nothing()
		g1Code(t, "UNSUBACK", c.Unsubscribe("t"), mqttx.Success)
		c.Publish("t", "x", 1)
		c.Nothing()
		c.Send(&packet.Disconnect{})
		c.Closed()
	})
}

func TestGuide_G2_NoAuth(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		s := g1Quiet(mqttx.Callbacks[struct{}]{})
		n := on.Start(t, s)
		p := g1Connect("c", mqttx.V5)
		p.AuthenticationMethod = "X"
		c, code := n.TryConnect(p)
		g1Code(t, "CONNACK", code, mqttx.BadAuthenticationMethod)
		c.Closed()
		if st := s.Stats(); st.Sessions != 0 || st.Connections != 0 {
			t.Errorf("%d sessions and %d connections left", st.Sessions, st.Connections)
		}
	})
}

// A session that nobody hears of expires just the same.
func TestGuide_G2_NoSessionExpired(t *testing.T) {
	g1Bubble(t, "expiry", func(t *testing.T) {
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{})
		p := g1Connect("c", mqttx.V5)
		p.SessionExpiryInterval = new(uint32(1))
		c := mqttest.Connect(t, s, p)
		c.Drop()
		if n := s.Stats().Sessions; n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
		mqttest.Advance(1e9)
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions, want none", n)
		}
	})
}

// g1State is a T that is touched without a lock.
type g1State struct {
	id    string
	calls []string
}

func (s *g1State) note(what string) { s.calls = append(s.calls, what) }

// Each connection has the T that its own Connect returned; sockets without CONNECT have none.
func TestGuide_G3_OwnState(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		var ran atomic.Int32
		ended := make(chan *g1State, 3)
		informed := make(chan struct{}, 3)
		s := g1Quiet(mqttx.Callbacks[*g1State]{
			Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*g1State, error) {
				ran.Add(1)
				return &g1State{id: r.ClientID}, nil
			},
			Connected: func(_ context.Context, x *g1State) error { x.note("connected"); return nil },
			Publish:   func(_ context.Context, x *g1State, m *mqttx.Message) error { x.note("publish " + m.Topic); return nil },
			Subscribe: func(_ context.Context, x *g1State, sub *mqttx.Subscription) error {
				x.note("subscribe " + sub.Filter)
				return nil
			},
			Unsubscribe: func(_ context.Context, x *g1State, sub *mqttx.Subscription) error {
				x.note("unsubscribe " + sub.Filter)
				return nil
			},
			Info: func(_ context.Context, x *g1State, v any) error {
				x.note("info " + v.(string))
				informed <- struct{}{}
				return nil
			},
			Delivered: func(_ context.Context, x *g1State, m *mqttx.Message, _ mqttx.ReasonCode) error {
				x.note("delivered " + m.Topic)
				return nil
			},
			Disconnected: func(_ context.Context, x *g1State, _ error) { x.note("disconnected"); ended <- x },
		})
		n := on.Start(t, s)
		silent := n.Dial()
		want := map[string]string{}
		for _, id := range []string{"one", "two"} {
			c := n.Connect(g1Connect(id, v))
			c.Subscribe(id, 1)
			c.Publish(id, "x", 1)
			c.Receive()
			c.Nothing() // the PUBACK has been handled
			conn, _ := s.Conn(id)
			conn.Post(id)
			g1Await(t, "Info", informed)
			c.Unsubscribe(id)
			want[id] = "connected, subscribe " + id + ", publish " + id + ", delivered " + id + ", info " + id + ", unsubscribe " + id + ", disconnected"
			c.Send(&packet.Disconnect{})
			c.Closed()
			x := g1Await(t, "Disconnected", ended)
			if got := strings.Join(x.calls, ", "); x.id != id || got != want[id] {
				t.Errorf("%s has had %q, want %q", x.id, got, want[id])
			}
		}
		silent.Drop()
		if got := ran.Load(); got != 2 {
			t.Errorf("Connect ran %d times, want 2", got)
		}
	})
}

// Connect may refuse; what it returned besides is nobody's.
func TestGuide_G3_Refused(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		var others atomic.Int32
		s := g1Quiet(mqttx.Callbacks[*g1State]{
			Connect:      func(context.Context, *mqttx.ConnectRequest) (*g1State, error) { return &g1State{}, mqttx.NotAuthorized },
			Connected:    func(context.Context, *g1State) error { others.Add(1); return nil },
			Publish:      func(context.Context, *g1State, *mqttx.Message) error { others.Add(1); return nil },
			Disconnected: func(context.Context, *g1State, error) { others.Add(1) },
		})
		n := on.Start(t, s)
		p := g1Connect("c", v)
		p.Will = &packet.Will{Topic: "w"}
		c, code := n.TryConnect(p)
		if want := g1Wire(v, mqttx.NotAuthorized, 5); code != want {
			t.Errorf("CONNACK %v, want %v", code, want)
		}
		c.Closed()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if others.Load() != 0 {
			t.Errorf("%d other callbacks ran", others.Load())
		}
	})
}

// g1Wire is a code of CONNACK as the version has it.
func g1Wire(v mqttx.Version, v5, v3 mqttx.ReasonCode) mqttx.ReasonCode {
	if v == mqttx.V5 {
		return v5
	}
	return v3
}
