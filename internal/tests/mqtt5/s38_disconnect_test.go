package mqtt5_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_12_4_1_Pingresp(t *testing.T) { play(t, "3.12.4-1") }

func TestMQTT5_3_14_0_1_NoDisconnectBeforeConnack(t *testing.T) {
	first := map[string]func(c *mqttest.Client, s *mqttx.Server){
		"bad CONNECT flags": func(c *mqttest.Client, _ *mqttx.Server) { c.Write(raw(t, `10 "MQTT" 05 01 0000 00 "c"`)) },
		"level 6":           func(c *mqttest.Client, _ *mqttx.Server) { c.Write(raw(t, `10 "MQTT" 06 02 0000 00 "c"`)) },
		"no CONNECT":        func(c *mqttest.Client, _ *mqttx.Server) { c.Write(raw(t, `30 "t" 00`)) },
		"no packet":         func(c *mqttest.Client, _ *mqttx.Server) { c.Write([]byte{0xF0, 0x80, 0x80, 0x80, 0x80, 0x01}) },
		"silence":           func(*mqttest.Client, *mqttx.Server) { mqttest.Advance(time.Minute) },
		"shutdown":          func(_ *mqttest.Client, s *mqttx.Server) { s.Shutdown(context.Background()) },
	}
	inAuth := map[string]func(c *mqttest.Client, s *mqttx.Server){
		"failed authentication": func(c *mqttest.Client, _ *mqttx.Server) {
			c.Send(&packet.Auth{Code: mqttx.ContinueAuthentication, AuthenticationMethod: "two", AuthenticationData: []byte("wrong")})
		},
		"PUBLISH while authenticating": func(c *mqttest.Client, _ *mqttx.Server) { c.Write(raw(t, `30 "t" 00`)) },
		"second CONNECT":               func(c *mqttest.Client, _ *mqttx.Server) { c.Write(raw(t, `10 "MQTT" 05 02 0000 00 "c"`)) },
		"malformed AUTH":               func(c *mqttest.Client, _ *mqttx.Server) { c.Write(raw(t, `f0 18 05`)) },
		"silence while authenticating": func(*mqttest.Client, *mqttx.Server) { mqttest.Advance(time.Minute) },
		"shutdown":                     func(_ *mqttest.Client, s *mqttx.Server) { s.Shutdown(context.Background()) },
	}
	check := func(t *testing.T, s *mqttx.Server, c *mqttest.Client, skip int) {
		t.Helper()
		synctest.Wait()
		if err := c.Served(); err == nil {
			t.Error("served without an error")
		}
		got := c.Raw()[skip:]
		if len(got) > 0 && (got[0] != 0x20 || got[3] < 0x80 || int(got[1]) != len(got)-2) {
			t.Errorf("% x, want nothing or CONNACK with a failure", got)
		}
		if st := s.Stats(); st.Connections != 0 || st.Sessions != 0 {
			t.Errorf("%+v stays behind", st)
		}
	}
	for name, do := range first {
		virtually(t, name, func(t *testing.T, s *mqttx.Server) {
			c := mqttest.Dial(t, s)
			do(c, s)
			check(t, s, c, 0)
		})
	}
	for name, do := range inAuth {
		virtually(t, name, func(t *testing.T, s *mqttx.Server) {
			c := mqttest.Dial(t, s)
			c.Send(&packet.Connect{Version: mqttx.V5, ClientID: "c", AuthenticationMethod: "two", AuthenticationData: []byte("hello")})
			mqttest.Expect[*packet.Auth](c)
			skip := len(c.Raw())
			do(c, s)
			check(t, s, c, skip)
		})
	}
}

func TestMQTT5_3_14_1_1_DisconnectFlags(t *testing.T) {
	offend(t,
		offence{"0xE1", "e1", mqttx.MalformedPacket}, offence{"0xE2 with Normal disconnection", "e2 00", mqttx.MalformedPacket},
		offence{"0xE8", "e8 00 00", mqttx.MalformedPacket},
	)
}

func TestMQTT5_3_14_2_1_DisconnectCodes(t *testing.T) {
	play(t, "3.14.2-1")
	offend(t, offence{"0x03 is of no DISCONNECT", "e0 03", mqttx.ProtocolError}, offence{"0x84 is of CONNACK", "e0 84", mqttx.ProtocolError})
	listed := []mqttx.ReasonCode{
		0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B,
		0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
		0x8C, // by the table of all codes
	}
	virtually(t, "every code", func(t *testing.T, s *mqttx.Server) {
		for n := range 256 {
			code := mqttx.ReasonCode(n)
			c := enter(t, s, "c")
			err := s.Disconnect("c", code)
			if !slices.Contains(listed, code) {
				if err == nil {
					t.Errorf("the server may send %v", code)
				}
				c.Nothing()
				c.Disconnect(0)
				continue
			}
			if d := mqttest.Expect[*packet.Disconnect](c); err != nil || d.Code != code {
				t.Errorf("%v: DISCONNECT with %v, error %v", code, d.Code, err)
			}
			c.Closed()
		}
	})
}

func TestMQTT5_3_14_2_2_NoSessionExpiry(t *testing.T) {
	play(t, "3.14.2-2")
	virtually(t, "shutdown and kick", func(t *testing.T, s *mqttx.Server) {
		kicked, stays := resume(t, s, "kicked"), resume(t, s, "stays")
		if err := s.Disconnect("kicked", mqttx.AdministrativeAction); err != nil {
			t.Error(err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		for c, code := range map[*mqttest.Client]mqttx.ReasonCode{kicked: mqttx.AdministrativeAction, stays: mqttx.ServerShuttingDown} {
			if d := mqttest.Expect[*packet.Disconnect](c); d.SessionExpiryInterval != nil || d.Code != code {
				t.Errorf("%s", mqttest.Format(d))
			}
			c.Closed()
		}
	})
}

func TestMQTT5_3_14_2_3_DisconnectReasonString(t *testing.T) {
	play(t, "3.14.2-3")
	reasonFits(t, 4, askDisconnect)
}

func TestMQTT5_3_14_2_4_DisconnectUserProperty(t *testing.T) {
	play(t, "3.14.2-3")
	propertyFits(t, 4, askDisconnect)
}

func askDisconnect(t *testing.T, s *mqttx.Server, c *mqttest.Client, text, value int) (string, []mqttx.UserProperty) {
	if err := s.Disconnect("c", refusal(text, value)); err != nil {
		t.Error(err)
	}
	d := mqttest.Expect[*packet.Disconnect](c)
	if d.Code != mqttx.NotAuthorized {
		t.Errorf("DISCONNECT with %v", d.Code)
	}
	c.Closed()
	return d.ReasonString, d.User
}

func TestMQTT5_3_14_4_1_NothingFollows(t *testing.T) {
	play(t, "3.14.4-1")
	virtually(t, "takeover during a flood", func(t *testing.T, s *mqttx.Server) {
		c, p := enter(t, s, "c", "t"), enter(t, s, "p")
		message := raw(t, `30 "t" 00 2e`)
		p.Write(bytes.Repeat(message, 2000))
		second := mqttest.Dial(t, s)
		second.Send(&packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true})
		p.Write(bytes.Repeat(message, 2000))
		for {
			m, ok := c.Next().(*packet.Publish)
			if !ok {
				break
			}
			if string(m.Topic) != "t" {
				t.Fatalf("%s", mqttest.Format(m))
			}
		}
		if end := c.Raw(); !bytes.HasSuffix(end, []byte{0xE0, 1, 0x8E}) && !bytes.HasSuffix(end, []byte{0xE0, 2, 0x8E, 0}) {
			t.Errorf("the last bytes are % x", end[len(end)-10:])
		}
		c.Closed()
		mqttest.Expect[*packet.Connack](second)
		second.Nothing()
	})
	virtually(t, "a message for a client that is being disconnected", func(t *testing.T, s *mqttx.Server) {
		c := enter(t, s, "c", "t")
		conn, _ := s.Conn("c")
		if err := conn.Disconnect(mqttx.ServerBusy); err != nil {
			t.Error(err)
		}
		if err := conn.Send(&mqttx.Message{Topic: "t"}); err == nil {
			t.Error("a message was sent")
		}
		if err := conn.Disconnect(mqttx.ServerBusy); err == nil {
			t.Error("a second DISCONNECT was sent")
		}
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t"}); err != nil {
			t.Error(err)
		}
		mqttest.Expect[*packet.Disconnect](c)
		c.Closed()
	})
}

func TestMQTT5_3_14_4_2_SenderCloses(t *testing.T) {
	play(t, "3.14.4-2")
	virtually(t, "a client that does not read", func(t *testing.T, s *mqttx.Server) {
		c := enter(t, s, "c")
		c.StopReading()
		begin := time.Now()
		enter(t, s, "c")
		c.Closed()
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
	virtually(t, "who sent it", func(t *testing.T, s *mqttx.Server) {
		c := enter(t, s, "c")
		c.Send(&packet.Disconnect{})
		c.Closed()
		var by *mqttx.DisconnectError
		if err := c.Served(); !errors.As(err, &by) || by.By != mqttx.ByClient || by.Code != mqttx.NormalDisconnection {
			t.Errorf("%v", err)
		}
	})
}

func TestMQTT5_3_14_4_3_WillDiscarded(t *testing.T) { play(t, "3.14.4-3") }

func TestMQTT5_3_15_1_1_AuthFlags(t *testing.T) {
	play(t, "3.15.1-1")
	offend(t, offence{"without an exchange", `f1 18 00`, mqttx.MalformedPacket})
}

func TestMQTT5_3_15_2_1_AuthCodes(t *testing.T)        { play(t, "3.15.2-1") }
func TestMQTT5_3_15_2_2_AuthReasonString(t *testing.T) { play(t, "3.15.2-2") }
func TestMQTT5_3_15_2_3_AuthUserProperty(t *testing.T) { play(t, "3.15.2-3") }
