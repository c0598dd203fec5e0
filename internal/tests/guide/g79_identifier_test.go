package guide_test

import (
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g79Subscribe subscribes with a Subscription Identifier.
func g79Subscribe(t *testing.T, c *mqttest.Client, filter string, q mqttx.QoS, id uint32) {
	t.Helper()
	g1Codes(t, "SUBACK", g1Subscribe(c, &packet.Subscribe{SubscriptionID: id, Filters: []packet.Filter{{Filter: filter, QoS: q}}}), mqttx.ReasonCode(q))
}

// g79IDs takes a message and compares its Subscription Identifiers, in any order.
func g79IDs(t *testing.T, c *mqttest.Client, payload string, ids ...uint32) {
	t.Helper()
	p := c.Receive()
	got := slices.Clone(p.SubscriptionIDs)
	slices.Sort(got)
	if string(p.Payload) != payload || !slices.Equal(got, ids) {
		t.Errorf("PUBLISH %q with ids %v, want %q with %v", p.Payload, got, payload, ids)
	}
}

func TestGuide_G79_Live(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, nil)
		g75Flag(t, "CONNACK 0x29", c.Connack.SubscriptionIdentifierAvailable, true)
		g79Subscribe(t, c, "a/#", 1, 1)
		g79Subscribe(t, c, "a/b", 2, 268435455)
		g79Subscribe(t, c, "other", 2, 5)
		g70Topics(t, c, "+/b") // without one
		p := mqttest.Connect(t, s, nil)
		for q := mqttx.QoS(0); q <= 2; q++ {
			p.Publish("a/b", "x", q)
			g79IDs(t, c, "x", 1, 268435455)
			p.Publish("a/c", "y", q)
			g79IDs(t, c, "y", 1)
			p.Publish("z/b", "z", q)
			g79IDs(t, c, "z")
			c.Nothing()
		}
		g79Subscribe(t, c, "a/#", 1, 9) // again: the new id stands alone
		p.Publish("a/c", "x", 1)
		g79IDs(t, c, "x", 9)
		c.Unsubscribe("a/b")
		p.Publish("a/b", "x", 1)
		g79IDs(t, c, "x", 9)
		d := mqttest.Connect(t, s, nil)
		g70Topics(t, d, "a/b")
		p.Publish("a/b", "x", 1)
		g79IDs(t, d, "x") // the ids are each client's own
		g79IDs(t, c, "x", 9)
	})
}

// Messages that waited, or were sent and not acknowledged, have them after a resume, from a Store too.
func TestGuide_G79_Resumed(t *testing.T) {
	for name, store := range map[string]mqttx.Store{"memory": nil, "store": new(mqttest.MemStore)} {
		g1Bubble(t, name, func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{Store: store})
			c := mqttest.Connect(t, s, g70Keep("c", mqttx.V5))
			g79Subscribe(t, c, "a/#", 1, 1)
			g79Subscribe(t, c, "a/b", 1, 7)
			p := mqttest.Connect(t, s, nil)
			p.Publish("a/b", "open", 1)
			if sent := mqttest.Expect[*packet.Publish](c); len(sent.SubscriptionIDs) != 2 {
				t.Errorf("ids %v", sent.SubscriptionIDs)
			}
			c.Drop()
			p.Publish("a/b", "queued", 1)
			p.Publish("a/c", "queued too", 2)
			if store != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = g1Started(t, &mqttx.Server{Store: store})
			}
			c = g70Resume(t, s, "c", mqttx.V5)
			g79IDs(t, c, "open", 1, 7)
			g79IDs(t, c, "queued", 1, 7)
			g79IDs(t, c, "queued too", 1)
			mqttest.Connect(t, s, nil).Publish("a/b", "live", 1)
			g79IDs(t, c, "live", 1, 7)
			c.Nothing()
		})
	}
}

func TestGuide_G79_RetainedAndShared(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		p := mqttest.Connect(t, s, nil)
		g1Send(t, p, &packet.Publish{Topic: []byte("r"), Payload: []byte("kept"), QoS: 1, PacketID: 1, Retain: true})
		c := mqttest.Connect(t, s, nil)
		g79Subscribe(t, c, "r", 1, 3)
		g79IDs(t, c, "kept", 3)
		g79Subscribe(t, c, "$share/g/s", 1, 4)
		p.Publish("s", "shared", 1)
		g79IDs(t, c, "shared", 4)
		c.Nothing()
	})
}

func TestGuide_G79_Zero(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, nil)
		c.Write([]byte{0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, 'a', 1})
		g1Bye(t, c, mqttx.ProtocolError)
		c.Served()
		g75Empty(t, s)
	})
}

func TestGuide_G79_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.GuideCompat, mqttx.NoSubscriptionIDs} {
		g1Bubble(t, compat.String(), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{Compat: compat})
			c := mqttest.Connect(t, s, nil)
			g75Flag(t, "CONNACK 0x29", c.Connack.SubscriptionIdentifierAvailable, false)
			g1Codes(t, "SUBACK", g1Subscribe(c, &packet.Subscribe{Filters: []packet.Filter{{Filter: "a", QoS: 0}}}), 0)
			c.Unsubscribe("a")
			c.Send(&packet.Subscribe{PacketID: 1, SubscriptionID: 1, Filters: []packet.Filter{{Filter: "a", QoS: 1}}})
			g1Bye(t, c, mqttx.SubscriptionIdentifiersNotSupported)
			c.Served()
			g75Empty(t, s)
		})
	}
}
