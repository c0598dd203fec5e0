package guide_test

import (
	"fmt"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

const n15Messages = 20

// n15Combinations runs f for each pair of versions and each pair of QoS.
func n15Combinations(f func(name string, from, to mqttx.Version, sent, granted mqttx.QoS)) {
	for _, from := range g1Versions() {
		for _, to := range g1Versions() {
			for sent := mqttx.QoS(0); sent <= 2; sent++ {
				for granted := mqttx.QoS(0); granted <= 2; granted++ {
					f(fmt.Sprintf("%v at %d to %v at %d", from, sent, to, granted), from, to, sent, granted)
				}
			}
		}
	}
}

// n15Stream takes the numbered messages, complete and in order.
func n15Stream(t *testing.T, name string, c *mqttest.Client, q mqttx.QoS) {
	t.Helper()
	for i := range n15Messages {
		p := c.Receive()
		if string(p.Payload) != fmt.Sprint(i) || p.QoS != q || p.Dup || p.Retain {
			t.Fatalf("%s: message %d is %s", name, i, mqttest.Format(p))
		}
	}
	c.Nothing()
}

// n15Publish sends the numbered messages.
func n15Publish(t *testing.T, name string, c *mqttest.Client, q mqttx.QoS) {
	t.Helper()
	for i := range n15Messages {
		if code := c.Publish("t/"+name, fmt.Sprint(i), q); code >= 0x80 {
			t.Fatalf("%s: message %d: %v", name, i, code)
		}
	}
}

func TestGuide_N15_Online(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, g1Quiet(nil))
		pubs, subs := map[mqttx.Version]*mqttest.Client{}, map[mqttx.Version]*mqttest.Client{}
		for _, v := range g1Versions() {
			pubs[v], subs[v] = n.Connect(g1Connect("p"+v.String(), v)), n.Connect(g1Connect("s"+v.String(), v))
		}
		n15Combinations(func(name string, from, to mqttx.Version, sent, granted mqttx.QoS) {
			g1Code(t, "SUBACK", subs[to].Subscribe("t/"+name, granted), mqttx.ReasonCode(granted))
			n15Publish(t, name, pubs[from], sent)
			n15Stream(t, name, subs[to], min(sent, granted))
		})
	})
}

// A session that sleeps gets all but QoS 0, and so it does when the server was started again meanwhile.
func TestGuide_N15_OfflineAndRestart(t *testing.T) {
	for _, restart := range []bool{false, true} {
		g1Bubble(t, fmt.Sprint("restart ", restart), func(t *testing.T) {
			store := new(mqttest.MemStore)
			s := g1Started(t, &mqttx.Server{Store: store})
			n15Combinations(func(name string, from, to mqttx.Version, sent, granted mqttx.QoS) {
				c := mqttest.Connect(t, s, g70Keep(name, to))
				g1Code(t, "SUBACK", c.Subscribe("t/"+name, granted), mqttx.ReasonCode(granted))
				c.Drop()
				pub := mqttest.Connect(t, s, g1Connect("p", from))
				n15Publish(t, name, pub, sent)
				pub.Disconnect(0)
			})
			if restart {
				s.Close()
				s = g1Started(t, &mqttx.Server{Store: store})
			}
			n15Combinations(func(name string, _, to mqttx.Version, sent, granted mqttx.QoS) {
				c := g70Resume(t, s, name, to)
				if min(sent, granted) == 0 {
					c.Nothing()
				} else {
					n15Stream(t, name, c, min(sent, granted))
				}
				c.Drop()
			})
		})
	}
}

// At QoS 2 each message comes once, with both connections cut after every packet that comes.
func TestGuide_N15_ExactlyOnce(t *testing.T) {
	for _, from := range g1Versions() {
		for _, to := range g1Versions() {
			g1Bubble(t, fmt.Sprintf("%v to %v", from, to), func(t *testing.T) {
				s := g1Started(t, &mqttx.Server{Store: new(mqttest.MemStore)})
				sub := mqttest.Connect(t, s, g70Keep("sub", to))
				g70Topics(t, sub, "t")
				pub := mqttest.Connect(t, s, g70Keep("pub", from))
				const messages = 10
				for i := range messages {
					pub = n15SendCut(t, s, pub, fmt.Sprint(i), uint16(i+1))
				}
				n15ReceiveCut(t, s, sub, messages)
			})
		}
	}
}

// n15SendCut publishes at QoS 2; it loses its connection after each packet, before it can act on it.
func n15SendCut(t *testing.T, s *mqttx.Server, c *mqttest.Client, payload string, id uint16) *mqttest.Client {
	t.Helper()
	v := c.Version
	again := func() *mqttest.Client { c.Drop(); return g70Resume(t, s, "pub", v) }
	p := &packet.Publish{Topic: []byte("t"), Payload: []byte(payload), QoS: 2, PacketID: id}
	c.Send(p)
	g70ID(t, "PUBREC", mqttest.Expect[*packet.Pubrec](c).PacketID, id)
	c = again()
	p.Dup = true
	if code := g1Send(t, c, p); code >= 0x80 {
		t.Fatalf("PUBREC %v", code)
	}
	c.Send(&packet.Pubrel{PacketID: id})
	g70ID(t, "PUBCOMP", mqttest.Expect[*packet.Pubcomp](c).PacketID, id)
	c = again()
	c.Send(&packet.Pubrel{PacketID: id}) // of an id that is done with; both answers end it
	g70ID(t, "PUBCOMP", mqttest.Expect[*packet.Pubcomp](c).PacketID, id)
	return c
}

// n15ReceiveCut receives at QoS 2 as the standard tells a client to, and keeps its ids over the connections that it loses: the
// n-th one after n packets that come, so that each packet is the last one of some connection.
func n15ReceiveCut(t *testing.T, s *mqttx.Server, c *mqttest.Client, messages int) {
	t.Helper()
	v := c.Version
	known := map[uint16]bool{}
	var got []string
	for cut := 1; ; cut++ {
		c.Drop()
		c = g70Resume(t, s, "sub", v)
		if cut > 3*messages {
			break
		}
		for k := 1; k <= cut && s.Stats().Queued > 0; k++ {
			switch p := c.Next().(type) {
			case *packet.Publish:
				if !known[p.PacketID] {
					known[p.PacketID] = true
					got = append(got, string(p.Payload))
				}
				if k < cut {
					c.Send(&packet.Pubrec{PacketID: p.PacketID})
				}
			case *packet.Pubrel:
				delete(known, p.PacketID)
				if k < cut {
					c.Send(&packet.Pubcomp{PacketID: p.PacketID})
				}
			default:
				t.Fatalf("got %s", mqttest.Format(p))
			}
			mqttest.Advance(0)
		}
	}
	for i := range messages {
		if i >= len(got) || got[i] != fmt.Sprint(i) {
			t.Fatalf("received %q", got)
		}
	}
	if len(got) != messages {
		t.Errorf("received %q", got)
	}
	c.Nothing()
	if n := s.Stats().Queued; n != 0 {
		t.Errorf("%d queued", n)
	}
}
