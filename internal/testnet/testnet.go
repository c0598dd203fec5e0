package testnet

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// patience is how long anything that a test waits for may take.
const patience = 10 * time.Second

// Transport is a way for clients to reach a Server.
type Transport byte

// The transports.
const (
	Loop            Transport = iota // ServeLoop on a TCP listener, as ListenAndServe does
	UnixLoop                         // ServeLoop on a unix socket
	TCP                              // Serve on a TCP listener
	Unix                             // Serve on a unix socket
	TLS                              // Serve on a listener of crypto/tls
	WebSocket                        // ws.Handler.Serve on a TCP listener
	SecureWebSocket                  // ws.Handler.Serve on a listener of crypto/tls
	Pipe                             // ServeConn on mqttest.Pipe
	transports
)

// String gives the name that subtests have.
func (x Transport) String() string {
	switch x {
	case Loop:
		return "loop"
	case UnixLoop:
		return "unix-loop"
	case TCP:
		return "tcp"
	case Unix:
		return "unix"
	case TLS:
		return "tls"
	case WebSocket:
		return "ws"
	case SecureWebSocket:
		return "wss"
	case Pipe:
		return "pipe"
	}
	return fmt.Sprintf("Transport(%d)", byte(x))
}

// Secure tells whether the transport has TLS.
func (x Transport) Secure() bool { return x == TLS || x == SecureWebSocket }

// All gives every transport.
func All() []Transport {
	all := make([]Transport, transports)
	for i := range all {
		all[i] = Transport(i)
	}
	return all
}

// Each runs f as a subtest for each transport.
func Each(t *testing.T, f func(t *testing.T, on Transport)) {
	t.Helper()
	for _, x := range All() {
		t.Run(x.String(), func(t *testing.T) { f(t, x) })
	}
}

// Net is a Server that is reached by one transport.
type Net struct {
	// TLS is what a client of a transport with TLS opens its connection with; it may be replaced before.
	TLS *tls.Config

	t     testing.TB
	on    Transport
	s     *mqttx.Server
	addr  string
	open  func() (net.Conn, error)
	ended chan struct{} // closed when serving is over
	err   error         // of serving, once ended is closed
}

// Start serves s by the transport until the end of the test, which closes s and waits until serving is over. Several
// transports may be started for one Server. s.TLSConfig, if it is set, is what a transport with TLS shows; else it makes a
// certificate of its own.
func (x Transport) Start(t testing.TB, s *mqttx.Server) *Net {
	t.Helper()
	n := &Net{t: t, on: x, s: s, ended: make(chan struct{})}
	if x == Pipe {
		n.pipes()
	} else {
		n.serve()
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("testnet: closing the server: %v", err)
		}
		n.Served()
	})
	return n
}

// Addr is where the Server listens; empty for Pipe.
func (n *Net) Addr() string { return n.addr }

// Open opens a connection, with the handshakes of the transport but without a byte of MQTT. The caller closes it.
func (n *Net) Open() (net.Conn, error) { return n.open() }

// Dial opens a connection for a client that has sent nothing. StopReading is not for clients of WebSocket, whose
// connection would not survive it.
func (n *Net) Dial() *mqttest.Client {
	n.t.Helper()
	nc, err := n.open()
	if err != nil {
		n.t.Fatalf("testnet: %v: %v", n.on, err)
	}
	return mqttest.NewClient(n.t, nc, mqttx.V5)
}

// Connect connects with p, of MQTT 5.0 if it names no version; nil: Clean Start and a client id of its own. Anything but
// CONNACK with Success fails the test.
func (n *Net) Connect(p *packet.Connect) *mqttest.Client {
	n.t.Helper()
	c, code := n.TryConnect(p)
	if code != mqttx.Success {
		n.t.Fatalf("testnet: %v: CONNACK %v", n.on, code)
	}
	return c
}

// TryConnect is Connect for a CONNECT that may be refused. It gives the code of CONNACK as it stands on the wire.
func (n *Net) TryConnect(p *packet.Connect) (*mqttest.Client, mqttx.ReasonCode) {
	n.t.Helper()
	c := n.Dial()
	return c, c.Connect(p)
}

// Served waits until serving is over and gives its error; for Pipe there is none.
func (n *Net) Served() error {
	n.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("testnet: %v is still served after %v", n.on, patience)
	}
	return n.err
}
