package guide_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Without PUBREL the PUBREC comes again, on a timer where that is legal.
func TestGuide_G70_Pubrec(t *testing.T) {
	g70Servers(t, func(t *testing.T, s *mqttx.Server, v mqttx.Version, timed bool) {
		c := mqttest.Connect(t, s, g1Connect("c", v))
		mqttest.Advance(3 * time.Second) // it counts from the PUBREC
		begin := time.Now()
		g1Code(t, "PUBREC", g1Send(t, c, &packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 9}), g70Nobody(v))
		if !timed {
			mqttest.Advance(time.Minute)
			c.Nothing()
			return
		}
		g70Ticks(c, begin, func() {
			p := mqttest.Expect[*packet.Pubrec](c)
			g70ID(t, "PUBREC", p.PacketID, 9)
			g1Code(t, "PUBREC", p.Code, mqttx.Success)
		})
	})
}

// g70Nobody is the code that acknowledges a message without subscribers.
func g70Nobody(v mqttx.Version) mqttx.ReasonCode {
	if v == mqttx.V5 {
		return mqttx.NoMatchingSubscribers
	}
	return mqttx.Success
}

func TestGuide_G70_PubrelEndsIt(t *testing.T) {
	g70Servers(t, func(t *testing.T, s *mqttx.Server, v mqttx.Version, timed bool) {
		c := mqttest.Connect(t, s, g1Connect("c", v))
		g1Send(t, c, &packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 9})
		mqttest.Advance(7 * time.Second)
		if timed {
			g70ID(t, "PUBREC", mqttest.Expect[*packet.Pubrec](c).PacketID, 9)
		}
		g1Code(t, "PUBCOMP", g38Release(t, c, 9), mqttx.Success)
		mqttest.Advance(time.Minute)
		c.Nothing()
	})
}

func TestGuide_G70_Limits(t *testing.T) {
	for _, x := range []struct {
		name     string
		interval time.Duration
		tries    int
		at       []time.Duration // of the PUBRECs that follow the first
		end      time.Duration   // of the connection; 0: never
	}{
		{"1 s, once", time.Second, 1, []time.Duration{time.Second}, 2 * time.Second},
		{"5 s by default, once", 0, 1, []time.Duration{5 * time.Second}, 10 * time.Second},
		{"2 s, 3 times by default", 2 * time.Second, 0, []time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second}, 8 * time.Second},
		{"off", -1, 0, nil, 0},
	} {
		g1Bubble(t, x.name, func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{ResendInterval: x.interval, ResendTries: x.tries}})
			c := mqttest.Connect(t, s, g1Connect("c", mqttx.V311))
			begin := time.Now()
			g1Send(t, c, &packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 9})
			for _, at := range x.at {
				g70At(begin, at-g70Near)
				c.Nothing()
				g70At(begin, at+g70Near)
				g70ID(t, "PUBREC", mqttest.Expect[*packet.Pubrec](c).PacketID, 9)
				c.Nothing()
			}
			if x.end == 0 {
				mqttest.Advance(time.Hour)
				c.Nothing()
				return
			}
			g70At(begin, x.end-g70Near)
			c.Nothing()
			g70At(begin, x.end+g70Near)
			c.Closed()
		})
	}
}

// A thousand idle clients set no timer: nothing is left that could wake anybody, which the runtime calls a deadlock. The test
// runs in a process of its own, since that ends it.
func TestGuide_G70_NoTimerWhenIdle(t *testing.T) {
	const child = "MQTTX_TEST_G70_IDLE"
	if os.Getenv(child) != "" {
		synctest.Test(t, func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{Compat: mqttx.GuideCompat})
			for i := range 1000 {
				c := mqttest.Connect(t, s, g1Connect(fmt.Sprint(i), g1Versions()[i%3]))
				g1Send(t, c, &packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 9})
				g38Release(t, c, 9)
			}
			mqttest.Advance(15 * time.Second) // beyond what was set for CONNECT
			<-make(chan struct{})
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestGuide_G70_NoTimerWhenIdle$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "deadlock: all goroutines in bubble are blocked") {
		t.Errorf("%v: %.500s", err, out)
	}
}

// g71Subscriber is a client with a session and a QoS 2 message under way to it; the packet id.
func g71Subscriber(t *testing.T, s *mqttx.Server, v mqttx.Version) (*mqttest.Client, uint16) {
	t.Helper()
	c := mqttest.Connect(t, s, g70Keep("c", v))
	g70Topics(t, c, "t")
	mqttest.Connect(t, s, g1Connect("p", mqttx.V5)).Publish("t", "x", 2)
	return c, g70Publish(t, c, "x", 2, false)
}

func TestGuide_G71_Publish(t *testing.T) {
	g70Servers(t, func(t *testing.T, s *mqttx.Server, v mqttx.Version, timed bool) {
		begin := time.Now()
		c, id := g71Subscriber(t, s, v)
		if !timed {
			mqttest.Advance(time.Minute)
			c.Nothing()
			return
		}
		g70Ticks(c, begin, func() { g70ID(t, "PUBLISH", g70Publish(t, c, "x", 2, true), id) })
	})
}

// QoS 1 is not sent again on a live connection in any version.
func TestGuide_G71_QoS1(t *testing.T) {
	g70Servers(t, func(t *testing.T, s *mqttx.Server, v mqttx.Version, _ bool) {
		c := mqttest.Connect(t, s, g1Connect("c", v))
		c.Subscribe("t", 1)
		mqttest.Connect(t, s, g1Connect("p", mqttx.V5)).Publish("t", "x", 1)
		g70Publish(t, c, "x", 1, false)
		mqttest.Advance(time.Minute)
		c.Nothing()
	})
}

func TestGuide_G71_Resume(t *testing.T) {
	for _, v := range g1Versions() {
		g1Bubble(t, v.String(), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			c := mqttest.Connect(t, s, g70Keep("c", v))
			g70Topics(t, c, "t")
			p := mqttest.Connect(t, s, g1Connect("p", mqttx.V5))
			qos := []mqttx.QoS{1, 2, 1}
			var ids []uint16
			for i, q := range qos {
				p.Publish("t", fmt.Sprint(i+1), q)
				ids = append(ids, g70Publish(t, c, fmt.Sprint(i+1), q, false))
			}
			c.Nothing()
			for range 2 { // however often
				c.Drop()
				c = g70Resume(t, s, "c", v)
				for i, q := range qos {
					g70ID(t, "PUBLISH", g70Publish(t, c, fmt.Sprint(i+1), q, true), ids[i])
				}
				c.Nothing()
			}
			c.Send(&packet.Puback{PacketID: ids[0]})
			c.Send(&packet.Pubrec{PacketID: ids[1]})
			g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, ids[1])
			c.Send(&packet.Pubcomp{PacketID: ids[1]})
			c.Send(&packet.Puback{PacketID: ids[2]})
			c.Nothing()
			c.Drop()
			g70Resume(t, s, "c", v).Nothing()
		})
	}
}

func TestGuide_G72_Pubrel(t *testing.T) {
	g70Servers(t, func(t *testing.T, s *mqttx.Server, v mqttx.Version, timed bool) {
		c, id := g71Subscriber(t, s, v)
		mqttest.Advance(3 * time.Second)
		begin := time.Now()
		c.Send(&packet.Pubrec{PacketID: id})
		g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, id)
		if !timed {
			mqttest.Advance(time.Minute)
			c.Nothing()
			return
		}
		g70Ticks(c, begin, func() { g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, id) })
		c.Send(&packet.Pubcomp{PacketID: id})
		mqttest.Advance(time.Minute)
		c.Nothing()
	})
}

// After a resume the PUBREL comes again, and never the PUBLISH.
func TestGuide_G72_Resume(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c, id := g71Subscriber(t, s, v)
		c.Send(&packet.Pubrec{PacketID: id})
		g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, id)
		for range 2 {
			c.Drop()
			c = g70Resume(t, s, "c", v)
			g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, id)
			c.Nothing()
		}
		c.Send(&packet.Pubcomp{PacketID: id})
		c.Nothing()
		c.Drop()
		g70Resume(t, s, "c", v).Nothing()
	})
}
