package mqttest

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// NewServer makes a Server with this Handler that listens nowhere: [Connect] and [Dial] reach it in memory. Its fields may
// still be set before the first of them. It is closed at the end of the test, before the bubble ends if the test runs in
// one of testing/synctest.
func NewServer(t testing.TB, h mqttx.Handler) *mqttx.Server {
	t.Helper()
	s := &mqttx.Server{Handler: h}
	Start(t, s)
	return s
}

// Start has a Server of the test's own making, with Limits, Compat or a Store, closed at the end of the test. If it has no
// Logger it logs to the test. No method is called before the end, so fields may still be set. A [MemStore] is unblocked
// then; what Close still cannot commit fails the test.
func Start(t testing.TB, s *mqttx.Server) {
	t.Helper()
	log := &testLog{w: t.Output()}
	if s.Logger == nil {
		s.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	t.Cleanup(func() {
		if m, ok := s.Store.(*MemStore); ok {
			m.Unblock() // Close waits for the commit under way, and the test may have failed before its own Unblock
		}
		if err := s.Close(); err != nil {
			t.Errorf("mqttest: closing the server: %v", err)
		}
		log.end()
	})
}

// testLog is the output of a test up to its end, when writing there becomes an error.
type testLog struct {
	mu sync.Mutex
	w  io.Writer // nil: the test is over
}

// Write writes to the test, if it has not ended.
func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return len(b), nil
	}
	return l.w.Write(b)
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = nil
}

// Dial opens a connection in memory that [mqttx.Server.ServeConn] serves, and sends nothing. It ends with the test, which
// then waits for ServeConn and thus for the Disconnected callback.
func Dial(t testing.TB, s *mqttx.Server) *Client {
	t.Helper()
	near, far := Pipe()
	c := newClient(t, near, mqttx.V5)
	c.served = make(chan struct{})
	go func() {
		defer close(c.served)
		c.servedErr = s.ServeConn(context.Background(), far)
	}()
	return c
}

// NewClient makes a Client of a connection of any kind, TCP, TLS or WebSocket for instance, that will speak version v; 0:
// MQTT 5.0. It closes nc at the end of the test.
func NewClient(t testing.TB, nc net.Conn, v mqttx.Version) *Client {
	t.Helper()
	return newClient(t, nc, v)
}

func newClient(t testing.TB, nc net.Conn, v mqttx.Version) *Client {
	if v == 0 {
		v = mqttx.V5
	}
	c := &Client{Version: v, t: t, nc: nc, in: newInbox(nc)}
	t.Cleanup(func() {
		c.in.close()
		if !c.waitServed() {
			c.t.Helper()
			c.t.Errorf("mqttest: the server still serves a connection %v after it was closed: does a callback wait?", patience)
		}
	})
	return c
}

// Connect dials in memory and connects with p, which is not changed; nil: MQTT 5.0 with Clean Start and a client id of its
// own. The version is p.Version, if it is 0 MQTT 5.0. Anything but CONNACK with Success fails the test.
func Connect(t testing.TB, s *mqttx.Server, p *packet.Connect) *Client {
	t.Helper()
	c, code := TryConnect(t, s, p)
	if code != mqttx.Success {
		t.Fatalf("mqttest: want CONNACK 0, got %s", c.show(c.Connack))
	}
	return c
}

// TryConnect is [Connect] for a CONNECT that may be refused. It gives the code of CONNACK as it stands on the wire, 0 to 5
// for versions before 5.0. A connection closed without CONNACK fails the test, and so does AUTH: both are for [Dial].
func TryConnect(t testing.TB, s *mqttx.Server, p *packet.Connect) (*Client, mqttx.ReasonCode) {
	t.Helper()
	c := Dial(t, s)
	return c, c.connect(p)
}

// Connect sends CONNECT, as the function of that name does, on a connection that is open: one of [Dial] or [NewClient]. If
// p.Version is 0 it is c.Version. It gives the code of CONNACK as it stands on the wire.
func (c *Client) Connect(p *packet.Connect) mqttx.ReasonCode {
	c.t.Helper()
	if p == nil {
		p = &packet.Connect{CleanStart: true, ClientID: newID()}
	}
	if p.Version == 0 {
		n := *p
		n.Version = c.Version
		p = &n
	}
	return c.connect(p)
}

func (c *Client) connect(p *packet.Connect) mqttx.ReasonCode {
	c.t.Helper()
	if p == nil {
		p = &packet.Connect{CleanStart: true, ClientID: newID()}
	}
	c.Send(p)
	return Expect[*packet.Connack](c).Code
}

func newID() string { return "mqttest-" + strconv.FormatUint(rand.Uint64(), 36) }

// waitServed waits until ServeConn has returned, if it was this package that called it.
func (c *Client) waitServed() bool {
	if c.served == nil {
		return true
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c.served:
		return true
	case <-t.C:
		return false
	}
}
