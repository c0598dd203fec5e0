package guide_test

import (
	"slices"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
)

// g84Subscribe subscribes to one filter with its options.
func g84Subscribe(t *testing.T, c *mqttest.Client, f packet.Filter) {
	t.Helper()
	g1Codes(t, "SUBACK", g1Subscribe(c, &packet.Subscribe{Filters: []packet.Filter{f}}), mqttx.ReasonCode(f.QoS))
}

func TestGuide_G84_NoLocal(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		a := mqttest.Connect(t, s, g70Keep("a", mqttx.V5))
		g84Subscribe(t, a, packet.Filter{Filter: "t", QoS: 2, NoLocal: true})
		for q := mqttx.QoS(1); q <= 2; q++ {
			g1Code(t, "answer", a.Publish("t", "own", q), mqttx.NoMatchingSubscribers)
		}
		a.Publish("t", "own", 0)
		a.Nothing()
		b := mqttest.Connect(t, s, nil)
		g1Code(t, "PUBACK", b.Publish("t", "other", 1), mqttx.Success)
		g38Gets(t, a, "other")
		g70Topics(t, b, "t")
		g1Code(t, "PUBACK", a.Publish("t", "own", 1), mqttx.Success)
		g38Gets(t, b, "own")
		a.Nothing()

		a.Drop() // and over a resume
		a = g70Resume(t, s, "a", mqttx.V5)
		a.Publish("t", "own", 1)
		a.Nothing()
		g38Gets(t, b, "own")
		b.Publish("t", "other", 1)
		g38Gets(t, a, "other")
	})
}

// A subscription without the option gets the message, once.
func TestGuide_G84_TwoSubscriptions(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		a := mqttest.Connect(t, s, nil)
		g1Codes(t, "SUBACK", g1Subscribe(a, &packet.Subscribe{SubscriptionID: 1, Filters: []packet.Filter{{Filter: "t", QoS: 2, NoLocal: true}}}), 2)
		g1Codes(t, "SUBACK", g1Subscribe(a, &packet.Subscribe{SubscriptionID: 2, Filters: []packet.Filter{{Filter: "#", QoS: 1}}}), 1)
		a.Publish("t", "x", 2)
		p := a.Receive()
		g1Got(t, p, "t", "x", 1, false)
		if !slices.Equal(p.SubscriptionIDs, []uint32{2}) {
			t.Errorf("Subscription Identifiers %v", p.SubscriptionIDs)
		}
		a.Nothing()
	})
}

// A will is the client's own message, on time and delayed, and not queued for it either.
func TestGuide_G84_OwnWill(t *testing.T) {
	for _, delay := range []uint32{0, 10} {
		g1Bubble(t, (time.Duration(delay) * time.Second).String(), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			b := g38Subscriber(t, s, "w")
			p := g70Keep("a", mqttx.V5)
			p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1, DelayInterval: delay}
			a := mqttest.Connect(t, s, p)
			g84Subscribe(t, a, packet.Filter{Filter: "w", QoS: 2, NoLocal: true})
			a.Drop()
			mqttest.Advance(11 * time.Second)
			g38Gets(t, b, "gone")
			g70Resume(t, s, "a", mqttx.V5).Nothing()
		})
	}
}

func TestGuide_G84_Shared(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		a := mqttest.Connect(t, s, nil)
		a.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "$share/g/t", QoS: 1, NoLocal: true}}})
		g1Bye(t, a, mqttx.ProtocolError)
		a.Served()
		g75Empty(t, s)
	})
}

// Who uses the Router alone knows each subscriber and can leave the publisher out.
func TestGuide_G84_Router(t *testing.T) {
	type options struct{ noLocal bool }
	var r topic.Router[string, options]
	for k, v := range map[string]options{"a": {}, "b": {noLocal: true}, "c": {noLocal: true}, "d": {}} {
		if _, err := r.Subscribe("t/+", k, v); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for k, v := range r.Match("t/x") {
		if v.noLocal && k == "c" {
			continue
		}
		got = append(got, k)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("delivered to %q", got)
	}
}

// g85Retained is a Server with the retained message "kept" on t.
func g85Retained(t *testing.T) *mqttx.Server {
	t.Helper()
	s := g1Started(t, &mqttx.Server{})
	g85Publish(t, s, "kept")
	return s
}

// g85Publish publishes to t with RETAIN 1.
func g85Publish(t *testing.T, s *mqttx.Server, payload string) {
	t.Helper()
	c := mqttest.Connect(t, s, nil)
	g1Send(t, c, &packet.Publish{Topic: []byte("t"), Payload: []byte(payload), QoS: 1, PacketID: 1, Retain: true})
	c.Disconnect(0)
}

func TestGuide_G85_Always(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g85Retained(t)
		c := mqttest.Connect(t, s, g70Keep("c", v))
		for range 2 {
			g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 1})
			g1Got(t, c.Receive(), "t", "kept", 1, true)
			c.Nothing()
		}
		c.Drop()
		c = g70Resume(t, s, "c", v)
		c.Nothing() // a resume is no SUBSCRIBE
		g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 1})
		g1Got(t, c.Receive(), "t", "kept", 1, true)
	})
}

func TestGuide_G86_OnlyIfNew(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g85Retained(t)
		c := mqttest.Connect(t, s, g70Keep("c", mqttx.V5))
		f := packet.Filter{Filter: "t", QoS: 1, RetainHandling: 1}
		g84Subscribe(t, c, f)
		g1Got(t, c.Receive(), "t", "kept", 1, true)
		g84Subscribe(t, c, f)
		c.Nothing()
		g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 0, RetainHandling: 1}) // other options, same filter
		c.Nothing()
		c.Drop()
		c = g70Resume(t, s, "c", mqttx.V5)
		g84Subscribe(t, c, f)
		c.Nothing()
		g1Code(t, "UNSUBACK", c.Unsubscribe("t"), mqttx.Success)
		g84Subscribe(t, c, f)
		g1Got(t, c.Receive(), "t", "kept", 1, true)
		g84Subscribe(t, c, packet.Filter{Filter: "+", QoS: 1, RetainHandling: 1}) // another filter, same topic
		g1Got(t, c.Receive(), "t", "kept", 1, true)
		c.Nothing()
		c.Drop()
		clean := g70Keep("c", mqttx.V5)
		clean.CleanStart = true
		c = mqttest.Connect(t, s, clean)
		g84Subscribe(t, c, f)
		g1Got(t, c.Receive(), "t", "kept", 1, true)
	})
}

// So it is in a session that a Store has kept over a restart.
func TestGuide_G86_Restart(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		store := new(mqttest.MemStore)
		first := g1Started(t, &mqttx.Server{Store: store})
		g85Publish(t, first, "kept")
		c := mqttest.Connect(t, first, g70Keep("c", mqttx.V5))
		f := packet.Filter{Filter: "t", QoS: 1, RetainHandling: 1}
		g84Subscribe(t, c, f)
		g38Gets(t, c, "kept")
		first.Close()
		s := g1Started(t, &mqttx.Server{Store: store})
		c = g70Resume(t, s, "c", mqttx.V5)
		g84Subscribe(t, c, f)
		c.Nothing()
		c.Unsubscribe("t")
		g84Subscribe(t, c, f)
		g38Gets(t, c, "kept")
	})
}

func TestGuide_G87_Never(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g85Retained(t)
		c := mqttest.Connect(t, s, nil)
		for range 2 {
			g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 1, RetainHandling: 2})
			c.Nothing()
		}
		g85Publish(t, s, "next")
		g1Got(t, c.Receive(), "t", "next", 1, false)
		c.Nothing()
	})
}

func TestGuide_G87_Three(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g85Retained(t)
		c := mqttest.Connect(t, s, nil)
		c.Write([]byte{0x82, 7, 0, 1, 0, 0, 1, 't', 0x30})
		g1Bye(t, c, mqttx.ProtocolError)
		c.Served()
		g75Empty(t, s)
	})
}
