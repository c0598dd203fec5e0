package mqttest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// lamp is the state of a connection in a program's own handler.
type lamp struct{ floor string }

func connectLamp(_ context.Context, r *mqttx.ConnectRequest) (*lamp, error) {
	floor, _, ok := strings.Cut(r.Client.ID, "-")
	if !ok {
		return nil, mqttx.ClientIdentifierNotValid
	}
	return &lamp{floor}, nil
}

func publishLamp(_ context.Context, l *lamp, m *mqttx.Message) error {
	if !strings.HasPrefix(m.Topic, l.floor+"/") {
		return mqttx.NotAuthorized
	}
	return nil
}

// NewHandler is what the program gives to its server.
func NewHandler() mqttx.Handler {
	return mqttx.Callbacks[*lamp]{Connect: connectLamp, Publish: publishLamp}
}

// The tests of that handler.
func TestFloors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no sockets, no waiting
		srv := mqttest.NewServer(t, NewHandler())
		if _, code := mqttest.TryConnect(t, srv, &packet.Connect{ClientID: "lamp"}); code != mqttx.ClientIdentifierNotValid {
			t.Errorf("CONNACK %v", code)
		}
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "third-lamp"})
		c.Subscribe("#", 1)
		if code := c.Publish("second/lamp", "on", 1); code != mqttx.NotAuthorized {
			t.Errorf("PUBACK %v", code)
		}
		if code := c.Publish("second/lamp", "on", 2); code != mqttx.NotAuthorized {
			t.Errorf("PUBREC %v", code)
		}
		c.Nothing()
		c.Publish("third/lamp", "on", 1)
		if m := c.Receive(); string(m.Payload) != "on" {
			t.Errorf("got %q", m.Payload)
		}
	})
}

func TestPublish(t *testing.T) { // a callback is a function: it needs no server
	err := publishLamp(t.Context(), &lamp{"third"}, &mqttx.Message{Topic: "second/lamp"})
	if mqttx.CodeOf(err) != mqttx.NotAuthorized {
		t.Error(err)
	}
}

// A keep alive passes in no time.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mqttest.Connect(t, mqttest.NewServer(t, NewHandler()), &packet.Connect{ClientID: "first-lamp", KeepAlive: 60})
		mqttest.Advance(89 * time.Second)
		c.Nothing()
		mqttest.Advance(2 * time.Second)
		if p := mqttest.Expect[*packet.Disconnect](c); p.Code != mqttx.KeepAliveTimeout {
			t.Errorf("DISCONNECT %v", p.Code)
		}
		c.Closed()
	})
}
