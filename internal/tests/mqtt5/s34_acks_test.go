package mqtt5_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_4_2_1_PubackCodes(t *testing.T) {
	publishCodes(t, 1)
	offend(t, offence{"0x01 is of no PUBACK", "40 0001 01", mqttx.ProtocolError},
		offence{"0x92 is of PUBREL and PUBCOMP", "40 0001 92", mqttx.ProtocolError})
}

func TestMQTT5_3_5_2_1_PubrecCodes(t *testing.T) {
	publishCodes(t, 2)
	offend(t, offence{"0x01 is of no PUBREC", "50 0001 01", mqttx.ProtocolError},
		offence{"0x92 is of PUBREL and PUBCOMP", "50 0001 92", mqttx.ProtocolError})
}

// publishCodes provokes the codes of PUBACK and PUBREC. A code of the handler that is not for them becomes UnspecifiedError,
// or ends the connection if it is one for DISCONNECT.
func publishCodes(t *testing.T, q mqttx.QoS) {
	t.Helper()
	virtually(t, "codes", func(t *testing.T, s *mqttx.Server) {
		sub := enter(t, s, "sub", "t", "code/+", "text/#")
		c := enter(t, s, "c")
		for topic, want := range map[string]mqttx.ReasonCode{
			"t": mqttx.Success, "nobody": mqttx.NoMatchingSubscribers, "text/1/1": mqttx.NotAuthorized,
			"code/80": 0x80, "code/83": 0x83, "code/87": 0x87, "code/90": 0x90, "code/91": 0x91, "code/97": 0x97, "code/99": 0x99,
			"code/00": 0x80, "code/10": 0x80, "code/11": 0x80, "code/84": 0x80, "code/92": 0x80, "code/ff": 0x80,
		} {
			if code := c.Publish(topic, "x", q); code != want {
				t.Errorf("PUBLISH %s: %v, want %v", topic, code, want)
			}
		}
		c.Nothing()
		takes(t, sub, "t=x")
		for topic, want := range map[string]mqttx.ReasonCode{"code/8f": 0x8F, "code/93": 0x93, "code/98": 0x98, "code/a2": 0xA2} {
			c := enter(t, s, topic)
			c.Send(&packet.Publish{Topic: []byte(topic), QoS: q, PacketID: 1})
			if d := mqttest.Expect[*packet.Disconnect](c); d.Code != want {
				t.Errorf("PUBLISH %s: DISCONNECT with %v, want %v", topic, d.Code, want)
			}
			c.Closed()
		}
		takes(t, sub)
	})
}

// asker provokes an answer with a Reason String and a User Property of these lengths, and gives what came of them.
type asker func(t *testing.T, s *mqttx.Server, c *mqttest.Client, text, value int) (string, []mqttx.UserProperty)

// reasonFits shows that a Reason String comes as long as the answer, of bare bytes without texts, is within the client's
// Maximum Packet Size.
func reasonFits(t *testing.T, bare int, ask asker) {
	t.Helper()
	textFits(t, "Reason String of the last size", ask, textLimit-bare-3, 0, true, false)
	textFits(t, "Reason String one byte too long", ask, textLimit-bare-2, 0, false, false)
	textFits(t, "nothing fits", ask, 100, 100, false, false)
}

// propertyFits is reasonFits for User Properties, which are left out first.
func propertyFits(t *testing.T, bare int, ask asker) {
	t.Helper()
	textFits(t, "User Property of the last size", ask, 0, textLimit-bare-6, false, true)
	textFits(t, "User Property one byte too long", ask, 0, textLimit-bare-5, false, false)
	textFits(t, "both of the last size", ask, 10, textLimit-bare-13-6, true, true)
	textFits(t, "both one byte too long", ask, 10, textLimit-bare-13-5, true, false)
	textFits(t, "nothing fits", ask, 100, 100, false, false)
}

const textLimit = 40

func textFits(t *testing.T, name string, ask asker, text, value int, hasText, hasProperty bool) {
	t.Helper()
	virtually(t, name, func(t *testing.T, s *mqttx.Server) {
		c := mqttest.Connect(t, s, &packet.Connect{ClientID: "c", CleanStart: true, MaximumPacketSize: textLimit})
		gotText, user := ask(t, s, c, text, value)
		for b := c.Raw(); len(b) > 0; {
			body, n := binary.Uvarint(b[1:])
			size := 1 + n + int(body)
			if size > textLimit {
				t.Errorf("%d bytes, the limit is %d: % x", size, textLimit, b[:size])
			}
			b = b[size:]
		}
		if hasText != (gotText != "") || hasText && len(gotText) != text {
			t.Errorf("Reason String of %d bytes, %d were given", len(gotText), text)
		}
		if hasProperty != (len(user) > 0) || hasProperty && len(user[0].Value) != value {
			t.Errorf("User Properties %v, %d bytes were given", user, value)
		}
	})
}

func TestMQTT5_3_4_2_2_PubackReasonString(t *testing.T)    { reasonFits(t, 6, askPuback) }
func TestMQTT5_3_4_2_3_PubackUserProperty(t *testing.T)    { propertyFits(t, 6, askPuback) }
func TestMQTT5_3_5_2_2_PubrecReasonString(t *testing.T)    { reasonFits(t, 6, askPubrec) }
func TestMQTT5_3_5_2_3_PubrecUserProperty(t *testing.T)    { propertyFits(t, 6, askPubrec) }
func TestMQTT5_3_9_2_1_SubackReasonString(t *testing.T)    { reasonFits(t, 6, askSuback) }
func TestMQTT5_3_9_2_2_SubackUserProperty(t *testing.T)    { propertyFits(t, 6, askSuback) }
func TestMQTT5_3_11_2_1_UnsubackReasonString(t *testing.T) { reasonFits(t, 6, askUnsuback) }
func TestMQTT5_3_11_2_2_UnsubackUserProperty(t *testing.T) { propertyFits(t, 6, askUnsuback) }

// wordy is a topic that the server refuses with texts of these lengths.
func wordy(text, value int) string { return fmt.Sprintf("text/%d/%d", text, value) }

func askPuback(t *testing.T, _ *mqttx.Server, c *mqttest.Client, text, value int) (string, []mqttx.UserProperty) {
	c.Send(&packet.Publish{Topic: []byte(wordy(text, value)), QoS: 1, PacketID: 1})
	p := mqttest.Expect[*packet.Puback](c)
	if p.Code != mqttx.NotAuthorized || p.PacketID != 1 {
		t.Errorf("PUBACK %d with %v", p.PacketID, p.Code)
	}
	return p.ReasonString, p.User
}

func askPubrec(t *testing.T, _ *mqttx.Server, c *mqttest.Client, text, value int) (string, []mqttx.UserProperty) {
	c.Send(&packet.Publish{Topic: []byte(wordy(text, value)), QoS: 2, PacketID: 1})
	p := mqttest.Expect[*packet.Pubrec](c)
	if p.Code != mqttx.NotAuthorized || p.PacketID != 1 {
		t.Errorf("PUBREC %d with %v", p.PacketID, p.Code)
	}
	return p.ReasonString, p.User
}

func askSuback(t *testing.T, _ *mqttx.Server, c *mqttest.Client, text, value int) (string, []mqttx.UserProperty) {
	c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: wordy(text, value)}}})
	p := mqttest.Expect[*packet.Suback](c)
	if !slices.Equal(p.Codes, []mqttx.ReasonCode{mqttx.NotAuthorized}) || p.PacketID != 1 {
		t.Errorf("SUBACK %d with %v", p.PacketID, p.Codes)
	}
	return p.ReasonString, p.User
}

func askUnsuback(t *testing.T, _ *mqttx.Server, c *mqttest.Client, text, value int) (string, []mqttx.UserProperty) {
	filter := "keep/" + wordy(text, value)
	if code := c.Subscribe(filter, 0); code != 0 {
		t.Errorf("SUBSCRIBE: %v", code)
	}
	c.Send(&packet.Unsubscribe{PacketID: 1, Filters: []string{filter}})
	p := mqttest.Expect[*packet.Unsuback](c)
	if !slices.Equal(p.Codes, []mqttx.ReasonCode{mqttx.NotAuthorized}) || p.PacketID != 1 {
		t.Errorf("UNSUBACK %d with %v", p.PacketID, p.Codes)
	}
	return p.ReasonString, p.User
}

func TestMQTT5_3_6_1_1_PubrelFlags(t *testing.T) {
	play(t, "3.6.1-1")
	offend(t,
		offence{"0x60", "60 0001", mqttx.MalformedPacket}, offence{"0x61", "61 0001", mqttx.MalformedPacket},
		offence{"0x63", "63 0001", mqttx.MalformedPacket}, offence{"0x6A", "6a 0001", mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_6_2_1_PubrelCodes(t *testing.T) {
	play(t, "3.6.2-1")
	offend(t, offence{"0x10 is of no PUBREL", "62 0001 10", mqttx.ProtocolError}, offence{"0x80 is of no PUBREL", "62 0001 80", mqttx.ProtocolError})
}

func TestMQTT5_3_7_2_1_PubcompCodes(t *testing.T) {
	play(t, "3.7.2-1")
	offend(t, offence{"0x10 is of no PUBCOMP", "70 0001 10", mqttx.ProtocolError}, offence{"0x80 is of no PUBCOMP", "70 0001 80", mqttx.ProtocolError})
}

// The server adds no texts to PUBREL and PUBCOMP, whatever the client takes.
func TestMQTT5_3_6_2_2_PubrelReasonString(t *testing.T)  { play(t, "3.6.2-2") }
func TestMQTT5_3_6_2_3_PubrelUserProperty(t *testing.T)  { play(t, "3.6.2-3") }
func TestMQTT5_3_7_2_2_PubcompReasonString(t *testing.T) { play(t, "3.7.2-2") }
func TestMQTT5_3_7_2_3_PubcompUserProperty(t *testing.T) { play(t, "3.7.2-3") }
