package pitfalls_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Nothing is left of a session that has expired: no match, no queue, nothing for the next session.
func TestPitfall025_ExpiredSession(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		store := new(mqttest.MemStore)
		srv := p1Server(t, &mqttx.Server{Store: store, Limits: mqttx.Limits{SessionExpiry: 5 * time.Second}})
		pub := mqttest.Connect(t, srv, nil)
		before := store.Len()
		p1Subscriber(t, srv, p1Kept("c", v), q, "a").Drop()
		pub.Publish("a", "queued", q)
		mqttest.Advance(4900 * time.Millisecond)
		if st := srv.Stats(); st.Subscriptions != 1 || st.Queued != 1 {
			t.Errorf("before its end: %d subscriptions, %d queued", st.Subscriptions, st.Queued)
		}
		mqttest.Advance(200 * time.Millisecond)
		m := p1Publish("a", "late", q, 9)
		p1Code(t, "PUBLISH without a receiver", p1Send(t, pub, m), mqttx.NoMatchingSubscribers)
		if st := srv.Stats(); st.Subscriptions != 0 || st.Queued != 0 || st.QueuedBytes != 0 || st.Sessions != 1 || store.Len() != before {
			t.Errorf("left behind: %+v, %d records, %d before", st, store.Len(), before)
		}
		c := mqttest.Connect(t, srv, p1Kept("c", v))
		if c.Connack.SessionPresent {
			t.Error("session present")
		}
		pub.Publish("a", "later", q)
		c.Nothing()
	})
}

// While a member of a group is connected the others get nothing.
func TestPitfall026_ConnectedMembers(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		member := func(id string) *mqttest.Client {
			return p1Subscriber(t, srv, p1Kept(id, v), q, "$share/g/a/#")
		}
		awake := member("awake")
		member("asleep 1").Drop()
		member("asleep 2").Drop()
		var want []string
		for i := range 20 {
			pub.Publish("a/b", fmt.Sprint(i), q)
			want = append(want, fmt.Sprint(i))
		}
		p1Gets(t, awake, want...)
		if st := srv.Stats(); st.Queued != 0 || st.Dropped[mqttx.DropOffline] != 0 {
			t.Errorf("%d queued, %d dropped for members that sleep", st.Queued, st.Dropped[mqttx.DropOffline])
		}
		awake.Drop() // with nobody there a message waits for one of the sleepers
		for i := range 20 {
			pub.Publish("a/b", fmt.Sprint(i), q)
		}
		pub.Nothing()
		n := 0
		for _, id := range []string{"asleep 1", "asleep 2", "awake"} {
			n += len(p1Drain(t, mqttest.Connect(t, srv, p1Kept(id, v))))
		}
		if want := map[bool]int{false: 0, true: 20}[q > 0]; n != want {
			t.Errorf("%d messages came, want %d", n, want)
		}
	})
}

// What may not be published, or not as a will, is not kept either.
func TestPitfall027_RefusedIsNotKept(t *testing.T) {
	for name, h := range map[string]mqttx.Callbacks[int]{
		"Allow": {Allow: func(_ context.Context, a mqttx.Access) error {
			if a.Op == mqttx.OpPublish && a.Topic == "no" {
				return mqttx.NotAuthorized
			}
			return nil
		}},
		"Publish": {Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
			if m.Topic == "no" {
				return mqttx.NotAuthorized
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
				srv := p1Server(t, &mqttx.Server{Handler: h})
				sub := p1Subscriber(t, srv, p1New("sub", v), 2, "#")
				c := mqttest.Connect(t, srv, p1New("c", v))
				m := p1Publish("no", "x", q, 1)
				m.Retain = true
				c.Send(m)
				p28Answer(t, c, m, mqttx.NotAuthorized, v == mqttx.V5)
				p := p1New("will", v)
				p.Will = &packet.Will{Topic: "no", Payload: []byte("x"), QoS: q, Retain: true}
				_, code := mqttest.TryConnect(t, srv, p)
				if want := map[bool]mqttx.ReasonCode{true: mqttx.NotAuthorized, false: 5}[v == mqttx.V5]; code != want {
					t.Errorf("CONNACK %d, want %d", code, want)
				}
				sub.Nothing()
				if st := srv.Stats(); st.Retained != 0 || st.Published != 0 {
					t.Errorf("%d retained, %d published", st.Retained, st.Published)
				}
				p1Code(t, "PUBLISH elsewhere", c.Publish("yes", "x", q), mqttx.Success)
				p1Gets(t, sub, "x")
			})
		})
	}
}

// p28Answer takes what answers a PUBLISH, and that alone: PUBACK at QoS 1, PUBREC at QoS 2, with code if there are codes.
func p28Answer(t *testing.T, c *mqttest.Client, m *packet.Publish, code mqttx.ReasonCode, codes bool) {
	t.Helper()
	if !codes {
		code = mqttx.Success
	}
	switch m.QoS {
	case 1:
		if p := mqttest.Expect[*packet.Puback](c); p.PacketID != m.PacketID || p.Code != code {
			t.Errorf("PUBACK %d %v, want %v", p.PacketID, p.Code, code)
		}
	case 2:
		if p := mqttest.Expect[*packet.Pubrec](c); p.PacketID != m.PacketID || p.Code != code {
			t.Errorf("PUBREC %d %v, want %v", p.PacketID, p.Code, code)
		}
		if !codes {
			p1Release(t, c, m.PacketID)
		}
	}
	c.Nothing()
}

// Any error stops a message, and the answer is the one for its QoS.
func TestPitfall028_RefusalByQoS(t *testing.T) {
	for name, x := range map[string]struct {
		err   error
		code  mqttx.ReasonCode
		bare3 bool // 3.x clients get the bare acknowledgement, else the end
	}{
		"not authorized":  {mqttx.NotAuthorized, mqttx.NotAuthorized, true},
		"topic name":      {mqttx.TopicNameInvalid, mqttx.TopicNameInvalid, true},
		"payload format":  {mqttx.PayloadFormatInvalid, mqttx.PayloadFormatInvalid, true},
		"quota":           {mqttx.QuotaExceeded, mqttx.QuotaExceeded, false},
		"with text":       {&mqttx.Error{Code: mqttx.NotAuthorized, Text: "no"}, mqttx.NotAuthorized, true},
		"wrapped":         {fmt.Errorf("no: %w", mqttx.NotAuthorized), mqttx.NotAuthorized, true},
		"unknown type":    {errors.New("no"), mqttx.UnspecifiedError, false},
		"code of success": {mqttx.Success, mqttx.UnspecifiedError, false},
		"context":         {context.Canceled, mqttx.UnspecifiedError, false},
	} {
		t.Run(name, func(t *testing.T) {
			p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
				refuse := true
				srv := p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
					Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
						if refuse {
							return x.err
						}
						return nil
					},
				}})
				sub := p1Subscriber(t, srv, p1New("sub", v), 2, "a")
				c := mqttest.Connect(t, srv, p1New("c", v))
				m := p1Publish("a", "x", q, 1)
				c.Send(m)
				if v != mqttx.V5 && !x.bare3 && q > 0 {
					c.Closed()
					sub.Nothing()
					return
				}
				p28Answer(t, c, m, x.code, v == mqttx.V5)
				sub.Nothing()
				refuse = false
				p1Code(t, "the next", c.Publish("a", "y", q), mqttx.Success)
				p1Gets(t, sub, "y")
			})
		})
	}
}

// A message is acknowledged when it is safe, not before.
func TestPitfall029_AckAfterCommit(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		for name, retain := range map[string]bool{"queued": false, "retained": true} {
			store := new(mqttest.MemStore)
			srv := p1Server(t, &mqttx.Server{Store: store})
			if !retain {
				p1Subscriber(t, srv, p1Kept("sub", v), q, "a").Drop()
			}
			c := mqttest.Connect(t, srv, p1New("c", v))
			store.Block()
			defer store.Unblock()
			m := p1Publish("a", "x", q, 1)
			m.Retain = retain
			c.Send(m)
			mqttest.Advance(time.Minute)
			c.Nothing()
			if _, waiting := store.Commits(); waiting != 1 {
				t.Errorf("%s: %d commits wait", name, waiting)
			}
			store.Unblock()
			p1Acks(t, c, m)
			c.Nothing()
		}
	})
}

// Nor does a timed resend run ahead of the Store, or take a slow one for a silent client.
func TestPitfall029_NoResendBeforeCommit(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		store := new(mqttest.MemStore)
		srv := p1Server(t, &mqttx.Server{Store: store})
		c := p1Subscriber(t, srv, p1Kept("c", v), 2, "a")
		mqttest.Connect(t, srv, p1New("pub", v)).Publish("a", "x", 2)
		m := mqttest.Expect[*packet.Publish](c)
		store.Block()
		defer store.Unblock()
		c.Send(&packet.Pubrec{PacketID: m.PacketID})
		mqttest.Advance(time.Minute)
		c.Nothing()
		store.Unblock()
		mqttest.Expect[*packet.Pubrel](c)
		c.Send(&packet.Pubcomp{PacketID: m.PacketID})
		c.Nothing()
	})
}
