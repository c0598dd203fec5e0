package guide_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g70Near is on either side of a moment that is looked at: timers may be a tick late.
const g70Near = 50 * time.Millisecond

// g70Keep is a CONNECT whose session outlives the connection by an hour or more.
func g70Keep(id string, v mqttx.Version) *packet.Connect {
	p := &packet.Connect{ClientID: id, Version: v}
	if v == mqttx.V5 {
		p.SessionExpiryInterval = new(uint32(3600))
	}
	return p
}

// g70Resume connects again and takes the session that is there.
func g70Resume(t *testing.T, s *mqttx.Server, id string, v mqttx.Version) *mqttest.Client {
	t.Helper()
	c := mqttest.Connect(t, s, g70Keep(id, v))
	if v != mqttx.V31 && !c.Connack.SessionPresent {
		t.Error("no session present")
	}
	return c
}

// g70Servers runs f in virtual time where packets are sent again on a timer (v3, and MQTT 5.0 by option) and where not.
func g70Servers(t *testing.T, f func(t *testing.T, s *mqttx.Server, v mqttx.Version, timed bool)) {
	t.Helper()
	for _, x := range []struct {
		name  string
		v     mqttx.Version
		c     mqttx.Compat
		timed bool
	}{
		{"3.1", mqttx.V31, 0, true},
		{"3.1.1", mqttx.V311, 0, true},
		{"5.0", mqttx.V5, 0, false},
		{"3.1 compat", mqttx.V31, mqttx.GuideCompat, true},
		{"3.1.1 compat", mqttx.V311, mqttx.GuideCompat, true},
		{"5.0 compat", mqttx.V5, mqttx.GuideCompat, true},
		{"5.0 TimedResendV5", mqttx.V5, mqttx.TimedResendV5, true},
	} {
		g1Bubble(t, x.name, func(t *testing.T) {
			f(t, g38Server(t, &mqttx.Server{Compat: x.c}), x.v, x.timed)
		})
	}
}

// g70At lets time pass until d after begin.
func g70At(begin time.Time, d time.Duration) { mqttest.Advance(time.Until(begin.Add(d))) }

// g70Ticks has check look at the packet that is to come, and nothing else, 5, 10 and 15 s after begin.
func g70Ticks(c *mqttest.Client, begin time.Time, check func()) {
	for n := 1; n <= 3; n++ {
		at := time.Duration(n) * 5 * time.Second
		g70At(begin, at-g70Near)
		c.Nothing()
		g70At(begin, at+g70Near)
		check()
		c.Nothing()
	}
}

// g70Publish takes a PUBLISH and gives its packet id; nothing is acknowledged.
func g70Publish(t *testing.T, c *mqttest.Client, payload string, q mqttx.QoS, dup bool) uint16 {
	t.Helper()
	p := mqttest.Expect[*packet.Publish](c)
	if string(p.Payload) != payload || p.QoS != q || p.Dup != dup || p.PacketID == 0 {
		t.Errorf("PUBLISH %d %q at QoS %d, DUP %v; want %q at QoS %d, DUP %v", p.PacketID, p.Payload, p.QoS, p.Dup, payload, q, dup)
	}
	return p.PacketID
}

// g70ID compares packet ids.
func g70ID(t *testing.T, what string, got, want uint16) {
	t.Helper()
	if got != want {
		t.Errorf("%s of %d, want %d", what, got, want)
	}
}

// g70Topics subscribes to filters at QoS 2.
func g70Topics(t *testing.T, c *mqttest.Client, filters ...string) {
	t.Helper()
	for _, f := range filters {
		g1Code(t, fmt.Sprintf("SUBACK of %s", f), c.Subscribe(f, 2), 2)
	}
}
