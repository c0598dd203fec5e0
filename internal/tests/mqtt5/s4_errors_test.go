package mqtt5_test

import (
	"fmt"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_4_13_1_1_ErrorsClose(t *testing.T) {
	const malformed, protocol = mqttx.MalformedPacket, mqttx.ProtocolError
	offend(t,
		offence{"packet type 0", "00", malformed},
		offence{"Topic Name longer than the packet", "30 0005 74 00", malformed},
		offence{"QoS 3", `36 "t" 0001 00`, malformed},
		offence{"Packet Identifier 0 in PUBLISH", `32 "t" 0000 00`, protocol},
		offence{"no Packet Identifier", `32 "t"`, malformed},
		offence{"DUP at QoS 0", `38 "t" 00`, malformed},
		offence{"Property Length longer than the packet", `30 "t" 05 0100`, malformed},
		offence{"Property Length of five bytes", `30 "t" 8080808001`, malformed},
		offence{"unknown property", `30 "t" 02 7f00`, malformed},
		offence{"property of another packet", `30 "t" 03 210001`, protocol},
		offence{"property twice", `30 "t" 06 230001 230001`, protocol},
		offence{"Payload Format Indicator 2", `30 "t" 02 0102`, protocol},
		offence{"Topic Alias 0", `30 "t" 03 230000`, mqttx.TopicAliasInvalid},
		offence{"Topic Alias over the maximum", `30 "t" 03 23ffff`, mqttx.TopicAliasInvalid},
		offence{"Subscription Identifier from a client", `30 "t" 02 0b01`, protocol},
		offence{"Response Topic with a wildcard", `30 "t" 04 08 "#"`, protocol},
		offence{"Subscription Identifier 0", `82 0001 02 0b00 "a" 00`, protocol},
		offence{"Packet Identifier 0 in SUBSCRIBE", `82 0000 00 "a" 00`, protocol},
		offence{"Packet Identifier 0 in UNSUBSCRIBE", `a2 0000 00 "a"`, protocol},
		offence{"bytes behind the filters", `a2 0001 00 "a" 00`, malformed},
		offence{"PUBACK of one byte", "40 00", malformed},
		offence{"flags of PUBACK", "41 0001", malformed},
		offence{"flags of PINGREQ", "c1", malformed},
		offence{"PINGREQ with a body", "c0 00", malformed},
		offence{"CONNACK from a client", "20 0000 00", protocol},
		offence{"SUBACK from a client", "90 0001 00 00", protocol},
		offence{"UNSUBACK from a client", "b0 0001 00 00", protocol},
		offence{"PINGRESP from a client", "d0", protocol},
		offence{"second CONNECT", `10 "MQTT" 05 02 0000 00 "d"`, protocol},
		offence{"longer Session Expiry Interval in DISCONNECT than none", "e0 00 05 11 00000001", protocol},
		offence{"AUTH without a method", "f0 19 00", protocol},
	)
	play(t, "4.13.1-1")
}

func TestMQTT5_4_13_2_1_FailureCloses(t *testing.T) {
	play(t, "4.13.2-1")
	virtually(t, "DISCONNECT with each failure", func(t *testing.T, s *mqttx.Server) {
		other := enter(t, s, "other", "w")
		for _, code := range []mqttx.ReasonCode{0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99} {
			c := mqttest.Connect(t, s, &packet.Connect{
				ClientID: "c", CleanStart: true, Will: &packet.Will{Topic: "w", Payload: fmt.Appendf(nil, "%02x", byte(code))},
			})
			c.Send(&packet.Disconnect{Code: code})
			c.Closed()
			takes(t, other, fmt.Sprintf("w=%02x", byte(code)))
		}
	})
}
