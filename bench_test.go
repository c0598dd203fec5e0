package mqttx

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// nullWire is a driver without a socket: what is flushed has gone.
type nullWire struct{ *stream }

func (nullWire) flush(c *Conn) {
	c.out.mu.Lock()
	c.out.dirty = false
	n := c.out.size
	c.out.buf, c.out.refs = c.out.buf[:0], nil
	c.out.wroteLocked(n)
	c.out.mu.Unlock()
}

func (nullWire) hangUp(*Conn) {}

// benchConn connects a client whose packets are fed to it by the caller.
func benchConn(tb testing.TB, s *Server, id string, v Version) *Conn {
	tb.Helper()
	here, there := net.Pipe()
	tb.Cleanup(func() { here.Close(); there.Close() })
	c := s.open().newConn(context.Background(), nullWire{newStream(here)})
	benchFeed(tb, c, &packet.Connect{Version: v, ClientID: id, CleanStart: true})
	return c
}

func benchFeed(tb testing.TB, c *Conn, p packet.Packet) {
	tb.Helper()
	v := c.version
	if x, ok := p.(*packet.Connect); ok {
		v = x.Version
	}
	b, err := p.Append(nil, v)
	if err != nil {
		tb.Fatal(err)
	}
	if n := c.feed(b); n != len(b) {
		tb.Fatalf("fed %d of %d bytes", n, len(b))
	}
}

// BenchmarkPublish routes a batch of PUBLISH packets through all rooms, without sockets: parse, match, copy into the
// outbox, flush; with QoS 1 the subscriber's PUBACK as well. The figures are for one message to one or a hundred receivers.
func BenchmarkPublish(b *testing.B) {
	for _, v := range []Version{V311, V5} {
		for _, qos := range []QoS{0, 1, 2} {
			for _, subs := range []int{1, 100} {
				b.Run(fmt.Sprintf("v%s/qos%d/subs%d", v, qos, subs), func(b *testing.B) {
					benchPublish(b, v, qos, subs)
				})
			}
		}
	}
}

func benchPublish(b *testing.B, v Version, qos QoS, subs int) {
	var s Server
	pub := benchConn(b, &s, "pub", v)
	var to []*Conn
	for i := range subs {
		c := benchConn(b, &s, fmt.Sprint("sub", i), v)
		benchFeed(b, c, &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "bench/+/x", QoS: qos}}})
		to = append(to, c)
	}
	const batch = 32
	var in, acks []byte
	for i := range batch {
		p := &packet.Publish{Topic: []byte("bench/1/x"), Payload: make([]byte, 64), QoS: qos}
		if qos > 0 {
			p.PacketID = uint16(i + 1)
		}
		in, _ = p.Append(in, v)
		if qos == 2 {
			in = packet.AppendAck(in, packet.TypePubrel, p.PacketID)
		}
	}
	id := uint16(0)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		pub.feed(in)
		if qos == 0 {
			continue
		}
		acks = acks[:0]
		for range batch {
			if id++; id == 0 {
				id = 1
			}
			if qos == 1 {
				acks = packet.AppendAck(acks, packet.TypePuback, id)
			} else {
				acks = packet.AppendAck(acks, packet.TypePubrec, id)
				acks = packet.AppendAck(acks, packet.TypePubcomp, id)
			}
		}
		for _, c := range to {
			c.feed(acks)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch*subs), "ns/delivery")
}
