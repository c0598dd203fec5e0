package guide_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A will arrives with its QoS, its retain flag and all its properties, user properties in their order.
func TestGuide_G43_Properties(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := mqttest.Connect(t, srv, nil)
		sub.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "w", QoS: 2, RetainAsPublished: true}}})
		mqttest.Expect[*packet.Suback](sub)
		user := []packet.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}, {Name: "b", Value: "1"}, {Name: "b", Value: "2"}}
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true, Will: &packet.Will{
			Topic: "w", Payload: []byte("gone"), QoS: 2, Retain: true, PayloadFormat: packet.FormatUTF8,
			MessageExpiryInterval: new(uint32(100)), ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte{0, 1}, User: user,
		}})
		c.Drop()
		want := &packet.Publish{
			Topic: []byte("w"), Payload: []byte("gone"), QoS: 2, Retain: true, PacketID: 1, PayloadFormat: packet.FormatUTF8,
			HasMessageExpiry: true, MessageExpiryInterval: 100, ContentType: []byte("text/plain"), ResponseTopic: []byte("r"),
			CorrelationData: []byte{0, 1}, User: user,
		}
		if got := sub.Receive(); !reflect.DeepEqual(got, want) {
			t.Errorf("will:\n got %+v\nwant %+v", got, want)
		}
		mqttest.Advance(40 * time.Second)
		late := g38Subscriber(t, srv, "w")
		want.MessageExpiryInterval = 60
		if got := late.Receive(); !reflect.DeepEqual(got, want) {
			t.Errorf("retained will:\n got %+v\nwant %+v", got, want)
		}
		mqttest.Advance(60 * time.Second)
		g38Subscriber(t, srv, "w").Nothing()
	})
}

// Without the retain flag nothing is retained, and every QoS arrives as it is.
func TestGuide_G43_QoS(t *testing.T) {
	for qos := range mqttx.QoS(3) {
		t.Run(string('0'+rune(qos)), func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{})
				sub := g38Subscriber(t, srv, "w")
				p := g43Will(v)
				p.Will.QoS = qos
				mqttest.Connect(t, srv, p).Drop()
				if m := sub.Receive(); m.QoS != qos || m.Retain || string(m.Payload) != "gone" {
					t.Errorf("QoS %d, retain %v, %q", m.QoS, m.Retain, m.Payload)
				}
				p.Will.Retain = true
				mqttest.Connect(t, srv, p).Drop()
				if m := sub.Receive(); m.QoS != qos || m.Retain {
					t.Errorf("retained: QoS %d, retain %v", m.QoS, m.Retain)
				}
				if m := g38Subscriber(t, srv, "w").Receive(); m.QoS != qos || !m.Retain || string(m.Payload) != "gone" {
					t.Errorf("from retained: QoS %d, retain %v, %q", m.QoS, m.Retain, m.Payload)
				}
			})
		})
	}
}

// A will is a publish of its own client: No Local holds.
func TestGuide_G43_NoLocal(t *testing.T) {
	for name, noLocal := range map[string]bool{"no local": true, "local": false} {
		g38Bubble(t, name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			p := g43Will(mqttx.V5)
			p.SessionExpiryInterval = new(uint32(60))
			c := mqttest.Connect(t, srv, p)
			c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "w", QoS: 1, NoLocal: noLocal}}})
			mqttest.Expect[*packet.Suback](c)
			c.Drop()
			c = mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", SessionExpiryInterval: new(uint32(60))})
			if noLocal {
				c.Nothing()
			} else {
				g38Gets(t, c, "gone")
			}
		})
	}
}

// The will of the older connection goes at a takeover, that of the newer one stays.
func TestGuide_G43_TakeoverKeepsTheNewWill(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		p := g43Will(v)
		old := mqttest.Connect(t, srv, p)
		p.Will.Payload = []byte("gone again")
		c := mqttest.Connect(t, srv, p)
		g38Bye(t, old, mqttx.SessionTakenOver)
		g38Gets(t, sub, "gone")
		c.Drop()
		g38Gets(t, sub, "gone again")
	})
}

// The will follows at once when the connection has ended, on the same clock.
func TestGuide_G44_AtOnce(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		c := mqttest.Connect(t, srv, g43Will(v))
		mqttest.Advance(3 * time.Second)
		sub.Nothing()
		begun := time.Now()
		c.Drop()
		g38Gets(t, sub, "gone")
		if d := time.Since(begun); d != 0 {
			t.Errorf("the will took %v", d)
		}
	})
}

// So it does if the session goes on, in MQTT 5.0 and with Clean Session 0 before it.
func TestGuide_G44_SessionGoesOn(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		p := g43Will(v)
		p.CleanStart = false
		p.SessionExpiryInterval = new(uint32(60))
		c := mqttest.Connect(t, srv, p)
		begun := time.Now()
		c.Drop()
		g38Gets(t, sub, "gone")
		if d := time.Since(begun); d != 0 {
			t.Errorf("the will took %v", d)
		}
		if n := srv.Stats().Sessions; n != 2 {
			t.Errorf("%d sessions, want that of the subscriber and that of the client", n)
		}
	})
}

// A delay of 0 that is said is the same as none.
func TestGuide_G44_DelayZero(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		c := mqttest.Dial(t, srv)
		b := []byte{
			0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 5, 0x0E, 0, 0,
			5, 0x11, 0, 0, 0, 60, // Session Expiry Interval
			0, 1, 'c',
			5, 0x18, 0, 0, 0, 0, // Will Delay Interval
			0, 1, 'w', 0, 4, 'g', 'o', 'n', 'e',
		}
		b[1] = byte(len(b) - 2)
		c.Write(b)
		if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.Success {
			t.Fatalf("CONNACK %v", p.Code)
		}
		begun := time.Now()
		c.Drop()
		g38Gets(t, sub, "gone")
		if d := time.Since(begun); d != 0 {
			t.Errorf("the will took %v", d)
		}
	})
}
