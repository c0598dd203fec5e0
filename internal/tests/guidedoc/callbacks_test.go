package guidedoc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

type client struct{}

// TestPush shows Post, Info and Send.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		info := func(ctx context.Context, c *mqttx.Conn, v any) error {
			return c.Send(&mqttx.Message{Topic: "news", Payload: []byte(v.(string)), QoS: 1})
		}
		srv := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{Info: info})
		a := mqttest.Connect(t, srv, nil)

		for c := range srv.Conns() {
			c.Post("all is well")
		}

		if m := a.Receive(); string(m.Topic) != "news" || string(m.Payload) != "all is well" {
			t.Errorf("got %s %s", m.Topic, m.Payload)
		}
	})
}

// TestDisconnectFromCallback shows a forbidden topic.
func TestDisconnectFromCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forbidden := func(topic string) bool { return topic == "secret" }

		publish := func(ctx context.Context, c *client, m *mqttx.Message) error {
			if forbidden(m.Topic) {
				return mqttx.Disconnect(&mqttx.Error{Code: mqttx.AdministrativeAction, Text: "hands off"})
			}
			return nil
		}

		srv := mqttest.NewServer(t, mqttx.Callbacks[*client]{Publish: publish})
		c := mqttest.Connect(t, srv, nil)
		c.Send(&packet.Publish{Topic: []byte("secret")})
		if d := mqttest.Expect[*packet.Disconnect](c); d.Code != mqttx.AdministrativeAction || d.ReasonString != "hands off" {
			t.Errorf("DISCONNECT %+v", d)
		}
	})
}

// TestKick shows the same from outside.
func TestKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqttest.NewServer(t, nil)
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "lamp"})

		err := srv.Disconnect("lamp", mqttx.AdministrativeAction)
		if errors.Is(err, mqttx.ErrNoClient) {
			t.Log("the lamp is not connected")
		}

		if d := mqttest.Expect[*packet.Disconnect](c); d.Code != mqttx.AdministrativeAction {
			t.Errorf("DISCONNECT %+v", d)
		}
		if err := srv.Disconnect("nobody", mqttx.AdministrativeAction); !errors.Is(err, mqttx.ErrNoClient) {
			t.Error(err)
		}
	})
}

type sessions struct{ gone chan string }

func (s *sessions) Delete(id string) { s.gone <- id }

// TestSessionExpired shows the callback for an application's own data.
func TestSessionExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sessions{make(chan string, 1)}

		expired := func(ctx context.Context, c mqttx.Client) {
			store.Delete(c.ID) // the server's own data of the session is gone already
		}
		handler := mqttx.Callbacks[*client]{SessionExpired: expired}

		srv := mqttest.NewServer(t, handler)
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "lamp", SessionExpiryInterval: new(uint32(60))})
		c.Drop()
		mqttest.Advance(time.Minute)
		if id := <-store.gone; id != "lamp" {
			t.Errorf("%q has expired", id)
		}
	})
}

// TestKeepAlive shows the reason of Disconnected.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := make(chan string, 1)

		disconnected := func(ctx context.Context, c *mqttx.Conn, why error) {
			if errors.Is(why, mqttx.KeepAliveTimeout) {
				lost <- c.ClientID()
			}
		}

		srv := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{Disconnected: disconnected})
		mqttest.Connect(t, srv, &packet.Connect{ClientID: "lamp", KeepAlive: 10})
		mqttest.Advance(15 * time.Second)
		if id := <-lost; id != "lamp" {
			t.Errorf("lost %q", id)
		}
	})
}
