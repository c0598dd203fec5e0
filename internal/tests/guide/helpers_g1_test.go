package guide_test

import (
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1Versions are the versions that most cases apply to.
func g1Versions() []mqttx.Version { return []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5} }

// g1Connect is a CONNECT with Clean Start.
func g1Connect(id string, v mqttx.Version) *packet.Connect {
	return &packet.Connect{ClientID: id, Version: v, CleanStart: true}
}

// g1Quiet is a Server without a log.
func g1Quiet(h mqttx.Handler) *mqttx.Server {
	return &mqttx.Server{Handler: h, Logger: slog.New(slog.DiscardHandler)}
}

// g1Bubble runs f as a subtest in virtual time.
func g1Bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// g1Bubbles runs f in virtual time for each version.
func g1Bubbles(t *testing.T, f func(t *testing.T, v mqttx.Version)) {
	t.Helper()
	for _, v := range g1Versions() {
		g1Bubble(t, v.String(), func(t *testing.T) { f(t, v) })
	}
}

// g1Nets runs f over each transport for each version.
func g1Nets(t *testing.T, f func(t *testing.T, on testnet.Transport, v mqttx.Version)) {
	t.Helper()
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for _, v := range g1Versions() {
			t.Run(v.String(), func(t *testing.T) { f(t, on, v) })
		}
	})
}

// g1Started starts s for clients in memory.
func g1Started(t *testing.T, s *mqttx.Server) *mqttx.Server {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	mqttest.Start(t, s)
	return s
}

// g1Await takes the next value of a channel, within the patience of a test.
func g1Await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case v := <-c:
		return v
	case <-limit.C:
		t.Fatalf("%s has not come", what)
		panic("not reached")
	}
}

// g1Subscribe subscribes with all that a SUBSCRIBE can say and gives the codes of SUBACK.
func g1Subscribe(c *mqttest.Client, p *packet.Subscribe) []mqttx.ReasonCode {
	n := *p
	n.PacketID = c.NewID()
	c.Send(&n)
	return mqttest.Expect[*packet.Suback](c).Codes
}

// g1Bye takes the end that the server makes: DISCONNECT with code in MQTT 5.0, in the others no byte.
func g1Bye(t *testing.T, c *mqttest.Client, code mqttx.ReasonCode) {
	t.Helper()
	if c.Version == mqttx.V5 {
		if p := mqttest.Expect[*packet.Disconnect](c); p.Code != code {
			t.Errorf("DISCONNECT %v, want %v", p.Code, code)
		}
	}
	c.Closed()
}

// g1Got compares a message with what it should be, apart from its packet id.
func g1Got(t *testing.T, p *packet.Publish, topic, payload string, q mqttx.QoS, retain bool) {
	t.Helper()
	if string(p.Topic) != topic || string(p.Payload) != payload || p.QoS != q || p.Retain != retain || p.Dup {
		t.Errorf("PUBLISH %q %q at QoS %d, RETAIN %v, DUP %v; want %q %q at QoS %d, RETAIN %v",
			p.Topic, p.Payload, p.QoS, p.Retain, p.Dup, topic, payload, q, retain)
	}
}

// g1Codes compares reason codes.
func g1Codes(t *testing.T, what string, got []mqttx.ReasonCode, want ...mqttx.ReasonCode) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s %v, want %v", what, got, want)
	}
}

// g1Code compares one reason code.
func g1Code(t *testing.T, what string, got, want mqttx.ReasonCode) {
	t.Helper()
	if got != want {
		t.Errorf("%s %v, want %v", what, got, want)
	}
}

// g1Send sends a PUBLISH of QoS 1 or 2 and gives the code of PUBACK or PUBREC; no PUBREL follows.
func g1Send(t *testing.T, c *mqttest.Client, p *packet.Publish) mqttx.ReasonCode {
	t.Helper()
	c.Send(p)
	if p.QoS == 1 {
		ack := mqttest.Expect[*packet.Puback](c)
		if ack.PacketID != p.PacketID {
			t.Errorf("PUBACK of %d, want %d", ack.PacketID, p.PacketID)
		}
		return ack.Code
	}
	ack := mqttest.Expect[*packet.Pubrec](c)
	if ack.PacketID != p.PacketID {
		t.Errorf("PUBREC of %d, want %d", ack.PacketID, p.PacketID)
	}
	return ack.Code
}

// g1Notes are what callbacks note, in order.
type g1Notes struct {
	mu   sync.Mutex
	list []string
}

func (n *g1Notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, s)
}

func (n *g1Notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

// want compares all notes so far.
func (n *g1Notes) want(t *testing.T, notes ...string) {
	t.Helper()
	if got := n.all(); !slices.Equal(got, notes) {
		t.Errorf("calls %q, want %q", got, notes)
	}
}

// g1Listener is a listener in memory, for bubbles.
type g1Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newG1Listener() *g1Listener {
	return &g1Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// dial gives the client's end of a new connection.
func (l *g1Listener) dial(t *testing.T) net.Conn {
	t.Helper()
	near, far := mqttest.Pipe()
	select {
	case l.conns <- far:
	case <-l.done:
		t.Fatal("the listener is closed")
	}
	return near
}

// Accept waits for dial.
func (l *g1Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *g1Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is no address of a network.
func (l *g1Listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
