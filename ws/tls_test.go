package ws_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/ws"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	c := a.issue("authority", time.Hour)
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate that is good for a time from an hour ago on; the first is the authority's own.
func (a *authority) issue(name string, valid time.Duration) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	began := time.Now().Add(-time.Hour)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: began, NotAfter: began.Add(valid + time.Hour),
		BasicConstraintsValid: true, IsCA: a.cert == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestGuide_G18_WebSocketByTLS(t *testing.T) {
	mqttest.Leaks(t)
	a := newAuthority(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, &tls.Config{Certificates: []tls.Certificate{a.issue("server", time.Hour)}})
	c := dialMQTT(t, addr, &tls.Config{RootCAs: a.pool()})
	if code := c.Connect(nil); code != mqttx.Success {
		t.Fatal(code)
	}
	c.Subscribe("#", 1)
	for _, size := range []int{10, 16 << 10, 300 << 10} {
		c.Publish("t", string(make([]byte, size)), 1)
		if m := c.Receive(); len(m.Payload) != size {
			t.Errorf("%d bytes, want %d", len(m.Payload), size)
		}
	}

	// What is no TLS is closed without a byte of MQTT.
	nc := dialTCP(t, addr)
	nc.SetDeadline(time.Now().Add(patience))
	nc.Write(encode(t, packet.V5, connect(packet.V5, "c")))
	if b, err := io.ReadAll(nc); len(b) > 0 && b[0]>>4 == 2 || err != nil && !isReset(err) {
		t.Errorf("%x, %v", b, err)
	}
}

// isReset tells whether the server has closed with bytes unread.
func isReset(err error) bool {
	e, ok := err.(*net.OpError)
	return ok && !e.Timeout()
}

// Connect sees the client's certificate, over Serve and over anybody's http.Server.
func TestGuide_G18_ClientCertificate(t *testing.T) {
	mqttest.Leaks(t)
	a := newAuthority(t)
	names := make(chan string, 1)
	s := &mqttx.Server{Handler: mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
		names <- r.Conn.TLS().PeerCertificates[0].Subject.CommonName
		return nil
	})}
	h := &ws.Handler{Server: s}
	conf := &tls.Config{
		Certificates: []tls.Certificate{a.issue("server", time.Hour)}, ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{"h2", "http/1.1"}, // Serve speaks HTTP/1.1 whatever is offered
	}
	own := serve(t, h, conf)

	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: h}
	end := make(chan struct{})
	go func() { web.Serve(l); close(end) }()
	defer func() { web.Close(); <-end }()

	for _, addr := range []string{own, l.Addr().String()} {
		c := dialMQTT(t, addr, &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{a.issue("sensor", time.Hour)}})
		if code := c.Connect(nil); code != mqttx.Success {
			t.Fatal(code)
		}
		if name := <-names; name != "sensor" {
			t.Errorf("common name %q", name)
		}
	}
}

func TestGuide_G18_NewCertificate(t *testing.T) {
	mqttest.Leaks(t)
	a := newAuthority(t)
	var current atomic.Pointer[tls.Certificate]
	conf := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}
	addr := serve(t, &ws.Handler{Server: newServer()}, conf)
	for _, name := range []string{"old", "new"} {
		cert := a.issue(name, time.Hour)
		current.Store(&cert)
		got := ""
		c := dialMQTT(t, addr, &tls.Config{RootCAs: a.pool(), VerifyConnection: func(st tls.ConnectionState) error {
			got = st.PeerCertificates[0].Subject.CommonName
			return nil
		}})
		if code := c.Connect(nil); code != mqttx.Success || got != name {
			t.Errorf("%v, certificate %q, want %q", code, got, name)
		}
	}
}

// A certificate that is asked for is asked for on wss as well.
func TestPitfall118_ClientCertificateRequired(t *testing.T) {
	mqttest.Leaks(t)
	a, foreign := newAuthority(t), newAuthority(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, &tls.Config{
		Certificates: []tls.Certificate{a.issue("server", time.Hour)}, ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	})
	for name, certs := range map[string][]tls.Certificate{
		"missing": nil,
		"foreign": {foreign.issue("sensor", time.Hour)},
		"expired": {a.issue("sensor", -time.Minute)},
	} {
		// The certificate is sent whatever the server says of the authorities it takes.
		conf := &tls.Config{RootCAs: a.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certs[0], nil
		}}
		if c, _, err := dial(addr, conf); err == nil {
			c.CloseNow()
			t.Errorf("%s: let in", name)
		}
	}
	c := dialMQTT(t, addr, &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{a.issue("sensor", time.Hour)}})
	if code := c.Connect(nil); code != mqttx.Success {
		t.Error(code)
	}
	if c, _, err := dial(addr, &tls.Config{RootCAs: foreign.pool()}); err == nil {
		c.CloseNow()
		t.Error("the client takes a foreign server")
	}
}

// DISCONNECT, the close frame and the end arrive in this order by TLS too, while the client sends.
func TestGuide_G17_DisconnectBeforeCloseByTLS(t *testing.T) {
	mqttest.Leaks(t)
	a := newAuthority(t)
	s := newServer()
	addr := serve(t, &ws.Handler{Server: s}, &tls.Config{Certificates: []tls.Certificate{a.issue("server", time.Hour)}})
	r, answer := ask(t, tls.Client(dialTCP(t, addr), &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1"}), hello(addr))
	if answer.StatusCode != 101 {
		t.Fatal(answer.Status)
	}
	r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
	r.packets(1, packet.V5)
	for range 100 {
		r.send(binaryFrame, encode(t, packet.V5, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 1000)}))
	}
	if err := s.Disconnect("c", mqttx.AdministrativeAction); err != nil {
		t.Fatal(err)
	}
	if d := r.packets(1, packet.V5)[0].(*packet.Disconnect); d.Code != mqttx.AdministrativeAction {
		t.Error(d)
	}
	if code := r.closed(); code != 1000 {
		t.Errorf("close code %d", code)
	}
}
