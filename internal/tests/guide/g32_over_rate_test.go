package guide_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g32Refused has an MQTT 5.0 client go over the rate; its acknowledgements say so with code.
//
// The answers are compared as bytes: a client that follows the standard does not take 0x96 there.
func g32Refused(t *testing.T, s *mqttx.Server, connect func(*packet.Connect) *mqttest.Client, code mqttx.ReasonCode) {
	t.Helper()
	sub := connect(g1Connect("sub", mqttx.V5))
	sub.Subscribe("#", 2)
	c := connect(g1Connect("c", mqttx.V5))
	g1Code(t, "PUBACK within", g1Send(t, c, &packet.Publish{Topic: []byte("t"), Payload: []byte("one"), QoS: 1, PacketID: 1}), mqttx.Success)
	before := len(c.Raw())
	c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("two"), QoS: 1, PacketID: 2, Retain: true})
	c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("three"), QoS: 2, PacketID: 3})
	c.Send(&packet.Pubrel{PacketID: 3})
	want := []byte{
		0x40, 3, 0, 2, byte(code), // PUBACK
		0x50, 3, 0, 3, byte(code), // PUBREC
		0x70, 3, 0, 3, 0x92, // PUBCOMP: the id is free
	}
	limit := time.After(10 * time.Second)
	for len(c.Raw()) < before+len(want) {
		select {
		case <-limit:
			t.Fatalf("the client was sent % x, want % x", c.Raw()[before:], want)
		case <-time.After(time.Millisecond):
		}
	}
	c.Send(&packet.Disconnect{})
	g1Got(t, sub.Receive(), "t", "one", 1, false)
	sub.Nothing()
	if got := c.Raw()[before:]; !bytes.Equal(got, want) {
		t.Errorf("the client was sent % x, want % x", got, want)
	}
	if st := s.Stats(); st.Retained != 0 || st.Published != 1 {
		t.Errorf("%d retained, %d published", st.Retained, st.Published)
	}
}

// By the standard the code is 0x97 in MQTT 5.0.
func TestGuide_G32_Standard(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		s := g1Quiet(nil)
		s.Limits = mqttx.Limits{MessageRate: 1, RateInterval: time.Hour}
		n := on.Start(t, s)
		g32Refused(t, s, n.Connect, mqttx.QuotaExceeded)
	})
}

// By the letter of the guide it is 0x96.
func TestGuide_G32_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.RateRefusal96, mqttx.GuideCompat} {
		testnet.Each(t, func(t *testing.T, on testnet.Transport) {
			s := g1Quiet(nil)
			s.Limits, s.Compat = mqttx.Limits{MessageRate: 1, RateInterval: time.Hour}, compat
			n := on.Start(t, s)
			g32Refused(t, s, n.Connect, mqttx.MessageRateTooHigh)
		})
	}
}

// A packet id that was refused can be used at once for another message.
func TestGuide_G32_IDFree(t *testing.T) {
	g1Bubble(t, "v5", func(t *testing.T) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 1}, 0)
		c := mqttest.Connect(t, s, nil)
		g1Code(t, "within", c.Publish("t", "x", 1), mqttx.Success)
		sub.Receive()
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte("refused"), QoS: 2, PacketID: 9}
		g1Code(t, "over", g1Send(t, c, p), mqttx.QuotaExceeded)
		mqttest.Advance(time.Second)
		p.Payload = []byte("another")
		g1Code(t, "a second later", g1Send(t, c, p), mqttx.Success)
		g1Got(t, sub.Receive(), "t", "another", 2, false)
		sub.Nothing()
	})
}

// g32Held has a client of MQTT 3.1 or 3.1.1 send three messages at once: it waits for its tokens, and nothing is falsely
// acknowledged.
func g32Held(t *testing.T, v mqttx.Version, q mqttx.QoS, compat mqttx.Compat) {
	t.Helper()
	s, sub := g27Server(t, mqttx.Limits{MessageRate: 1}, compat)
	c := mqttest.Connect(t, s, g1Connect("c", v))
	var all []byte
	for i := range 3 {
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte(fmt.Sprint(i)), QoS: q, PacketID: uint16(i + 1)}
		b, err := p.Append(all, v)
		if err != nil {
			t.Fatal(err)
		}
		all = b
	}
	c.Write(all)
	for i := range 3 {
		synctest.Wait()
		if i > 0 {
			mqttest.Advance(time.Second - time.Millisecond)
			sub.Nothing()
			if len(c.Raw()) != 4+4*i { // CONNACK and the acknowledgements before
				t.Errorf("before %d s the client was sent % x", i, c.Raw())
			}
			mqttest.Advance(time.Millisecond)
		}
		want := byte(0x40)
		if q == 2 {
			want = 0x50
		}
		if raw := c.Raw(); len(raw) != 8+4*i || raw[4+4*i] != want || raw[7+4*i] != byte(i+1) {
			t.Fatalf("at %d s the client was sent % x", i, raw)
		}
		g1Got(t, sub.Receive(), "t", fmt.Sprint(i), q, false)
	}
	sub.Nothing()
	if st := s.Stats(); len(st.Dropped) != 0 {
		t.Errorf("dropped %v", st.Dropped)
	}
}

func TestGuide_G32_HeldBack(t *testing.T) {
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		for q := mqttx.QoS(1); q <= 2; q++ {
			for _, compat := range []mqttx.Compat{0, mqttx.GuideCompat} {
				g1Bubble(t, fmt.Sprintf("%v at QoS %d, %v", v, q, compat), func(t *testing.T) { g32Held(t, v, q, compat) })
			}
		}
	}
}

// While the server holds back, keep alive stands still; then it runs again. Packets behind are handled in order.
func TestGuide_G32_KeepAlive(t *testing.T) {
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		g1Bubble(t, v.String(), func(t *testing.T) {
			s, sub := g27Server(t, mqttx.Limits{MessageRate: 1, RateInterval: 5 * time.Second}, 0)
			p := g1Connect("c", v)
			p.KeepAlive = 1
			c := mqttest.Connect(t, s, p)
			c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("one"), QoS: 1, PacketID: 1})
			c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("two"), QoS: 1, PacketID: 2})
			c.Send(&packet.Pingreq{})
			g1Got(t, sub.Receive(), "t", "one", 1, false)
			mqttest.Expect[*packet.Puback](c)
			mqttest.Advance(5*time.Second - time.Millisecond)
			c.Nothing()
			mqttest.Advance(time.Millisecond)
			g1Got(t, sub.Receive(), "t", "two", 1, false)
			if ack := mqttest.Expect[*packet.Puback](c); ack.PacketID != 2 {
				t.Errorf("PUBACK of %d", ack.PacketID)
			}
			mqttest.Expect[*packet.Pingresp](c)
			mqttest.Advance(1400 * time.Millisecond)
			c.Nothing()
			mqttest.Advance(200 * time.Millisecond)
			c.Closed()
		})
	}
}

// Whoever is held back can be sent to, kicked and shut down.
func TestGuide_G32_HeldBackIsNotStuck(t *testing.T) {
	for _, end := range []string{"kick", "Shutdown", "takeover"} {
		g1Bubble(t, end, func(t *testing.T) {
			s, sub := g27Server(t, mqttx.Limits{MessageRate: 1, RateInterval: time.Hour}, 0)
			p := g1Connect("c", mqttx.V311)
			p.Will = &packet.Will{Topic: "will", Payload: []byte("gone")}
			c := mqttest.Connect(t, s, p)
			c.Subscribe("to/c", 0)
			c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("one"), QoS: 1, PacketID: 1})
			c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("two"), QoS: 1, PacketID: 2})
			mqttest.Expect[*packet.Puback](c)
			sub.Receive()
			sub.Send(&packet.Publish{Topic: []byte("to/c"), Payload: []byte("x")})
			g1Got(t, c.Receive(), "to/c", "x", 0, false)
			sub.Receive()
			begun := time.Now()
			switch end {
			case "kick":
				if err := s.Disconnect("c", mqttx.AdministrativeAction); err != nil {
					t.Errorf("Disconnect: %v", err)
				}
				c.Closed()
			case "Shutdown":
				if err := s.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				c.Closed()
			case "takeover":
				mqttest.Connect(t, s, g1Connect("c", mqttx.V311))
				c.Closed()
			}
			if end != "Shutdown" {
				g1Got(t, sub.Receive(), "will", "gone", 0, false)
				sub.Nothing()
			}
			if d := time.Since(begun); d > time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// A client that goes while it is held back is found gone when its message is acknowledged; what it sent behind that was not
// acknowledged, and is not handled.
func TestGuide_G32_HeldBackAndGone(t *testing.T) {
	g1Bubble(t, "gone", func(t *testing.T) {
		s, sub := g27Server(t, mqttx.Limits{MessageRate: 1}, 0)
		near, far := mqttest.Pipe()
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(t.Context(), far) }()
		c := mqttest.NewClient(t, near, mqttx.V311)
		p := g1Connect("c", mqttx.V311)
		p.Will = &packet.Will{Topic: "will", Payload: []byte("gone")}
		c.Connect(p)
		for i := range 3 {
			c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte(fmt.Sprint(i)), QoS: 1, PacketID: uint16(i + 1)})
		}
		synctest.Wait()
		c.Drop()
		g1Got(t, sub.Receive(), "t", "0", 1, false)
		sub.Nothing()
		mqttest.Advance(time.Second)
		g1Got(t, sub.Receive(), "t", "1", 1, false)
		g1Got(t, sub.Receive(), "will", "gone", 0, false)
		g1Why(t, g1Await(t, "ServeConn", served), mqttx.ByNetwork, 0, "")
		mqttest.Advance(time.Minute)
		sub.Nothing()
	})
}
