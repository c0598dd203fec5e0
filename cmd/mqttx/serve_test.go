package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/client"
)

// TestServe_Defaults holds what serve does without arguments.
func TestServe_Defaults(t *testing.T) {
	var f serveFlags
	if conf, err := f.check(); conf != nil || err != nil {
		t.Fatal(conf, err)
	}
	var urls []string
	for _, e := range f.listen {
		urls = append(urls, e.String())
		if !isLocal(e.at) {
			t.Errorf("%v is not of this machine", e.at)
		}
	}
	want := []string{"tcp://127.0.0.1:1883", "ws://127.0.0.1:8083/mqtt"}
	if diff := cmp.Diff(want, urls); diff != "" {
		t.Error(diff)
	}
	if h := f.handler(); h != nil {
		t.Errorf("a handler: %v", h)
	}
}

// TestServe_ListenerFails holds that the others are ended too, and the error is told. The one that fails is for WebSocket:
// the sockets of plain TCP belong to the event loops, and closing the listener does nothing to them.
func TestServe_ListenerFails(t *testing.T) {
	f := serveFlags{}
	for _, url := range []string{"ws://127.0.0.1:0", "tcp://127.0.0.1:0"} {
		e, err := parseEndpoint(url)
		if err != nil {
			t.Fatal(err)
		}
		f.listen = append(f.listen, e)
	}
	conf, err := f.check()
	if err != nil {
		t.Fatal(err)
	}
	var log output
	done := make(chan error, 1)
	go func() { done <- f.run(conf, slog.New(slog.NewTextHandler(&log, nil))) }()
	for {
		text, more := log.read()
		if strings.Count(text, "listening") == 2 {
			break
		}
		<-more
	}
	f.listen[0].l.Close()
	if err := <-done; err == nil || !strings.HasPrefix(err.Error(), "serve "+f.listen[0].String()+": ") {
		t.Errorf("error %v", err)
	}
	if nc, err := net.Dial("tcp", f.listen[1].l.Addr().String()); err == nil {
		nc.Close()
		t.Error("the other listener is still there")
	}
}

func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal bool // a second one comes after 3 s
		took   time.Duration
		err    string
		log    string
	}{
		{"ClientHangs", false, stopTime, "", "cut the clients"},
		{"SecondSignal", true, 3 * time.Second, "stopped at once by a second signal: terminated", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
					Disconnected: func(context.Context, *mqttx.Conn, error) { <-t.Context().Done() }, // longer than anybody waits
				}}
				here, there := net.Pipe()
				go srv.ServeConn(t.Context(), there)
				c, err := client.New(t.Context(), here, client.Options{})
				if err != nil {
					t.Fatal(err)
				}
				signals := make(chan os.Signal, 1)
				if tt.signal {
					time.AfterFunc(3*time.Second, func() { signals <- syscall.SIGTERM })
				}
				var log bytes.Buffer
				began := time.Now()
				err = stop(srv, signals, slog.New(slog.NewTextHandler(&log, nil)))
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v", took)
				}
				if got := errorText(err); got != tt.err || !strings.Contains(log.String(), tt.log) {
					t.Errorf("error %q, log %q", got, log.String())
				}
				<-c.Done()
			})
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
