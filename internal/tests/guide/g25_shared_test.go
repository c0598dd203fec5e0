package guide_test

import (
	"fmt"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g25Take takes messages until none comes, and counts them.
func g25Take(t *testing.T, c *mqttest.Client, s *mqttx.Server, marker string) (n int) {
	t.Helper()
	conn, ok := s.Conn(c.ClientID)
	if !ok {
		t.Fatalf("%s is not connected", c.ClientID)
	}
	if err := conn.Send(&mqttx.Message{Topic: marker, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	for string(c.Receive().Topic) != marker {
		n++
	}
	return n
}

// g25Counts publishes ten jobs and compares what each client gets.
func g25Counts(t *testing.T, s *mqttx.Server, pub *mqttest.Client, clients []*mqttest.Client, want ...int) {
	t.Helper()
	for i := range 10 {
		g1Code(t, "PUBACK", pub.Publish("jobs/x", fmt.Sprint(i), 1), mqttx.Success)
	}
	for i, c := range clients {
		if n := g25Take(t, c, s, "end"); n != want[i] {
			t.Errorf("%s has got %d, want %d", c.ClientID, n, want[i])
		}
	}
}

// A group's messages go round its members, of any version; another filter makes another group.
func TestGuide_G25_RoundRobin(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(nil)
		n := on.Start(t, s)
		var members []*mqttest.Client
		for i, f := range []string{"$share/workers/jobs/#", "$share/workers/jobs/#", "$share/workers/jobs/+", "$share/others/jobs/#"} {
			c := n.Connect(g1Connect(fmt.Sprint("member", i), v))
			g1Code(t, "SUBACK", c.Subscribe(f, 1), 1)
			members = append(members, c)
		}
		pub := n.Connect(g1Connect("pub", v))
		g25Counts(t, s, pub, members, 5, 5, 10, 10)
		members[0].Subscribe("$share/workers/jobs/#", 0) // other options, the same place
		g25Counts(t, s, pub, members, 5, 5, 10, 10)
		members[0].Unsubscribe("$share/workers/jobs/#")
		g25Counts(t, s, pub, members, 0, 10, 10, 10)
	})
}

// The group's turn is not for members that sleep; if all do, the message waits for one.
func TestGuide_G25_Offline(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		p := &packet.Connect{ClientID: "sleeper", Version: v}
		if v == mqttx.V5 {
			p.SessionExpiryInterval = new(uint32(60))
		}
		sleeper := mqttest.Connect(t, s, p)
		sleeper.Subscribe("$share/workers/jobs/#", 1)
		other := mqttest.Connect(t, s, g1Connect("other", v))
		other.Subscribe("$share/workers/jobs/#", 1)
		sleeper.Drop()
		pub := mqttest.Connect(t, s, g1Connect("pub", v))
		g25Counts(t, s, pub, []*mqttest.Client{other}, 10)
		other.Nothing()
		if q := s.Stats().Queued; q != 0 {
			t.Errorf("%d queued", q)
		}
		other.Drop() // its session ends
		g25Counts(t, s, pub, nil)
		sleeper = mqttest.Connect(t, s, p)
		if got := g25Take(t, sleeper, s, "end"); got != 10 {
			t.Errorf("the sleeper has got %d, want 10", got)
		}
	})
}

// A member's ordinary subscription gets its own copy and takes nothing of the group's.
func TestGuide_G25_OrdinaryBesides(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		both := mqttest.Connect(t, s, g1Connect("both", v))
		both.Subscribe("$share/workers/jobs/#", 1)
		both.Subscribe("jobs/#", 1)
		member := mqttest.Connect(t, s, g1Connect("member", v))
		member.Subscribe("$share/workers/jobs/#", 1)
		pub := mqttest.Connect(t, s, g1Connect("pub", v))
		g25Counts(t, s, pub, []*mqttest.Client{both, member}, 15, 5)
	})
}

// What is no Share Name, or has No Local, is refused.
func TestGuide_G25_Refused(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(nil)
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", v))
		for _, f := range []string{"$share//t", "$share/g", "$share/g/", "$share/+/t", "$share/g#/t", "$share/"} {
			g1Code(t, f, c.Subscribe(f, 1), g1Wire(v, mqttx.TopicFilterInvalid, 0x80))
		}
		if subs := s.Stats().Subscriptions; subs != 0 {
			t.Errorf("%d subscriptions", subs)
		}
		if v != mqttx.V5 {
			return
		}
		c.Send(&packet.Subscribe{PacketID: 900, Filters: []packet.Filter{{Filter: "first"}, {Filter: "$share/g/t", NoLocal: true}}})
		g1Bye(t, c, mqttx.ProtocolError)
		if subs := s.Stats().Subscriptions; subs != 0 {
			t.Errorf("%d subscriptions", subs)
		}
	})
}

// A QoS 1 message that a member has not acknowledged goes to another one when its session ends; a QoS 2 delivery that has
// begun does not, one that has not does.
func TestGuide_G25_SessionEnds(t *testing.T) {
	for q := mqttx.QoS(1); q <= 2; q++ {
		t.Run(fmt.Sprint("QoS ", q), func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				s := mqttest.NewServer(t, nil)
				p := g1Connect("first", v)
				p.ReceiveMaximum = 1
				first := mqttest.Connect(t, s, p)
				first.Subscribe("$share/g/t", q)
				pub := mqttest.Connect(t, s, g1Connect("pub", v))
				pub.Publish("t", "begun", q)
				m := mqttest.Expect[*packet.Publish](first)
				g1Got(t, m, "t", "begun", q, false)
				second := mqttest.Connect(t, s, g1Connect("second", v))
				second.Subscribe("$share/g/t", q)
				second.Nothing()
				first.Drop()
				if q == 1 {
					g1Got(t, second.Receive(), "t", "begun", 1, false)
				}
				second.Nothing()
				if want := int64(q - 1); s.Stats().Dropped[mqttx.DropSessionEnded] != want {
					t.Errorf("dropped %v, want %d at the session's end", s.Stats().Dropped, want)
				}
			})
		})
	}
	g1Bubble(t, "not begun", func(t *testing.T) {
		s := mqttest.NewServer(t, nil)
		p := g1Connect("first", mqttx.V5)
		p.ReceiveMaximum = 1
		first := mqttest.Connect(t, s, p)
		first.Subscribe("$share/g/t", 2)
		pub := mqttest.Connect(t, s, nil)
		pub.Publish("t", "begun", 2)
		pub.Publish("t", "waits", 2)
		mqttest.Expect[*packet.Publish](first)
		first.Nothing()
		second := mqttest.Connect(t, s, nil)
		second.Subscribe("$share/g/t", 2)
		first.Drop()
		g1Got(t, second.Receive(), "t", "waits", 2, false)
		second.Nothing()
	})
}

// The server moves the turn with each message.
func TestGuide_G26_ServerAdvances(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		n := on.Start(t, g1Quiet(nil))
		one := n.Connect(g1Connect("worker1", v))
		one.Subscribe("$share/workers/jobs/#", 1)
		two := n.Connect(g1Connect("worker2", v))
		two.Subscribe("$share/workers/jobs/#", 1)
		pub := n.Connect(g1Connect("pub", v))
		for i := range 4 {
			payload := fmt.Sprint(i)
			pub.Publish("jobs/process", payload, 1)
			turn, other := one, two
			if i%2 == 1 {
				turn, other = two, one
			}
			g1Got(t, turn.Receive(), "jobs/process", payload, 1, false)
			other.Nothing()
		}
	})
}
