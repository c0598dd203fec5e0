package testnet_test

import (
	"errors"
	"net"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestEach(t *testing.T) {
	seen := make(map[string]bool)
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		seen[on.String()] = true
		var s mqttx.Server
		n := on.Start(t, &s)
		if (n.Addr() == "") != (on == testnet.Pipe) {
			t.Errorf("address %q", n.Addr())
		}
		a := n.Connect(nil)
		b := n.Connect(&packet.Connect{ClientID: "b", Version: mqttx.V311, CleanStart: true})
		a.Subscribe("t", 1)
		b.Publish("t", "hello", 1)
		if m := a.Receive(); string(m.Payload) != "hello" {
			t.Errorf("got %q", m.Payload)
		}
		_, code := n.TryConnect(&packet.Connect{Version: mqttx.V31, CleanStart: true})
		if code != 2 {
			t.Errorf("CONNACK %v for an empty id in MQTT 3.1", code)
		}
		b.Disconnect(mqttx.Success)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if bye := mqttest.Expect[*packet.Disconnect](a); bye.Code != mqttx.ServerShuttingDown {
			t.Errorf("DISCONNECT %v", bye.Code)
		}
		a.Closed()
		if err := n.Served(); (err == nil) != (on == testnet.Pipe) || err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("served: %v", err)
		}
	})
	if len(seen) != 8 {
		t.Errorf("transports %v", seen)
	}
}
