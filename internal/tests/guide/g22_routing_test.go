package guide_test

import (
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
)

// A filter reaches the topics that it should, and no others.
func TestGuide_G22_Wildcards(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		for _, x := range []struct {
			filter    string
			yes, none []string
		}{
			{"a/#", []string{"a", "a/", "a/b", "a/b/c"}, []string{"b", "ab", "/a"}},
			{"a/+", []string{"a/", "a/b"}, []string{"a", "a/b/c"}},
			{"a/+/c", []string{"a/b/c", "a//c"}, []string{"a/c", "a/b/b/c"}},
			{"+", []string{"a", "ab"}, []string{"/a", "a/", "$SYS"}},
			{"+/+", []string{"/a", "a/", "/"}, []string{"a", "$SYS/x"}},
			{"+/x", []string{"a/x", "/x"}, []string{"$SYS/x"}},
			{"#", []string{"a", "/", "a/b/c"}, []string{"$SYS/x", "$SYS", "$other/x"}},
			{"$SYS/#", []string{"$SYS/x", "$SYS", "$SYS/x/y"}, []string{"SYS/x"}},
			{"$SYS/+", []string{"$SYS/x"}, []string{"$SYS", "$SYS/x/y"}},
			{"A/b", []string{"A/b"}, []string{"a/b"}},
		} {
			s := mqttest.NewServer(t, nil)
			c := mqttest.Connect(t, s, g1Connect("c", v))
			g1Code(t, "SUBACK", c.Subscribe(x.filter, 1), 1)
			for _, name := range append(slices.Clone(x.yes), x.none...) {
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: name, Payload: []byte("x")}); err != nil {
					t.Fatalf("Publish %q: %v", name, err)
				}
				if slices.Contains(x.yes, name) {
					g1Got(t, c.Receive(), name, "x", 0, false)
				}
				c.Nothing()
			}
		}
	})
}

// Filters that are none are refused each for itself, and the connection stays.
func TestGuide_G22_BadFilters(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(nil)
		c := on.Start(t, s).Connect(g1Connect("c", v))
		for _, f := range []string{"a#", "a/#/b", "+a", "a+/b", "", "##", "#/", "a/b#", "$share/g/a#"} {
			g1Code(t, f, c.Subscribe(f, 1), g1Wire(v, mqttx.TopicFilterInvalid, 0x80))
		}
		if n := s.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions", n)
		}
		c.Nothing()
	})
}

// A client gets one copy of a message at the highest QoS of its subscriptions, with the identifiers of all that match.
func TestGuide_G24_Merged(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, g1Quiet(nil))
		c := n.Connect(g1Connect("c", mqttx.V5))
		for i, f := range []packet.Filter{{Filter: "a/#", QoS: 0}, {Filter: "a/b", QoS: 2}, {Filter: "b", QoS: 1}, {Filter: "+/b", QoS: 1}} {
			g1Subscribe(c, &packet.Subscribe{SubscriptionID: uint32(i + 1), Filters: []packet.Filter{f}})
		}
		pub := n.Connect(g1Connect("pub", mqttx.V5))
		for q := range mqttx.QoS(3) { // what was published with is the upper bound
			pub.Publish("a/b", "x", q)
			m := c.Receive()
			g1Got(t, m, "a/b", "x", q, false)
			slices.Sort(m.SubscriptionIDs)
			if !slices.Equal(m.SubscriptionIDs, []uint32{1, 2, 4}) {
				t.Errorf("Subscription Identifiers %v", m.SubscriptionIDs)
			}
			c.Nothing()
		}
		pub.Publish("a/c", "x", 2)
		m := c.Receive()
		g1Got(t, m, "a/c", "x", 0, false)
		if !slices.Equal(m.SubscriptionIDs, []uint32{1}) {
			t.Errorf("Subscription Identifiers %v", m.SubscriptionIDs)
		}
	})
}

func TestGuide_G24_MergedV3(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		c := mqttest.Connect(t, s, g1Connect("c", v))
		c.Subscribe("a/#", 0)
		c.Subscribe("a/b", 2)
		c.Subscribe("+/b", 1)
		for q := range mqttx.QoS(3) {
			c.Publish("a/b", "x", q)
			g1Got(t, c.Receive(), "a/b", "x", q, false)
			c.Nothing()
		}
	})
}

// The router alone: what the guide's sample asks.
func TestGuide_G24_Router(t *testing.T) {
	var r topic.Router[string, mqttx.QoS]
	for f, q := range map[string]mqttx.QoS{"sensors/+/temp": 1, "alerts/#": 0} {
		if _, err := r.Subscribe(f, "c", q); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for ref, q := range r.Match("sensors/room1/temp") {
		if found++; ref != "c" || q != 1 {
			t.Errorf("Match yields %s, QoS %d", ref, q)
		}
	}
	if found != 1 {
		t.Errorf("Match yields %d", found)
	}
}
