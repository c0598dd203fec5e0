package stress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

const patience = time.Minute

// sizes are those of payloads: some are copied, some are referenced, and one is as large as a packet may be by default.
var sizes = []int{20 << 10, 10, 1<<20 - 64, 16 << 10, 16<<10 - 1, 64 << 10, 300_001, 1, 128<<10 + 7, 20_001}

var noise = func() []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, 2<<20)
	r.Read(b)
	return b
}()

// payload is that of the i-th message.
func payload(i int) []byte {
	at := i * 977 % (1 << 20)
	return noise[at : at+sizes[i%len(sizes)]]
}

// pieces reads a little at a time.
type pieces struct {
	net.Conn
	rnd *rand.Rand
}

// Read reads at most a few thousand bytes.
func (p *pieces) Read(b []byte) (int, error) {
	return p.Conn.Read(b[:min(len(b), 1+p.rnd.IntN(5000))])
}

// serving starts a server by a driver and ends it with the test.
func serving(t *testing.T, srv *mqttx.Server, serve func(*mqttx.Server, net.Listener) error) (addr string) {
	t.Helper()
	mqttest.Leaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(srv, l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != mqttx.ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
	return l.Addr().String()
}

// joins connects a client with a small receive buffer that reads a little at a time, and subscribes it.
func joins(t *testing.T, addr, filter string, p *packet.Connect, qos packet.QoS) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.(*net.TCPConn).SetReadBuffer(256 << 10) // with less than a few segments of loopback the kernel waits
	nc.SetDeadline(time.Now().Add(patience))
	p.CleanStart = true
	c := &peer{id: p.ClientID, v: p.Version, qos: qos, nc: nc}
	c.in = bufio.NewReaderSize(&pieces{nc, rand.New(rand.NewPCG(1, uint64(len(p.ClientID))))}, 4<<10)
	c.send(p)
	if filter != "" {
		c.send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: filter, QoS: qos}}})
	}
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	if ack := must[*packet.Connack](t, c); ack.Code != 0 {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	if filter != "" {
		must[*packet.Suback](t, c)
	}
	return c
}

// must reads one packet of a kind.
func must[T packet.Packet](t *testing.T, c *peer) (p T) {
	t.Helper()
	x, err := c.read()
	if err != nil {
		t.Fatalf("%s: %v", c.id, err)
	}
	p, ok := x.(T)
	if !ok {
		t.Fatalf("%s: unexpected %s", c.id, mqttest.Format(x))
	}
	return p
}

// takeLarge reads messages up to the one before end, in order and with every byte right, and acknowledges them.
func (p *peer) takeLarge(from, end int) error {
	for i := from; i < end; i++ {
		x, err := p.read()
		if err != nil {
			return fmt.Errorf("%s: message %d: %w", p.id, i, err)
		}
		m, ok := x.(*packet.Publish)
		if !ok || !bytes.Equal(m.Payload, payload(i)) {
			return fmt.Errorf("%s: message %d: other bytes have come: %T", p.id, i, x)
		}
		p.out = packet.AppendAck(p.out, packet.TypePuback, m.PacketID)
		if err := p.flush(); err != nil {
			return err
		}
	}
	return nil
}

// Large messages reach subscribers that take little at a time, whole and in order; what is in the outbox when the server
// disconnects them comes whole as well, then DISCONNECT, then the end.
func TestLargeMessages(t *testing.T) {
	const first, second = 30, 60
	for name, serve := range drivers {
		t.Run(name, func(t *testing.T) {
			srv := &mqttx.Server{}
			addr := serving(t, srv, serve)
			var subs []*peer
			for _, p := range []*packet.Connect{
				{Version: packet.V5, ClientID: "plain"},
				{Version: packet.V5, ClientID: "aliases", TopicAliasMaximum: 5},
				{Version: packet.V311, ClientID: "old"},
				{Version: packet.V5, ClientID: "late"},
				{Version: packet.V311, ClientID: "late and old"},
			} {
				subs = append(subs, joins(t, addr, "large", p, 1))
			}
			published := make(chan struct{})
			var readers sync.WaitGroup
			for i, c := range subs {
				readers.Go(func() {
					if i >= 3 {
						<-published
					}
					if err := c.takeLarge(0, first); err != nil {
						t.Error(err)
					}
				})
			}
			pub := joins(t, addr, "", &packet.Connect{Version: packet.V5, ClientID: "pub"}, 0)
			publishLarge(t, pub, 0, first)
			close(published)
			readers.Wait()
			if t.Failed() {
				return
			}
			publishLarge(t, pub, first, second)
			for _, c := range subs {
				if err := srv.Disconnect(c.id, mqttx.AdministrativeAction); err != nil {
					t.Error(err)
				}
			}
			for _, c := range subs {
				readers.Go(func() { lastWords(t, c, first) })
			}
			readers.Wait()
		})
	}
}

// publishLarge sends messages, each when the one before is acknowledged.
func publishLarge(t *testing.T, pub *peer, from, end int) {
	t.Helper()
	for i := from; i < end; i++ {
		pub.send(&packet.Publish{Topic: []byte("large"), Payload: payload(i), QoS: 1, PacketID: 1})
		if err := pub.flush(); err != nil {
			t.Fatal(err)
		}
		if ack := must[*packet.Puback](t, pub); ack.Code != 0 {
			t.Fatalf("PUBACK %v", ack.Code)
		}
	}
}

// lastWords reads what is left for a client that the server has disconnected.
func lastWords(t *testing.T, c *peer, next int) {
	for i := next; ; i++ {
		x, err := c.read()
		if err != nil {
			if c.v == packet.V5 || !errors.Is(err, io.EOF) || i == next {
				t.Errorf("%s: ended by %v after %d messages", c.id, err, i-next)
			}
			return
		}
		switch x := x.(type) {
		case *packet.Publish:
			if !bytes.Equal(x.Payload, payload(i)) {
				t.Errorf("%s: message %d: other bytes have come", c.id, i)
				return
			}
		case *packet.Disconnect:
			if _, err := c.read(); x.Code != mqttx.AdministrativeAction || !errors.Is(err, io.EOF) || i == next {
				t.Errorf("%s: DISCONNECT %v and %v after %d messages", c.id, x.Code, err, i-next)
			}
			return
		default:
			t.Errorf("%s: unexpected %s", c.id, mqttest.Format(x))
			return
		}
	}
}
