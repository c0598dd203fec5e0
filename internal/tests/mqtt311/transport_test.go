package mqtt311_test

import (
	"log/slog"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// TestMQTT311_7_1_1_1_Transports sends each byte in a write of its own, over every transport that the server has.
func TestMQTT311_7_1_1_1_Transports(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, &mqttx.Server{Handler: mqttx.AllowAnonymous(), Logger: slog.New(slog.DiscardHandler)})
		for _, v := range both {
			c := n.Dial()
			c.Version = v
			for _, b := range framed(0x10, connectBody(v, `02 "c"`)) {
				c.Write([]byte{b})
			}
			if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.Success || p.SessionPresent {
				t.Errorf("%v: %+v", v, p)
			}
			if code := c.Subscribe("t", 1); code != 1 {
				t.Errorf("%v: SUBACK %v", v, code)
			}
			for _, b := range octets(`32 07 "t" 0009 'xy'`) {
				c.Write([]byte{b})
			}
			if m := c.Receive(); string(m.Topic) != "t" || string(m.Payload) != "xy" {
				t.Errorf("%v: %+v", v, m)
			}
			if p := mqttest.Expect[*packet.Puback](c); p.PacketID != 9 {
				t.Errorf("%v: %+v", v, p)
			}
			c.Disconnect(mqttx.Success)
		}
	})
}
