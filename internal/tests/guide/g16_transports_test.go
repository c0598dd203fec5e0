package guide_test

import (
	"bytes"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// The first connection gets its CONNACK.
func TestGuide_G16_FirstConnection(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		c := on.Start(t, g1Quiet(nil)).Dial()
		g1Code(t, "CONNACK", c.Connect(g1Connect("c", v)), mqttx.Success)
		c.Nothing()
	})
}

// Packets may be cut and joined at will.
func TestGuide_G16_CutAndJoined(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		c := on.Start(t, g1Quiet(nil)).Dial()
		c.Version = v
		var all []byte
		for _, p := range []packet.Packet{
			g1Connect("c", v),
			&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t", QoS: 1}}},
			&packet.Publish{Topic: []byte("t"), Payload: []byte("one"), QoS: 1, PacketID: 2},
			&packet.Publish{Topic: []byte("t"), Payload: []byte("two")},
			&packet.Pingreq{},
		} {
			b, err := p.Append(all, v)
			if err != nil {
				t.Fatal(err)
			}
			all = b
		}
		for i := range all[:40] {
			c.Write(all[i : i+1])
		}
		c.Write(all[40:])
		g1Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, mqttx.Success)
		g1Codes(t, "SUBACK", mqttest.Expect[*packet.Suback](c).Codes, 1)
		g1Got(t, c.Receive(), "t", "one", 1, false)
		g1Code(t, "PUBACK", mqttest.Expect[*packet.Puback](c).Code, mqttx.Success)
		g1Got(t, c.Receive(), "t", "two", 0, false)
		mqttest.Expect[*packet.Pingresp](c)
		c.Nothing()
	})
}

// A message of the largest size passes; one byte more is refused, and nothing of it is delivered.
func TestGuide_G16_Large(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		s := g1Quiet(nil)
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", mqttx.V5))
		other := n.Connect(g1Connect("other", mqttx.V311))
		other.Subscribe("t", 1)
		const head = 1 + 3 + 2 + 1 + 2 + 1 // fixed header, topic, packet id, property length
		payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)[:1<<20-head]
		g1Code(t, "PUBACK", c.Publish("t", string(payload), 1), mqttx.Success)
		if m := other.Receive(); !bytes.Equal(m.Payload, payload) {
			t.Errorf("%d bytes came, want the %d that were sent", len(m.Payload), len(payload))
		}
		c.Send(&packet.Publish{Topic: []byte("t"), Payload: append(payload, 'x'), QoS: 1, PacketID: 9})
		g1Bye(t, c, mqttx.PacketTooLarge)
		other.Nothing()
	})
}

// Sessions, retained messages, wills and takeover do not know the transport.
func TestGuide_G16_Sessions(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		n := on.Start(t, g1Quiet(nil))
		p := g1Connect("c", v)
		p.CleanStart = false
		p.Will = &packet.Will{Topic: "will", Payload: []byte("gone"), QoS: 1}
		if v == mqttx.V5 {
			p.SessionExpiryInterval = new(uint32(60))
		}
		c := n.Connect(p)
		c.Subscribe("t", 2)
		watch := n.Connect(g1Connect("watch", v))
		watch.Subscribe("will", 1)
		second := n.Connect(p)
		g1Bye(t, c, mqttx.SessionTakenOver)
		g1Got(t, watch.Receive(), "will", "gone", 1, false)
		if second.Connack.SessionPresent != (v != mqttx.V31) {
			t.Errorf("session present %v", second.Connack.SessionPresent)
		}
		second.Drop()
		g1Got(t, watch.Receive(), "will", "gone", 1, false)
		pub := n.Connect(g1Connect("pub", v))
		for q := mqttx.QoS(1); q <= 2; q++ {
			g1Code(t, "queued", pub.Publish("t", "waits", q), mqttx.Success)
		}
		pub.Send(&packet.Publish{Topic: []byte("r"), Payload: []byte("kept"), QoS: 1, PacketID: 900, Retain: true})
		mqttest.Expect[*packet.Puback](pub)
		third := n.Connect(p)
		g1Got(t, third.Receive(), "t", "waits", 1, false)
		g1Got(t, third.Receive(), "t", "waits", 2, false)
		g1Code(t, "SUBACK", third.Subscribe("r", 1), 1)
		g1Got(t, third.Receive(), "r", "kept", 1, true)
		third.Send(&packet.Disconnect{})
		third.Closed()
		watch.Nothing()
	})
}

// Errors end the connection, with a word if the version has one.
func TestGuide_G16_Errors(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		s := g1Quiet(nil)
		n := on.Start(t, s)
		for _, x := range []struct {
			name  string
			bytes []byte
			code  mqttx.ReasonCode
		}{
			{"packet type 0", []byte{0x00, 0x00}, mqttx.MalformedPacket},
			{"flags of SUBSCRIBE", []byte{0x80, 0x05, 0, 1, 0, 0, 0}, mqttx.MalformedPacket},
			{"second CONNECT", []byte{0x10, 0x0C, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 0}, mqttx.ProtocolError},
			{"packet of a server", []byte{0xD0, 0x00}, mqttx.ProtocolError},
		} {
			c := n.Connect(g1Connect("c", v))
			c.Write(x.bytes)
			c.Version = v // whatever a second CONNECT says
			g1Bye(t, c, x.code)
		}
		for name, first := range map[string][]byte{
			"PINGREQ": {0xC0, 0x00},
			"HTTP":    []byte("GET / HTTP/1.1\r\n\r\n"),
		} {
			c := n.Dial()
			c.Write(first)
			c.Closed()
			if got := c.Raw(); len(got) > 0 {
				t.Errorf("%s was answered with % x", name, got)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if st := s.Stats(); st.Connections != 0 || st.Sessions != 0 {
			t.Errorf("%d connections and %d sessions left", st.Connections, st.Sessions)
		}
	})
}

// Many at once: each gets all of the others' messages in order.
func TestGuide_G16_ManyAtOnce(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, g1Quiet(nil))
		const clients, messages = 4, 30
		var all []*mqttest.Client
		for i := range clients {
			c := n.Connect(g1Connect(string(rune('a'+i)), g1Versions()[i%3]))
			c.Subscribe("t/+", 1)
			all = append(all, c)
		}
		for i := range messages {
			for j, c := range all {
				c.Send(&packet.Publish{Topic: []byte{'t', '/', byte('a' + j)}, Payload: []byte{byte(i)}, QoS: 1, PacketID: uint16(1000 + i)})
			}
		}
		for _, c := range all {
			next := map[string]byte{}
			for range clients * messages {
				m := c.Receive()
				if from := string(m.Topic); m.Payload[0] != next[from] {
					t.Fatalf("%d of %s, want %d", m.Payload[0], from, next[from])
				}
				next[string(m.Topic)]++
			}
			for i := range messages {
				if ack := mqttest.Expect[*packet.Puback](c); ack.PacketID != uint16(1000+i) {
					t.Fatalf("PUBACK of %d, want %d", ack.PacketID, 1000+i)
				}
			}
			c.Nothing()
		}
	})
}
