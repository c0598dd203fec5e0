package ws_test

import (
	"log"
	"net"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/ws"
)

// WebSocket on a port of its own, beside plain TCP.
func ExampleHandler_Serve() {
	var srv mqttx.Server
	l, err := net.Listen("tcp", "localhost:8083")
	if err != nil {
		log.Fatal(err)
	}
	h := &ws.Handler{Server: &srv}
	go func() { log.Fatal(h.Serve(l, "/mqtt")) }()
	log.Fatal(srv.ListenAndServe("localhost:1883"))
}
