package pitfalls_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Session Present says whether there is one that is gone on with, before a restart and after it.
func TestPitfall048_SessionPresent(t *testing.T) {
	for n := range 16 {
		clean, stored, expired, restart := n&1 != 0, n&2 != 0, n&4 != 0, n&8 != 0
		t.Run(fmt.Sprintf("clean %v, stored %v, expired %v, restart %v", clean, stored, expired, restart), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				store := new(mqttest.MemStore)
				server := func() *mqttx.Server {
					return p1Server(t, &mqttx.Server{Store: store, Limits: mqttx.Limits{SessionExpiry: time.Hour}})
				}
				srv := server()
				first := p1Kept("c", v)
				if !stored {
					first = p1New("c", v)
				}
				p1Subscriber(t, srv, first, 1, "a").Drop()
				pub := mqttest.Connect(t, srv, nil)
				pub.Publish("a", "x", 1)
				if restart {
					if err := srv.Shutdown(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if expired {
					mqttest.Advance(2 * time.Hour)
				}
				if restart {
					srv = server()
				}
				p := p1Kept("c", v)
				p.CleanStart = clean
				c := mqttest.Connect(t, srv, p)
				want := stored && !expired && !clean
				if got := c.Connack.SessionPresent; got != (want && v != mqttx.V31) {
					t.Errorf("Session Present %v, the session is there: %v", got, want)
				}
				subs := int64(0)
				if want {
					subs = 1
					p1Gets(t, c, "x")
				}
				c.Nothing()
				if st := srv.Stats(); st.Subscriptions != subs || st.Queued != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// No packet id that is open is given out again, through a wrap-around, over a resume, and when all are open.
func TestPitfall049_BusyIDs(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 65535, QueuedMessages: 100_000}})
		c := p1Subscriber(t, srv, p1Kept("c", v), 1, "a")
		open := make(map[uint16]bool)
		publish := func(n int) {
			t.Helper()
			for range n {
				if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", QoS: 1}); err != nil {
					t.Fatal(err)
				}
			}
		}
		take := func(n int) {
			t.Helper()
			for range n {
				id := mqttest.Expect[*packet.Publish](c).PacketID
				if id == 0 || open[id] {
					t.Fatalf("id %d is open", id)
				}
				open[id] = true
			}
		}
		ack := func(ids ...uint16) {
			for _, id := range ids {
				c.Send(&packet.Puback{PacketID: id})
				delete(open, id)
			}
		}
		publish(65535)
		take(65535)
		publish(3)
		c.Nothing() // there is no id
		ack(7, 60000, 8)
		take(3)
		c.Nothing()
		for id := range open {
			if id%2 == 0 {
				ack(id)
			}
		}
		c.Drop()
		c = mqttest.Connect(t, srv, p1Kept("c", v))
		n := len(open)
		seen := make(map[uint16]bool)
		for range n {
			id := mqttest.Expect[*packet.Publish](c).PacketID
			if !open[id] || seen[id] {
				t.Fatalf("id %d was not open", id)
			}
			seen[id] = true
		}
		publish(100)
		take(100)
		c.Nothing()
	}, mqttx.V5)
}

// In MQTT 5.0 nothing is sent again but on resume. In the others the last try closes and the session goes on.
func TestPitfall050_Resends(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		c := p1Subscriber(t, srv, p1Kept("c", v), q, "a")
		out := p1Subscriber(t, srv, p1New("out", v), 2, "out")
		mqttest.Connect(t, srv, p1New("pub", v)).Publish("a", "x", q)
		id := mqttest.Expect[*packet.Publish](c).PacketID
		p1Code(t, "PUBREC", p1Send(t, c, p1Publish("out", "y", 2, 9)), mqttx.Success)
		p1Gets(t, out, "y")
		if v == mqttx.V5 {
			mqttest.Advance(time.Hour)
			c.Nothing()
			c.Drop()
		} else {
			mqttest.Advance(19 * time.Second)
			for range 3 {
				if q == 2 {
					if p := mqttest.Expect[*packet.Publish](c); p.PacketID != id || !p.Dup {
						t.Errorf("%s", mqttest.Format(p))
					}
				}
				mqttest.Expect[*packet.Pubrec](c)
			}
			c.Nothing()
			mqttest.Advance(2 * time.Second)
			c.Closed()
		}
		c = mqttest.Connect(t, srv, p1Kept("c", v))
		if v != mqttx.V31 && !c.Connack.SessionPresent {
			t.Error("no session present")
		}
		if p := c.Receive(); p.PacketID != id || !p.Dup || string(p.Payload) != "x" {
			t.Errorf("%s", mqttest.Format(p))
		}
		again := p1Publish("out", "y", 2, 9)
		again.Dup = true
		p1Code(t, "PUBREC", p1Send(t, c, again), mqttx.Success)
		p1Code(t, "PUBCOMP", p1Release(t, c, 9), mqttx.Success)
		out.Nothing()
		c.Nothing()
	})
}

// A repeat is known before the window is looked at.
func TestPitfall051_RepeatInFullWindow(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{ReceiveMaximum: 2}})
		sub := p1Subscriber(t, srv, p1New("sub", v), 2, "a")
		c := mqttest.Connect(t, srv, p1Kept("c", v))
		for id := range uint16(2) {
			p1Code(t, "PUBREC", p1Send(t, c, p1Publish("a", "x", 2, id+1)), mqttx.Success)
		}
		for range 2 {
			for id := range uint16(2) {
				p := p1Publish("a", "x", 2, id+1)
				p.Dup = true
				p1Code(t, "PUBREC of the repeat", p1Send(t, c, p), mqttx.Success)
			}
			c.Drop()
			c = mqttest.Connect(t, srv, p1Kept("c", v))
		}
		for id := range uint16(2) {
			p1Code(t, "PUBCOMP", p1Release(t, c, id+1), mqttx.Success)
		}
		p1Gets(t, sub, "x", "x")
	})
}

// The line is cut before each of the four packets of QoS 2 arrives, towards the server: it comes once all the same.
func TestPitfall051_CutTowardsServer(t *testing.T) {
	for step := range 4 {
		t.Run(fmt.Sprint("step ", step), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{})
				sub := p1Subscriber(t, srv, p1New("sub", v), 2, "a")
				c := mqttest.Connect(t, srv, p1Kept("c", v))
				again := func() {
					c.Drop()
					c = mqttest.Connect(t, srv, p1Kept("c", v))
				}
				p := p1Publish("a", "x", 2, 5)
				switch step {
				case 0: // PUBLISH arrives in part
					b, err := p.Append(nil, v)
					if err != nil {
						t.Fatal(err)
					}
					c.Write(b[:len(b)-1])
					again()
				case 1: // PUBREC is lost
					c.Send(p)
					again()
					p.Dup = true
				}
				p1Code(t, "PUBREC", p1Send(t, c, p), mqttx.Success)
				switch step {
				case 2: // PUBREL is lost
					again()
				case 3: // PUBCOMP is lost
					c.Send(&packet.Pubrel{PacketID: 5})
					again()
					code := p1Release(t, c, 5)
					if v == mqttx.V5 && code != mqttx.PacketIdentifierNotFound && code != mqttx.Success {
						t.Errorf("PUBCOMP %v", code)
					}
				}
				if step < 3 {
					p1Code(t, "PUBCOMP", p1Release(t, c, 5), mqttx.Success)
				}
				p1Gets(t, sub, "x")
				p1Code(t, "id used again", p1Send(t, c, p1Publish("a", "y", 2, 5)), mqttx.Success)
				p1Gets(t, sub, "y")
			})
		})
	}
}

// And the other way.
func TestPitfall051_CutTowardsClient(t *testing.T) {
	for step := range 4 {
		t.Run(fmt.Sprint("step ", step), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{})
				c := p1Subscriber(t, srv, p1Kept("c", v), 2, "a")
				mqttest.Connect(t, srv, p1New("pub", v)).Publish("a", "x", 2)
				again := func() {
					c.Drop()
					c = mqttest.Connect(t, srv, p1Kept("c", v))
				}
				p := mqttest.Expect[*packet.Publish](c)
				if step <= 1 { // PUBLISH or PUBREC is lost
					again()
					q := mqttest.Expect[*packet.Publish](c)
					if q.PacketID != p.PacketID || !q.Dup || string(q.Payload) != "x" {
						t.Errorf("%s", mqttest.Format(q))
					}
				}
				c.Send(&packet.Pubrec{PacketID: p.PacketID})
				if step >= 2 { // PUBREL or PUBCOMP is lost
					mqttest.Expect[*packet.Pubrel](c)
					again()
				}
				if r := mqttest.Expect[*packet.Pubrel](c); r.PacketID != p.PacketID {
					t.Errorf("PUBREL of %d", r.PacketID)
				}
				c.Send(&packet.Pubcomp{PacketID: p.PacketID})
				again()
				c.Nothing()
				if n := srv.Stats().Queued; n != 0 {
					t.Errorf("%d queued", n)
				}
			})
		})
	}
}
