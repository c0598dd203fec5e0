package guide_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n06Server notes the calls of Delivered.
func n06Server(t *testing.T) (*mqttx.Server, *g1Notes) {
	t.Helper()
	notes := &g1Notes{}
	return g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
		Delivered: func(_ context.Context, c *mqttx.Conn, m *mqttx.Message, code mqttx.ReasonCode) error {
			notes.add(fmt.Sprintf("%s %s %#.2x", c.ClientID(), m.Payload, byte(code)))
			return nil
		},
	}}), notes
}

// n06Sent has a message sent to c.
func n06Sent(t *testing.T, s *mqttx.Server, c *mqttest.Client, payload string, q mqttx.QoS) uint16 {
	t.Helper()
	if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: []byte(payload), QoS: q}); err != nil {
		t.Fatal(err)
	}
	if q == 0 {
		g1Got(t, c.Receive(), "t", payload, 0, false)
		return 0
	}
	return g70Publish(t, c, payload, q, false)
}

func TestGuide_N6_Codes(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s, notes := n06Server(t)
		c := mqttest.Connect(t, s, g1Connect("c", mqttx.V5))
		g70Topics(t, c, "t")
		n06Sent(t, s, c, "0", 0)
		c.Send(&packet.Puback{PacketID: n06Sent(t, s, c, "1", 1)})
		c.Nothing()
		notes.want(t, "c 1 0x00")
		c.Send(&packet.Puback{PacketID: n06Sent(t, s, c, "2", 1), Code: mqttx.PayloadFormatInvalid})
		c.Nothing()
		notes.want(t, "c 1 0x00", "c 2 0x99")
		id := n06Sent(t, s, c, "3", 2)
		c.Send(&packet.Pubrec{PacketID: id})
		mqttest.Expect[*packet.Pubrel](c)
		c.Nothing()
		notes.want(t, "c 1 0x00", "c 2 0x99")
		c.Send(&packet.Pubcomp{PacketID: id})
		c.Nothing()
		notes.want(t, "c 1 0x00", "c 2 0x99", "c 3 0x00")
		c.Send(&packet.Pubcomp{PacketID: id}) // it is over
		c.Send(&packet.Pubrec{PacketID: n06Sent(t, s, c, "4", 2), Code: mqttx.UnspecifiedError})
		c.Nothing()
		notes.want(t, "c 1 0x00", "c 2 0x99", "c 3 0x00", "c 4 0x80")
	})
}

func TestGuide_N6_V3(t *testing.T) {
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		g1Bubble(t, v.String(), func(t *testing.T) {
			s, notes := n06Server(t)
			c := mqttest.Connect(t, s, g1Connect("c", v))
			g70Topics(t, c, "t")
			n06Sent(t, s, c, "0", 0)
			c.Send(&packet.Puback{PacketID: n06Sent(t, s, c, "1", 1)})
			id := n06Sent(t, s, c, "2", 2)
			c.Send(&packet.Pubrec{PacketID: id})
			mqttest.Expect[*packet.Pubrel](c)
			c.Nothing()
			notes.want(t, "c 1 0x00")
			c.Send(&packet.Pubcomp{PacketID: id})
			c.Nothing()
			notes.want(t, "c 1 0x00", "c 2 0x00")
		})
	}
}

// A message that was sent again and acknowledged once, or twice, is delivered once.
func TestGuide_N6_Resent(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s, notes := n06Server(t)
		c := mqttest.Connect(t, s, g70Keep("c", v))
		g70Topics(t, c, "t")
		n06Sent(t, s, c, "x", 1)
		c.Drop()
		c = g70Resume(t, s, "c", v)
		id := g70Publish(t, c, "x", 1, true)
		notes.want(t)
		c.Send(&packet.Puback{PacketID: id})
		c.Send(&packet.Puback{PacketID: id})
		synctest.Wait()
		notes.want(t, "c x 0x00")
	})
}

// A live message has RETAIN as published only if the subscription says so; one that answers a SUBSCRIBE always has it.
func TestGuide_N9_RetainAsPublished(t *testing.T) {
	for _, as := range []bool{false, true} {
		g1Bubble(t, fmt.Sprint(as), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			g85Publish(t, s, "kept")
			c := mqttest.Connect(t, s, nil)
			g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 2, RetainAsPublished: as})
			g1Got(t, c.Receive(), "t", "kept", 1, true)
			g85Publish(t, s, "live")
			g1Got(t, c.Receive(), "t", "live", 1, as)
			mqttest.Connect(t, s, nil).Publish("t", "plain", 1)
			g1Got(t, c.Receive(), "t", "plain", 1, false)
			g85Publish(t, s, "") // clears the topic
			g1Got(t, c.Receive(), "t", "", 1, as)
			c.Nothing()
		})
	}
}

// So it is for what waited for the client, and v3 clients have no option.
func TestGuide_N9_Queued(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		for _, as := range []bool{false, true} {
			s := g1Started(t, &mqttx.Server{})
			c := mqttest.Connect(t, s, g70Keep("c", v))
			g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 2, RetainAsPublished: as})
			c.Drop()
			g85Publish(t, s, "waited")
			mqttest.Connect(t, s, nil).Publish("t", "plain", 1)
			c = g70Resume(t, s, "c", v)
			g1Got(t, c.Receive(), "t", "waited", 1, as && v == mqttx.V5)
			g1Got(t, c.Receive(), "t", "plain", 1, false)
			g84Subscribe(t, c, packet.Filter{Filter: "t", QoS: 1, RetainAsPublished: as})
			g1Got(t, c.Receive(), "t", "waited", 1, true)
		}
	})
}

// Packets that only a server sends end the connection.
func TestGuide_N12_ServersPackets(t *testing.T) {
	for _, p := range []packet.Packet{
		&packet.Connack{}, &packet.Suback{PacketID: 1, Codes: []mqttx.ReasonCode{0}}, &packet.Unsuback{PacketID: 1, Codes: []mqttx.ReasonCode{0}}, &packet.Pingresp{},
	} {
		t.Run(p.Type().String(), func(t *testing.T) {
			g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
				n12Ends(t, v, mqttx.ProtocolError, func(c *mqttest.Client) { c.Send(p) })
			})
		})
	}
}

// n12Ends has a client do something that ends its connection, with code in MQTT 5.0.
func n12Ends(t *testing.T, v mqttx.Version, code mqttx.ReasonCode, do func(c *mqttest.Client)) {
	t.Helper()
	s := g1Started(t, &mqttx.Server{})
	watch := g38Subscriber(t, s, "w", "w")
	c := mqttest.Connect(t, s, g73Will(v))
	do(c)
	g1Bye(t, c, code)
	c.Served()
	g38Gets(t, watch, "gone")
}

func TestGuide_N12_UnknownTypes(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		n12Ends(t, v, mqttx.MalformedPacket, func(c *mqttest.Client) { c.Write([]byte{0x00, 0}) })
	})
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		g1Bubble(t, "15 in "+v.String(), func(t *testing.T) {
			n12Ends(t, v, 0, func(c *mqttest.Client) { c.Write([]byte{0xF0, 0}) })
		})
	}
}

func TestGuide_N12_UnknownPubrel(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g1Connect("c", v))
		want := mqttx.Success
		if v == mqttx.V5 {
			want = mqttx.PacketIdentifierNotFound
		}
		g1Code(t, "PUBCOMP", g38Release(t, c, 77), want)
		c.Nothing()
		c.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](c)
	})
}
