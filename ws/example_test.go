package ws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/coder/websocket"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/ws"
)

// MQTT has a path of its own on a mux that exists already.
func ExampleHandler() {
	srv := &mqttx.Server{Handler: mqttx.AllowAnonymous()}
	defer srv.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("/clients", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, srv.Stats().Connections) })
	mux.Handle("/mqtt", &ws.Handler{Server: srv, Origins: []string{"pages.example", "*.pages.example"}})
	web := httptest.NewServer(mux)
	defer web.Close()

	for _, origin := range []string{"https://www.pages.example", "https://other.example"} {
		c, answer, err := websocket.Dial(context.Background(), strings.Replace(web.URL, "http", "ws", 1)+"/mqtt", &websocket.DialOptions{
			Subprotocols: []string{"mqtt"}, HTTPHeader: http.Header{"Origin": {origin}},
		})
		fmt.Println(origin, answer.Status)
		if err == nil {
			c.CloseNow()
		}
	}
	// Output:
	// https://www.pages.example 101 Switching Protocols
	// https://other.example 403 Forbidden
}
