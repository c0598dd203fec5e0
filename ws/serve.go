package ws

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/e8743928/mqttx"
)

const (
	defaultPath    = "/mqtt"
	headerBytes    = 8 << 10          // of a request; net/http adds 4 KiB
	connectTimeout = 10 * time.Second // the default of Limits.ConnectTimeout
)

// Serve accepts connections from l and serves WebSockets at path, "/mqtt" if it is empty, and 404 elsewhere, until the
// Server's Shutdown or Close is done: then it returns [mqttx.ErrServerClosed]. It closes l, and returns l's error if that
// fails. With a listener of package crypto/tls it serves wss. There is one limit, Limits.ConnectTimeout as the Server was
// given it, from accept to CONNECT: TLS, the request and the upgrade are within it (N3). Several may run at a time.
func (h *Handler) Serve(l net.Listener, path string) error {
	if path == "" {
		path = defaultPath
	}
	g := &gate{Listener: l, shut: make(chan struct{}), going: func() { h.going.Store(true) }}
	broker := make(chan error, 1)
	go func() { broker <- h.Server.Serve(g) }()
	web := h.webServer(path)
	err := web.Serve(l)
	g.close(nil)
	web.Close()
	if over := <-broker; !errors.Is(over, net.ErrClosed) || errors.Is(over, mqttx.ErrServerClosed) {
		return over
	}
	return err
}

// webServer makes the http.Server for one listener.
func (h *Handler) webServer(path string) *http.Server {
	timeout := h.Server.Limits.ConnectTimeout
	if timeout == 0 {
		timeout = connectTimeout
	}
	logger := h.Server.Logger
	if logger == nil {
		logger = slog.Default()
	}
	web := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				(&refusal{status: http.StatusNotFound, text: "MQTT is at " + path}).write(w)
				return
			}
			h.ServeHTTP(w, r)
		}),
		MaxHeaderBytes: headerBytes,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		Protocols:      new(http.Protocols),
	}
	web.Protocols.SetHTTP1(true)
	if timeout > 0 {
		web.ReadHeaderTimeout = timeout
		web.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, arrivalKey{}, arrive(nc, timeout))
		}
	}
	return web
}

// arrival is a connection on its way to the upgrade: it is closed if that takes too long.
type arrival struct {
	by    time.Time
	timer *time.Timer
}

// arrivalKey is the key of an *arrival in a context.
type arrivalKey struct{}

func arrive(nc net.Conn, timeout time.Duration) *arrival {
	return &arrival{by: time.Now().Add(timeout), timer: time.AfterFunc(timeout, func() { nc.Close() })}
}

// upgraded ends the watch and gives the time for CONNECT. It is called once; the context, and a with it, lives on.
func (a *arrival) upgraded() time.Time {
	a.timer.Stop()
	a.timer = nil
	return a.by
}

// gate stands for a listener in the Server's list: it lets nobody in, and learns that the Server shuts down before the
// clients do.
type gate struct {
	net.Listener
	shut  chan struct{}
	going func()
	once  sync.Once
}

// Accept waits until the gate is closed.
func (g *gate) Accept() (net.Conn, error) {
	<-g.shut
	return nil, net.ErrClosed
}

// Close is what the Server calls when it shuts down.
func (g *gate) Close() error { return g.close(g.going) }

func (g *gate) close(going func()) (err error) {
	g.once.Do(func() {
		if going != nil {
			going()
		}
		close(g.shut)
		err = g.Listener.Close()
	})
	return err
}
