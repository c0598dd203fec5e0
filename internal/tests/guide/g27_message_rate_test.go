package guide_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g27Server is a Server with a subscriber of everything.
func g27Server(t *testing.T, l mqttx.Limits, compat mqttx.Compat) (*mqttx.Server, *mqttest.Client) {
	t.Helper()
	s := g1Started(t, &mqttx.Server{Limits: l, Compat: compat})
	sub := mqttest.Connect(t, s, g1Connect("sub", mqttx.V5))
	sub.Subscribe("#", 2)
	return s, sub
}

// g27Send sends n messages at QoS 0 and tells how many the subscriber gets: the first ones, in order.
func g27Send(t *testing.T, c, sub *mqttest.Client, n int) (got int) {
	t.Helper()
	for i := range n {
		c.Publish("t", fmt.Sprint(i), 0)
	}
	c.Nothing()
	sub.Send(&packet.Pingreq{}) // its answer comes behind them
	for {
		switch p := sub.Next().(type) {
		case *packet.Publish:
			if string(p.Payload) != fmt.Sprint(got) {
				t.Fatalf("message %d is %q", got, p.Payload)
			}
			got++
		case *packet.Pingresp:
			return got
		default:
			t.Fatalf("the subscriber got %v", p.Type())
		}
	}
}

// One option sets both rates and their interval.
func TestGuide_G27_Limits(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, sub := g27Server(t, mqttx.Limits{ConnectRate: 100, MessageRate: 1000, RateInterval: time.Second}, 0)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		if got := g27Send(t, c, sub, 1001); got != 1000 {
			t.Errorf("%d of 1001 came, want 1000", got)
		}
		if got := g27Connects(t, s, 99); got != 98 { // two are there
			t.Errorf("%d connections of 99, want 98", got)
		}
		mqttest.Advance(time.Second)
		if got := g27Send(t, c, sub, 1000); got != 1000 {
			t.Errorf("%d of 1000 came a second later", got)
		}
		if got := g27Connects(t, s, 101); got != 100 {
			t.Errorf("%d connections of 101, want 100", got)
		}
	})
}

// g27Connects opens n connections and counts those that the server keeps.
func g27Connects(t *testing.T, s *mqttx.Server, n int) (kept int) {
	t.Helper()
	for range n {
		c := mqttest.Dial(t, s)
		c.Send(g1Connect("", mqttx.V5))
		mqttest.Advance(0)
		if len(c.Raw()) > 0 {
			kept++
		}
		c.Drop()
	}
	return kept
}

// Clients without ids of their own are counted each for itself; a client that comes back is still the same.
func TestGuide_G27_PerSession(t *testing.T) {
	g1Bubble(t, "generated ids", func(t *testing.T) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 2}, 0)
		for range 2 {
			c := mqttest.Connect(t, s, &packet.Connect{CleanStart: true})
			if got := g27Send(t, c, sub, 3); got != 2 {
				t.Errorf("%d of 3 came, want 2", got)
			}
		}
	})
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 2}, 0)
		p := &packet.Connect{ClientID: "c", Version: v}
		if v == mqttx.V5 {
			p.SessionExpiryInterval = new(uint32(60))
		}
		c := mqttest.Connect(t, s, p)
		if got := g27Send(t, c, sub, 3); got != 2 {
			t.Errorf("%d of 3 came, want 2", got)
		}
		c.Drop()
		c = mqttest.Connect(t, s, p)
		if got := g27Send(t, c, sub, 3); got != 0 {
			t.Errorf("%d came after coming back, want none", got)
		}
	})
}

// SetLimits holds from the next message on, both ways.
func TestGuide_G27_SetLimits(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, sub := g27Server(t, mqttx.Limits{}, 0)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		if got := g27Send(t, c, sub, 50); got != 50 {
			t.Errorf("%d of 50 came without a limit", got)
		}
		if err := s.SetLimits(mqttx.Limits{MessageRate: 1}); err != nil {
			t.Fatalf("SetLimits: %v", err)
		}
		if got := g27Send(t, c, sub, 3); got != 1 {
			t.Errorf("%d of 3 came, want 1", got)
		}
		if err := s.SetLimits(mqttx.Limits{MessageRate: 100}); err != nil {
			t.Fatalf("SetLimits: %v", err)
		}
		mqttest.Advance(time.Second)
		if got := g27Send(t, c, sub, 101); got != 100 {
			t.Errorf("%d of 101 came, want 100", got)
		}
	})
}

// MessageRate is of one client, whatever the others do, and at any QoS.
func TestGuide_G29_PerClient(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 3}, 0)
		a := mqttest.Connect(t, s, g1Connect("a", v))
		b := mqttest.Connect(t, s, g1Connect("b", v))
		if got := g27Send(t, a, sub, 5); got != 3 {
			t.Errorf("%d of a's 5 came, want 3", got)
		}
		if got := g27Send(t, b, sub, 3); got != 3 {
			t.Errorf("%d of b's 3 came", got)
		}
		mqttest.Advance(time.Second)
		if got := g27Send(t, a, sub, 3); got != 3 {
			t.Errorf("%d of a's 3 came a second later", got)
		}
	})
	g1Bubble(t, "every QoS", func(t *testing.T) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 3}, 0)
		c := mqttest.Connect(t, s, nil)
		for q := range mqttx.QoS(3) {
			g1Code(t, "within", c.Publish("t", "x", q), mqttx.Success)
			sub.Receive()
		}
		g1Code(t, "over", c.Publish("t", "x", 1), mqttx.QuotaExceeded)
		sub.Nothing()
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: []byte("the server's own")}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		g1Got(t, sub.Receive(), "t", "the server's own", 0, false)
	})
}

// A repeated QoS 2 message is not another message.
func TestGuide_G29_Dup(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 2}, 0)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte("once"), QoS: 2, PacketID: 1}
		g1Code(t, "PUBREC", g1Send(t, c, p), mqttx.Success)
		p.Dup = true
		for range 5 {
			g1Code(t, "PUBREC of a repeated one", g1Send(t, c, p), mqttx.Success)
		}
		if got := sub.Receive(); string(got.Payload) != "once" {
			t.Errorf("got %q", got.Payload)
		}
		if got := g27Send(t, c, sub, 2); got != 1 {
			t.Errorf("%d of 2 came, want 1", got)
		}
	})
}

func TestGuide_G29_Unlimited(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		for _, rate := range []int{0, -1} {
			s, sub := g27Server(t, mqttx.Limits{MessageRate: rate}, 0)
			c := mqttest.Connect(t, s, g1Connect("c", v))
			if got := g27Send(t, c, sub, 1500); got != 1500 {
				t.Errorf("MessageRate %d: %d of 1500 came", rate, got)
			}
		}
	})
}

// The tokens come back evenly: never twice the limit around a moment.
func TestGuide_G30_Bucket(t *testing.T) {
	const ms = time.Millisecond
	for _, x := range []struct {
		name     string
		interval time.Duration
		steps    [][3]int // at ms, sent, want
	}{
		{"default", 0, [][3]int{{0, 11, 10}, {1000, 11, 10}, {1050, 3, 0}, {1100, 3, 1}, {1500, 9, 4}, {5000, 20, 10}}},
		{"negative", -1, [][3]int{{0, 11, 10}, {999, 20, 9}, {1000, 1, 1}}},
		{"around a second", 0, [][3]int{{999, 10, 10}, {1001, 10, 0}, {1099, 10, 1}}},
		{"200 ms", 200 * ms, [][3]int{{0, 12, 10}, {200, 12, 10}, {220, 5, 1}, {420, 12, 10}}},
		{"a minute", time.Minute, [][3]int{{0, 12, 10}, {5999, 2, 0}, {6000, 2, 1}, {66000, 12, 10}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				begun := time.Now()
				s, sub := g27Server(t, mqttx.Limits{MessageRate: 10, RateInterval: x.interval}, 0)
				c := mqttest.Connect(t, s, g1Connect("c", v))
				for _, step := range x.steps {
					if d := time.Until(begun.Add(time.Duration(step[0]) * ms)); d > 0 {
						mqttest.Advance(d)
					}
					if got := g27Send(t, c, sub, step[1]); got != step[2] {
						t.Errorf("at %d ms %d of %d came, want %d", step[0], got, step[1], step[2])
					}
				}
			})
		})
	}
}

// Over the rate QoS 0 vanishes without a word, is counted, and leaves its alias behind.
func TestGuide_G31_DroppedSilently(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 1}, 0)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		before := len(c.Raw())
		c.Publish("t", "first", 0)
		c.Send(&packet.Publish{Topic: []byte("u"), Payload: []byte("over"), TopicAlias: 1, Retain: true})
		mqttest.Advance(0)
		if got := c.Raw()[before:]; len(got) > 0 {
			t.Errorf("the client was sent % x", got)
		}
		g1Got(t, sub.Receive(), "t", "first", 0, false)
		sub.Nothing()
		st := s.Stats()
		if len(st.Dropped) != 1 || st.Dropped[mqttx.DropRate] != 1 || st.Published != 1 || st.Retained != 0 {
			t.Errorf("dropped %v, published %d, retained %d", st.Dropped, st.Published, st.Retained)
		}
		mqttest.Advance(time.Second)
		if v == mqttx.V5 {
			c.Send(&packet.Publish{Payload: []byte("by alias"), TopicAlias: 1})
			g1Got(t, sub.Receive(), "u", "by alias", 0, false)
		}
		c.Nothing()
	})
}
