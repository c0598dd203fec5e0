// Mochi runs a mochi-mqtt broker for bench/compare. It is a module of its own, so that nobody else gets its dependencies.
package main

import (
	"flag"
	"io"
	"log"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	address := flag.String("listen", "127.0.0.1:1883", "where to listen")
	flag.Parse()

	// Its queue for a client stays as it is by default: memory for all of it is taken with each connection.
	limits := mqtt.NewDefaultServerCapabilities()
	limits.ReceiveMaximum = math.MaxUint16
	limits.MaximumInflight = math.MaxUint16
	s := mqtt.New(&mqtt.Options{Capabilities: limits, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		log.Fatal(err)
	}
	if err := s.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: *address})); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	if err := s.Serve(); err != nil {
		log.Fatal(err)
	}
	<-stop
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}
}
