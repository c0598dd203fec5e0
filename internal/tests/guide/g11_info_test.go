package guide_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1Counts is a T that is touched without a lock, to be seen by the race detector.
type g1Counts struct {
	inside bool
	infos  int
}

func (x *g1Counts) enter(t *testing.T) func() {
	if x.inside {
		t.Error("two callbacks at once")
	}
	x.inside = true
	return func() { x.inside = false }
}

// Info runs once for each Post of any goroutine, and never with another callback.
func TestGuide_G11_Posts(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		const posts = 100
		all := make(chan struct{})
		s := g1Quiet(mqttx.Callbacks[*g1Counts]{
			Connect: func(context.Context, *mqttx.ConnectRequest) (*g1Counts, error) { return &g1Counts{}, nil },
			Publish: func(_ context.Context, x *g1Counts, _ *mqttx.Message) error { x.enter(t)(); return nil },
			Info: func(_ context.Context, x *g1Counts, v any) error {
				defer x.enter(t)()
				if x.infos++; x.infos == posts {
					close(all)
				}
				return nil
			},
		})
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", mqttx.V5))
		conn, _ := s.Conn("c")
		var posters sync.WaitGroup
		for range posts {
			posters.Go(func() {
				if err := conn.Post(1); err != nil {
					t.Errorf("Post: %v", err)
				}
			})
		}
		for range 50 {
			c.Publish("t", "x", 1)
		}
		posters.Wait()
		g1Await(t, "the last Info", all)
		c.Nothing()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// What one goroutine posts comes in its order.
func TestGuide_G11_Order(t *testing.T) {
	g1Bubble(t, "order", func(t *testing.T) {
		var got []int
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{
			Info: func(_ context.Context, _ struct{}, v any) error { got = append(got, v.(int)); return nil },
		})
		mqttest.Connect(t, s, g1Connect("c", mqttx.V5))
		conn, _ := s.Conn("c")
		for i := range 500 {
			if err := conn.Post(i); err != nil {
				t.Fatalf("Post: %v", err)
			}
		}
		synctest.Wait()
		if len(got) != 500 {
			t.Fatalf("Info ran %d times", len(got))
		}
		for i, v := range got {
			if v != i {
				t.Fatalf("Info got %d in place %d", v, i)
			}
		}
	})
}

// An error of Info ends the connection: a code with it, anything else with 0x80.
func TestGuide_G11_Errors(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		for _, x := range []struct {
			name string
			err  error
			code mqttx.ReasonCode
			text string
		}{
			{"code", mqttx.AdministrativeAction, 0x98, ""},
			{"Error", &mqttx.Error{Code: mqttx.QuotaExceeded, Text: "enough"}, 0x97, "enough"},
			{"Disconnect", mqttx.Disconnect(&mqttx.Error{Code: mqttx.AdministrativeAction, Text: "bye"}), 0x98, "bye"},
			{"other", io.EOF, 0x80, ""},
		} {
			ended := make(chan error, 2)
			s := g1Quiet(mqttx.Callbacks[struct{}]{
				Info:         func(_ context.Context, _ struct{}, v any) error { return v.(error) },
				Disconnected: func(_ context.Context, _ struct{}, why error) { ended <- why },
			})
			n := on.Start(t, s)
			c := n.Connect(g1Connect("c", v))
			conn, _ := s.Conn("c")
			if err := conn.Post(x.err); err != nil {
				t.Errorf("%s: Post: %v", x.name, err)
			}
			if v == mqttx.V5 {
				if p := mqttest.Expect[*packet.Disconnect](c); p.Code != x.code || p.ReasonString != x.text {
					t.Errorf("%s: DISCONNECT %v %q", x.name, p.Code, p.ReasonString)
				}
			}
			c.Closed()
			why := g1Await(t, "Disconnected", ended)
			g1Why(t, why, mqttx.ByServer, x.code, x.text)
			if !errors.Is(why, x.err) && !errors.Is(why, x.code) || x.name == "other" && !errors.Is(why, io.EOF) {
				t.Errorf("%s: the reason is %v", x.name, why)
			}
			if err := conn.Post(mqttx.Banned); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: Post on a closed connection: %v", x.name, err)
			}
		}
	})
}

// The queue of posts has a bound. What is in it is still worked off when Info goes on.
func TestGuide_G11_Full(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		leave := make(chan struct{})
		ran := 0
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{
			Info: func(context.Context, struct{}, any) error { <-leave; ran++; return nil },
		})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		conn, _ := s.Conn("c")
		conn.Post(0)
		synctest.Wait() // Info has it
		posted := 1
		var err error
		for ; err == nil && posted < 1_000_000; posted++ {
			err = conn.Post(posted)
		}
		posted--
		if err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("after %d posts: %v", posted, err)
		}
		close(leave)
		synctest.Wait()
		if ran != posted {
			t.Errorf("Info ran %d times for %d posts", ran, posted)
		}
		if err := conn.Post(0); err != nil {
			t.Errorf("Post when there is room again: %v", err)
		}
		c.Nothing()
	})
}

// On a closed connection Post says so, and Info does not run.
func TestGuide_G11_Closed(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		ran := 0
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{
			Info: func(context.Context, struct{}, any) error { ran++; return nil },
		})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		conn, _ := s.Conn("c")
		c.Drop()
		if err := conn.Post(1); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Post: %v", err)
		}
		mqttest.Advance(time.Minute)
		if ran != 0 {
			t.Errorf("Info ran %d times", ran)
		}
	})
}

// A session that ended by time is told of once, when nothing of it is left; with nobody to tell it goes as well.
func TestGuide_G12_SessionExpired(t *testing.T) {
	for _, told := range []bool{true, false} {
		name := "told"
		if !told {
			name = "nil"
		}
		g1Bubble(t, name, func(t *testing.T) {
			var notes g1Notes
			var then mqttx.Stats
			s := &mqttx.Server{}
			h := mqttx.Callbacks[struct{}]{}
			if told {
				h.SessionExpired = func(_ context.Context, c mqttx.Client) {
					notes.add(c.ID + " " + c.User)
					then = s.Stats()
				}
			}
			s.Handler = mqttx.Chain(mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error { return nil }), h)
			g1Started(t, s)
			p := g1Connect("c", mqttx.V5)
			p.SessionExpiryInterval, p.HasUsername, p.Username = new(uint32(5)), true, "user"
			c := mqttest.Connect(t, s, p)
			c.Subscribe("a", 1)
			c.Subscribe("b/#", 2)
			c.Drop()
			pub := mqttest.Connect(t, s, nil)
			pub.Publish("a", "waits", 1)
			mqttest.Advance(5*time.Second - time.Millisecond)
			notes.want(t)
			if st := s.Stats(); st.Sessions != 2 || st.Subscriptions != 2 || st.Queued != 1 {
				t.Errorf("before the end: %d sessions, %d subscriptions, %d queued", st.Sessions, st.Subscriptions, st.Queued)
			}
			mqttest.Advance(time.Millisecond)
			if told {
				notes.want(t, "c user")
			} else {
				then = s.Stats()
			}
			if then.Sessions != 1 || then.Subscriptions != 0 || then.Queued != 0 || then.QueuedBytes != 0 {
				t.Errorf("%d sessions, %d subscriptions, %d queued are left", then.Sessions, then.Subscriptions, then.Queued)
			}
			g1Code(t, "nobody has a", pub.Publish("a", "x", 1), mqttx.NoMatchingSubscribers)
			mqttest.Advance(time.Hour)
			if told {
				notes.want(t, "c user")
			}
			p.CleanStart = false
			if c := mqttest.Connect(t, s, p); c.Connack.SessionPresent {
				t.Error("the session is still there")
			}
		})
	}
}
