package pitfalls_test

import (
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Message Expiry goes on as what is left, and what has expired is counted and not sent.
func TestPitfall020_MessageExpiry(t *testing.T) {
	for _, x := range []struct {
		queued time.Duration
		left   uint32
	}{{4 * time.Second, 6}, {11 * time.Second, 0}} {
		t.Run(x.queued.String(), func(t *testing.T) {
			p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
				srv := p1Server(t, &mqttx.Server{})
				p1Subscriber(t, srv, p1Kept("c", v), q, "a").Drop()
				pub := mqttest.Connect(t, srv, nil)
				m := p1Publish("a", "x", q, 1)
				m.HasMessageExpiry, m.MessageExpiryInterval = true, 10
				p1Code(t, "PUBLISH", p1Send(t, pub, m), mqttx.Success)
				mqttest.Advance(x.queued)
				c := mqttest.Connect(t, srv, p1Kept("c", v))
				if x.left > 0 {
					p := c.Receive()
					if v == mqttx.V5 && (!p.HasMessageExpiry || p.MessageExpiryInterval != x.left) {
						t.Errorf("expiry %d, present %v; want %d", p.MessageExpiryInterval, p.HasMessageExpiry, x.left)
					}
				}
				c.Nothing()
				st := srv.Stats()
				if want := int64(1); x.left > 0 && st.Expired != 0 || x.left == 0 && st.Expired != want || st.Queued != 0 {
					t.Errorf("expired %d, queued %d", st.Expired, st.Queued)
				}
			})
		})
	}
}

// A message that was published without expiry has none, whatever its age.
func TestPitfall021_NoExpiryOfOurs(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		kept := p1Kept("kept", v)
		if v == mqttx.V5 {
			kept.SessionExpiryInterval = new(uint32(1<<32 - 1))
		}
		p1Subscriber(t, srv, kept, q, "a").Drop()
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		m := p1Publish("a", "x", q, 1)
		m.Retain = true
		pub.Send(m)
		p1Acks(t, pub, m)
		mqttest.Advance(400 * 24 * time.Hour)
		c := p1Subscriber(t, srv, p1New("new", v), q, "a")
		if p := c.Receive(); string(p.Payload) != "x" || p.HasMessageExpiry {
			t.Errorf("retained: %+v", p)
		}
		c.Nothing()
		c = mqttest.Connect(t, srv, kept)
		if q > 0 {
			if p := c.Receive(); string(p.Payload) != "x" || p.HasMessageExpiry {
				t.Errorf("queued: %+v", p)
			}
		}
		c.Nothing()
	})
}

// p22Will is a CONNECT with a will at QoS 1.
func p22Will(v mqttx.Version) *packet.Connect {
	p := p1New("c", v)
	p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1}
	return p
}

// A DISCONNECT with 0x04, or with any code from 0x80, leads to the will.
func TestPitfall022_DisconnectWithWill(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		sub := p1Subscriber(t, srv, p1New("sub", v), 1, "w")
		for code := 0; code < 256; code++ {
			if code != 0 && code != 4 && code < 0x80 {
				continue
			}
			c := mqttest.Connect(t, srv, p22Will(mqttx.V5))
			c.Write([]byte{0xE0, 1, byte(code)})
			c.Drop()
			if code == 0 {
				sub.Nothing()
				continue
			}
			p1Gets(t, sub, "gone")
		}
		for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
			mqttest.Connect(t, srv, p22Will(v)).Disconnect(0)
			sub.Nothing()
			mqttest.Connect(t, srv, p22Will(v)).Drop()
			p1Gets(t, sub, "gone")
		}
	})
}
