package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gobwas/ws"
)

// Dial connects to a server, sends CONNECT and waits for CONNACK, all of it until ctx
// ends or Options.Timeout has passed. The address is one of
//
//	tcp://host:port          port 1883 if absent
//	tls://host:port          port 8883
//	ws://host:port/path      port 8083, path /mqtt
//	wss://host:port/path     port 8084, path /mqtt
//	unix:///path
//	host:port                as tcp://
//
// with localhost for an empty host. The errors tell what has failed: that of the
// network, of the certificate, of the WebSocket handshake, or a [*ConnackError].
func Dial(ctx context.Context, address string, o Options) (*Client, error) {
	t, err := parse(address)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	ctx, cancel := o.withTimeout(ctx)
	defer cancel()
	nc, err := t.dial(ctx, &o)
	if err == nil {
		var c *Client
		if c, err = connect(ctx, nc, &o); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("connect to %s: %w", t, err)
}

// target is where to connect to.
type target struct {
	url     *url.URL
	network string // of net.Dial
	address string // of net.Dial
	tls, ws bool
}

// String is the URL, with what was left out.
func (t *target) String() string { return t.url.String() }

// parse reads an address.
func parse(address string) (*target, error) {
	if !strings.Contains(address, "://") {
		address = "tcp://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the outer one repeats the URL, which may hold a password
		}
		return nil, fmt.Errorf("server URL: %w", err)
	}
	if u.User != nil {
		return nil, errors.New("server URL: must not hold a user name or password")
	}
	t := &target{url: u, network: "tcp"}
	port := ""
	switch u.Scheme {
	case "tcp":
		port = "1883"
	case "tls":
		port, t.tls = "8883", true
	case "ws":
		port, t.ws = "8083", true
	case "wss":
		port, t.ws, t.tls = "8084", true, true
	case "unix":
		if u.Host != "" || u.Path == "" {
			return nil, fmt.Errorf("server URL: %q is not unix:///path", address)
		}
		t.network, t.address = "unix", u.Path
		return t, nil
	default:
		return nil, fmt.Errorf("server URL: scheme %q is not tcp, tls, ws, wss or unix", u.Scheme)
	}
	if !t.ws && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "") {
		return nil, fmt.Errorf("server URL: %q has a path, which %s has not", address, u.Scheme)
	}
	if t.ws && u.Path == "" {
		u.Path = "/mqtt"
	}
	host := u.Hostname()
	if host == "" {
		host = "localhost"
	}
	if strings.Contains(host, ":") && !validIPv6(host) {
		return nil, fmt.Errorf("server URL: %q has too many colons", address)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.address = net.JoinHostPort(host, port)
	u.Host = t.address
	return t, nil
}

func validIPv6(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// dial makes the connection over which MQTT is spoken.
func (t *target) dial(ctx context.Context, o *Options) (net.Conn, error) {
	d := net.Dialer{LocalAddr: o.LocalAddr}
	nc, err := d.DialContext(ctx, t.network, t.address)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	layered := nc
	if t.tls {
		layered, err = t.handshakeTLS(ctx, nc, o.TLS)
	}
	if err == nil && t.ws {
		plain := layered
		err = within(ctx, nc, "WebSocket handshake", func() error {
			layered, err = t.handshakeWS(plain, o)
			return err
		})
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return layered, nil
}

func (t *target) handshakeTLS(ctx context.Context, nc net.Conn, config *tls.Config) (net.Conn, error) {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(t.address)
	}
	secure := tls.Client(nc, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", causeOf(ctx, err))
	}
	return secure, nil
}

// handshakeWS asks for the subprotocol mqtt and insists on it [MQTT-6.0.0-3].
func (t *target) handshakeWS(nc net.Conn, o *Options) (net.Conn, error) {
	d := ws.Dialer{Protocols: []string{"mqtt"}}
	if o.Origin != "" {
		d.Header = ws.HandshakeHeaderHTTP(http.Header{"Origin": {o.Origin}})
	}
	rest, shake, err := d.Upgrade(nc, t.url)
	if err != nil {
		return nil, fmt.Errorf("WebSocket handshake: %w", err)
	}
	if shake.Protocol != "mqtt" {
		return nil, errors.New("WebSocket handshake: the server does not speak the subprotocol mqtt")
	}
	return newWebSocket(nc, leftover(rest), o.ReadBuffer), nil
}

// leftover is what came behind the answer to the handshake. It gives r back to
// where the handshake got it.
func leftover(r *bufio.Reader) []byte {
	if r == nil {
		return nil
	}
	b, _ := r.Peek(r.Buffered()) // cannot fail
	b = append([]byte(nil), b...)
	ws.PutReader(r)
	return b
}
