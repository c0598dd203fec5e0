package pitfalls_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p82Rules deny what their test says, until it says otherwise.
type p82Rules struct {
	mu   sync.Mutex
	deny func(a mqttx.Access) bool
}

func (r *p82Rules) set(deny func(a mqttx.Access) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deny = deny
}

func (r *p82Rules) handler() mqttx.Callbacks[*mqttx.Conn] {
	return mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, q *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			if string(q.Password) == "wrong" {
				return nil, mqttx.BadUserNameOrPassword
			}
			q.Client.User = q.Username
			return q.Conn, nil
		},
		Allow: func(_ context.Context, a mqttx.Access) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.deny != nil && r.deny(a) {
				return mqttx.NotAuthorized
			}
			return nil
		},
	}
}

// p82Secret denies every access of c to topics and filters that begin with secret.
func p82Secret(a mqttx.Access) bool {
	return a.Client.ID == "c" && strings.HasPrefix(a.Topic, "secret")
}

func p82Recheck(t *testing.T, s *mqttx.Server) {
	t.Helper()
	if err := s.Recheck(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Once the subscriber's right is revoked neither SUBSCRIBE nor resume bring what was stored before.
func TestPitfall082_StoredMessages(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		r := &p82Rules{}
		s := p63Start(t, &mqttx.Server{Handler: r.handler()})
		c := mqttest.Connect(t, s, p63Keeps("c", v))
		c.Subscribe("#", 1)
		c.Drop()
		pub := mqttest.Connect(t, s, nil)
		for _, topic := range []string{"secret/1", "open/1"} {
			p63Send(pub, &packet.Publish{Topic: []byte(topic), Payload: []byte(topic), QoS: 1, PacketID: 9, Retain: true})
		}
		r.set(p82Secret)
		p82Recheck(t, s)
		c = mqttest.Connect(t, s, p63Keeps("c", v))
		p63Gets(t, c, "open/1")
		c.Subscribe("+/+", 1)
		p63Gets(t, c, "open/1")
		p63Code(t, "SUBACK", c.Subscribe("secret/1", 1), p63Wire(v, mqttx.NotAuthorized))
		c.Nothing()
	})
}

// A recheck takes subscriptions from clients that are connected and from those that sleep; the next publish does not come.
func TestPitfall083_SubscriptionOutlivesRight(t *testing.T) {
	for _, sleeps := range []bool{false, true} {
		p63Each(t, func(t *testing.T, v mqttx.Version) {
			r := &p82Rules{}
			s := p63Start(t, &mqttx.Server{Handler: r.handler()})
			c := mqttest.Connect(t, s, p63Keeps("c", v))
			c.Subscribe("secret/#", 1)
			c.Subscribe("$share/g/secret/+", 1)
			c.Subscribe("open/#", 1)
			if sleeps {
				c.Drop()
			}
			r.set(p82Secret)
			p82Recheck(t, s)
			pub := mqttest.Connect(t, s, nil)
			pub.Publish("secret/1", "secret", 1)
			pub.Publish("open/1", "open", 1)
			if sleeps {
				c = mqttest.Connect(t, s, p63Keeps("c", v))
			}
			p63Gets(t, c, "open")
			r.set(nil)
			p82Recheck(t, s)
			pub.Publish("secret/1", "secret", 1)
			c.Nothing() // the right is back, the subscription is not
			if n := s.Stats().Subscriptions; n != 1 {
				t.Errorf("%d subscriptions, want 1", n)
			}
		})
	}
}

// Open and queued messages are not sent again on resume once the right is revoked; they are dropped with a reason.
func TestPitfall084_ResendOnResume(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		r := &p82Rules{}
		s := p63Start(t, &mqttx.Server{Handler: r.handler(), Limits: mqttx.Limits{Inflight: 1}})
		p := p63Keeps("c", v)
		if v == mqttx.V5 {
			p.ReceiveMaximum = 1
		}
		c := mqttest.Connect(t, s, p)
		c.Subscribe("#", 1)
		pub := mqttest.Connect(t, s, nil)
		pub.Publish("secret/1", "sent", 1)
		pub.Publish("secret/1", "waits", 1)
		pub.Publish("open/1", "open", 1)
		mqttest.Expect[*packet.Publish](c)
		c.Drop()
		r.set(p82Secret)
		p82Recheck(t, s)
		p63Gets(t, mqttest.Connect(t, s, p), "open")
		if n := s.Stats().Dropped[mqttx.DropNotAllowed]; n != 2 {
			t.Errorf("%d dropped, want 2", n)
		}
	})
}

// A subscriber to # does not get what it may not read, live or retained.
func TestPitfall085_WildcardOverDenied(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		r := &p82Rules{deny: p82Secret}
		s := p63Start(t, &mqttx.Server{Handler: r.handler()})
		pub := mqttest.Connect(t, s, nil)
		for _, topic := range []string{"secret/1", "secret", "open/1"} {
			p63Send(pub, &packet.Publish{Topic: []byte(topic), Payload: []byte("kept"), QoS: 1, PacketID: 9, Retain: true})
		}
		c := mqttest.Connect(t, s, p63Clean("c", v))
		p63Code(t, "SUBACK", c.Subscribe("#", 2), 2)
		p63Gets(t, c, "kept")
		p63Code(t, "SUBACK", c.Subscribe("$share/g/#", 2), 2)
		for q := range mqttx.QoS(3) {
			pub.Publish("secret/1", "secret", q)
			pub.Publish("open/2", "open", q)
			p63Gets(t, c, "open", "open")
		}
	})
}

// A refused CONNECT changes nothing: session, queue, delayed will and the connection of the owner stay.
func TestPitfall087_WrongPassword(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Handler: (&p82Rules{}).handler()})
		live := mqttest.Connect(t, s, p63Keeps("live", v))
		live.Subscribe("t", 1)
		p := p63Keeps("sleeper", v)
		p.Will = &packet.Will{Topic: "will", Payload: []byte("w")}
		if v == mqttx.V5 {
			p.Will.DelayInterval = 100
		}
		watch := mqttest.Connect(t, s, nil)
		watch.Subscribe("will", 0)
		sleeper := mqttest.Connect(t, s, p)
		sleeper.Subscribe("t", 1)
		sleeper.Drop()
		if v != mqttx.V5 {
			p63Gets(t, watch, "w")
		}
		mqttest.Connect(t, s, nil).Publish("t", "queued", 1)
		p63Gets(t, live, "queued")
		for _, id := range []string{"live", "sleeper"} {
			thief := p63Clean(id, v)
			thief.Username, thief.Password = "x", []byte("wrong")
			want := mqttx.BadUserNameOrPassword
			if v != mqttx.V5 {
				want = 4
			}
			_, code := mqttest.TryConnect(t, s, thief)
			p63Code(t, "CONNACK", code, want)
		}
		watch.Nothing()
		live.Publish("t", "still", 1)
		p63Gets(t, live, "still")
		p63Gets(t, mqttest.Connect(t, s, p), "queued", "still")
		mqttest.Advance(200 * time.Second)
		watch.Nothing()
	})
}

// Rules see the real filter of a shared subscription, and topics that begin with $.
func TestPitfall088_RealTopic(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		r := &p82Rules{deny: func(a mqttx.Access) bool {
			return a.Client.ID == "c" && (strings.HasPrefix(a.Topic, "secret") || strings.HasPrefix(a.Topic, "$dev") || a.Topic == "#")
		}}
		s := p63Start(t, &mqttx.Server{Handler: r.handler()})
		c := mqttest.Connect(t, s, p63Clean("c", v))
		for _, f := range []string{"secret/x", "$share/g/secret/x", "$share/g/#", "#", "$dev/x", "$share/g/$dev/x"} {
			p63Code(t, f, c.Subscribe(f, 1), p63Wire(v, mqttx.NotAuthorized))
		}
		if n := s.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

// $SYS belongs to the server: nobody writes there, by publish, retained or will, and reading is for rules to judge.
func TestPitfall089_SystemTopics(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{})
		watch := mqttest.Connect(t, s, nil)
		watch.Subscribe("$SYS/#", 1)
		watch.Subscribe("$share/g/$SYS/#", 1)
		c := mqttest.Connect(t, s, p63Clean("c", v))
		for q := range mqttx.QoS(3) {
			for _, retain := range []bool{false, true} {
				c.Send(&packet.Publish{Topic: []byte("$SYS/broker/x"), Payload: []byte("x"), QoS: q, PacketID: uint16(q), Retain: retain})
				synctest.Wait()
				code := mqttx.Success
				if v == mqttx.V5 {
					code = mqttx.NotAuthorized
				}
				switch q {
				case 1:
					p63Code(t, "PUBACK", mqttest.Expect[*packet.Puback](c).Code, code)
				case 2:
					p63Code(t, "PUBREC", mqttest.Expect[*packet.Pubrec](c).Code, code)
					if v != mqttx.V5 {
						c.Send(&packet.Pubrel{PacketID: 2})
						mqttest.Expect[*packet.Pubcomp](c)
					}
				}
			}
		}
		c.Nothing()
		p := p63Clean("w", v)
		p.Will = &packet.Will{Topic: "$SYS/broker/x", Payload: []byte("x"), Retain: true}
		want := mqttx.NotAuthorized
		if v != mqttx.V5 {
			want = 5
		}
		_, code := mqttest.TryConnect(t, s, p)
		p63Code(t, "will", code, want)
		watch.Nothing()
		if n := s.Stats().Retained; n != 0 {
			t.Errorf("%d retained", n)
		}
	})
}

// In a chain the first refusal stands, whatever the order of the handlers.
func TestPitfall092_FirstRefusalStands(t *testing.T) {
	yes, no := (&p82Rules{}).handler(), (&p82Rules{deny: p82Secret}).handler()
	for name, h := range map[string]mqttx.Handler{"no, yes": mqttx.Chain(no, yes), "yes, no": mqttx.Chain(yes, no), "yes, no, yes": mqttx.Chain(yes, mqttx.Chain(no, yes))} {
		for _, v := range p63Versions {
			p63Bubble(t, name+" "+v.String(), func(t *testing.T) {
				s := p63Start(t, &mqttx.Server{Handler: h})
				watch := mqttest.Connect(t, s, nil)
				watch.Subscribe("#", 1)
				c := mqttest.Connect(t, s, p63Clean("c", v))
				p63Code(t, "SUBACK", c.Subscribe("secret/x", 1), p63Wire(v, mqttx.NotAuthorized))
				code := c.Publish("secret/x", "x", 1)
				if v == mqttx.V5 {
					p63Code(t, "PUBACK", code, mqttx.NotAuthorized)
				}
				watch.Nothing()
				p63Code(t, "SUBACK", c.Subscribe("open", 1), 1)
				c.Publish("open", "y", 1)
				p63Gets(t, watch, "y")
				p63Gets(t, c, "y")
			})
		}
	}
}
