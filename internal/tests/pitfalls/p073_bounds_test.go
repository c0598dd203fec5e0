package pitfalls_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A client that reads and never acknowledges cannot have more kept for it than its queue may hold.
func TestPitfall073_NeverAcknowledges(t *testing.T) {
	const most, size = 100_000, 10_000
	for q := mqttx.QoS(1); q <= 2; q++ {
		p63Each(t, func(t *testing.T, v mqttx.Version) {
			d := &p73Dropped{}
			s := p63Start(t, &mqttx.Server{Trace: d.trace(), Limits: mqttx.Limits{QueuedBytes: most}})
			c := mqttest.Connect(t, s, p63Clean("silent", v))
			c.Subscribe("t", q)
			for range 50 {
				s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: q, Payload: make([]byte, size)})
			}
			if st := s.Stats(); st.QueuedBytes > most || st.QueuedBytes < most-2*size {
				t.Errorf("%d bytes are kept, %d allowed", st.QueuedBytes, most)
			}
			if lost := d.sum(t, s); lost+s.Stats().Queued != 50 {
				t.Errorf("%d lost, %d queued", lost, s.Stats().Queued)
			}
		})
	}
}

// One message passes whatever its size, as long as nothing is under way.
func TestPitfall073_OneLargeMessagePasses(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{QueuedBytes: 10}})
		c := mqttest.Connect(t, s, p63Clean("c", v))
		c.Subscribe("t", 1)
		for range 3 {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 1, Payload: make([]byte, 1000)}); err != nil {
				t.Error(err)
			}
			c.Receive()
			synctest.Wait()
		}
		c.Nothing()
	})
}

// Topic Aliases to a client are bounded by the bytes that they take, not only by the number that the client chooses.
func TestPitfall073_AliasMemory(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		s := p63Start(t, &mqttx.Server{})
		p := p63Clean("c", mqttx.V5)
		p.TopicAliasMaximum = 65535
		c := mqttest.Connect(t, s, p)
		c.Subscribe("#", 0)
		const topics, size = 100, 50_000
		aliases, known := 0, 0
		for range 2 {
			for i := range topics {
				topic := fmt.Sprint(i, strings.Repeat("x", size))
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: topic}); err != nil {
					t.Fatal(err)
				}
				p := mqttest.Expect[*packet.Publish](c)
				switch {
				case len(p.Topic) == 0:
					known++
				case string(p.Topic) != topic:
					t.Fatal("another topic has come")
				case p.TopicAlias != 0:
					aliases++
				}
			}
		}
		if aliases == 0 || aliases*size > 1<<20 || known != aliases {
			t.Errorf("%d aliases for topics of %d bytes, used %d times", aliases, size, known)
		}
	})
}

// Publishers are held back for a reader that takes little at a time, and nothing is lost: what it takes counts when it
// takes it, not when a whole batch is through.
func TestPitfall074_SlowReader(t *testing.T) {
	const publishers, each, size = 20, 300, 1000
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		d := &p73Dropped{}
		s := p63Start(t, &mqttx.Server{Trace: d.trace()})
		near, far := mqttest.Pipe()
		go s.ServeConn(context.Background(), far)
		b := p63Bytes(t, v, p63Clean("slow", v), &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t/#"}}})
		if _, err := near.Write(b); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var reader sync.WaitGroup
		got := 0
		reader.Go(func() {
			buf, tick := make([]byte, 8<<10), time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for range tick.C { // 8 MB/s, in virtual time
				n, err := near.Read(buf)
				if got += n; err == io.EOF {
					return
				}
			}
		})
		p74Flood(t, s, v, publishers, each)
		if lost := d.sum(t, s); lost != 0 {
			t.Errorf("%d lost for a reader that is only slow", lost)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		reader.Wait()
		near.Close()
		if got < publishers*each*size {
			t.Errorf("%d bytes have come", got)
		}
	})
}
