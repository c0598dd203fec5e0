package pitfalls_test

import (
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p63Versions are the versions that most rows apply to.
var p63Versions = []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}

// p63Bubble runs f as a subtest in virtual time.
func p63Bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// p63Each runs f in virtual time for each version.
func p63Each(t *testing.T, f func(t *testing.T, v mqttx.Version)) {
	t.Helper()
	for _, v := range p63Versions {
		p63Bubble(t, v.String(), func(t *testing.T) { f(t, v) })
	}
}

// p63Start starts s for clients in memory, without a log unless it has one.
func p63Start(t *testing.T, s *mqttx.Server) *mqttx.Server {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	mqttest.Start(t, s)
	return s
}

// p63Clean is a CONNECT with Clean Start.
func p63Clean(id string, v mqttx.Version) *packet.Connect {
	return &packet.Connect{ClientID: id, Version: v, CleanStart: true}
}

// p63Keeps is a CONNECT for a session that outlives its connection for an hour at least.
func p63Keeps(id string, v mqttx.Version) *packet.Connect {
	p := &packet.Connect{ClientID: id, Version: v}
	if v == mqttx.V5 {
		p.SessionExpiryInterval = new(uint32(3600))
	}
	return p
}

// p63Code compares a reason code.
func p63Code(t *testing.T, what string, got, want mqttx.ReasonCode) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// p63Wire is code as a version says a refusal in SUBACK.
func p63Wire(v mqttx.Version, code mqttx.ReasonCode) mqttx.ReasonCode {
	if v == mqttx.V5 {
		return code
	}
	return 0x80
}

// p63Bye takes the end that the server makes: DISCONNECT with code in MQTT 5.0, in the others no byte.
func p63Bye(t *testing.T, c *mqttest.Client, code mqttx.ReasonCode) {
	t.Helper()
	if c.Version == mqttx.V5 {
		p63Code(t, "DISCONNECT", mqttest.Expect[*packet.Disconnect](c).Code, code)
	}
	c.Closed()
}

// p63Gets takes the next messages, acknowledges them, and compares their payloads; nothing else may come.
func p63Gets(t *testing.T, c *mqttest.Client, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		if p := c.Receive(); string(p.Payload) != want {
			t.Errorf("%s has got %q on %q, want %q", c.ClientID, p.Payload, p.Topic, want)
		}
	}
	c.Nothing()
}

// p63Subscribe sends SUBSCRIBE with options and gives the code of its only filter.
func p63Subscribe(c *mqttest.Client, f packet.Filter) mqttx.ReasonCode {
	c.Send(&packet.Subscribe{PacketID: c.NewID(), Filters: []packet.Filter{f}})
	return mqttest.Expect[*packet.Suback](c).Codes[0]
}

// p63Send sends a PUBLISH of QoS 1 or 2 and gives the code of PUBACK or PUBREC; no PUBREL follows.
func p63Send(c *mqttest.Client, p *packet.Publish) mqttx.ReasonCode {
	c.Send(p)
	if p.QoS == 1 {
		return mqttest.Expect[*packet.Puback](c).Code
	}
	return mqttest.Expect[*packet.Pubrec](c).Code
}

// p63Bytes gives packets as bytes.
func p63Bytes(t *testing.T, v mqttx.Version, ps ...packet.Packet) (b []byte) {
	t.Helper()
	for _, p := range ps {
		var err error
		if b, err = p.Append(b, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// p63Heap gives the bytes of the heap that are in use.
func p63Heap() int64 {
	for range 3 { // pools are emptied by the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// p63Empty fails if anything of sessions, subscriptions, retained messages or queues is left.
func p63Empty(t *testing.T, s *mqttx.Server) {
	t.Helper()
	if st := s.Stats(); st.Sessions != 0 || st.Subscriptions != 0 || st.Retained != 0 || st.Queued != 0 || st.QueuedBytes != 0 {
		t.Errorf("left behind: %+v", st)
	}
}

// p63Listener is a listener in memory, for bubbles.
type p63Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newP63Listener() *p63Listener {
	return &p63Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// dial gives the client's end of a new connection; nil: the listener is closed.
func (l *p63Listener) dial() net.Conn {
	near, far := mqttest.Pipe()
	select {
	case l.conns <- far:
		return near
	case <-l.done:
		return nil
	}
}

// Accept waits for dial.
func (l *p63Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *p63Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is no address of a network.
func (l *p63Listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// p63Await takes the next value of a channel, within the patience of a test.
func p63Await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case v = <-c:
	case <-limit.C:
		t.Fatalf("%s has not come", what)
	}
	return v
}
