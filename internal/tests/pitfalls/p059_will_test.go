package pitfalls_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A resume inside the delay leaves no will, ever; outside it there is one.
func TestPitfall059_ResumeAndDelay(t *testing.T) {
	for _, back := range []time.Duration{0, 4900 * time.Millisecond, 5100 * time.Millisecond, time.Minute} {
		for _, takeover := range []bool{false, true} {
			if takeover && back > 0 {
				continue
			}
			p1Bubble(t, fmt.Sprintf("after %v, takeover %v", back, takeover), func(t *testing.T) {
				srv := p1Server(t, &mqttx.Server{})
				sub := p1Subscriber(t, srv, nil, 1, "w")
				c := mqttest.Connect(t, srv, p24Will("gone", 5, 3600))
				if !takeover {
					c.Drop()
					mqttest.Advance(back)
				}
				p := p24Will("", 5, 3600)
				p.Will = nil
				c = mqttest.Connect(t, srv, p)
				if !c.Connack.SessionPresent {
					t.Error("no session present")
				}
				if back > 5*time.Second {
					p1Gets(t, sub, "gone")
				}
				mqttest.Advance(time.Hour)
				sub.Nothing()
				c.Drop()
				mqttest.Advance(2 * time.Hour)
				sub.Nothing()
			})
		}
	}
}

// p60Ends are the ways in which a connection ends that has a Keep Alive of 10 s; each gives how often the will is to come.
func p60Ends() map[string]func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) int {
	return map[string]func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) int{
		"DISCONNECT": func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) int {
			c.Disconnect(0)
			return 0
		},
		"DISCONNECT, then kicked": func(_ *testing.T, srv *mqttx.Server, c *mqttest.Client) int {
			c.Send(&packet.Disconnect{})
			c.Closed()
			srv.Disconnect("c", mqttx.AdministrativeAction)
			return 0
		},
		"end of the line": func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) int {
			c.Drop()
			return 1
		},
		"Keep Alive": func(*testing.T, *mqttx.Server, *mqttest.Client) int {
			mqttest.Advance(16 * time.Second)
			return 1
		},
		"kicked": func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) int {
			if err := srv.Disconnect("c", mqttx.AdministrativeAction); err != nil {
				t.Error(err)
			}
			return 1
		},
		"takeover": func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) int {
			mqttest.Connect(t, srv, p1New("c", c.Version)).Disconnect(0)
			return 1
		},
		"session ended": func(t *testing.T, srv *mqttx.Server, _ *mqttest.Client) int {
			if err := srv.EndSession(t.Context(), "c"); err != nil {
				t.Error(err)
			}
			return 1
		},
		"malformed packet": func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) int {
			c.Write([]byte{0x36, 2, 0, 0})
			return 1
		},
		"protocol error": func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) int {
			c.Send(p1New("c", c.Version))
			return 1
		},
		"Keep Alive and end at once": func(_ *testing.T, srv *mqttx.Server, c *mqttest.Client) int {
			<-time.After(15 * time.Second)
			go srv.Disconnect("c", mqttx.ServerBusy)
			c.Drop()
			return 1
		},
		"Keep Alive and takeover at once": func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) int {
			<-time.After(15 * time.Second)
			mqttest.Connect(t, srv, p1New("c", c.Version)).Disconnect(0)
			return 1
		},
	}
}

// Whatever ends a connection, its will comes exactly once, or never after DISCONNECT 0x00.
func TestPitfall060_Ends(t *testing.T) {
	for name, end := range p60Ends() {
		t.Run(name, func(t *testing.T) {
			p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
				srv := p1Server(t, &mqttx.Server{})
				sub := p1Subscriber(t, srv, p1New("sub", v), q, "w")
				p := p1New("c", v)
				p.KeepAlive = 10
				p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: q}
				n := end(t, srv, mqttest.Connect(t, srv, p))
				for range n {
					if m := sub.Receive(); string(m.Payload) != "gone" || m.QoS != q {
						t.Errorf("%s", mqttest.Format(m))
					}
				}
				sub.Nothing()
				mqttest.Advance(time.Minute)
				sub.Nothing()
			})
		})
	}
}

// Without a session that goes on a delay does not count.
func TestPitfall061_NoSessionNoDelay(t *testing.T) {
	for name, p := range map[string]*packet.Connect{
		"expiry 0":             p24Will("gone", 3600, 0),
		"expiry absent":        {ClientID: "c", Will: &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1, DelayInterval: 3600}},
		"expiry 0, long delay": p24Will("gone", 1<<32-1, 0),
	} {
		for _, code := range []mqttx.ReasonCode{0, mqttx.DisconnectWithWillMessage} { // 0: without DISCONNECT
			p1Bubble(t, fmt.Sprintf("%s, %v", name, code), func(t *testing.T) {
				srv := p1Server(t, &mqttx.Server{})
				sub := p1Subscriber(t, srv, nil, 1, "w")
				c := mqttest.Connect(t, srv, p)
				if code != 0 {
					c.Send(&packet.Disconnect{Code: code})
				}
				begun := time.Now()
				c.Drop()
				p1Gets(t, sub, "gone")
				if d := time.Since(begun); d > time.Millisecond {
					t.Errorf("the will came after %v", d)
				}
				mqttest.Advance(2 * time.Hour)
				sub.Nothing()
			})
		}
	}
}

// A CONNECT that is refused leaves no will, whatever refuses it.
func TestPitfall062_RefusedConnect(t *testing.T) {
	for _, by := range []string{"Connect", "Connected", "Publish", "Allow", "will topic"} {
		t.Run(by, func(t *testing.T) {
			p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
				refuse := func(where, id string) error {
					if where == by && strings.HasPrefix(id, "c") {
						return mqttx.NotAuthorized
					}
					return nil
				}
				srv := p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[string]{
					Connect: func(_ context.Context, r *mqttx.ConnectRequest) (string, error) {
						return r.ClientID, refuse("Connect", r.ClientID)
					},
					Connected: func(_ context.Context, id string) error { return refuse("Connected", id) },
					Publish:   func(_ context.Context, id string, _ *mqttx.Message) error { return refuse("Publish", id) },
					Allow: func(_ context.Context, a mqttx.Access) error {
						if a.Op != mqttx.OpPublish {
							return nil
						}
						return refuse("Allow", a.Client.ID)
					},
				}})
				sub := p1Subscriber(t, srv, p1New("sub", v), 2, "#")
				p := p1New("c", v)
				p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: q, Retain: true}
				if by == "will topic" {
					p.Will.Topic = "w/#"
				}
				c := mqttest.Dial(t, srv)
				c.Send(p)
				if by != "will topic" {
					want := mqttx.NotAuthorized
					if v != mqttx.V5 {
						want = 5
					}
					p1Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, want)
				}
				c.Served()
				mqttest.Advance(time.Hour)
				sub.Nothing()
				if st := srv.Stats(); st.Retained != 0 || st.Sessions != 1 || st.Published != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// The right to publish the will is asked for again when it fires, also when it was delayed.
func TestPitfall062_RightRevoked(t *testing.T) {
	for _, delay := range []uint32{0, 10} {
		for _, revoke := range []string{"never", "connected", "during the delay"} {
			if delay == 0 && revoke == "during the delay" {
				continue
			}
			p1Bubble(t, fmt.Sprintf("delay %d, revoked %s", delay, revoke), func(t *testing.T) {
				var revoked atomic.Bool
				srv := p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
					Allow: func(_ context.Context, a mqttx.Access) error {
						if a.Op == mqttx.OpPublish && revoked.Load() {
							return mqttx.NotAuthorized
						}
						return nil
					},
				}})
				sub := p1Subscriber(t, srv, nil, 1, "w")
				withdraw := func(when string) {
					if when != revoke {
						return
					}
					revoked.Store(true)
					if err := srv.Recheck(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				p := p24Will("gone", delay, 60)
				p.Will.Retain = true
				c := mqttest.Connect(t, srv, p)
				withdraw("connected")
				c.Drop()
				mqttest.Advance(5 * time.Second)
				withdraw("during the delay")
				mqttest.Advance(time.Minute)
				want := int64(0)
				if revoke == "never" {
					want = 1
					p1Gets(t, sub, "gone")
				}
				sub.Nothing()
				if n := srv.Stats().Retained; n != want {
					t.Errorf("%d retained, want %d", n, want)
				}
			})
		}
	}
}
