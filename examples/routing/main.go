// Routing takes part in the traffic from inside the server: it subscribes in process, answers with a message of its own,
// and keeps it as the retained one.
package main

import (
	"context"
	"flag"
	"log"
	"strings"

	"github.com/e8743928/mqttx"
)

// shout publishes everything that comes on say/# once more, in capitals, on shout/#.
func shout(ctx context.Context, srv *mqttx.Server) error {
	messages, err := srv.Subscribe(ctx, "say/#")
	if err != nil {
		return err
	}
	for m := range messages {
		err := srv.Publish(ctx, &mqttx.Message{
			Topic:   "shout/" + strings.TrimPrefix(m.Topic, "say/"),
			Payload: []byte(strings.ToUpper(string(m.Payload))),
			QoS:     m.QoS, Retain: true,
		})
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func main() {
	addr := flag.String("addr", ":1883", "address to listen on")
	flag.Parse()
	var srv mqttx.Server
	go func() { log.Print(shout(context.Background(), &srv)) }()
	log.Fatal(srv.ListenAndServe(*addr))
}
