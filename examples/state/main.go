// State keeps a value for each connection: it counts what a client publishes and allows ten messages.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/e8743928/mqttx"
)

// client is what the server keeps for one connection. It needs no lock: calls for one connection never overlap.
type client struct {
	name string
	sent int
}

func connect(ctx context.Context, r *mqttx.ConnectRequest) (*client, error) {
	return &client{name: r.Client.ID}, nil
}

func publish(ctx context.Context, c *client, m *mqttx.Message) error {
	if c.sent++; c.sent > 10 {
		return mqttx.Disconnect(&mqttx.Error{Code: mqttx.QuotaExceeded, Text: "ten messages at most"})
	}
	return nil
}

func disconnected(ctx context.Context, c *client, why error) {
	log.Printf("%s sent %d messages: %v", c.name, c.sent, why)
}

func main() {
	addr := flag.String("addr", ":1883", "address to listen on")
	flag.Parse()
	srv := mqttx.Server{Handler: mqttx.Callbacks[*client]{
		Connect: connect, Publish: publish, Disconnected: disconnected,
	}}
	log.Fatal(srv.ListenAndServe(*addr))
}
