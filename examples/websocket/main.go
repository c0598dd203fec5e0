// Websocket serves MQTT over WebSocket on a mux that has other pages too, beside plain TCP.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/ws"
)

func main() {
	addr := flag.String("addr", ":1883", "address for MQTT over TCP")
	web := flag.String("web", ":8083", "address for HTTP and MQTT over WebSocket")
	flag.Parse()

	var srv mqttx.Server
	mux := http.NewServeMux()
	mux.Handle("/mqtt", &ws.Handler{Server: &srv})
	mux.HandleFunc("/clients", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, srv.Stats().Connections)
	})
	go func() { log.Fatal(http.ListenAndServe(*web, mux)) }()
	log.Fatal(srv.ListenAndServe(*addr))
}
