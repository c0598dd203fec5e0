package guide_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g35Retain publishes with RETAIN and gives the code of the answer, at QoS 2 that of PUBREC.
func g35Retain(t *testing.T, c *mqttest.Client, topic, payload string, q mqttx.QoS) mqttx.ReasonCode {
	t.Helper()
	p := &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q, Retain: true}
	if q == 0 {
		c.Send(p)
		c.Nothing()
		return mqttx.Success
	}
	p.PacketID = c.NewID()
	code := g1Send(t, c, p)
	if q == 2 && code < 0x80 {
		c.Send(&packet.Pubrel{PacketID: p.PacketID})
		g1Code(t, "PUBCOMP", mqttest.Expect[*packet.Pubcomp](c).Code, mqttx.Success)
	}
	return code
}

// g35Kept compares the topics that are retained.
func g35Kept(t *testing.T, s *mqttx.Server, topics ...string) {
	t.Helper()
	var got []string
	for m := range s.Retained("#") {
		got = append(got, m.Topic)
	}
	slices.Sort(got)
	if !slices.Equal(got, topics) || s.Stats().Retained != int64(len(topics)) {
		t.Errorf("retained %q, counted %d, want %q", got, s.Stats().Retained, topics)
	}
}

// A retained message is kept whole: payload, QoS, sender and everything that MQTT 5.0 says of it.
func TestGuide_G35_Whole(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error { return nil }))
		n := on.Start(t, s)
		pub := n.Connect(&packet.Connect{ClientID: "pub", Version: v, CleanStart: true, HasUsername: true, Username: "user"})
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte{0, 1, 0xFF}, QoS: 2, PacketID: 1, Retain: true}
		if v == mqttx.V5 {
			p.ContentType, p.ResponseTopic, p.CorrelationData = []byte("text/plain"), []byte("r/t"), []byte{0, 9}
			p.PayloadFormat = mqttx.FormatBytes
			p.User = []mqttx.UserProperty{{Name: "k", Value: "2"}, {Name: "k", Value: "1"}, {Name: "", Value: ""}}
		}
		pub.Send(p)
		mqttest.Expect[*packet.Pubrec](pub)
		pub.Send(&packet.Pubrel{PacketID: 1})
		mqttest.Expect[*packet.Pubcomp](pub)
		pub.Drop()
		sub := n.Connect(g1Connect("sub", mqttx.V5))
		sub.Subscribe("t", 2)
		got := sub.Receive()
		want := *p
		want.PacketID = got.PacketID
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the retained message (-want +got):\n%s", diff)
		}
		for m := range s.Retained("t") {
			if m.From.ID != "pub" || m.From.User != "user" || !m.Retain || m.QoS != 2 {
				t.Errorf("kept %+v", m)
			}
		}
		g35Kept(t, s, "t")
	})
}

// What the application refuses is not kept, be it a will.
func TestGuide_G35_Refused(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(mqttx.Callbacks[struct{}]{
			Publish: func(_ context.Context, _ struct{}, m *mqttx.Message) error {
				if m.Topic == "no" {
					return mqttx.NotAuthorized
				}
				return nil
			},
		})
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", v))
		for q := range mqttx.QoS(3) {
			code := g35Retain(t, c, "no", "x", q)
			if want := g1Wire(v, mqttx.NotAuthorized, 0); q > 0 && code != want {
				t.Errorf("QoS %d: %v, want %v", q, code, want)
			}
			g35Kept(t, s)
		}
		p := g1Connect("will", v)
		p.Will = &packet.Will{Topic: "no", Payload: []byte("x"), Retain: true}
		_, code := n.TryConnect(p)
		g1Code(t, "CONNACK", code, g1Wire(v, mqttx.NotAuthorized, 5))
		sub := n.Connect(g1Connect("sub", mqttx.V5))
		sub.Subscribe("#", 1)
		sub.Nothing()
		g35Kept(t, s)
	})
}

// A will is kept like any other message.
func TestGuide_G35_Will(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		p := g1Connect("c", v)
		p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true}
		mqttest.Connect(t, s, p).Drop()
		g35Kept(t, s, "w")
		sub := mqttest.Connect(t, s, nil)
		sub.Subscribe("w", 2)
		g1Got(t, sub.Receive(), "w", "gone", 1, true)
	})
}

// The Store keeps retained messages over a restart, and what has expired meanwhile is not brought back.
func TestGuide_G35_Restart(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		store := &mqttest.MemStore{}
		first := g1Started(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, first, g1Connect("c", v))
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true}
		if v == mqttx.V5 {
			p.ContentType = []byte("text/plain")
			p.User = []mqttx.UserProperty{{Name: "k", Value: "v"}}
			p.MessageExpiryInterval, p.HasMessageExpiry = 100, true
		}
		c.Send(p)
		mqttest.Expect[*packet.Puback](c)
		g35Retain(t, c, "gone", "x", 1)
		g35Retain(t, c, "gone", "", 1)
		if err := first.Publish(t.Context(), &mqttx.Message{Topic: "short", QoS: 1, Payload: []byte("x"), Retain: true, Expires: time.Now().Add(5 * time.Second)}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		if err := first.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		mqttest.Advance(10 * time.Second)
		second := g1Started(t, &mqttx.Server{Store: store})
		sub := mqttest.Connect(t, second, g1Connect("sub", mqttx.V5))
		sub.Subscribe("#", 2)
		got := sub.Receive()
		g1Got(t, got, "t", "x", 1, true)
		if v == mqttx.V5 && (string(got.ContentType) != "text/plain" || len(got.User) != 1 || got.MessageExpiryInterval != 90) {
			t.Errorf("the retained message is %+v", got)
		}
		sub.Nothing()
		g35Kept(t, second, "t")
		for m := range second.Retained("t") {
			if m.From.ID != "c" {
				t.Errorf("the sender is %+v", m.From)
			}
		}
	})
}

// Beyond the limit an MQTT 5.0 client is told; where nothing can be told the message is routed, not kept, and counted.
func TestGuide_G35_Limits(t *testing.T) {
	for _, x := range []struct {
		name   string
		limits mqttx.Limits
	}{
		{"number", mqttx.Limits{Retained: 1}},
		{"bytes", mqttx.Limits{RetainedBytes: 10}},
	} {
		t.Run(x.name, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				s := g1Started(t, &mqttx.Server{Limits: x.limits})
				sub := mqttest.Connect(t, s, g1Connect("sub", mqttx.V5))
				sub.Subscribe("#", 2)
				c := mqttest.Connect(t, s, g1Connect("c", v))
				g1Code(t, "the first", g35Retain(t, c, "one", "12345", 1), mqttx.Success)
				g1Got(t, sub.Receive(), "one", "12345", 1, false)
				dropped := int64(0)
				for q := range mqttx.QoS(3) {
					code := g35Retain(t, c, "two", "12345", q)
					if v == mqttx.V5 && q > 0 {
						g1Code(t, "the second", code, mqttx.QuotaExceeded)
					} else {
						g1Code(t, "the second", code, mqttx.Success)
						g1Got(t, sub.Receive(), "two", "12345", q, false)
						dropped++
					}
					sub.Nothing()
					g35Kept(t, s, "one")
					if n := s.Stats().Dropped[mqttx.DropRetainedFull]; n != dropped {
						t.Errorf("QoS %d: %d counted as not kept, want %d", q, n, dropped)
					}
				}
				g1Code(t, "in place of the first", g35Retain(t, c, "one", "54321", 1), mqttx.Success)
				g1Got(t, sub.Receive(), "one", "54321", 1, false)
				if x.name == "bytes" {
					g1Code(t, "a larger one in its place", g35Retain(t, c, "one", "123456789", 1), g1Wire(v, mqttx.QuotaExceeded, 0))
					if v != mqttx.V5 {
						g1Got(t, sub.Receive(), "one", "123456789", 1, false)
					}
				}
				late := mqttest.Connect(t, s, nil)
				late.Subscribe("#", 2)
				g1Got(t, late.Receive(), "one", "54321", 1, true)
				late.Nothing()
				g35Retain(t, c, "one", "", 1)
				g1Code(t, "when there is room", g35Retain(t, c, "two", "12345", 1), mqttx.Success)
				g35Kept(t, s, "two")
			})
		})
	}
}

// Nobody can tell a client that is gone about its will: it is routed all the same.
func TestGuide_G35_LimitWill(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{Retained: 1}})
		sub := mqttest.Connect(t, s, g1Connect("sub", mqttx.V5))
		sub.Subscribe("#", 2)
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "one", Payload: []byte("x"), Retain: true}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		sub.Receive()
		p := g1Connect("c", v)
		p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true}
		mqttest.Connect(t, s, p).Drop()
		g1Got(t, sub.Receive(), "w", "gone", 1, false)
		g35Kept(t, s, "one")
		if n := s.Stats().Dropped[mqttx.DropRetainedFull]; n != 1 {
			t.Errorf("%d counted as not kept, want 1", n)
		}
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "two", Payload: []byte("x"), Retain: true}); mqttx.CodeOf(err) != mqttx.QuotaExceeded {
			t.Errorf("Publish beyond the limit: %v", err)
		}
		sub.Nothing()
	})
}
