package guide_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
)

// n13Seen counts what a Trace is told; drops and ends by their reasons.
type n13Seen struct {
	mu                   sync.Mutex
	connected            int
	published, delivered int64
	dropped              map[mqttx.DropReason]int64
	refused, ended       map[mqttx.ReasonCode]int
}

func (n *n13Seen) trace() *mqttx.Trace {
	n.dropped, n.refused, n.ended = map[mqttx.DropReason]int64{}, map[mqttx.ReasonCode]int{}, map[mqttx.ReasonCode]int{}
	locked := func(f func()) { n.mu.Lock(); defer n.mu.Unlock(); f() }
	return &mqttx.Trace{
		Connected: func(*mqttx.Conn) { locked(func() { n.connected++ }) },
		Refused:   func(_ mqttx.Client, why error) { locked(func() { n.refused[mqttx.CodeOf(why)]++ }) },
		Disconnected: func(_ *mqttx.Conn, why error) {
			var d *mqttx.DisconnectError
			locked(func() {
				if errors.As(why, &d) {
					n.ended[d.Code]++
				}
			})
		},
		Published: func(*mqttx.Message) { locked(func() { n.published++ }) },
		Delivered: func(mqttx.Client, *mqttx.Message) { locked(func() { n.delivered++ }) },
		Dropped: func(_ mqttx.Client, _ *mqttx.Message, why mqttx.DropReason) {
			locked(func() { n.dropped[why]++ })
		},
	}
}

// Stats and Trace tell the same.
func TestGuide_N13_StatsAndTrace(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		seen := &n13Seen{}
		s := g1Started(t, &mqttx.Server{
			Trace: seen.trace(), Limits: mqttx.Limits{MessageRate: 10},
			Handler: mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
				if r.ClientID == "mallory" {
					return mqttx.Banned
				}
				return nil
			}),
		})
		sub := g38Subscriber(t, s, "t")
		c := mqttest.Connect(t, s, nil)
		for i := range 12 {
			c.Publish("t", "x", mqttx.QoS(i%3)*mqttx.QoS(1-i/10)) // the last two, over the rate, at QoS 0
		}
		for range 10 {
			sub.Receive()
		}
		sub.Nothing()
		refused, code := mqttest.TryConnect(t, s, g1Connect("mallory", mqttx.V5))
		g1Code(t, "CONNACK", code, mqttx.Banned)
		refused.Served()
		c.Drop()
		if err := s.Disconnect(sub.ClientID, mqttx.AdministrativeAction); err != nil {
			t.Fatal(err)
		}
		sub.Served()

		st := s.Stats()
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if st.Published != 10 || seen.published != 10 {
			t.Errorf("published: Stats %d, Trace %d; want 10", st.Published, seen.published)
		}
		if st.Delivered != 10 || seen.delivered != 10 {
			t.Errorf("delivered: Stats %d, Trace %d; want 10", st.Delivered, seen.delivered)
		}
		if want := map[mqttx.DropReason]int64{mqttx.DropRate: 2}; !maps.Equal(st.Dropped, want) || !maps.Equal(seen.dropped, want) {
			t.Errorf("dropped: Stats %v, Trace %v; want %v", st.Dropped, seen.dropped, want)
		}
		if want := map[mqttx.ReasonCode]int{mqttx.Banned: 1}; !maps.Equal(seen.refused, want) {
			t.Errorf("refused %v, want %v", seen.refused, want)
		}
		if want := map[mqttx.ReasonCode]int{0: 1, mqttx.AdministrativeAction: 1}; seen.connected != 2 || !maps.Equal(seen.ended, want) {
			t.Errorf("%d connected, ended %v", seen.connected, seen.ended)
		}
		if st.Connections != 0 {
			t.Errorf("%d connections", st.Connections)
		}
	})
}

// $SYS is the server's: nobody publishes there, and # does not reach it.
func TestGuide_N13_SystemTopics(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		all := g38Subscriber(t, s, "#", "+/x")
		system := g38Subscriber(t, s, "$SYS/#")
		c := mqttest.Connect(t, s, g1Connect("c", v))
		for q := mqttx.QoS(0); q <= 2; q++ {
			code := c.Publish("$SYS/x", "forged", q)
			if v == mqttx.V5 && q > 0 {
				g1Code(t, "answer", code, mqttx.NotAuthorized)
			}
		}
		c.Nothing() // the connection stays
		all.Nothing()
		system.Nothing()
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "$SYS/x", Payload: []byte("1"), QoS: 1, Retain: true}); err != nil {
			t.Fatal(err) // the program may
		}
		g1Got(t, system.Receive(), "$SYS/x", "1", 1, false)
		all.Nothing()
		g38Subscriber(t, s, "#", "+/x").Nothing()
		g1Got(t, g38Subscriber(t, s, "$SYS/+").Receive(), "$SYS/x", "1", 1, true)
	})
}
