package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/ws"
)

// endpoint is one listener of serve.
type endpoint struct {
	address
	at net.Addr // where to listen
	l  net.Listener
}

// parseEndpoint reads a URL to listen on.
func parseEndpoint(s string) (*endpoint, error) {
	a, err := parseAddress(s)
	if err != nil {
		return nil, err
	}
	if a.query != "" {
		return nil, errors.New("the URL of a listener has no query")
	}
	return &endpoint{address: a}, nil
}

// resolve finds out where to listen.
func (e *endpoint) resolve() error {
	if e.scheme == "unix" {
		e.at = &net.UnixAddr{Name: e.path, Net: "unix"}
		return nil
	}
	at, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(e.host, e.port))
	if err != nil {
		return fmt.Errorf("listen %s: %w", e, err)
	}
	e.at = at
	return nil
}

// isLocal tells whether only clients of this machine reach an address.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// open begins to listen. From then on clients can connect; they are served when
// serve is called. A port 0 is replaced by the one that it became.
func (e *endpoint) open(conf *tls.Config) (err error) {
	switch at := e.at.(type) {
	case *net.UnixAddr:
		e.l, err = listenUnix(at)
	case *net.TCPAddr:
		e.l, err = net.ListenTCP("tcp", at)
	}
	if err != nil {
		return fmt.Errorf("listen %s: %w", e, bare(err))
	}
	if at, ok := e.l.Addr().(*net.TCPAddr); ok {
		e.port = fmt.Sprint(at.Port)
	}
	if e.tls() {
		e.l = tls.NewListener(e.l, conf)
	}
	return nil
}

// serve serves the clients of an open endpoint until srv is shut down or the listener
// fails.
func (e *endpoint) serve(srv *mqttx.Server) error {
	var err error
	if e.ws() {
		err = (&ws.Handler{Server: srv}).Serve(e.l, e.path)
	} else {
		err = srv.ServeLoop(e.l)
	}
	return fmt.Errorf("serve %s: %w", e, err)
}

// listenUnix takes the place of a socket that a process which has died left behind.
func listenUnix(at *net.UnixAddr) (net.Listener, error) {
	l, err := net.ListenUnix("unix", at)
	if errors.Is(err, syscall.EADDRINUSE) && isStale(at) {
		if err := os.Remove(at.Name); err != nil {
			return nil, err
		}
		return net.ListenUnix("unix", at)
	}
	return l, err
}

// isStale tells whether at is a socket on which nobody listens.
func isStale(at *net.UnixAddr) bool {
	if info, err := os.Lstat(at.Name); err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialUnix("unix", nil, at)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// bare strips what package net wraps around an error of the system, which repeats
// the address in another form.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}
