package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// certificate makes one for localhost that signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// accept serves the connections of l.
func accept(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				serve(nc)
			}()
		}
	}()
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve is a small server: it takes CONNECT, sends CONNACK, acknowledges a QoS 1
// PUBLISH, sends it back at QoS 0, and closes after DISCONNECT.
func serve(nc net.Conn) {
	for {
		head := make([]byte, 2) // packets are small here
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		h, _, err := packet.ParseHeader(head)
		if err != nil {
			return
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(nc, body); err != nil {
			return
		}
		pk, err := packet.Parse(h, body, packet.V5)
		if err != nil {
			return
		}
		var answer []byte
		switch pk := pk.(type) {
		case *packet.Connect:
			answer, _ = (&packet.Connack{}).Append(nil, packet.V5)
		case *packet.Publish:
			answer = packet.AppendAck(nil, packet.TypePuback, pk.PacketID)
			answer, _ = (&packet.Publish{Topic: pk.Topic, Payload: pk.Payload}).Append(answer, packet.V5)
		default:
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

// serveWS is serve over WebSocket, at /mqtt with an Origin.
func serveWS(nc net.Conn) {
	u := ws.Upgrader{
		Protocol: func(p []byte) bool { return string(p) == "mqtt" },
		OnRequest: func(uri []byte) error {
			if string(uri) != "/mqtt" {
				return ws.RejectConnectionError(ws.RejectionStatus(http.StatusNotFound))
			}
			return nil
		},
		OnHeader: func(key, value []byte) error {
			if string(key) == "Origin" && string(value) != "https://example.org" {
				return ws.RejectConnectionError(ws.RejectionStatus(http.StatusForbidden))
			}
			return nil
		},
	}
	if _, err := u.Upgrade(nc); err == nil {
		serve(&framed{Conn: nc})
	}
}

// pinging puts a ping behind the first write, which is the answer to the handshake.
type pinging struct {
	net.Conn
	done bool
}

func (p *pinging) Write(b []byte) (int, error) {
	if !p.done {
		p.done = true
		b = append(bytes.Clone(b), ws.MustCompileFrame(ws.NewPingFrame([]byte("early")))...)
	}
	return p.Conn.Write(b)
}

// framed is the server's end of a WebSocket.
type framed struct {
	net.Conn
	rest []byte
}

func (f *framed) Read(b []byte) (int, error) {
	for len(f.rest) == 0 {
		data, err := wsutil.ReadClientBinary(f.Conn)
		if err != nil {
			return 0, err
		}
		f.rest = data
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *framed) Write(b []byte) (int, error) {
	return len(b), wsutil.WriteServerBinary(f.Conn, b)
}

// exchange sends a message there and back over a new client.
func exchange(t *testing.T, address string, o client.Options) {
	t.Helper()
	back := make(chan string, 1)
	o.OnMessage = func(p *packet.Publish) { back <- string(p.Topic) + string(p.Payload) }
	c, err := client.Dial(t.Context(), address, o)
	if err != nil {
		t.Fatalf("Dial %s: %v", address, err)
	}
	defer c.Close()
	if _, err := c.Publish(t.Context(), message(1, "!")); err != nil {
		t.Fatalf("Publish over %s: %v", address, err)
	}
	select {
	case got := <-back:
		if got != "a/b!" {
			t.Errorf("got %q", got)
		}
	case <-c.Done():
		t.Fatal(c.Err())
	}
	if err := c.Shutdown(t.Context(), nil); err != nil {
		t.Errorf("Shutdown over %s: %v", address, err)
	}
}

func TestDial(t *testing.T) {
	cert, pool := certificate(t)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	for name, test := range map[string]struct {
		layer func(net.Listener) net.Listener
		serve func(net.Conn)
		url   string // % is the address
	}{
		"tcp":       {nil, serve, "tcp://%"},
		"host:port": {nil, serve, "%"},
		"tls":       {func(l net.Listener) net.Listener { return tls.NewListener(l, config) }, serve, "tls://%"},
		"ws":        {nil, serveWS, "ws://%"},
		"ping":      {nil, func(nc net.Conn) { serveWS(&pinging{Conn: nc}) }, "ws://%"},
		"wss":       {func(l net.Listener) net.Listener { return tls.NewListener(l, config) }, serveWS, "wss://%/mqtt"},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, "tcp", "localhost:0")
			_, port, _ := net.SplitHostPort(l.Addr().String())
			if test.layer != nil {
				l = test.layer(l)
			}
			accept(t, l, test.serve)
			address := strings.ReplaceAll(test.url, "%", net.JoinHostPort("localhost", port))
			o := client.Options{TLS: &tls.Config{RootCAs: pool}, Origin: "https://example.org"}
			exchange(t, address, o)
			if o.TLS.ServerName != "" {
				t.Error("Dial has changed the options")
			}
		})
	}
	t.Run("unix", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		accept(t, listen(t, "unix", path), serve)
		exchange(t, "unix://"+path, client.Options{})
	})
	t.Run("local address", func(t *testing.T) {
		l := listen(t, "tcp", "127.0.0.1:0")
		from := make(chan string, 1)
		accept(t, l, func(nc net.Conn) {
			from <- nc.RemoteAddr().(*net.TCPAddr).IP.String()
			serve(nc)
		})
		exchange(t, l.Addr().String(), client.Options{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}})
		if got := <-from; got != "127.0.0.9" {
			t.Errorf("from %s", got)
		}
	})
}

func TestDialErrors(t *testing.T) {
	cert, _ := certificate(t)
	plain := listen(t, "tcp", "127.0.0.1:0")
	accept(t, plain, serveWS)
	port := func(l net.Listener) string { _, port, _ := net.SplitHostPort(l.Addr().String()); return port }
	secure := tls.NewListener(listen(t, "tcp", "localhost:0"), &tls.Config{Certificates: []tls.Certificate{cert}})
	accept(t, secure, serve)
	silent := listen(t, "tcp", "127.0.0.1:0")
	accept(t, silent, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
	gone := listen(t, "tcp", "127.0.0.1:0")
	gone.Close()
	noProtocol := listen(t, "tcp", "127.0.0.1:0")
	accept(t, noProtocol, func(nc net.Conn) { _, _ = ws.Upgrade(nc) })

	for name, test := range map[string]struct {
		address string
		o       client.Options
		text    string
	}{
		"refused":        {"tcp://" + gone.Addr().String(), client.Options{}, "connection refused"},
		"no socket":      {"unix:///does/not/exist", client.Options{}, "no such file"},
		"authority":      {"tls://localhost:" + port(secure), client.Options{}, "TLS handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"not TLS":        {"tls://" + plain.Addr().String(), client.Options{}, "TLS handshake: "},
		"not found":      {"ws://" + plain.Addr().String() + "/other", client.Options{}, "WebSocket handshake: unexpected HTTP response status: 404"},
		"origin":         {"ws://" + plain.Addr().String(), client.Options{Origin: "https://evil.org"}, "status: 403"},
		"no subprotocol": {"ws://" + noProtocol.Addr().String(), client.Options{}, "does not speak the subprotocol mqtt"},
		"timeout":        {"tcp://" + silent.Addr().String(), client.Options{Timeout: time.Millisecond}, ": no answer within 1ms"},
		"timeout of TLS": {"tls://" + silent.Addr().String(), client.Options{Timeout: time.Millisecond}, ": no answer within 1ms"},
		"timeout of ws":  {"ws://" + silent.Addr().String(), client.Options{Timeout: time.Millisecond}, "no answer within 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := client.Dial(t.Context(), test.address, test.o)
			if err == nil {
				c.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "connect to "+test.address[:10]) {
				t.Errorf("error %q, want %q", err, test.text)
			}
			if name == "refused" && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error("not ECONNREFUSED")
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Dial(ctx, "tcp://"+silent.Addr().String(), client.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
