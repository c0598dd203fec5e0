package mqttx_test

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/e8743928/mqttx"
)

type client struct {
	conn     *mqttx.Conn
	received int // no lock: one call at a time
}

func connect(ctx context.Context, r *mqttx.ConnectRequest) (*client, error) {
	log.Print("client connected: ", r.Client.ID)
	return &client{conn: r.Conn}, nil
}

func publish(ctx context.Context, c *client, m *mqttx.Message) error {
	log.Printf("received on %q: %q", m.Topic, m.Payload)
	c.received++
	return nil
}

func subscribe(ctx context.Context, c *client, s *mqttx.Subscription) error {
	s.QoS = min(s.QoS, 1) // granted
	return nil
}

func unsubscribe(ctx context.Context, c *client, s *mqttx.Subscription) error { return nil }

func disconnected(ctx context.Context, c *client, why error) {
	if errors.Is(why, mqttx.KeepAliveTimeout) {
		log.Print("lost: ", c.conn.ClientID())
		return
	}
	log.Printf("client disconnected: %s after %d messages: %v", c.conn.ClientID(), c.received, why)
}

type alarm string // what the application posts

func info(ctx context.Context, c *client, v any) error {
	if a, ok := v.(alarm); ok {
		return c.conn.Send(&mqttx.Message{Topic: "alarm", Payload: []byte(a), QoS: 1})
	}
	return nil
}

// The sample handler of the server guide: all its callbacks as plain functions, with a state for each connection.
func ExampleCallbacks() {
	srv := mqttx.Server{Handler: mqttx.Callbacks[*client]{
		Connect:      connect,
		Publish:      publish,
		Subscribe:    subscribe,
		Unsubscribe:  unsubscribe,
		Info:         info,
		Disconnected: disconnected,
	}}
	go func() {
		for range time.Tick(time.Minute) {
			for c := range srv.Conns() {
				c.Post(alarm("test"))
			}
		}
	}()
	log.Fatal(srv.ListenAndServe(":1883"))
}
