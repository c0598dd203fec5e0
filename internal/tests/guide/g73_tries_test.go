package guide_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g73Will is a CONNECT with a session and the will "gone" on topic w.
func g73Will(v mqttx.Version) *packet.Connect {
	p := g70Keep("c", v)
	p.Will = &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1}
	return p
}

// g73V3 runs f in virtual time for the versions that have a timer by the standard.
func g73V3(t *testing.T, f func(t *testing.T, v mqttx.Version)) {
	t.Helper()
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		g1Bubble(t, v.String(), func(t *testing.T) { f(t, v) })
	}
}

// A client that never sends PUBREC is closed at 20 s; the session goes on where it stood.
func TestGuide_G73_Publish(t *testing.T) {
	g73V3(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		watch := g38Subscriber(t, s, "w")
		c := mqttest.Connect(t, s, g73Will(v))
		g70Topics(t, c, "t")
		begin := time.Now()
		mqttest.Connect(t, s, g1Connect("p", mqttx.V5)).Publish("t", "x", 2)
		id := g70Publish(t, c, "x", 2, false)
		g70Ticks(c, begin, func() { g70Publish(t, c, "x", 2, true) })
		g70At(begin, 20*time.Second-g70Near)
		c.Nothing()
		watch.Nothing()
		g70At(begin, 20*time.Second+g70Near)
		c.Closed()
		g38Gets(t, watch, "gone")

		c = g70Resume(t, s, "c", v)
		g70ID(t, "PUBLISH", g70Publish(t, c, "x", 2, true), id)
		c.Send(&packet.Pubrec{PacketID: id})
		g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, id)
		c.Send(&packet.Pubcomp{PacketID: id})
		mqttest.Advance(time.Minute)
		c.Nothing()
		c.Drop()
		g70Resume(t, s, "c", v).Nothing()
	})
}

// So is one that never sends PUBCOMP.
func TestGuide_G73_Pubrel(t *testing.T) {
	g73V3(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c, id := g71Subscriber(t, s, v)
		begin := time.Now()
		c.Send(&packet.Pubrec{PacketID: id})
		pubrel := func() { g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, id) }
		pubrel()
		g70Ticks(c, begin, pubrel)
		g70At(begin, 20*time.Second-g70Near)
		c.Nothing()
		g70At(begin, 20*time.Second+g70Near)
		c.Closed()
		c = g70Resume(t, s, "c", v)
		pubrel()
		c.Nothing()
	})
}

// And one that never sends PUBREL: what it was told is safe stays so, and is delivered once.
func TestGuide_G73_Pubrec(t *testing.T) {
	g73V3(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		sub := g38Subscriber(t, s, "t", "w")
		c := mqttest.Connect(t, s, g73Will(v))
		begin := time.Now()
		g1Send(t, c, &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 2, PacketID: 9})
		g38Gets(t, sub, "x")
		g70Ticks(c, begin, func() { g70ID(t, "PUBREC", mqttest.Expect[*packet.Pubrec](c).PacketID, 9) })
		g70At(begin, 20*time.Second-g70Near)
		c.Nothing()
		g70At(begin, 20*time.Second+g70Near)
		c.Closed()
		g38Gets(t, sub, "gone")

		c = g70Resume(t, s, "c", v)
		g1Send(t, c, &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 2, PacketID: 9, Dup: true})
		g38Release(t, c, 9)
		mqttest.Advance(time.Minute)
		c.Nothing()
		sub.Nothing()
	})
}

// By option the connection stays and the entry is dropped.
func TestGuide_G73_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.GuideCompat, mqttx.DropAfterTries | mqttx.TimedResendV5} {
		t.Run(compat.String(), func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) { g73Dropped(t, compat, v) })
		})
	}
}

func g73Dropped(t *testing.T, compat mqttx.Compat, v mqttx.Version) {
	s := g1Started(t, &mqttx.Server{Compat: compat})
	c, id := g71Subscriber(t, s, v)
	g1Send(t, c, &packet.Publish{Topic: []byte("nobody"), QoS: 2, PacketID: 9})
	for range 3 {
		mqttest.Advance(5*time.Second + g70Near)
		got := map[packet.Type]int{}
		for range 2 {
			got[c.Next().Type()]++
		}
		if got[packet.TypePublish] != 1 || got[packet.TypePubrec] != 1 {
			t.Errorf("packets %v", got)
		}
		c.Nothing()
	}
	mqttest.Advance(time.Minute)
	c.Nothing()
	if n := s.Stats().Dropped[mqttx.DropResendTries]; n != 1 {
		t.Errorf("%d messages dropped", n)
	}
	if n := s.Stats().Queued; n != 0 {
		t.Errorf("%d messages queued", n)
	}
	want := mqttx.Success
	if v == mqttx.V5 {
		want = mqttx.PacketIdentifierNotFound
	}
	g1Code(t, "PUBCOMP", g38Release(t, c, 9), want)
	// Both ids are free: 9 is a new message, and an answer to the other is one to nothing.
	g1Code(t, "PUBREC", g1Send(t, c, &packet.Publish{Topic: []byte("nobody"), QoS: 2, PacketID: 9}), g70Nobody(v))
	g1Code(t, "PUBCOMP", g38Release(t, c, 9), mqttx.Success)
	mqttest.Connect(t, s, g1Connect("q", mqttx.V5)).Publish("t", "y", 2)
	next := g70Publish(t, c, "y", 2, false)
	c.Send(&packet.Pubrec{PacketID: next})
	mqttest.Expect[*packet.Pubrel](c)
	c.Send(&packet.Pubcomp{PacketID: next})
	if next != id {
		c.Send(&packet.Pubrec{PacketID: id})
		rel := mqttest.Expect[*packet.Pubrel](c)
		g70ID(t, "PUBREL", rel.PacketID, id)
		g1Code(t, "PUBREL", rel.Code, want)
	}
}

// A message that came before is acknowledged again and goes nowhere, on the connection and after a resume.
func TestGuide_G74_Duplicate(t *testing.T) {
	for _, dup := range []bool{true, false} {
		name := "DUP 0"
		if dup {
			name = "DUP 1"
		}
		t.Run(name, func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) { g74Duplicate(t, v, dup) })
		})
	}
}

func g74Duplicate(t *testing.T, v mqttx.Version, dup bool) {
	var calls atomic.Int32
	s := g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
		Publish: func(context.Context, int, *mqttx.Message) error { calls.Add(1); return nil },
	}})
	sub := g38Subscriber(t, s, "t")
	c := mqttest.Connect(t, s, g70Keep("c", v))
	send := func(payload string, dup bool) {
		t.Helper()
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte(payload), QoS: 2, PacketID: 4, Dup: dup}
		g1Code(t, "PUBREC", g1Send(t, c, p), mqttx.Success)
	}
	send("x", false)
	send("x", dup)
	c.Drop()
	c = g70Resume(t, s, "c", v)
	c.Nothing()
	send("x", dup)
	g38Gets(t, sub, "x")
	if n := calls.Load(); n != 1 {
		t.Errorf("Publish was called %d times", n)
	}
	g1Code(t, "PUBCOMP", g38Release(t, c, 4), mqttx.Success)
	send("y", dup)
	g38Gets(t, sub, "y")
	if n := calls.Load(); n != 2 {
		t.Errorf("Publish was called %d times", n)
	}
}

// After a PUBREC from 0x80 the id is new.
func TestGuide_G74_Refused(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		var calls atomic.Int32
		s := g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
			Publish: func(context.Context, int, *mqttx.Message) error {
				if calls.Add(1) == 1 {
					return mqttx.NotAuthorized
				}
				return nil
			},
		}})
		sub := g38Subscriber(t, s, "t")
		c := mqttest.Connect(t, s, nil)
		p := &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 2, PacketID: 4}
		g1Code(t, "PUBREC", g1Send(t, c, p), mqttx.NotAuthorized)
		sub.Nothing()
		g1Code(t, "PUBREC", g1Send(t, c, p), mqttx.Success)
		g38Gets(t, sub, "x")
		if n := calls.Load(); n != 2 {
			t.Errorf("Publish was called %d times", n)
		}
	})
}

// A Store keeps the id over a restart.
func TestGuide_G74_Restart(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		store := new(mqttest.MemStore)
		var calls atomic.Int32
		h := mqttx.Callbacks[int]{
			Publish: func(context.Context, int, *mqttx.Message) error { calls.Add(1); return nil },
		}
		first := g1Started(t, &mqttx.Server{Store: store, Handler: h})
		sub := mqttest.Connect(t, first, g70Keep("sub", mqttx.V5))
		g70Topics(t, sub, "t")
		c := mqttest.Connect(t, first, g70Keep("c", v))
		p := packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 2, PacketID: 4}
		again := p
		again.Dup = true
		g1Send(t, c, &p)
		g1Send(t, c, &again)
		g38Gets(t, sub, "x")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}

		s := g1Started(t, &mqttx.Server{Store: store, Handler: h})
		sub = g70Resume(t, s, "sub", mqttx.V5)
		c = g70Resume(t, s, "c", v)
		g1Code(t, "PUBREC", g1Send(t, c, &again), mqttx.Success)
		sub.Nothing()
		if n := calls.Load(); n != 1 {
			t.Errorf("Publish was called %d times", n)
		}
		g1Code(t, "PUBCOMP", g38Release(t, c, 4), mqttx.Success)
		g1Send(t, c, &p)
		g38Gets(t, sub, "x")
	})
}
