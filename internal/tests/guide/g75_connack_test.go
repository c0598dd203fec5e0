package guide_test

import (
	"context"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g75Flag compares a property of CONNACK that is a yes or no, and sent.
func g75Flag(t *testing.T, what string, got *bool, want bool) {
	t.Helper()
	if got == nil || *got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// g75Empty shows that nobody is subscribed to anything.
func g75Empty(t *testing.T, s *mqttx.Server) {
	t.Helper()
	if n := s.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions", n)
	}
}

func TestGuide_G75_Available(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		if v == mqttx.V5 {
			g75Flag(t, "CONNACK 0x2A", c.Connack.SharedSubscriptionAvailable, true)
		}
		d := mqttest.Connect(t, s, g1Connect("d", v))
		g70Topics(t, c, "$share/g/t")
		g70Topics(t, d, "$share/g/t")
		p := mqttest.Connect(t, s, g1Connect("p", mqttx.V5))
		p.Publish("t", "x", 1)
		p.Publish("t", "y", 1)
		got := []string{string(c.Receive().Payload), string(d.Receive().Payload)}
		slices.Sort(got)
		if !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("the group gets %q", got)
		}
		c.Nothing()
		d.Nothing()
	})
}

func TestGuide_G75_Disabled(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{Disabled: mqttx.FeatureShared})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "$share/g/t", QoS: 1}, {Filter: "a", QoS: 1}}})
		if v != mqttx.V5 {
			g1Codes(t, "SUBACK", mqttest.Expect[*packet.Suback](c).Codes, 0x80, 1)
			mqttest.Connect(t, s, g1Connect("p", v)).Publish("t", "x", 1)
			c.Nothing()
			return
		}
		g75Flag(t, "CONNACK 0x2A", c.Connack.SharedSubscriptionAvailable, false)
		g1Bye(t, c, mqttx.SharedSubscriptionsNotSupported)
		c.Served()
		g75Empty(t, s)
	})
}

// What CONNACK says, to the byte, over each transport.
func TestGuide_G76_Properties(t *testing.T) {
	const (
		head = "20 1b 00 00 18 "
		tail = "21ffff 220064 2501 2700100000 2801 29%% 2a01"
	)
	bytesOf := func(ids string) []byte {
		b, err := hex.DecodeString(g76Hex(head+tail, ids))
		if err != nil {
			t.Fatal(err)
		}
		b[1], b[4] = byte(len(b)-2), byte(len(b)-5)
		return b
	}
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for compat, ids := range map[mqttx.Compat]string{0: "01", mqttx.GuideCompat: "00", mqttx.NoSubscriptionIDs: "00"} {
			t.Run(compat.String(), func(t *testing.T) {
				s := g1Quiet(nil)
				s.Compat = compat
				n := on.Start(t, s)
				c := n.Connect(g1Connect("c", mqttx.V5))
				if got, want := c.Raw(), bytesOf(ids); !slices.Equal(got, want) {
					t.Errorf("CONNACK % x, want % x", got, want)
				}
				for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
					if got := n.Connect(g1Connect(v.String(), v)).Raw(); !slices.Equal(got, []byte{0x20, 2, 0, 0}) {
						t.Errorf("CONNACK of %v: % x", v, got)
					}
				}
			})
		}
	})
}

// g76Hex fills in a byte and takes the blanks out.
func g76Hex(s, fill string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ':
		case '%':
			out = append(out, fill...)
			i++
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// Further properties come when there is something to say, and only then.
func TestGuide_G76_AsNeeded(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{
			Disabled: mqttx.FeatureQoS2, Limits: mqttx.Limits{SessionExpiry: 100e9},
			Handler: mqttx.Callbacks[int]{Connect: func(_ context.Context, r *mqttx.ConnectRequest) (int, error) {
				r.KeepAlive = 7e9
				r.Reply = mqttx.ConnectReply{Text: "hello", ResponseInfo: "r/", User: []mqttx.UserProperty{{Name: "k", Value: "v"}}}
				return 0, nil
			}},
		})
		c := mqttest.Connect(t, s, &packet.Connect{
			CleanStart: true, SessionExpiryInterval: new(uint32(1000)), RequestResponseInformation: true, KeepAlive: 60,
		})
		k := c.Connack
		if k.AssignedClientID == "" || k.SessionExpiryInterval == nil || *k.SessionExpiryInterval != 100 ||
			k.ServerKeepAlive == nil || *k.ServerKeepAlive != 7 || k.MaximumQoS == nil || *k.MaximumQoS != 1 ||
			k.ResponseInformation != "r/" || k.ReasonString != "hello" ||
			!slices.Equal(k.User, []packet.UserProperty{{Name: "k", Value: "v"}}) {
			t.Errorf("CONNACK %+v", *k)
		}
		c = mqttest.Connect(t, s, &packet.Connect{ClientID: "c", CleanStart: true, KeepAlive: 7})
		k = c.Connack
		if k.AssignedClientID != "" || k.SessionExpiryInterval != nil || k.ServerKeepAlive != nil || k.ResponseInformation != "" {
			t.Errorf("CONNACK %+v", *k)
		}
		for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
			if got := mqttest.Connect(t, s, g1Connect("x", v)).Raw(); !slices.Equal(got, []byte{0x20, 2, 0, 0}) {
				t.Errorf("CONNACK of %v: % x", v, got)
			}
		}
	})
}

// A CONNACK is within the client's Maximum Packet Size; what differs from the standard's default stays in it.
func TestGuide_G76_SmallClient(t *testing.T) {
	for size := uint32(13); size <= 40; size++ {
		g1Bubble(t, "5.0", func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			p := g1Connect("c", mqttx.V5)
			p.MaximumPacketSize = size
			c := mqttest.Connect(t, s, p)
			if n := len(c.Raw()); n > int(size) {
				t.Errorf("CONNACK of %d bytes, at most %d are allowed", n, size)
			}
			k := c.Connack
			if k.MaximumPacketSize != 1<<20 {
				t.Errorf("CONNACK 0x27 is %d", k.MaximumPacketSize)
			}
			if whole := 2 + 2 + 1 + 3 + 3 + 2 + 5 + 2 + 2 + 2; int(size) >= whole && (k.ReceiveMaximum != 65535 || k.RetainAvailable == nil) {
				t.Errorf("at most %d bytes: CONNACK %+v", size, *k)
			}
		})
	}
	g1Bubble(t, "20", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		p := g1Connect("c", mqttx.V5)
		p.MaximumPacketSize = 20
		c := mqttest.Connect(t, s, p)
		want := []byte{0x20, 11, 0, 0, 8, 0x22, 0, 100, 0x27, 0, 0x10, 0, 0}
		if got := c.Raw(); !slices.Equal(got, want) {
			t.Errorf("CONNACK % x, want % x", got, want)
		}
	})
}

func TestGuide_G77_Available(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		if v == mqttx.V5 {
			g75Flag(t, "CONNACK 0x25", c.Connack.RetainAvailable, true)
		}
		g1Code(t, "PUBACK", g1Send(t, c, &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, Retain: true, PacketID: 1}), map[bool]mqttx.ReasonCode{true: mqttx.NoMatchingSubscribers}[v == mqttx.V5])
		c.Subscribe("t", 1)
		g1Got(t, c.Receive(), "t", "x", 1, true)
	})
}

func TestGuide_G77_Disabled(t *testing.T) {
	for _, qos := range []mqttx.QoS{0, 1, 2} {
		g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
			s := g1Started(t, &mqttx.Server{Disabled: mqttx.FeatureRetain})
			sub := g38Subscriber(t, s, "t")
			c := mqttest.Connect(t, s, g1Connect("c", v))
			if v == mqttx.V5 {
				g75Flag(t, "CONNACK 0x25", c.Connack.RetainAvailable, false)
			}
			c.Publish("t", "plain", qos)
			g38Gets(t, sub, "plain")
			p := &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: qos, Retain: true}
			if qos > 0 {
				p.PacketID = 7
			}
			c.Send(p)
			g1Bye(t, c, mqttx.RetainNotSupported)
			c.Served()
			sub.Nothing()
			if n := s.Stats().Retained; n != 0 {
				t.Errorf("%d retained messages", n)
			}
		})
	}
}

func TestGuide_G77_RetainedWill(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{Disabled: mqttx.FeatureRetain})
		sub := g38Subscriber(t, s, "w")
		p := g73Will(v)
		p.Will.Retain = true
		c := mqttest.Dial(t, s)
		c.Send(p)
		if v == mqttx.V5 {
			g1Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, mqttx.RetainNotSupported)
		}
		c.Closed()
		c.Served()
		sub.Nothing()
		if _, ok := s.Conn("c"); ok || s.Stats().Sessions != 1 {
			t.Error("the refused client has left something")
		}
		p.Will.Retain = false
		mqttest.Connect(t, s, p).Drop()
		g38Gets(t, sub, "gone")
	})
}

func TestGuide_G78_Available(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		if v == mqttx.V5 {
			g75Flag(t, "CONNACK 0x28", c.Connack.WildcardSubscriptionAvailable, true)
		}
		g70Topics(t, c, "a/+", "b/#")
		c.Publish("a/x", "1", 1)
		c.Publish("b/x/y", "2", 1)
		c.Publish("c/x", "3", 1)
		g1Got(t, c.Receive(), "a/x", "1", 1, false)
		g1Got(t, c.Receive(), "b/x/y", "2", 1, false)
		c.Nothing()
	})
}

func TestGuide_G78_Disabled(t *testing.T) {
	for _, filter := range []string{"a/#", "#", "a/+", "+/a", "$share/g/#"} {
		t.Run(filter, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				s := g1Started(t, &mqttx.Server{Disabled: mqttx.FeatureWildcard})
				c := mqttest.Connect(t, s, g1Connect("c", v))
				g1Code(t, "SUBACK of a", c.Subscribe("a", 0), 0)
				g1Code(t, "SUBACK of $share/g/a", c.Subscribe("$share/g/a", 1), 1)
				c.Unsubscribe("$share/g/a")
				c.Unsubscribe("a")
				c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "b", QoS: 1}, {Filter: filter, QoS: 1}}})
				if v != mqttx.V5 {
					g1Codes(t, "SUBACK", mqttest.Expect[*packet.Suback](c).Codes, 1, 0x80)
					c.Publish("a/a", "x", 1)
					c.Nothing()
					return
				}
				g75Flag(t, "CONNACK 0x28", c.Connack.WildcardSubscriptionAvailable, false)
				g1Bye(t, c, mqttx.WildcardSubscriptionsNotSupported)
				c.Served()
				g75Empty(t, s)
			})
		})
	}
}

// A callback refuses one filter, and the connection stays.
func TestGuide_G78_Callback(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
			Subscribe: func(_ context.Context, _ int, s *mqttx.Subscription) error {
				if s.Filter == "#" {
					return mqttx.WildcardSubscriptionsNotSupported
				}
				return nil
			},
		}})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		want := mqttx.WildcardSubscriptionsNotSupported
		if v != mqttx.V5 {
			want = 0x80
		}
		g1Codes(t, "SUBACK", g1Subscribe(c, &packet.Subscribe{Filters: []packet.Filter{{Filter: "#", QoS: 1}, {Filter: "a/+", QoS: 1}}}), want, 1)
		c.Publish("b", "x", 1)
		c.Nothing()
		c.Publish("a/b", "y", 1)
		g1Got(t, c.Receive(), "a/b", "y", 1, false)
	})
}
