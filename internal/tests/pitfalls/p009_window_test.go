package pitfalls_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p9Window starts a server and makes a CONNECT whose window towards the client is n in each version.
func p9Window(t *testing.T, v mqttx.Version, n int) (*mqttx.Server, *packet.Connect) {
	t.Helper()
	srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: n}})
	p := p1Kept("c", v)
	if v == mqttx.V5 {
		p.ReceiveMaximum = uint16(n)
	}
	return srv, p
}

// Through a window of one all messages come, one at a time.
func TestPitfall009_ReceiveMaximumOne(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv, p := p9Window(t, v, 1)
		c := p1Subscriber(t, srv, p, q, "a")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		for i := range 6 {
			pub.Publish("a", fmt.Sprint(i), q)
		}
		for i := range 6 {
			m := mqttest.Expect[*packet.Publish](c)
			if string(m.Payload) != fmt.Sprint(i) || m.Dup {
				t.Errorf("%q in place %d, DUP %v", m.Payload, i, m.Dup)
			}
			c.Nothing()
			if q == 1 {
				c.Send(&packet.Puback{PacketID: m.PacketID})
				continue
			}
			c.Send(&packet.Pubrec{PacketID: m.PacketID})
			mqttest.Expect[*packet.Pubrel](c)
			c.Nothing()
			c.Send(&packet.Pubcomp{PacketID: m.PacketID})
		}
		c.Nothing()
	})
}

// Acknowledgements in any order, refusals among them, never leave the window stuck, and it is never exceeded.
func TestPitfall009_RandomAcks(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		const window, total = 5, 500
		srv, p := p9Window(t, v, window)
		c := p1Subscriber(t, srv, p, 2, "a")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		random := rand.New(rand.NewPCG(9, uint64(v)))
		for i := range total {
			pub.Publish("a", fmt.Sprint(i), mqttx.QoS(1+random.IntN(2)))
		}
		open := make(map[uint16]packet.Packet) // what is to be sent for an id next
		var ids []uint16
		for got := 0; got < total || len(ids) > 0; {
			for len(ids) < min(window, total-got+len(ids)) {
				m := mqttest.Expect[*packet.Publish](c)
				if string(m.Payload) != fmt.Sprint(got) || open[m.PacketID] != nil {
					t.Fatalf("%q with id %d in place %d", m.Payload, m.PacketID, got)
				}
				got++
				ids = append(ids, m.PacketID)
				open[m.PacketID] = &packet.Puback{PacketID: m.PacketID}
				if m.QoS == 2 {
					open[m.PacketID] = &packet.Pubrec{PacketID: m.PacketID}
				}
			}
			c.Nothing()
			i := random.IntN(len(ids))
			id, answer := ids[i], open[ids[i]]
			delete(open, id)
			if rec, ok := answer.(*packet.Pubrec); ok {
				if v == mqttx.V5 && random.IntN(3) == 0 {
					rec.Code = mqttx.UnspecifiedError
				} else {
					open[id] = &packet.Pubcomp{PacketID: id}
				}
			}
			c.Send(answer)
			if open[id] != nil {
				mqttest.Expect[*packet.Pubrel](c)
			} else {
				ids = append(ids[:i], ids[i+1:]...)
			}
		}
		c.Nothing()
		if n := srv.Stats().Queued; n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// What is resent counts for the window that the new CONNECT tells.
func TestPitfall010_ResumeKeepsWindow(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv, p := p9Window(t, v, 5)
		c := p1Subscriber(t, srv, p, q, "a")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		for i := range 7 {
			pub.Publish("a", fmt.Sprint(i), q)
		}
		for range 5 {
			mqttest.Expect[*packet.Publish](c)
		}
		c.Nothing()
		c.Drop()
		if p.ReceiveMaximum > 0 {
			p.ReceiveMaximum = 2
		}
		if err := srv.SetLimits(mqttx.Limits{Inflight: 2}); err != nil {
			t.Fatal(err)
		}
		c = mqttest.Connect(t, srv, p)
		var open []*packet.Publish
		for i := range 7 {
			m := mqttest.Expect[*packet.Publish](c)
			if string(m.Payload) != fmt.Sprint(i) || m.Dup != (i < 5) {
				t.Errorf("%q with DUP %v in place %d", m.Payload, m.Dup, i)
			}
			if open = append(open, m); len(open) < 2 {
				continue
			}
			c.Nothing()
			id := open[0].PacketID
			open = open[1:]
			if q == 1 {
				c.Send(&packet.Puback{PacketID: id})
				continue
			}
			c.Send(&packet.Pubrec{PacketID: id})
			mqttest.Expect[*packet.Pubrel](c)
			c.Nothing()
			c.Send(&packet.Pubcomp{PacketID: id})
		}
		c.Nothing()
	})
}

// p11Known resolves aliases as a client does.
type p11Known map[uint16]string

// want checks that the topic that m comes out with is the one that its payload begins with.
func (k p11Known) want(t *testing.T, m *packet.Publish) {
	t.Helper()
	topic := string(m.Topic)
	if m.TopicAlias > 0 {
		if topic == "" {
			topic = k[m.TopicAlias]
		}
		k[m.TopicAlias] = topic
	}
	if want, _, _ := strings.Cut(string(m.Payload), " "); topic != want {
		t.Errorf("alias %d: topic %q, want %q", m.TopicAlias, topic, want)
	}
}

// What is sent again after a resume does not count on aliases of the connection before.
func TestPitfall011_ResendCarriesTopic(t *testing.T) {
	for _, maximum := range []uint16{0, 1, 10} {
		p1Each(t, func(t *testing.T, v mqttx.Version) {
			srv := p1Server(t, &mqttx.Server{})
			p := p1Kept("c", v)
			p.TopicAliasMaximum = 10
			c := p1Subscriber(t, srv, p, 1, "#")
			known := p11Known{}
			for i := range 6 {
				topic := fmt.Sprint("long/topic/", i%2)
				if err := srv.Publish(t.Context(), &mqttx.Message{Topic: topic, Payload: []byte(topic), QoS: 1}); err != nil {
					t.Fatal(err)
				}
				known.want(t, mqttest.Expect[*packet.Publish](c))
			}
			if len(known) == 0 {
				t.Error("no alias was used at all")
			}
			c.Drop()
			p.TopicAliasMaximum = maximum
			c = mqttest.Connect(t, srv, p)
			known = p11Known{}
			for range 6 {
				m := c.Receive()
				if m.TopicAlias > maximum || !m.Dup {
					t.Errorf("alias %d, DUP %v", m.TopicAlias, m.Dup)
				}
				known.want(t, m)
			}
			c.Nothing()
		}, mqttx.V5)
	}
}

// A packet that is not sent, or not yet, binds no alias.
func TestPitfall011_UnsentBindsNone(t *testing.T) {
	publish := func(t *testing.T, srv *mqttx.Server, topic string, q mqttx.QoS, size int) {
		t.Helper()
		m := &mqttx.Message{Topic: topic, Payload: []byte(topic + " " + strings.Repeat("x", size)), QoS: q}
		if err := srv.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	connect := func() *packet.Connect {
		return &packet.Connect{ClientID: "c", CleanStart: true, TopicAliasMaximum: 10, ReceiveMaximum: 1, MaximumPacketSize: 2000}
	}
	p1Bubble(t, "too large", func(t *testing.T) {
		srv := p1Server(t, &mqttx.Server{})
		c := p1Subscriber(t, srv, connect(), 1, "#")
		known := p11Known{}
		for _, q := range []mqttx.QoS{0, 1} {
			topic := fmt.Sprint("topic/", q)
			publish(t, srv, topic, q, 3000)
			publish(t, srv, topic, q, 1)
			known.want(t, c.Receive())
		}
		c.Nothing()
		if n := srv.Stats().Dropped[mqttx.DropTooLarge]; n != 2 {
			t.Errorf("%d dropped as too large, want 2", n)
		}
	})
	p1Bubble(t, "deferred", func(t *testing.T) {
		srv := p1Server(t, &mqttx.Server{})
		c := p1Subscriber(t, srv, connect(), 1, "#")
		known := p11Known{}
		publish(t, srv, "first", 1, 1)
		publish(t, srv, "second", 1, 1) // waits for the window
		publish(t, srv, "second", 0, 1)
		one := mqttest.Expect[*packet.Publish](c)
		known.want(t, one)
		known.want(t, c.Receive())
		c.Nothing()
		c.Send(&packet.Puback{PacketID: one.PacketID})
		known.want(t, c.Receive())
		c.Nothing()
	})
	p1Bubble(t, "dropped", func(t *testing.T) {
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{QueuedMessages: 20, QueuedBytes: 20000}})
		c := p1Subscriber(t, srv, connect(), 0, "#")
		c.StopReading()
		for i := range 3000 {
			publish(t, srv, fmt.Sprint("topic/", i%7), 0, 1000)
		}
		dropped := srv.Stats().Dropped[mqttx.DropOutboxFull]
		if dropped == 0 {
			t.Fatal("nothing was dropped")
		}
		c.GoOnReading()
		known := p11Known{}
		for range 3000 - dropped {
			known.want(t, c.Receive())
		}
		for i := range 7 {
			publish(t, srv, fmt.Sprint("topic/", i), 0, 1)
			known.want(t, c.Receive())
		}
		c.Nothing()
	})
}

// CONNACK tells the Topic Alias Maximum, and just that many aliases work.
func TestPitfall012_AliasMaximum(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{TopicAliasMaximum: 3}})
		sub := p1Subscriber(t, srv, p1New("sub", v), 0, "#")
		c := mqttest.Connect(t, srv, nil)
		if m := c.Connack.TopicAliasMaximum; m == nil || *m != 3 {
			t.Fatalf("Topic Alias Maximum %v", m)
		}
		for a := uint16(1); a <= 3; a++ {
			for _, topic := range []string{fmt.Sprint("t", a), ""} {
				c.Send(&packet.Publish{Topic: []byte(topic), TopicAlias: a, Payload: []byte("x")})
				if m := sub.Receive(); string(m.Topic) != fmt.Sprint("t", a) {
					t.Errorf("alias %d: %q", a, m.Topic)
				}
			}
		}
		c.Nothing()
		for name, x := range map[string]struct {
			bytes []byte
			code  mqttx.ReasonCode
		}{
			"0":                    {[]byte{0x30, 8, 0, 1, 'a', 3, 0x23, 0, 0, 'x'}, mqttx.TopicAliasInvalid},
			"maximum + 1":          {[]byte{0x30, 8, 0, 1, 'a', 3, 0x23, 0, 4, 'x'}, mqttx.TopicAliasInvalid},
			"unknown and no topic": {[]byte{0x30, 7, 0, 0, 3, 0x23, 0, 2, 'x'}, mqttx.ProtocolError},
		} {
			c := mqttest.Connect(t, srv, nil)
			c.Write(x.bytes)
			if p := mqttest.Expect[*packet.Disconnect](c); p.Code != x.code {
				t.Errorf("%s: %v, want %v", name, p.Code, x.code)
			}
			c.Closed()
			sub.Nothing()
		}
	}, mqttx.V5)
}
