package pitfalls_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// The number sign behind a plus sign stands for the parent level too.
func TestPitfall001_HashAfterPlus(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		one := p1Subscriber(t, srv, p1New("one", v), q, "+/#")
		two := p1Subscriber(t, srv, p1New("two", v), q, "a/+/#")
		for _, topic := range []string{"a", "a/b", "a/b/c"} {
			pub.Publish(topic, topic, q)
		}
		p1Gets(t, one, "a", "a/b", "a/b/c")
		p1Gets(t, two, "a/b", "a/b/c")
	})
}

// p2Texts makes all texts of up to n levels.
func p2Texts(n int, levels ...string) []string {
	all := slices.Clone(levels)
	for last := all; n > 1; n-- {
		var next []string
		for _, head := range last {
			for _, level := range levels {
				next = append(next, head+"/"+level)
			}
		}
		all, last = append(all, next...), next
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// What is retained and what is live come by the same filters, as do those in process.
func TestPitfall002_RetainedAsLive(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		topics := p2Texts(3, "", "a", "$x")
		filters := p2Texts(3, "", "a", "$x", "+")
		for _, f := range append(p2Texts(2, "", "a", "$x", "+"), "/") {
			filters = append(filters, strings.TrimSuffix(f, "/")+"/#")
		}
		filters = append(filters, "#")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		send := func() {
			for _, topic := range topics {
				pub.Send(&packet.Publish{Topic: []byte(topic), Payload: []byte("x"), Retain: true})
			}
			pub.Nothing()
		}
		send()
		var clients []*mqttest.Client
		var retained [][]string
		for _, f := range filters {
			c := p1Subscriber(t, srv, p1New("c"+strconv.Itoa(len(clients)), v), 0, f)
			clients, retained = append(clients, c), append(retained, p1Topics(p1Drain(t, c)))
		}
		send()
		for i, f := range filters {
			live := p1Topics(p1Drain(t, clients[i]))
			if !slices.Equal(live, retained[i]) {
				t.Errorf("%q: live %q, retained %q", f, live, retained[i])
			}
			if n := p1Retained(srv, f); n != len(live) {
				t.Errorf("%q: %d live, %d by Retained", f, len(live), n)
			}
		}
		if i := slices.Index(filters, "a/#"); !slices.Contains(retained[i], "a") {
			t.Error("a/# has not matched a")
		}
	})
}

// A filter that begins with a wildcard gets no topic that begins with a dollar sign.
func TestPitfall003_Dollar(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		publish := func() {
			p := p1Publish("$x/y", "client", q, 1)
			p.Retain = true
			pub.Send(p)
			p1Acks(t, pub, p)
			for _, topic := range []string{"$x/y", "$SYS/y"} {
				if err := srv.Publish(t.Context(), &mqttx.Message{Topic: topic, Payload: []byte("x"), QoS: q, Retain: true}); err != nil {
					t.Fatal(err)
				}
			}
		}
		publish()
		c := p1Subscriber(t, srv, p1New("c", v), q, "#", "+/y", "+/+", "+/#", "/#", "$share/g/#", "$share/g/+/y")
		in, err := srv.Subscribe(t.Context(), "#", "+/y", "$share/h/#")
		if err != nil {
			t.Fatal(err)
		}
		named := p1Subscriber(t, srv, p1New("named", v), q, "$x/#", "$SYS/+")
		if got := p1Topics(p1Drain(t, named)); !slices.Equal(got, []string{"$SYS/y", "$x/y"}) {
			t.Errorf("retained %q", got)
		}
		publish()
		c.Nothing()
		if got := p1Topics(p1Drain(t, named)); !slices.Equal(got, []string{"$SYS/y", "$x/y", "$x/y"}) {
			t.Errorf("live %q", got)
		}
		if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "end"}); err != nil {
			t.Fatal(err)
		}
		for m := range in {
			if m.Topic != "end" {
				t.Errorf("in process: %q", m.Topic)
				continue
			}
			break
		}
	})
}

// p1Acks takes all answers to a PUBLISH.
func p1Acks(t testing.TB, c *mqttest.Client, p *packet.Publish) {
	t.Helper()
	switch p.QoS {
	case 0:
		c.Nothing()
	case 1:
		mqttest.Expect[*packet.Puback](c)
	case 2:
		mqttest.Expect[*packet.Pubrec](c)
		p1Release(t, c, p.PacketID)
	}
}

// RETAIN is 1 in answer to SUBSCRIBE; live copies have 0, or what was published if Retain As Published says so.
func TestPitfall004_RetainFlag(t *testing.T) {
	for _, rap := range []bool{false, true} {
		name := "Retain As Published 0"
		if rap {
			name = "Retain As Published 1"
		}
		t.Run(name, func(t *testing.T) {
			p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
				srv := p1Server(t, &mqttx.Server{})
				m := &mqttx.Message{Topic: "a", Payload: []byte("x"), QoS: q, Retain: true}
				if err := srv.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				c := mqttest.Connect(t, srv, p1New("c", v))
				p1Subscribe(c, 0, packet.Filter{Filter: "a", QoS: q, RetainAsPublished: rap && v == mqttx.V5})
				if p := c.Receive(); !p.Retain || p.QoS != q {
					t.Errorf("retained: RETAIN %v, QoS %d", p.Retain, p.QoS)
				}
				for _, retain := range []bool{true, false} {
					n := *m
					n.Retain = retain
					if err := srv.Publish(t.Context(), &n); err != nil {
						t.Fatal(err)
					}
					if p := c.Receive(); p.Retain != (retain && rap && v == mqttx.V5) || p.QoS != q {
						t.Errorf("live, published with RETAIN %v: RETAIN %v, QoS %d", retain, p.Retain, p.QoS)
					}
				}
				c.Nothing()
			})
		})
	}
}
