package guide_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g82Keep is a CONNECT with a session of 60 s in MQTT 5.0.
func g82Keep(v mqttx.Version) *packet.Connect {
	p := g70Keep("c", v)
	if v == mqttx.V5 {
		p.SessionExpiryInterval = new(uint32(60))
	}
	return p
}

// g82Present compares Session Present, which 3.1 has not.
func g82Present(t *testing.T, c *mqttest.Client, want bool) {
	t.Helper()
	if c.Version != mqttx.V31 && c.Connack.SessionPresent != want {
		t.Errorf("session present %v, want %v", c.Connack.SessionPresent, want)
	}
}

func TestGuide_G82_Kept(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g82Keep(v))
		g82Present(t, c, false)
		c.Subscribe("t", 1)
		c.Drop()
		p := mqttest.Connect(t, s, nil)
		for i := range 3 {
			p.Publish("t", fmt.Sprint(i), 1)
		}
		mqttest.Advance(59 * time.Second)
		c = mqttest.Connect(t, s, g82Keep(v))
		g82Present(t, c, true)
		g38Gets(t, c, "0", "1", "2")
		p.Publish("t", "live", 1)
		g38Gets(t, c, "live")
		c.Drop()
		p.Publish("t", "lost", 1)
		clean := g82Keep(v)
		clean.CleanStart = true
		c = mqttest.Connect(t, s, clean)
		g82Present(t, c, false)
		c.Nothing()
		p.Publish("t", "no subscriber", 1)
		c.Nothing()
		if st := s.Stats(); st.Subscriptions != 0 || st.Queued != 0 {
			t.Errorf("left over: %+v", st)
		}
	})
}

// Only the version's rules end a session: MQTT 5.0 by its interval, v3 by Clean Session.
func TestGuide_G82_Ends(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g82Keep(v))
		c.Subscribe("t", 1)
		c.Drop()
		mqttest.Advance(61 * time.Second)
		c = mqttest.Connect(t, s, g82Keep(v))
		g82Present(t, c, v != mqttx.V5)
		c.Drop()

		d := mqttest.Connect(t, s, g1Connect("d", v)) // Clean Start 1, no interval
		d.Subscribe("t", 1)
		d.Drop()
		again := g82Keep(v)
		again.ClientID = "d"
		g82Present(t, mqttest.Connect(t, s, again), false)
	})
}

// What waits is bounded, in messages and in bytes; the publisher is told when nobody took the message.
func TestGuide_G82_Bounded(t *testing.T) {
	for _, x := range []struct {
		name   string
		limits mqttx.Limits
		kept   int
	}{
		{"messages", mqttx.Limits{QueuedMessages: 2}, 2},
		{"bytes", mqttx.Limits{QueuedBytes: 3500}, 3},
	} {
		t.Run(x.name, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				s := g1Started(t, &mqttx.Server{Limits: x.limits})
				c := mqttest.Connect(t, s, g82Keep(v))
				c.Subscribe("t", 1)
				c.Drop()
				p := mqttest.Connect(t, s, nil)
				payload := string(make([]byte, 1000))
				for i := range 5 {
					want := mqttx.Success
					if i >= x.kept {
						want = mqttx.QuotaExceeded
					}
					g1Code(t, "PUBACK", p.Publish("t", fmt.Sprint(i)+payload, 1), want)
				}
				other := g38Subscriber(t, s, "t")
				g1Code(t, "PUBACK", p.Publish("t", "6"+payload, 1), mqttx.Success) // somebody took it
				g38Gets(t, other, "6"+payload)
				if n := s.Stats().Dropped[mqttx.DropQueueFull]; n != int64(6-x.kept) {
					t.Errorf("%d dropped, want %d", n, 6-x.kept)
				}
				c = mqttest.Connect(t, s, g82Keep(v))
				for i := range x.kept {
					g1Got(t, c.Receive(), "t", fmt.Sprint(i)+payload, 1, false)
				}
				c.Nothing()
			})
		})
	}
}

// g82Expiries is a Server in the guide's mode, and its calls of SessionExpired.
func g82Expiries(t *testing.T, compat mqttx.Compat) (*mqttx.Server, *g38Record) {
	t.Helper()
	r := &g38Record{}
	h := r.callbacks()
	h.Disconnected = nil
	return g38Server(t, &mqttx.Server{Compat: compat, Handler: h}), r
}

// In the guide's mode nothing outlives the connection.
func TestGuide_G82_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.GuideCompat, mqttx.CleanSessionsOnly} {
		t.Run(compat.String(), func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				s, expired := g82Expiries(t, compat)
				c := mqttest.Connect(t, s, g82Keep(v))
				if x := c.Connack.SessionExpiryInterval; v == mqttx.V5 && (x == nil || *x != 0) {
					t.Errorf("CONNACK 0x11 is %v", x)
				}
				c.Subscribe("t", 2)
				c.Drop()
				g75Empty(t, s)
				mqttest.Connect(t, s, nil).Publish("t", "x", 1)
				if n := s.Stats().Queued; n != 0 {
					t.Errorf("%d queued", n)
				}
				mqttest.Advance(30 * time.Second)
				c = mqttest.Connect(t, s, g82Keep(v))
				g82Present(t, c, false)
				mqttest.Advance(10 * time.Minute)
				c.Nothing()
				expired.want(t) // it came back in time
				c.Drop()
				mqttest.Advance(60*time.Second - g70Near)
				expired.want(t)
				mqttest.Advance(2 * g70Near)
				if v == mqttx.V5 {
					expired.want(t, "expired c")
				} else {
					expired.want(t) // a v3 session never ends by time
				}
				mqttest.Advance(time.Hour)
				if n := len(expired.who); v == mqttx.V5 && n != 1 {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}

func TestGuide_G83_Restart(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		store := new(mqttest.MemStore)
		first := g1Started(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, first, g70Keep("c", v))
		c.Subscribe("t", 1)
		c.Drop()
		g1Code(t, "PUBACK", mqttest.Connect(t, first, nil).Publish("t", "x", 1), mqttx.Success)
		made, _ := store.Commits()
		if made == 0 {
			t.Error("acknowledged without a commit")
		}
		first.Close()
		s := g1Started(t, &mqttx.Server{Store: store})
		c = g70Resume(t, s, "c", v)
		g38Gets(t, c, "x")
		mqttest.Connect(t, s, nil).Publish("t", "y", 1)
		g38Gets(t, c, "y")
	})
}

// No acknowledgement comes before its commit.
func TestGuide_G83_SlowStore(t *testing.T) {
	for q := mqttx.QoS(1); q <= 2; q++ {
		g1Bubble(t, fmt.Sprint("QoS ", q), func(t *testing.T) {
			store := new(mqttest.MemStore)
			s := g1Started(t, &mqttx.Server{Store: store})
			sub := mqttest.Connect(t, s, g70Keep("sub", mqttx.V5))
			g70Topics(t, sub, "t")
			c := mqttest.Connect(t, s, g70Keep("c", mqttx.V311))
			synctest.Wait()
			store.Block()
			c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: q, PacketID: 3})
			mqttest.Advance(time.Minute)
			c.Nothing()
			if _, waiting := store.Commits(); waiting == 0 {
				t.Error("no commit is waiting")
			}
			store.Unblock()
			if q == 1 {
				g70ID(t, "PUBACK", mqttest.Expect[*packet.Puback](c).PacketID, 3)
			} else {
				g70ID(t, "PUBREC", mqttest.Expect[*packet.Pubrec](c).PacketID, 3)
			}
			g38Gets(t, sub, "x")
		})
	}
}

// An application that resumes by itself sends what it has saved from Connect; CONNACK comes first.
func TestGuide_G83_OwnResumption(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.CleanSessionsOnly, mqttx.GuideCompat, 0} {
		t.Run(compat.String(), func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				saved := []string{"one", "two"}
				s := g1Started(t, &mqttx.Server{Compat: compat, Handler: mqttx.Callbacks[*mqttx.Conn]{
					Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
						for i, x := range saved {
							if err := r.Conn.Send(&mqttx.Message{Topic: "saved", Payload: []byte(x), QoS: mqttx.QoS(i + 1)}); err != nil {
								return nil, err
							}
						}
						return r.Conn, nil
					},
				}})
				c := mqttest.Dial(t, s)
				c.Send(g82Keep(v))
				ack := mqttest.Expect[*packet.Connack](c)
				if ack.Code != mqttx.Success || ack.SessionPresent {
					t.Errorf("CONNACK %+v", *ack)
				}
				var got []string
				for range 2 {
					got = append(got, string(c.Receive().Payload))
				}
				if !slices.Equal(got, saved) {
					t.Errorf("got %q", got)
				}
				c.Nothing()
			})
		})
	}
}
