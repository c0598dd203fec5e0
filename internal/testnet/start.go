package testnet

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/coder/websocket"

	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/ws"
)

const anyPort = "127.0.0.1:0"

// serve starts a transport that has a listener.
func (n *Net) serve() {
	n.t.Helper()
	network, addr := "tcp", anyPort
	if n.on == Unix || n.on == UnixLoop {
		network, addr = "unix", n.socketPath()
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		n.t.Fatalf("testnet: %v: %v", n.on, err)
	}
	n.addr = l.Addr().String()
	if n.on.Secure() {
		l = tls.NewListener(l, n.serverTLS())
	}
	run := func() error { return n.s.Serve(l) }
	switch n.on {
	case Loop, UnixLoop:
		run = func() error { return n.s.ServeLoop(l) }
	case WebSocket, SecureWebSocket:
		h := &ws.Handler{Server: n.s}
		run = func() error { return h.Serve(l, "") }
	}
	go func() {
		n.err = run()
		close(n.ended)
	}()
	switch n.on {
	case TLS:
		n.open = func() (net.Conn, error) { return tls.Dial("tcp", n.addr, n.TLS) }
	case WebSocket, SecureWebSocket:
		n.open = n.upgrade
	default:
		n.open = func() (net.Conn, error) { return net.Dial(network, n.addr) }
	}
}

// socketPath gives a path that is short enough for a socket, which that of a test's own folder need not be.
func (n *Net) socketPath() string {
	n.t.Helper()
	dir, err := os.MkdirTemp("", "mqttx")
	if err != nil {
		n.t.Fatalf("testnet: %v", err)
	}
	n.t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// upgrade opens a WebSocket.
func (n *Net) upgrade() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url := "ws://" + n.addr + "/mqtt"
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if n.on.Secure() {
		url = "wss://" + n.addr + "/mqtt"
		web.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: n.TLS}
	}
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: web, Subprotocols: []string{"mqtt"}})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
}

// pipes serves connections in memory, each when it is opened.
func (n *Net) pipes() {
	var served sync.WaitGroup
	n.open = func() (net.Conn, error) {
		near, far := mqttest.Pipe()
		served.Go(func() { n.s.ServeConn(context.Background(), far) })
		return near, nil
	}
	n.t.Cleanup(func() { // after that of Start, which closes the server
		served.Wait()
	})
	close(n.ended)
}
