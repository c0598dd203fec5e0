package pitfalls_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Open messages follow CONNACK at once, before those that came meanwhile.
func TestPitfall034_ResendAtOnce(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		c := p1Subscriber(t, srv, p1Kept("c", v), q, "a")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		for i := range 3 {
			pub.Publish("a", fmt.Sprint("open ", i), q)
			mqttest.Expect[*packet.Publish](c)
		}
		c.Drop()
		pub.Publish("a", "new", q)
		begun := time.Now()
		c = mqttest.Connect(t, srv, p1Kept("c", v))
		p1Gets(t, c, "open 0", "open 1", "open 2", "new")
		if d := time.Since(begun); d > time.Millisecond {
			t.Errorf("the last came after %v", d)
		}
	})
}

// Any character but U+0000 may stand in a topic, and comes out as it went in.
func TestPitfall035_TopicBytes(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		all := p1Subscriber(t, srv, p1New("all", v), q, "t/#")
		c := mqttest.Connect(t, srv, p1New("c", v))
		topics := []string{"t/ ", "t/ a b ", "t/\x7f", "t/\u0085", "t/\ufeff", "t/\ufffe", "t/\U0010ffff", "t/ä€😀", "t/\\\"'"}
		for b := byte(1); b < ' '; b++ {
			topics = append(topics, "t/"+string(rune(b)))
		}
		for _, topic := range topics {
			p1Code(t, fmt.Sprintf("SUBACK of %q", topic), c.Subscribe(topic, q), mqttx.ReasonCode(q))
			p1Code(t, fmt.Sprintf("%q", topic), c.Publish(topic, "x", q), mqttx.Success)
			for _, sub := range []*mqttest.Client{c, all} {
				if p := sub.Receive(); string(p.Topic) != topic {
					t.Errorf("%q came as %q", topic, p.Topic)
				}
			}
		}
		for _, bad := range []string{"a\x00", "\xc3", "\xed\xa0\x80", "\xff", "\xc0\x80"} {
			b := append([]byte{0x30, byte(2 + len(bad)), 0, byte(len(bad))}, bad...)
			if v == mqttx.V5 {
				b[1]++
				b = append(b, 0)
			}
			c := mqttest.Connect(t, srv, p1New("bad", v))
			c.Write(b)
			p1Bye(t, c, mqttx.MalformedPacket)
		}
		all.Nothing()
	})
}

// Subscribers in process match as clients do, each for itself, and leave without taking others along.
func TestPitfall039_InProcess(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		client := p1Subscriber(t, srv, p1New("client", v), q, "a/#", "end")
		type in struct {
			leave func()
			got   chan string
		}
		subscribe := func(filters ...string) in {
			ctx, leave := context.WithCancel(t.Context())
			seq, err := srv.Subscribe(ctx, filters...)
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan string, 100)
			go func() {
				defer close(got)
				for m := range seq {
					if m.QoS != q {
						got <- fmt.Sprint("QoS ", m.QoS)
					}
					got <- m.Topic
				}
			}()
			return in{leave, got}
		}
		want := func(i in, topics ...string) {
			t.Helper()
			mqttest.Advance(0)
			for _, topic := range topics {
				if got := <-i.got; got != topic {
					t.Errorf("%q came, want %q", got, topic)
				}
			}
			if n := len(i.got); n != 0 {
				t.Errorf("%d more came", n)
			}
		}
		one, two, both := subscribe("a/#"), subscribe("a/#"), subscribe("a/#", "a/+", "+/#")
		shared, other := subscribe("$share/g/a/#"), subscribe("+/b")
		publish := func() {
			t.Helper()
			for _, topic := range []string{"a", "a/b", "$a", "ab"} {
				pub.Publish(topic, "x", q)
			}
			pub.Nothing()
		}
		publish()
		for _, i := range []in{one, two, shared} {
			want(i, "a", "a/b")
		}
		want(other, "a/b")
		want(both, "a", "a/b", "ab")
		p1Gets(t, client, "x", "x")
		client.Unsubscribe("a/#")
		client.Drop()
		one.leave()
		mqttest.Advance(0)
		publish()
		want(two, "a", "a/b")
		want(both, "a", "a/b", "ab")
		if _, open := <-one.got; open {
			t.Error("a message after the end")
		}
		for _, i := range []in{two, both, shared, other} {
			i.leave()
		}
		mqttest.Advance(0)
		if q > 0 {
			p1Code(t, "without subscribers", p1Send(t, mqttest.Connect(t, srv, nil), p1Publish("a", "x", q, 1)), mqttx.NoMatchingSubscribers)
		}
	})
}
