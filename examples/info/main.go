// Info pushes a message to every connected client from outside its callbacks: Post brings a value to the connection, Info
// receives it there, Send answers.
package main

import (
	"context"
	"flag"
	"log"
	"time"

	"github.com/e8743928/mqttx"
)

func info(ctx context.Context, c *mqttx.Conn, v any) error {
	if t, ok := v.(time.Time); ok {
		if err := c.Send(&mqttx.Message{Topic: "clock", Payload: []byte(t.Format(time.RFC3339))}); err != nil {
			log.Print(c.ClientID(), ": ", err)
		}
	}
	return nil
}

func main() {
	addr := flag.String("addr", ":1883", "address to listen on")
	every := flag.Duration("every", time.Second, "how often to tell the time")
	flag.Parse()
	srv := mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{Info: info}}
	go func() {
		for t := range time.Tick(*every) {
			for c := range srv.Conns() {
				c.Post(t)
			}
		}
	}()
	log.Fatal(srv.ListenAndServe(*addr))
}
