package guide_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g80User has names that repeat, not in alphabetical order.
func g80User() []mqttx.UserProperty {
	return []mqttx.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}
}

// g80Publish is a PUBLISH to t with all six properties.
func g80Publish(q mqttx.QoS) *packet.Publish {
	p := &packet.Publish{
		Topic: []byte("t"), Payload: []byte("x"), QoS: q,
		PayloadFormat: packet.FormatUTF8, MessageExpiryInterval: 10, HasMessageExpiry: true, ContentType: []byte("text/plain"),
		ResponseTopic: []byte("answer/here"), CorrelationData: []byte{0, 0xFF, 1}, User: g80User(),
	}
	if q > 0 {
		p.PacketID = 77
	}
	return p
}

// g80Sent sends p and, at QoS 2, releases it.
func g80Sent(t *testing.T, c *mqttest.Client, p *packet.Publish) {
	t.Helper()
	if p.QoS == 0 {
		c.Send(p)
		return
	}
	if code := g1Send(t, c, p); code >= 0x80 {
		t.Errorf("acknowledged with %v", code)
	}
	if p.QoS == 2 {
		g38Release(t, c, p.PacketID)
	}
}

// g80All compares a message with g80Publish, but for what is left of its expiry.
func g80All(t *testing.T, p *packet.Publish, expiry uint32) {
	t.Helper()
	want := g80Publish(0)
	if string(p.Payload) != "x" || p.PayloadFormat != want.PayloadFormat || !p.HasMessageExpiry || p.MessageExpiryInterval != expiry ||
		!bytes.Equal(p.ContentType, want.ContentType) || !bytes.Equal(p.ResponseTopic, want.ResponseTopic) ||
		!bytes.Equal(p.CorrelationData, want.CorrelationData) || !slices.Equal(p.User, want.User) {
		t.Errorf("PUBLISH %s; want an expiry of %d and all of %s", mqttest.Format(p), expiry, mqttest.Format(want))
	}
}

// g80Bare shows that a message has no properties.
func g80Bare(t *testing.T, p *packet.Publish) {
	t.Helper()
	if p.PayloadFormat != packet.FormatAbsent || p.HasMessageExpiry || p.ContentType != nil || p.ResponseTopic != nil ||
		p.CorrelationData != nil || p.User != nil {
		t.Errorf("PUBLISH with properties: %s", mqttest.Format(p))
	}
}

// g80Seen is a Server that keeps a copy of what Publish sees.
func g80Seen(t *testing.T) (*mqttx.Server, chan *mqttx.Message) {
	t.Helper()
	seen := make(chan *mqttx.Message, 10)
	return g1Started(t, &mqttx.Server{CheckPayloadFormat: true, Handler: mqttx.Callbacks[int]{
		Publish: func(_ context.Context, _ int, m *mqttx.Message) error { seen <- m.Clone(); return nil },
	}}), seen
}

func TestGuide_G80_Callback(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s, seen := g80Seen(t)
		c := mqttest.Connect(t, s, nil)
		for q := mqttx.QoS(0); q <= 2; q++ {
			now := time.Now()
			p := g80Publish(q)
			p.Retain, p.Dup = q == 1, q > 0
			g80Sent(t, c, p)
			m := g1Await(t, "Publish", seen)
			if m.Topic != "t" || string(m.Payload) != "x" || m.QoS != q || m.Retain != (q == 1) || m.Dup != (q > 0) || m.From.ID != c.ClientID {
				t.Errorf("Publish saw %+v", *m)
			}
			if d := m.Expires.Sub(now); d != 10*time.Second {
				t.Errorf("it expires in %v", d)
			}
			x := m.Props
			if x == nil {
				t.Fatal("no properties")
			}
			if x.ContentType != "text/plain" || x.ResponseTopic != "answer/here" || !bytes.Equal(x.CorrelationData, []byte{0, 0xFF, 1}) ||
				x.PayloadFormat != mqttx.FormatUTF8 || !slices.Equal(x.User, g80User()) {
				t.Errorf("properties %+v", *x)
			}
		}
	})
}

// Absent, 0 and 1 are three things, and so are no properties.
func TestGuide_G80_PayloadFormat(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s, seen := g80Seen(t)
		c := mqttest.Connect(t, s, nil)
		for _, f := range []packet.PayloadFormat{packet.FormatAbsent, packet.FormatBytes, packet.FormatUTF8} {
			c.Send(&packet.Publish{Topic: []byte("t"), PayloadFormat: f, ContentType: []byte("c")})
			m := g1Await(t, "Publish", seen)
			if m.Props == nil || m.Props.PayloadFormat != f || !m.Expires.IsZero() {
				t.Errorf("format %d: %+v", f, m.Props)
			}
		}
		c.Send(&packet.Publish{Topic: []byte("t"), PayloadFormat: packet.FormatBytes})
		if m := g1Await(t, "Publish", seen); m.Props == nil || m.Props.PayloadFormat != mqttx.FormatBytes {
			t.Errorf("format 0 alone: %+v", m.Props)
		}
		c.Send(&packet.Publish{Topic: []byte("t")})
		if m := g1Await(t, "Publish", seen); m.Props != nil || !m.Expires.IsZero() {
			t.Errorf("no properties: %+v", m)
		}
	})
}

func TestGuide_G80_V3(t *testing.T) {
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		g1Bubble(t, v.String(), func(t *testing.T) {
			s, seen := g80Seen(t)
			c := mqttest.Connect(t, s, g1Connect("c", v))
			for q := mqttx.QoS(0); q <= 2; q++ {
				p := g80Publish(q)
				p.Retain, p.Dup = q == 1, q > 0
				g80Sent(t, c, p)
				m := g1Await(t, "Publish", seen)
				if m.Props != nil || !m.Expires.IsZero() || m.QoS != q || m.Retain != (q == 1) || m.Dup != (q > 0) {
					t.Errorf("Publish saw %+v", *m)
				}
			}
		})
	}
}

// Payload Format 1 promises UTF-8, which is looked at where that was asked for.
func TestGuide_G80_Check(t *testing.T) {
	for _, check := range []bool{true, false} {
		name := map[bool]string{true: "on", false: "off"}[check]
		g1Bubble(t, name, func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{CheckPayloadFormat: check})
			sub := g38Subscriber(t, s, "t")
			c := mqttest.Connect(t, s, nil)
			want := mqttx.Success
			if check {
				want = mqttx.PayloadFormatInvalid
			}
			for q := mqttx.QoS(1); q <= 2; q++ {
				p := &packet.Publish{Topic: []byte("t"), Payload: []byte("\xFF"), QoS: q, PacketID: 5, PayloadFormat: packet.FormatUTF8}
				g1Code(t, "answer", g1Send(t, c, p), want)
				if !check {
					g38Gets(t, sub, "\xFF")
				}
				sub.Nothing()
				p.PacketID, p.PayloadFormat = 6, packet.FormatBytes
				g1Code(t, "answer", g1Send(t, c, p), mqttx.Success)
				g38Gets(t, sub, "\xFF")
				p.PacketID, p.PayloadFormat, p.Payload = 7, packet.FormatUTF8, []byte("é")
				g1Code(t, "answer", g1Send(t, c, p), mqttx.Success)
				g38Gets(t, sub, "é")
				if q == 2 {
					for _, id := range []uint16{6, 7} {
						g38Release(t, c, id)
					}
				}
			}
		})
	}
}

// Each receiver's version decides what it gets of the properties.
func TestGuide_G81_Routed(t *testing.T) {
	for q := mqttx.QoS(0); q <= 2; q++ {
		g1Bubble(t, "QoS", func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			five := g38Subscriber(t, s, "t")
			var three []*mqttest.Client
			for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
				c := mqttest.Connect(t, s, g1Connect(v.String(), v))
				g70Topics(t, c, "t")
				three = append(three, c)
			}
			g80Sent(t, mqttest.Connect(t, s, nil), g80Publish(q))
			g80All(t, five.Receive(), 10)
			for _, c := range three {
				p := c.Receive()
				g1Got(t, p, "t", "x", q, false)
				g80Bare(t, p)
			}
		})
	}
}

func TestGuide_G81_Queued(t *testing.T) {
	for name, store := range map[string]mqttx.Store{"memory": nil, "store": new(mqttest.MemStore)} {
		g1Bubble(t, name, func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{Store: store})
			for id, v := range map[string]mqttx.Version{"five": mqttx.V5, "three": mqttx.V311} {
				c := mqttest.Connect(t, s, g70Keep(id, v))
				g70Topics(t, c, "t")
				c.Drop()
			}
			p := mqttest.Connect(t, s, nil)
			g80Sent(t, p, g80Publish(1))
			mqttest.Advance(4 * time.Second)
			if store != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = g1Started(t, &mqttx.Server{Store: store})
				p = mqttest.Connect(t, s, nil)
			}
			five, three := g70Resume(t, s, "five", mqttx.V5), g70Resume(t, s, "three", mqttx.V311)
			g80All(t, five.Receive(), 6)
			got := three.Receive()
			g1Got(t, got, "t", "x", 1, false)
			g80Bare(t, got)
			five.Nothing()
			three.Nothing()

			five.Drop()
			three.Drop()
			g80Sent(t, p, g80Publish(2))
			mqttest.Advance(11 * time.Second)
			g70Resume(t, s, "five", mqttx.V5).Nothing()
			g70Resume(t, s, "three", mqttx.V311).Nothing()
			if n := s.Stats().Expired; n != 2 {
				t.Errorf("%d copies expired, want 2", n)
			}
		})
	}
}

func TestGuide_G81_Retained(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		p := g80Publish(1)
		p.Retain = true
		g80Sent(t, mqttest.Connect(t, s, nil), p)
		mqttest.Advance(3 * time.Second)
		g80All(t, g38Subscriber(t, s, "t").Receive(), 7)
		c := mqttest.Connect(t, s, g1Connect("c", mqttx.V311))
		c.Subscribe("t", 1)
		g80Bare(t, c.Receive())
		mqttest.Advance(8 * time.Second)
		g38Subscriber(t, s, "t").Nothing()
		if n := s.Stats().Retained; n != 0 {
			t.Errorf("%d retained messages", n)
		}
	})
}

func TestGuide_G81_Will(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		sub := g38Subscriber(t, s, "t")
		x := g80Publish(1)
		p := g70Keep("c", mqttx.V5)
		p.Will = &packet.Will{
			Topic: "t", Payload: x.Payload, QoS: 1, DelayInterval: 30, PayloadFormat: x.PayloadFormat, MessageExpiryInterval: new(uint32(10)),
			ContentType: string(x.ContentType), ResponseTopic: string(x.ResponseTopic), CorrelationData: x.CorrelationData, User: x.User,
		}
		mqttest.Connect(t, s, p).Drop()
		mqttest.Advance(31 * time.Second)
		g80All(t, sub.Receive(), 10) // it counts from when the will is published
	})
}

// Messages that the program makes carry properties too.
func TestGuide_G81_SendAndPublish(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		message := func() *mqttx.Message {
			return &mqttx.Message{Topic: "t", Payload: []byte("x"), QoS: 1, Expires: time.Now().Add(10 * time.Second), Props: &mqttx.Properties{
				ContentType: "text/plain", ResponseTopic: "answer/here", CorrelationData: []byte{0, 0xFF, 1},
				PayloadFormat: mqttx.FormatUTF8, User: g80User(),
			}}
		}
		s := g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
			Info: func(_ context.Context, c *mqttx.Conn, _ any) error { return c.Send(message()) },
		}})
		for _, v := range g1Versions() {
			c := mqttest.Connect(t, s, g1Connect(v.String(), v))
			got := func() {
				t.Helper()
				p := c.Receive()
				if v == mqttx.V5 {
					g80All(t, p, 10)
				} else {
					g1Got(t, p, "t", "x", 1, false)
					g80Bare(t, p)
				}
				c.Nothing()
			}
			conn, _ := s.Conn(c.ClientID)
			if err := conn.Post("go"); err != nil {
				t.Fatal(err)
			}
			got()
			g70Topics(t, c, "t")
			if err := s.Publish(t.Context(), message()); err != nil {
				t.Fatal(err)
			}
			got()
			c.Disconnect(0)
		}
	})
}
