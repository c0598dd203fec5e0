package mqttx_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/topic"
)

// The smallest broker. Clients of other machines are turned away, and the log says what to set.
func ExampleServer() {
	var srv mqttx.Server
	log.Fatal(srv.ListenAndServe(":1883"))
}

// A plain function is a handler. Its nil makes the name that was sent the verified one.
func ExampleAuthenticate() {
	check := func(ctx context.Context, r *mqttx.ConnectRequest) error {
		if r.Username != "ann" || string(r.Password) != "secret" {
			return mqttx.BadUserNameOrPassword
		}
		return nil
	}
	srv := mqttx.Server{Handler: mqttx.Authenticate(check)}
	log.Fatal(srv.ListenAndServe(":1883"))
}

// Allow is the one rule for every path: publish, will, subscribe, retained and queued messages.
func ExampleCallbacks_allow() {
	allow := func(ctx context.Context, a mqttx.Access) error {
		if topic.Match("secret/#", a.Topic) && a.Client.User != "ann" {
			return mqttx.NotAuthorized
		}
		return nil
	}
	srv := mqttx.Server{Handler: mqttx.Chain(
		mqttx.AllowAnonymous(),
		mqttx.Callbacks[struct{}]{Allow: allow},
	)}
	log.Fatal(srv.ListenAndServe(":1883"))
}

// Publish changes the message in place. With *Conn as T no type of one's own is needed.
func ExampleCallbacks_rewrite() {
	lower := func(ctx context.Context, c *mqttx.Conn, m *mqttx.Message) error {
		m.Topic = strings.ToLower(m.Topic)
		return nil
	}
	srv := mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{Publish: lower}}
	log.Fatal(srv.ListenAndServe(":1883"))
}

// Publish from an HTTP handler. At QoS 1 it returns when the message is safe, so 204 is honest.
func ExampleServer_Publish() {
	var srv mqttx.Server
	http.HandleFunc("PUT /topics/{topic...}", func(w http.ResponseWriter, r *http.Request) {
		payload := make([]byte, r.ContentLength)
		if _, err := r.Body.Read(payload); err != nil && r.ContentLength > 0 {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err := srv.Publish(r.Context(), &mqttx.Message{Topic: r.PathValue("topic"), Payload: payload, QoS: 1})
		switch mqttx.CodeOf(err) {
		case mqttx.Success:
			w.WriteHeader(http.StatusNoContent)
		case mqttx.QuotaExceeded:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil)) }()
	log.Fatal(srv.ListenAndServe(":1883"))
}

// Every routed message goes to a sink, and no client ever waits for it.
func ExampleServer_Subscribe() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var srv mqttx.Server
	go func() {
		defer func() {
			end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			srv.Shutdown(end)
		}()
		messages, err := srv.Subscribe(ctx, "#") // from this call on, not from the first round of the loop
		if err != nil {
			log.Print(err)
			return
		}
		for m := range messages {
			fmt.Printf("%s %s\n", m.Topic, m.Payload)
		}
	}()
	log.Print(srv.ListenAndServe(":1883"))
}

// Kick a client by its id.
func ExampleServer_Disconnect() {
	var srv mqttx.Server
	http.HandleFunc("DELETE /clients/{id}", func(w http.ResponseWriter, r *http.Request) {
		err := srv.Disconnect(r.PathValue("id"), &mqttx.Error{Code: mqttx.AdministrativeAction, Text: "see you"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	})
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil)) }()
	log.Fatal(srv.ListenAndServe(":1883"))
}

// Any net.Conn is a transport. A pipe counts as this machine.
func ExampleServer_ServeConn() {
	var srv mqttx.Server
	here, there := net.Pipe()
	done := make(chan error)
	go func() { done <- srv.ServeConn(context.Background(), there) }()

	here.Write([]byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'c'}) // CONNECT
	answer := make([]byte, 4)
	n, _ := here.Read(answer)
	fmt.Printf("% x\n", answer[:n])
	here.Close()
	fmt.Println(<-done)
	// Output:
	// 20 02 00 00
	// mqttx: disconnected by network: EOF
}
