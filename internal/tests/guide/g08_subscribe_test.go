package guide_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Subscribe grants, lowers and refuses filter by filter; the answer has a code for each in order.
func TestGuide_G8_EachFilter(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		asked := make(chan string, 8)
		s := g1Quiet(mqttx.Callbacks[struct{}]{
			Subscribe: func(_ context.Context, _ struct{}, x *mqttx.Subscription) error {
				asked <- x.Filter
				switch x.Filter {
				case "a":
					x.QoS = 1
				case "b":
					return mqttx.NotAuthorized
				case "raised":
					x.QoS = 2
				}
				return nil
			},
		})
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", v))
		got := g1Subscribe(c, &packet.Subscribe{Filters: []packet.Filter{{Filter: "a", QoS: 2}, {Filter: "b", QoS: 2}, {Filter: "c", QoS: 1}, {Filter: "raised", QoS: 1}}})
		g1Codes(t, "SUBACK", got, 1, g1Wire(v, 0x87, 0x80), 1, 1)
		for _, want := range []string{"a", "b", "c", "raised"} {
			if f := g1Await(t, "Subscribe", asked); f != want {
				t.Errorf("Subscribe was asked for %q, want %q", f, want)
			}
		}
		if n := s.Stats().Subscriptions; n != 3 {
			t.Errorf("%d subscriptions, want 3", n)
		}
		pub := n.Connect(g1Connect("pub", mqttx.V5))
		g1Code(t, "nobody has b", pub.Publish("b", "x", 1), mqttx.NoMatchingSubscribers)
		for _, topic := range []string{"a", "c", "raised"} {
			g1Code(t, topic, pub.Publish(topic, "x", 2), mqttx.Success)
			g1Got(t, c.Receive(), topic, "x", 1, false)
		}
		c.Nothing()
	})
}

// A refusal may have any code that SUBACK has; others end the connection or are 0x80. A filter that is not valid is not asked
// for.
func TestGuide_G8_Codes(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var answer error
		s := g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[struct{}]{
			Subscribe: func(context.Context, struct{}, *mqttx.Subscription) error { return answer },
		}})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		for _, x := range []struct {
			err  error
			code mqttx.ReasonCode
		}{
			{mqttx.UnspecifiedError, 0x80},
			{mqttx.ImplementationSpecificError, 0x83},
			{mqttx.NotAuthorized, 0x87},
			{mqttx.TopicFilterInvalid, 0x8F},
			{mqttx.PacketIdentifierInUse, 0x91},
			{mqttx.QuotaExceeded, 0x97},
			{mqttx.SharedSubscriptionsNotSupported, 0x9E},
			{mqttx.SubscriptionIdentifiersNotSupported, 0xA1},
			{mqttx.WildcardSubscriptionsNotSupported, 0xA2},
			{mqttx.BadUserNameOrPassword, 0x80},
			{errors.New("no code"), 0x80},
		} {
			answer = x.err
			g1Code(t, x.err.Error(), c.Subscribe("t", 1), g1Wire(v, x.code, 0x80))
		}
		answer = nil
		g1Code(t, "not valid", c.Subscribe("a#", 1), g1Wire(v, mqttx.TopicFilterInvalid, 0x80))
		if n := s.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions left", n)
		}
		g1Code(t, "granted", c.Subscribe("t", 1), 1)
	})
}

// The text of a refusal is in SUBACK, and all that was asked for is visible.
func TestGuide_G8_Options(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		asked := make(chan mqttx.Subscription, 8)
		n := on.Start(t, g1Quiet(mqttx.Callbacks[struct{}]{
			Subscribe: func(_ context.Context, _ struct{}, x *mqttx.Subscription) error {
				asked <- *x
				if x.Filter == "no" {
					return &mqttx.Error{Code: mqttx.NotAuthorized, Text: "not yours"}
				}
				return nil
			},
		}))
		c := n.Connect(g1Connect("c", mqttx.V5))
		user := []mqttx.UserProperty{{Name: "k", Value: "2"}, {Name: "k", Value: "1"}}
		c.Send(&packet.Subscribe{PacketID: 5, SubscriptionID: 268435455, User: user, Filters: []packet.Filter{
			{Filter: "a/+", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
			{Filter: "$share/g/b/#", QoS: 1, RetainHandling: 1},
			{Filter: "no"},
		}})
		ack := mqttest.Expect[*packet.Suback](c)
		g1Codes(t, "SUBACK", ack.Codes, 2, 1, 0x87)
		if ack.ReasonString != "not yours" || ack.PacketID != 5 {
			t.Errorf("SUBACK of %d says %q", ack.PacketID, ack.ReasonString)
		}
		for _, want := range []mqttx.Subscription{
			{Filter: "a/+", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 268435455, User: user},
			{Filter: "b/#", Share: "g", QoS: 1, RetainHandling: 1, ID: 268435455, User: user},
			{Filter: "no", ID: 268435455, User: user},
		} {
			if diff := cmp.Diff(want, g1Await(t, "Subscribe", asked)); diff != "" {
				t.Errorf("Subscribe saw (-want +got):\n%s", diff)
			}
		}
	})
}

// UNSUBACK of MQTT 5.0 has a code for each filter; a refusal keeps the subscription.
func TestGuide_G9_V5(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		var asked g1Notes
		refuse := make(chan error, 1)
		s := g1Quiet(mqttx.Callbacks[struct{}]{
			Unsubscribe: func(_ context.Context, _ struct{}, x *mqttx.Subscription) error {
				asked.add(x.Filter)
				select {
				case err := <-refuse:
					return err
				default:
					return nil
				}
			},
		})
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", mqttx.V5))
		unsubscribe := func(filters ...string) *packet.Unsuback {
			c.Send(&packet.Unsubscribe{PacketID: c.NewID(), Filters: filters})
			return mqttest.Expect[*packet.Unsuback](c)
		}
		c.Subscribe("a", 1)
		g1Codes(t, "UNSUBACK", unsubscribe("a", "b").Codes, 0x00, 0x11)
		c.Subscribe("a", 1)
		refuse <- &mqttx.Error{Code: mqttx.NotAuthorized, Text: "stay"}
		ack := unsubscribe("a")
		g1Codes(t, "UNSUBACK", ack.Codes, 0x87)
		if ack.ReasonString != "stay" {
			t.Errorf("UNSUBACK says %q", ack.ReasonString)
		}
		g1Code(t, "still there", c.Publish("a", "x", 1), mqttx.Success)
		g1Got(t, c.Receive(), "a", "x", 1, false)
		g1Codes(t, "UNSUBACK", unsubscribe("a", "a", "a#").Codes, 0x00, 0x11, 0x8F)
		g1Code(t, "gone", c.Publish("a", "x", 1), mqttx.NoMatchingSubscribers)
		c.Nothing()
		if n := s.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions left", n)
		}
		asked.want(t, "a", "b", "a", "a", "a")
	})
}

// MQTT 3.1 and 3.1.1 cannot be told no: the subscription goes whatever the callback says.
func TestGuide_G9_V3(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
			s := g1Quiet(mqttx.Callbacks[struct{}]{
				Unsubscribe: func(context.Context, struct{}, *mqttx.Subscription) error { return mqttx.NotAuthorized },
			})
			n := on.Start(t, s)
			c := n.Connect(g1Connect("c", v))
			c.Subscribe("a", 1)
			before := len(c.Raw())
			c.Send(&packet.Unsubscribe{PacketID: 0x1234, Filters: []string{"a", "b"}})
			mqttest.Expect[*packet.Unsuback](c)
			if got := c.Raw()[before:]; !bytes.Equal(got, []byte{0xB0, 2, 0x12, 0x34}) {
				t.Errorf("UNSUBACK % x", got)
			}
			c.Publish("a", "x", 1)
			c.Nothing()
			if n := s.Stats().Subscriptions; n != 0 {
				t.Errorf("%d subscriptions left", n)
			}
		}
	})
}
