package pitfalls_test

import (
	"strconv"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p5Open makes a session to which a message on topic in is open.
func p5Open(t *testing.T, v mqttx.Version, q mqttx.QoS) (srv *mqttx.Server, c *mqttest.Client, id uint16) {
	t.Helper()
	srv = p1Server(t, &mqttx.Server{})
	c = p1Subscriber(t, srv, p1Kept("c", v), q, "in")
	mqttest.Connect(t, srv, p1New("pub", v)).Publish("in", "open", q)
	p := mqttest.Expect[*packet.Publish](c)
	return srv, c, p.PacketID
}

// p5Resent resumes the session and takes the one message that is still open.
func p5Resent(t *testing.T, srv *mqttx.Server, c *mqttest.Client, id uint16) {
	t.Helper()
	v := c.Version
	c.Drop()
	c = mqttest.Connect(t, srv, p1Kept("c", v))
	if p := c.Receive(); string(p.Payload) != "open" || p.PacketID != id || !p.Dup {
		t.Errorf("resent %q with id %d, DUP %v; want id %d", p.Payload, p.PacketID, p.Dup, id)
	}
	c.Nothing()
}

// The client's packet ids and the server's do not meet.
func TestPitfall005_TwoSpaces(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv, c, id := p5Open(t, v, q)
		sub := p1Subscriber(t, srv, p1New("sub", v), 2, "out")
		p1Code(t, "PUBACK", p1Send(t, c, p1Publish("out", "one", 1, id)), mqttx.Success)
		p1Code(t, "PUBREC", p1Send(t, c, p1Publish("out", "two", 2, id)), mqttx.Success)
		p1Code(t, "PUBCOMP", p1Release(t, c, id), mqttx.Success)
		p1Gets(t, sub, "one", "two")
		p5Resent(t, srv, c, id)
	})
}

// SUBSCRIBE and UNSUBSCRIBE may carry an id that is open towards the client.
func TestPitfall006_SubscribeWithOpenID(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv, c, id := p5Open(t, v, q)
		c.Send(&packet.Subscribe{PacketID: id, Filters: []packet.Filter{{Filter: "more", QoS: 1}}})
		if p := mqttest.Expect[*packet.Suback](c); p.PacketID != id || len(p.Codes) != 1 || p.Codes[0] != 1 {
			t.Errorf("SUBACK %+v", p)
		}
		c.Send(&packet.Unsubscribe{PacketID: id, Filters: []string{"more"}})
		if p := mqttest.Expect[*packet.Unsuback](c); p.PacketID != id || (v == mqttx.V5 && (len(p.Codes) != 1 || p.Codes[0] != 0)) {
			t.Errorf("UNSUBACK %+v", p)
		}
		p5Resent(t, srv, c, id)
	})
}

// A QoS 2 message repeated before PUBREL is acknowledged again and delivered once.
func TestPitfall007_Repeat(t *testing.T) {
	for _, resume := range []bool{false, true} {
		name := "same connection"
		if resume {
			name = "resumed"
		}
		t.Run(name, func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{})
				sub := p1Subscriber(t, srv, p1New("sub", v), 2, "a")
				c := mqttest.Connect(t, srv, p1Kept("c", v))
				p := p1Publish("a", "once", 2, 7)
				p1Code(t, "PUBREC", p1Send(t, c, p), mqttx.Success)
				if resume {
					c.Drop()
					c = mqttest.Connect(t, srv, p1Kept("c", v))
				}
				p.Dup = true
				p1Code(t, "PUBREC of the repeat", p1Send(t, c, p), mqttx.Success)
				p1Code(t, "PUBREC of the next", p1Send(t, c, p), mqttx.Success)
				p1Code(t, "PUBCOMP", p1Release(t, c, 7), mqttx.Success)
				p1Gets(t, sub, "once")
				p.Dup = false
				p1Code(t, "PUBREC of a new one", p1Send(t, c, p), mqttx.Success)
				p1Gets(t, sub, "once")
			})
		})
	}
}

// On resume open and queued messages come in the order in which they were sent.
func TestPitfall008_OrderOnResume(t *testing.T) {
	p1EachQoS(t, 1, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 100}})
		p := p1Kept("c", v)
		if v == mqttx.V5 {
			p.ReceiveMaximum = 100
		}
		c := p1Subscriber(t, srv, p, q, "a")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		for i := range 1000 {
			if i == 500 {
				c.Drop()
			}
			pub.Publish("a", strconv.Itoa(i), q)
		}
		c = mqttest.Connect(t, srv, p)
		for i := range 1000 {
			if m := c.Receive(); string(m.Payload) != strconv.Itoa(i) || m.Dup != (i < 100) {
				t.Fatalf("%q with DUP %v in place %d", m.Payload, m.Dup, i)
			}
		}
		c.Nothing()
	})
}
