package pitfalls_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Overlapping subscriptions give one copy: the highest QoS, all ids, and each one's flags honoured.
func TestPitfall045_OptionsAndOverlaps(t *testing.T) {
	for n := range 64 { // for each of two subscriptions: QoS 0 or 2, No Local, Retain As Published
		one := packet.Filter{Filter: "a/#", QoS: mqttx.QoS(n & 1 * 2), NoLocal: n&2 != 0, RetainAsPublished: n&4 != 0}
		two := packet.Filter{Filter: "a/b", QoS: mqttx.QoS(n >> 3 & 1 * 2), NoLocal: n&16 != 0, RetainAsPublished: n&32 != 0}
		p1Bubble(t, fmt.Sprintf("%+v and %+v", one, two), func(t *testing.T) {
			srv := p1Server(t, &mqttx.Server{})
			c := mqttest.Connect(t, srv, p1New("c", mqttx.V5))
			other := mqttest.Connect(t, srv, p1New("other", mqttx.V5))
			p1Subscribe(c, 1, one)
			p1Subscribe(c, 2, two)
			for _, pub := range []*mqttest.Client{c, other} {
				var ids []uint32
				var qos mqttx.QoS
				rap := false
				for i, f := range []packet.Filter{one, two} {
					if pub == c && f.NoLocal {
						continue
					}
					ids, qos, rap = append(ids, uint32(i+1)), max(qos, f.QoS), rap || f.RetainAsPublished
				}
				m := p1Publish("a/b", "x", 2, 77)
				m.Retain, m.TopicAlias = true, 9
				pub.Send(m)
				p := &packet.Publish{}
				if len(ids) > 0 {
					p = c.Receive()
				}
				mqttest.Expect[*packet.Pubrec](pub)
				p1Release(t, pub, 77)
				c.Nothing()
				if len(ids) == 0 {
					continue
				}
				slices.Sort(p.SubscriptionIDs)
				if p.QoS != qos || p.Retain != rap || !slices.Equal(p.SubscriptionIDs, ids) || p.TopicAlias != 0 || string(p.Topic) != "a/b" {
					t.Errorf("from %s: %s; want QoS %d, RETAIN %v, ids %v", pub.ClientID, mqttest.Format(p), qos, rap, ids)
				}
			}
		})
	}
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		c := p1Subscriber(t, srv, p1New("c", v), q, "a/+")
		c.Subscribe("a/#", 0)
		c.Subscribe("#", 1)
		p1Code(t, "PUBLISH", c.Publish("a/b", "own", 2), mqttx.Success)
		if p := c.Receive(); p.QoS != max(q, 1) || string(p.Payload) != "own" {
			t.Errorf("%s", mqttest.Format(p))
		}
		c.Nothing()
	})
}

// Only packets from the client prolong its Keep Alive, and nothing else shortens it.
func TestPitfall047_KeepAliveByClientAlone(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		p := p1New("idle", v)
		p.KeepAlive = 300
		idle := mqttest.Connect(t, srv, p)
		p = p1New("reader", v)
		p.KeepAlive = 10
		reader := p1Subscriber(t, srv, p, 0, "a")
		for i := range 14 {
			mqttest.Advance(time.Second)
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte{byte(i)}}); err != nil {
				t.Fatal(err)
			}
			reader.Receive()
		}
		mqttest.Advance(900 * time.Millisecond)
		reader.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		p1Bye(t, reader, mqttx.KeepAliveTimeout)
		mqttest.Advance(385 * time.Second)
		idle.Nothing()
		mqttest.Advance(49 * time.Second)
		idle.Nothing()
		mqttest.Advance(time.Second)
		p1Bye(t, idle, mqttx.KeepAliveTimeout)
	})
}
