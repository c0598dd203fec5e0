package client_test

import (
	"bufio"
	"net"
	"runtime"
	"testing"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// acker acknowledges QoS 1 as fast as it can, batch by batch.
func acker(nc net.Conn) {
	in, out := bufio.NewReaderSize(nc, 65536), bufio.NewWriterSize(nc, 65536)
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		head, err := in.Peek(2)
		if err != nil {
			return
		}
		h, n, _ := packet.ParseHeader(head) // lengths of one byte only
		body, err := in.Peek(n + h.Length)
		if err != nil {
			return
		}
		switch h.Type {
		case packet.TypeConnect:
			_, _ = out.Write([]byte{0x20, 3, 0, 0, 0})
		case packet.TypePublish:
			if h.Flags&0x06 != 0 {
				at := n + 2 + int(body[n])<<8 + int(body[n+1])
				_, _ = out.Write([]byte{0x40, 2, body[at], body[at+1]})
			}
		default:
			return
		}
		if _, err := in.Discard(n + h.Length); err != nil {
			return
		}
	}
}

func benchClient(b *testing.B) *client.Client {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go acker(nc)
		}
	}()
	c, err := client.Dial(b.Context(), l.Addr().String(), client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	b.ReportAllocs()
	return c
}

func benchMessage(qos packet.QoS) *packet.Publish {
	return &packet.Publish{QoS: qos, Topic: []byte("bench/0"), Payload: make([]byte, 64)}
}

func BenchmarkPublish(b *testing.B) {
	c, m := benchClient(b), benchMessage(1)
	for b.Loop() {
		if _, err := c.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClosedLoop keeps 20 QoS 1 messages in flight from the callbacks.
func BenchmarkClosedLoop(b *testing.B) {
	c, m := benchClient(b), benchMessage(1)
	left, open := b.N, 0
	finished := make(chan error)
	start := make(chan struct{})
	var done func(client.Ack, error)
	done = func(_ client.Ack, err error) {
		<-start
		if open--; left > 0 && err == nil {
			left, open = left-1, open+1
			err = c.TryPublish(m, done)
		}
		if open == 0 || err != nil {
			finished <- err
		}
	}
	for range min(20, b.N) {
		left, open = left-1, open+1
		if err := c.TryPublish(m, done); err != nil {
			b.Fatal(err)
		}
	}
	close(start)
	if err := <-finished; err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPublishQoS0(b *testing.B) {
	c, m := benchClient(b), benchMessage(0)
	for b.Loop() {
		if err := c.PublishAsync(b.Context(), m, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle measures the memory of a connection that only has to be there.
func BenchmarkIdle(b *testing.B) {
	const n = 200
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		clients := make([]*client.Client, n)
		for i := range clients {
			near, far := net.Pipe()
			go func() {
				_, _ = far.Read(make([]byte, 100))
				_, _ = far.Write([]byte{0x20, 3, 0, 0, 0})
			}()
			c, err := client.New(b.Context(), near, client.Options{})
			if err != nil {
				b.Fatal(err)
			}
			clients[i] = c
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/n, "B/client")
		for _, c := range clients {
			c.Close()
			<-c.Done()
		}
	}
}
