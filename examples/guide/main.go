// Guide is the sample handler of the server guide in Go: what its callbacks do, on TCP, TLS and WebSocket.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/ws"
)

// client is the state of one connection.
type client struct {
	conn     *mqttx.Conn
	received int // no lock: one call at a time
}

func connect(ctx context.Context, r *mqttx.ConnectRequest) (*client, error) {
	log.Print("Client connected: ", r.Client.ID)
	return &client{conn: r.Conn}, nil
}

func publish(ctx context.Context, c *client, m *mqttx.Message) error {
	log.Printf("Received on %q: %s", m.Topic, m.Payload)
	c.received++
	return nil
}

func subscribe(ctx context.Context, c *client, s *mqttx.Subscription) error {
	return nil // grants what was asked for; s.QoS = 1 would grant less
}

func unsubscribe(ctx context.Context, c *client, s *mqttx.Subscription) error {
	return nil
}

func disconnected(ctx context.Context, c *client, why error) {
	if errors.Is(why, mqttx.KeepAliveTimeout) {
		log.Print("Client lost: ", c.conn.ClientID())
		return
	}
	log.Printf("Client disconnected: %s after %d messages: %v", c.conn.ClientID(), c.received, why)
}

func info(ctx context.Context, c *client, v any) error {
	if text, ok := v.(string); ok {
		return c.conn.Send(&mqttx.Message{Topic: "news", Payload: []byte(text)})
	}
	return nil
}

func main() {
	addr := flag.String("addr", ":1883", "address for TCP")
	secure := flag.String("tls", "", "address for TLS, with -cert and -key")
	web := flag.String("web", "", "address for WebSocket, path /mqtt")
	cert := flag.String("cert", "", "certificate file")
	key := flag.String("key", "", "key file")
	every := flag.Duration("news", time.Minute, "how often to push news to everybody")
	flag.Parse()

	srv := &mqttx.Server{Handler: mqttx.Callbacks[*client]{
		Connect:      connect,
		Publish:      publish,
		Subscribe:    subscribe,
		Unsubscribe:  unsubscribe,
		Info:         info,
		Disconnected: disconnected,
	}}
	go func() {
		for range time.Tick(*every) {
			for c := range srv.Conns() {
				c.Post("all is well")
			}
		}
	}()
	if *secure != "" {
		go func() { log.Fatal(srv.ListenAndServeTLS(*secure, *cert, *key)) }()
	}
	if *web != "" {
		l, err := net.Listen("tcp", *web)
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal((&ws.Handler{Server: srv}).Serve(l, "/mqtt")) }()
	}
	log.Fatal(srv.ListenAndServe(*addr))
}
