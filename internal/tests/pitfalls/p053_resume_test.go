package pitfalls_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// An acknowledgement right before the end of the connection counts, on every transport.
func TestPitfall053_AckBeforeEnd(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5} {
			srv := p1Server(t, &mqttx.Server{})
			n := on.Start(t, srv)
			c := n.Connect(p1Kept("c", v))
			c.Subscribe("a", 1)
			for round := range 10 {
				if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte(fmt.Sprint(round)), QoS: 1}); err != nil {
					t.Fatal(err)
				}
				m := mqttest.Expect[*packet.Publish](c)
				if string(m.Payload) != fmt.Sprint(round) || m.Dup {
					t.Fatalf("%v: %q came in round %d", v, m.Payload, round)
				}
				c.Send(&packet.Puback{PacketID: m.PacketID})
				c.Drop()
				p14Settle(t, func() bool { return srv.Stats().Connections == 0 }) // else the takeover is the end
				c = n.Connect(p1Kept("c", v))
			}
			c.Nothing()
			if q := srv.Stats().Queued; q != 0 {
				t.Errorf("%v: %d queued", v, q)
			}
		}
	})
}

// The window opens again by an acknowledgement, a refusal, a message that is too large, and the end of the session.
func TestPitfall053_QuotaReturns(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		p := p1Kept("c", v)
		p.ReceiveMaximum, p.MaximumPacketSize = 1, 1000
		c := p1Subscriber(t, srv, p, 2, "a")
		publish := func(q mqttx.QoS, size int) {
			t.Helper()
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: make([]byte, size), QoS: q}); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 3 {
			publish(1, 1)
			publish(1, 2000)
			publish(2, 2)
			publish(2, 2000)
			publish(2, 3)
			publish(1, 4)
			m := mqttest.Expect[*packet.Publish](c)
			c.Send(&packet.Puback{PacketID: m.PacketID, Code: mqttx.UnspecifiedError})
			m = mqttest.Expect[*packet.Publish](c)
			c.Send(&packet.Pubrec{PacketID: m.PacketID, Code: mqttx.QuotaExceeded})
			if m = c.Receive(); len(m.Payload) != 3 {
				t.Errorf("round %d: %d bytes", round, len(m.Payload))
			}
			if m = c.Receive(); len(m.Payload) != 4 {
				t.Errorf("round %d: %d bytes", round, len(m.Payload))
			}
			c.Nothing()
		}
		publish(1, 1)
		mqttest.Expect[*packet.Publish](c)
		c.Drop()
		p.CleanStart = true
		c = p1Subscriber(t, srv, p, 2, "a")
		publish(1, 5)
		if m := c.Receive(); len(m.Payload) != 5 {
			t.Errorf("after the end of the session: %d bytes", len(m.Payload))
		}
		c.Nothing()
		if st := srv.Stats(); st.Queued != 0 {
			t.Errorf("%d queued", st.Queued)
		}
	}, mqttx.V5)
}

// Messages of any origin reach receivers in any state.
func TestPitfall054_Origins(t *testing.T) {
	origins := map[string]func(t *testing.T, srv *mqttx.Server, v mqttx.Version, q mqttx.QoS){
		"client": func(t *testing.T, srv *mqttx.Server, v mqttx.Version, q mqttx.QoS) {
			mqttest.Connect(t, srv, p1New("pub", v)).Publish("a", "x", q)
		},
		"in process": func(t *testing.T, srv *mqttx.Server, _ mqttx.Version, q mqttx.QoS) {
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte("x"), QoS: q}); err != nil {
				t.Error(err)
			}
		},
		"will": func(t *testing.T, srv *mqttx.Server, v mqttx.Version, q mqttx.QoS) {
			p := p1New("gone", v)
			p.Will = &packet.Will{Topic: "a", Payload: []byte("x"), QoS: q}
			mqttest.Connect(t, srv, p).Drop()
		},
	}
	for name, publish := range origins {
		for _, state := range []string{"online", "full window", "offline"} {
			t.Run(name+", "+state, func(t *testing.T) {
				p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
					srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 1}})
					p := p1Kept("c", v)
					p.ReceiveMaximum = 1
					c := p1Subscriber(t, srv, p, q, "a")
					switch state {
					case "full window":
						if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte("first"), QoS: 1}); err != nil {
							t.Fatal(err)
						}
						m := mqttest.Expect[*packet.Publish](c)
						publish(t, srv, v, q)
						c.Nothing()
						c.Send(&packet.Puback{PacketID: m.PacketID})
					case "offline":
						c.Drop()
						publish(t, srv, v, q)
						c = mqttest.Connect(t, srv, p)
					default:
						publish(t, srv, v, q)
					}
					if m := c.Receive(); string(m.Payload) != "x" || m.QoS != q || m.Dup {
						t.Errorf("%s", mqttest.Format(m))
					}
					c.Nothing()
				})
			})
		}
	}
}

// A resume brings what is queued once, with its flags, and no retained message.
func TestPitfall055_NoRetainedOnResume(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		retain := func(payload string) {
			t.Helper()
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte(payload), QoS: q, Retain: true}); err != nil {
				t.Fatal(err)
			}
		}
		retain("old")
		c := p1Subscriber(t, srv, p1Kept("c", v), q, "a")
		if m := c.Receive(); string(m.Payload) != "old" || !m.Retain {
			t.Errorf("%s", mqttest.Format(m))
		}
		c.Drop()
		c = mqttest.Connect(t, srv, p1Kept("c", v))
		c.Nothing()
		c.Drop()
		retain("new")
		c = mqttest.Connect(t, srv, p1Kept("c", v))
		if m := c.Receive(); string(m.Payload) != "new" || m.Retain || m.Dup || m.QoS != q {
			t.Errorf("%s", mqttest.Format(m))
		}
		c.Nothing()
	})
}

// However often an id is taken over, and across transports, there is one owner, and the old one's end comes first.
func TestPitfall056_Takeovers(t *testing.T) {
	mqttest.Leaks(t)
	var mu sync.Mutex
	owners, calls := 0, 0
	srv := p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
		Connected: func(context.Context, int) error {
			mu.Lock()
			defer mu.Unlock()
			if owners++; owners != 1 {
				t.Errorf("%d owners", owners)
			}
			calls++
			return nil
		},
		Disconnected: func(context.Context, int, error) {
			mu.Lock()
			defer mu.Unlock()
			owners--
		},
	}})
	ways := []*testnet.Net{testnet.TCP.Start(t, srv), testnet.WebSocket.Start(t, srv), testnet.Loop.Start(t, srv), testnet.TLS.Start(t, srv)}
	old := ways[0].Connect(p1Kept("c", mqttx.V5))
	for i := range 1000 {
		on := ways[i%3]
		if i%20 == 0 {
			on = ways[3]
		}
		v := []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}[i/3%3]
		c := on.Connect(p1Kept("c", v))
		p1Bye(t, old, mqttx.SessionTakenOver)
		old = c
	}
	old.Nothing()
	if st := srv.Stats(); st.Connections != 1 || st.Sessions != 1 {
		t.Errorf("%d connections, %d sessions", st.Connections, st.Sessions)
	}
	mu.Lock()
	defer mu.Unlock()
	if owners != 1 || calls != 1001 {
		t.Errorf("%d owners after %d connections", owners, calls)
	}
}

// The expiry of a session is that of its last connection, and DISCONNECT's if it says so.
func TestPitfall057_Expiry(t *testing.T) {
	for name, x := range map[string]struct {
		connect    *uint32
		disconnect *uint32
		ends       time.Duration // 0: with the connection
	}{
		"absent":          {nil, nil, 0},
		"0":               {new(uint32(0)), nil, 0},
		"10":              {new(uint32(10)), nil, 10 * time.Second},
		"10, then 20":     {new(uint32(10)), new(uint32(20)), 20 * time.Second},
		"10, then 0":      {new(uint32(10)), new(uint32(0)), 0},
		"never, then 5":   {new(uint32(1<<32 - 1)), new(uint32(5)), 5 * time.Second},
		"0, then 0":       {new(uint32(0)), new(uint32(0)), 0},
		"0, then refused": {new(uint32(0)), new(uint32(5)), -1},
	} {
		p1Bubble(t, name, func(t *testing.T) {
			var expired atomic.Int64
			srv := p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
				SessionExpired: func(context.Context, mqttx.Client) { expired.Add(1) },
			}})
			c := p1Subscriber(t, srv, &packet.Connect{ClientID: "c", SessionExpiryInterval: x.connect}, 1, "a")
			c.Send(&packet.Disconnect{SessionExpiryInterval: x.disconnect})
			if x.ends < 0 {
				p1Bye(t, c, mqttx.ProtocolError)
				return
			}
			c.Drop()
			if x.ends > 0 { // a resume cancels, however late
				mqttest.Advance(x.ends - time.Second)
				c = mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", SessionExpiryInterval: new(uint32(30))})
				if !c.Connack.SessionPresent {
					t.Error("no session present")
				}
				mqttest.Advance(time.Hour)
				p1Code(t, "PUBLISH", c.Publish("a", "x", 1), mqttx.Success)
				p1Gets(t, c, "x")
				c.Drop()
				mqttest.Advance(29900 * time.Millisecond)
				if n := srv.Stats().Sessions; n != 1 || expired.Load() != 0 {
					t.Errorf("%d sessions, %d expired", n, expired.Load())
				}
			}
			mqttest.Advance(200 * time.Millisecond)
			if n := srv.Stats().Sessions; n != 0 || expired.Load() != 1 {
				t.Errorf("%d sessions, %d expired", n, expired.Load())
			}
		})
	}
}

// What is published after SUBACK comes, from the first message on, in 10,000 rounds over the versions.
func TestPitfall058_LiveAtSuback(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		sub := mqttest.Connect(t, srv, p1New("sub", v))
		for i := range 3334 {
			q := mqttx.QoS(i % 3)
			filter := []string{"a", "a/#", "+/#"}[i/3%3]
			sub.Subscribe(filter, q)
			m := p1Publish("a", fmt.Sprint(i), q, 1)
			pub.Send(m)
			if p := sub.Receive(); string(p.Payload) != fmt.Sprint(i) {
				t.Fatalf("%s in round %d", mqttest.Format(p), i)
			}
			if q > 0 {
				p1Acks(t, pub, m)
			}
			sub.Unsubscribe(filter)
		}
		sub.Nothing()
	})
}
