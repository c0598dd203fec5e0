package mqtt311_test

import (
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT311_3_3_1_5_RetainedIsReplaced(t *testing.T)  { script(t, "3.3.1-5") }
func TestMQTT311_3_3_1_6_RetainedPerTopic(t *testing.T)    { script(t, "3.3.1-6") }
func TestMQTT311_3_3_1_7_RetainedAtQoS0(t *testing.T)      { script(t, "3.3.1-7") }
func TestMQTT311_3_3_1_8_RetainIsSetOnReplay(t *testing.T) { script(t, "3.3.1-8") }
func TestMQTT311_3_3_1_9_RetainIsNotSetLive(t *testing.T)  { script(t, "3.3.1-9") }
func TestMQTT311_3_3_1_10_EmptyClears(t *testing.T)        { script(t, "3.3.1-10") }

func TestMQTT311_3_3_1_11_EmptyIsNotRetained(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		p := join(t, s, v, "p", true)
		p.Send(&packet.Publish{Topic: []byte("kept"), Payload: []byte("x"), Retain: true})
		for q := range mqttx.QoS(3) {
			p.Send(&packet.Publish{Topic: []byte("fresh"), Retain: true, QoS: q, PacketID: uint16(q)})
			if q > 0 {
				p.Next()
			}
		}
		gets(t, subscriber(t, s, v, "#"), "kept=x")
		if n := s.Stats().Retained; n != 1 {
			t.Errorf("%d retained messages, want 1", n)
		}
	})
}

func TestMQTT311_3_3_1_12_Retain0Touches0(t *testing.T) { script(t, "3.3.1-12") }

func TestMQTT311_3_3_2_1_TopicFirst(t *testing.T) {
	violations(t, cases{"ill-formed": `30 05 0002 c328 78`, "ill-formed at QoS 1": `32 07 0002 c328 0001 78`})
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		c := subscriber(t, s, v, "#")
		before := len(c.Raw())
		join(t, s, v, "p", true).Publish("\u00e9/t", "x", 1)
		mqttest.Expect[*packet.Publish](c)
		if got, want := c.Raw()[before:], octets(`32 09 "é/t" 0001 'x'`); string(got) != string(want) {
			t.Errorf("% x, want % x", got, want)
		}
	})
}

func TestMQTT311_3_3_2_2_NoWildcard(t *testing.T) {
	violations(t, cases{
		"plus": `30 05 "a/+"`, "hash": `30 05 "a/#"`, "within a level": `30 05 "a+b"`, "alone": `30 03 "#"`,
		"QoS 1": `32 07 "a/+" 0001`, "QoS 2, retained": `35 07 "a/#" 0001`,
	})
}

func TestMQTT311_3_3_2_3_TopicMatches(t *testing.T) { script(t, "3.3.2-3") }
func TestMQTT311_3_3_5_1_HighestQoS(t *testing.T)   { script(t, "3.3.5-1") }
func TestMQTT311_3_3_5_2_NotPermitted(t *testing.T) { script(t, "3.3.5-2") }
func TestMQTT311_7_0_0_2_PlainClient(t *testing.T)  { script(t, "7.0.0-2") }
