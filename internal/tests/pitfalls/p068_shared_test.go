package pitfalls_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A group is its name and its filter, in SUBSCRIBE, in the program and in what a restart brings back.
func TestPitfall068_NameAndFilter(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		store := &mqttest.MemStore{}
		s := p63Start(t, &mqttx.Server{Store: store})
		one := mqttest.Connect(t, s, p63Keeps("one", v))
		one.Subscribe("$share/g/t/#", 1)
		one.Subscribe("$share/g/t/+", 1)
		one.Subscribe("$share/h/t/#", 1)
		pub := mqttest.Connect(t, s, nil)
		pub.Publish("t/1", "a", 1)
		p63Gets(t, one, "a", "a", "a")
		one.Drop()
		s.Close()

		s = p63Start(t, &mqttx.Server{Store: store})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		list, err := s.Subscribe(ctx, "$share/g/t/#", "$share/k/t/#") // the first is the group of the client, the second is new
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 100)
		go func() {
			for m := range list {
				got <- string(m.Payload)
			}
			close(got)
		}()
		one = mqttest.Connect(t, s, p63Keeps("one", v))
		pub = mqttest.Connect(t, s, nil)
		for i := range 10 {
			pub.Publish("t/1", fmt.Sprint(i), 1)
		}
		n := 0
		for range 25 { // all of t/+ and of the group h, half of the group g
			one.Receive()
			n++
		}
		one.Nothing()
		stop()
		var inProcess []string
		for p := range got {
			inProcess = append(inProcess, p)
		}
		if len(inProcess) != 15 {
			t.Errorf("the program has got %q, want all of one group and half of the other", inProcess)
		}
		if code := one.Unsubscribe("$share/g/t/#"); code != mqttx.Success {
			t.Errorf("UNSUBACK %v", code)
		}
		pub.Publish("t/1", "last", 1)
		p63Gets(t, one, "last", "last")
	})
}

// The ordinary copy and the group's copy are independent, also where one client has both.
func TestPitfall069_OrdinaryBesidesGroup(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		for q := range mqttx.QoS(3) {
			s := p63Start(t, &mqttx.Server{})
			both := mqttest.Connect(t, s, p63Clean("both", v))
			both.Subscribe("t/#", q)
			both.Subscribe("$share/g/t/+", q)
			member := mqttest.Connect(t, s, p63Clean("member", v))
			member.Subscribe("$share/g/t/+", q)
			pub := mqttest.Connect(t, s, p63Clean("pub", v))
			for i := range 4 {
				pub.Publish("t/1", fmt.Sprint(i), q)
			}
			var got []string
			for range 6 {
				got = append(got, string(both.Receive().Payload))
			}
			both.Nothing()
			for range 2 {
				got = append(got, string(member.Receive().Payload))
			}
			member.Nothing()
			slices.Sort(got)
			if want := []string{"0", "0", "1", "1", "2", "2", "3", "3"}; !slices.Equal(got, want) {
				t.Errorf("QoS %d: %q", q, got)
			}
		}
	})
}

// The turn goes round evenly, and subscribing again replaces the options and keeps the place.
func TestPitfall070_EvenTurns(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 5000}})
		var members []*mqttest.Client
		for i := range 3 {
			c := mqttest.Connect(t, s, p63Clean(fmt.Sprint("member", i), v))
			c.Subscribe("$share/g/t/#", 1)
			members = append(members, c)
		}
		for range 3000 {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t/1", QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range members {
			for range 1000 {
				if m := c.Receive(); m.QoS != 1 {
					t.Fatalf("QoS %d", m.QoS)
				}
			}
			c.Nothing()
		}
		members[1].Subscribe("$share/g/t/#", 0)
		if n := s.Stats().Subscriptions; n != 3 {
			t.Errorf("%d subscriptions", n)
		}
		for range 30 {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t/1", QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range members {
			for range 10 {
				if m := c.Receive(); m.QoS != mqttx.QoS(1-i%2) {
					t.Errorf("%s: QoS %d", c.ClientID, m.QoS)
				}
			}
			c.Nothing()
		}
	})
}

// What is no shared filter is refused, and so is No Local; MQTT 3.1.1 and 3.1 may share.
func TestPitfall071_Refused(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, p63Clean("c", v))
		for _, f := range []string{"$share//t", "$share/g", "$share/g/", "$share/g+/t", "$share/g#/t", "$share/+/t", "$share/#"} {
			p63Code(t, f, c.Subscribe(f, 1), p63Wire(v, mqttx.TopicFilterInvalid))
			if _, err := s.Subscribe(t.Context(), f); err == nil {
				t.Errorf("the program may subscribe to %s", f)
			}
		}
		if n := s.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions", n)
		}
		p63Code(t, "a good one", c.Subscribe("$share/g/t", 1), 1)
		pub := mqttest.Connect(t, s, nil)
		p63Code(t, "PUBACK", pub.Publish("t", "x", 1), mqttx.Success)
		p63Gets(t, c, "x")
		if v != mqttx.V5 {
			return
		}
		c.Send(&packet.Subscribe{PacketID: 90, Filters: []packet.Filter{{Filter: "plain", NoLocal: true}, {Filter: "$share/g/u", NoLocal: true}}})
		p63Bye(t, c, mqttx.ProtocolError)
		if n := s.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

// When a member's session ends its open QoS 1 messages and those that wait go to another member, begun QoS 2 to nobody.
func TestPitfall072_SessionEnds(t *testing.T) {
	ends := map[string]func(t *testing.T, s *mqttx.Server, c *mqttest.Client){
		"connection ends": func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Drop() },
		"EndSession": func(t *testing.T, s *mqttx.Server, c *mqttest.Client) {
			if err := s.EndSession(t.Context(), c.ClientID); err != nil {
				t.Error(err)
			}
		},
		"Clean Start": func(t *testing.T, s *mqttx.Server, c *mqttest.Client) {
			mqttest.Connect(t, s, p63Clean(c.ClientID, c.Version))
		},
	}
	for name, end := range ends {
		for _, v := range p63Versions {
			p63Bubble(t, name+" "+v.String(), func(t *testing.T) {
				s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 3}})
				p := p63Clean("first", v)
				p.ReceiveMaximum = 3
				if v != mqttx.V5 {
					p.ReceiveMaximum = 0
				}
				first := mqttest.Connect(t, s, p)
				first.Subscribe("$share/g/t", 2)
				pub := mqttest.Connect(t, s, nil)
				for _, m := range []string{"1 sent", "2 sent", "2 received", "1 waits", "2 waits"} {
					pub.Publish("t", m, mqttx.QoS(m[0]-'0'))
				}
				mqttest.Expect[*packet.Publish](first)
				mqttest.Expect[*packet.Publish](first)
				third := mqttest.Expect[*packet.Publish](first)
				first.Send(&packet.Pubrec{PacketID: third.PacketID})
				mqttest.Expect[*packet.Pubrel](first)
				first.Nothing()
				second := mqttest.Connect(t, s, p63Clean("second", v))
				second.Subscribe("$share/g/t", 2)
				end(t, s, first)
				p63Gets(t, second, "1 sent", "1 waits", "2 waits")
				if st := s.Stats(); st.Queued != 0 || st.Dropped[mqttx.DropSessionEnded] != 2 {
					t.Errorf("queued %d, dropped %v", st.Queued, st.Dropped)
				}
			})
		}
	}
}
