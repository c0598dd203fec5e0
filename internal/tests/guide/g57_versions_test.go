package guide_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func g57Versions() []mqttx.Version { return []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5} }

// One server speaks all three versions, each with its own CONNACK, and messages pass between all of them.
func TestGuide_G57_AllPairs(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, &mqttx.Server{})
		clients := make(map[mqttx.Version]*mqttest.Client)
		for _, v := range g57Versions() {
			c := n.Connect(&packet.Connect{Version: v, ClientID: "c" + v.String(), CleanStart: true})
			if b := c.Raw(); v == mqttx.V5 {
				if len(b) < 5 || b[0] != 0x20 || int(b[1]) != len(b)-2 || b[2] != 0 || b[3] != 0 || int(b[4]) != len(b)-5 {
					t.Errorf("CONNACK of %v: % x", v, b)
				}
			} else if !bytes.Equal(b, []byte{0x20, 2, 0, 0}) {
				t.Errorf("CONNACK of %v: % x", v, b)
			}
			if code := c.Subscribe("to/"+v.String(), 2); code != 2 {
				t.Errorf("SUBACK of %v: %v", v, code)
			}
			clients[v] = c
		}
		for _, from := range g57Versions() {
			for _, to := range g57Versions() {
				for qos := range mqttx.QoS(3) {
					text := fmt.Sprintf("%v to %v at %d", from, to, qos)
					if code := clients[from].Publish("to/"+to.String(), text, qos); code != mqttx.Success {
						t.Errorf("%s: %v", text, code)
					}
					if p := clients[to].Receive(); string(p.Payload) != text || p.QoS != qos || string(p.Topic) != "to/"+to.String() {
						t.Errorf("%s: got %q at %d on %q", text, p.Payload, p.QoS, p.Topic)
					}
				}
			}
		}
		for _, c := range clients {
			c.Nothing()
		}
	})
}

// Clients before 5.0 get no property, byte for byte.
func TestGuide_G57_NoProperties(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "sub", CleanStart: true})
		sub.Subscribe("a", 1)
		before := len(sub.Raw())
		pub := mqttest.Connect(t, srv, nil)
		if code := g38Send(t, pub, &packet.Publish{
			Topic: []byte("a"), Payload: []byte("x"), QoS: 1, PacketID: 1, PayloadFormat: packet.FormatUTF8, HasMessageExpiry: true,
			MessageExpiryInterval: 60, ContentType: []byte("t"), ResponseTopic: []byte("r"), CorrelationData: []byte("d"),
			User: []packet.UserProperty{{Name: "n", Value: "v"}},
		}); code != mqttx.Success {
			t.Errorf("PUBACK %v", code)
		}
		mqttest.Advance(0)
		if b, want := sub.Raw()[before:], []byte{0x32, 6, 0, 1, 'a', 0, 1, 'x'}; !bytes.Equal(b, want) {
			t.Errorf("PUBLISH % x, want % x", b, want)
		}
	}, mqttx.V31, mqttx.V311)
}

// g57Connect is the CONNECT of a protocol name and a level that need not exist.
func g57Connect(name string, level byte) []byte {
	b := []byte{0x10, 0, 0, byte(len(name))}
	b = append(b, name...)
	b = append(b, level, 2, 0, 0)
	if name == "MQTT" && level > 4 && level < 0x80 {
		b = append(b, 0)
	}
	b = append(b, 0, 1, 'c')
	b[1] = byte(len(b) - 2)
	return b
}

// Levels that do not exist are told so, in the form that their clients may understand, on every transport.
func TestGuide_G57_OtherLevels(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		srv := &mqttx.Server{}
		n := on.Start(t, srv)
		for _, name := range []string{"MQTT", "MQIsdp"} {
			for _, level := range []byte{0, 1, 2} {
				c := n.Dial()
				c.Version = mqttx.V311
				c.Write(g57Connect(name, level))
				if p := mqttest.Expect[*packet.Connack](c); p.Code != 1 {
					t.Errorf("%s level %d: CONNACK %#x", name, level, byte(p.Code))
				}
				c.Closed()
				if b := c.Raw(); !bytes.Equal(b, []byte{0x20, 2, 0, 1}) {
					t.Errorf("%s level %d: % x", name, level, b)
				}
			}
		}
		for _, level := range []byte{6, 7, 0x7F} {
			c := n.Dial()
			c.Write(g57Connect("MQTT", level))
			if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.UnsupportedProtocolVersion || p.SessionPresent {
				t.Errorf("level %d: CONNACK %v", level, p.Code)
			}
			c.Closed()
		}
		if st := srv.Stats(); st.Sessions != 0 || st.Connections != 0 {
			t.Errorf("left: %+v", st)
		}
	})
}

// Bridges mark themselves in the level: they get no echo of their own messages and the RETAIN flag as it was published.
func TestGuide_G57_Bridge(t *testing.T) {
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		t.Run(fmt.Sprintf("level %#x", 0x80|byte(v)), func(t *testing.T) {
			testnet.Each(t, func(t *testing.T, on testnet.Transport) {
				n := on.Start(t, &mqttx.Server{})
				bridge := n.Dial()
				name := "MQTT"
				if v == mqttx.V31 {
					name = "MQIsdp"
				}
				bridge.Write(g57Connect(name, 0x80|byte(v)))
				bridge.Version = v
				if p := mqttest.Expect[*packet.Connack](bridge); p.Code != 0 {
					t.Fatalf("CONNACK %#x", byte(p.Code))
				}
				bridge.Subscribe("t", 1)
				plain := n.Connect(&packet.Connect{Version: v, ClientID: "plain", CleanStart: true})
				plain.Subscribe("t", 1)

				bridge.Publish("t", "own", 1)
				bridge.Nothing()
				if p := plain.Receive(); string(p.Payload) != "own" || p.Retain {
					t.Errorf("the others got %q, retain %v", p.Payload, p.Retain)
				}
				for _, retain := range []bool{true, false} {
					plain.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), Retain: retain})
					if p := bridge.Receive(); p.Retain != retain {
						t.Errorf("RETAIN %v came as %v", retain, p.Retain)
					}
					if p := plain.Receive(); p.Retain {
						t.Error("RETAIN is set for a client that is no bridge")
					}
				}
				bridge.Nothing()
				plain.Nothing()
			})
		})
	}
}
