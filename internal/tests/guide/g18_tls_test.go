package guide_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
)

// g18Secure runs f over each transport with TLS.
func g18Secure(t *testing.T, f func(t *testing.T, on testnet.Transport)) {
	t.Helper()
	for _, on := range []testnet.Transport{testnet.TLS, testnet.SecureWebSocket} {
		t.Run(on.String(), func(t *testing.T) { f(t, on) })
	}
}

// g18Works shows that a client can publish to itself.
func g18Works(t *testing.T, c *mqttest.Client) {
	t.Helper()
	c.Subscribe("t", 2)
	g1Code(t, "PUBLISH", c.Publish("t", "x", 2), mqttx.Success)
	g1Got(t, c.Receive(), "t", "x", 2, false)
}

func TestGuide_G18_Works(t *testing.T) {
	g18Secure(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, g1Quiet(nil))
		for _, v := range g1Versions() {
			g18Works(t, n.Connect(g1Connect(v.String(), v)))
		}
	})
}

// A client's certificate reaches Connect; a client without one is turned away before it.
func TestGuide_G18_ClientCertificate(t *testing.T) {
	g18Secure(t, func(t *testing.T, on testnet.Transport) {
		a := testnet.NewAuthority(t)
		names := make(chan string, 2)
		s := g1Quiet(mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			name := "nobody"
			if st := r.Conn.TLS(); st != nil && len(st.VerifiedChains) > 0 {
				name = st.PeerCertificates[0].Subject.CommonName
			}
			r.Client.User = name
			names <- name
			return nil
		}))
		s.TLSConfig = &tls.Config{
			Certificates: []tls.Certificate{a.Issue("server")}, ClientCAs: a.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		}
		n := on.Start(t, s)
		n.TLS = &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{a.Issue("lamp-7")}}
		g18Works(t, n.Connect(g1Connect("c", mqttx.V5)))
		if name := g1Await(t, "Connect", names); name != "lamp-7" {
			t.Errorf("Connect saw the certificate of %q", name)
		}
		if conn, ok := s.Conn("c"); !ok || conn.Client().User != "lamp-7" {
			t.Error("the name is not the client's")
		}
		stranger := testnet.NewAuthority(t).Issue("lamp-7")
		for _, certs := range [][]tls.Certificate{nil, {stranger}} {
			n.TLS = &tls.Config{RootCAs: a.Pool(), Certificates: certs}
			if nc, err := n.Open(); err == nil { // TLS 1.3 tells at the first read
				nc.SetReadDeadline(time.Now().Add(10 * time.Second))
				connect, _ := g1Connect("c", mqttx.V5).Append(nil, mqttx.V5)
				nc.Write(connect)
				if b, err := io.ReadAll(nc); err == nil || len(b) > 0 {
					t.Errorf("the server says % x, %v", b, err)
				}
				nc.Close()
			}
		}
		if len(names) > 0 {
			t.Errorf("Connect was asked about %q", <-names)
		}
	})
}

// Bytes that are not TLS end the connection, without an MQTT answer.
func TestGuide_G18_PlainBytes(t *testing.T) {
	g18Secure(t, func(t *testing.T, on testnet.Transport) {
		s := g1Quiet(mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error {
			t.Error("Connect ran")
			return nil
		}))
		n := on.Start(t, s)
		nc, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		connect, _ := g1Connect("c", mqttx.V5).Append(nil, mqttx.V5)
		if _, err := nc.Write(connect); err != nil {
			t.Fatal(err)
		}
		nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		b, err := io.ReadAll(nc)
		if e, timeout := err.(net.Error); timeout && e.Timeout() || len(b) > 0 && b[0] == 0x20 {
			t.Errorf("the server says % x, %v", b, err)
		}
	})
}

// A certificate can be replaced while serving: the next connection sees the new one, those that are open stay.
func TestGuide_G18_NewCertificate(t *testing.T) {
	g18Secure(t, func(t *testing.T, on testnet.Transport) {
		a := testnet.NewAuthority(t)
		var now atomic.Pointer[tls.Certificate]
		first, second := a.Issue("first"), a.Issue("second")
		now.Store(&first)
		s := g1Quiet(nil)
		s.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return now.Load(), nil }}
		n := on.Start(t, s)
		var seen string
		n.TLS = &tls.Config{RootCAs: a.Pool(), VerifyConnection: func(st tls.ConnectionState) error {
			seen = st.PeerCertificates[0].Subject.CommonName
			return nil
		}}
		c := n.Connect(g1Connect("one", mqttx.V5))
		if seen != "first" {
			t.Errorf("the certificate is %q", seen)
		}
		now.Store(&second)
		g18Works(t, n.Connect(g1Connect("two", mqttx.V5)))
		if seen != "second" {
			t.Errorf("the certificate is %q", seen)
		}
		g18Works(t, c)
	})
}

// ListenAndServeTLS takes certificates from files, or from TLSConfig, which keeps its say about clients.
func TestGuide_G18_ListenAndServeTLS(t *testing.T) {
	a := testnet.NewAuthority(t)
	cert := a.Issue("server")
	certFile, keyFile := g18Files(t, cert)
	for _, x := range []struct {
		name      string
		conf      *tls.Config
		cert, key string
	}{
		{"files", nil, certFile, keyFile},
		{"TLSConfig", &tls.Config{Certificates: []tls.Certificate{cert}}, "", ""},
		{"both", &tls.Config{ClientCAs: a.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}, certFile, keyFile},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := g1Quiet(nil)
			s.TLSConfig = x.conf
			addr, serve := g1FreePort(t), make(chan error, 1)
			go func() { serve <- s.ListenAndServeTLS(addr, x.cert, x.key) }()
			g1Dial(t, addr, serve).Close()
			nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{a.Issue("client")}})
			if err != nil {
				t.Fatal(err)
			}
			c := mqttest.NewClient(t, nc, mqttx.V5)
			g1Code(t, "CONNACK", c.Connect(nil), mqttx.Success)
			g18Works(t, c)
			conn, ok := s.Conn(c.ClientID)
			if !ok || conn.TLS() == nil || (len(conn.TLS().PeerCertificates) > 0) != (x.name == "both") {
				t.Error("the TLS state is not that of the connection")
			}
			g1Closed(t, s, serve)
		})
	}
	if err := g1Quiet(nil).ListenAndServeTLS("127.0.0.1:0", "", ""); err == nil {
		t.Error("ListenAndServeTLS serves without a certificate")
	}
	if err := g1Quiet(nil).ListenAndServeTLS("127.0.0.1:0", filepath.Join(t.TempDir(), "none"), keyFile); err == nil {
		t.Error("ListenAndServeTLS serves without its file")
	}
}

// g18Files writes a certificate and its key to files.
func g18Files(t *testing.T, cert tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", cert.Certificate[0]), write("key.pem", "PRIVATE KEY", key)
}
