package pitfalls_test

import (
	"fmt"
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

// p73Dropped gives all drops, and fails if trace and counters do not agree.
type p73Dropped struct {
	mu    sync.Mutex
	count map[mqttx.DropReason]int64
}

func (d *p73Dropped) trace() *mqttx.Trace {
	d.count = make(map[mqttx.DropReason]int64)
	return &mqttx.Trace{Dropped: func(_ mqttx.Client, _ *mqttx.Message, why mqttx.DropReason) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.count[why]++
	}}
}

// sum compares trace and counters, and gives the total.
func (d *p73Dropped) sum(t *testing.T, s *mqttx.Server) (n int64) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for why, k := range s.Stats().Dropped {
		if d.count[why] != k {
			t.Errorf("%v: counted %d, traced %d", why, k, d.count[why])
		}
		n += k
	}
	return n
}

// One reader that stops holds nobody up for longer than one pause, and what waits for it is bounded.
func TestPitfall073_StoppedReader(t *testing.T) {
	const readers, messages = 8, 700
	for q := range mqttx.QoS(3) {
		p63Bubble(t, fmt.Sprint("QoS ", q), func(t *testing.T) {
			d := &p73Dropped{}
			s := p63Start(t, &mqttx.Server{Trace: d.trace(), Limits: mqttx.Limits{QueuedMessages: 100}})
			stopped := mqttest.Connect(t, s, nil)
			stopped.Subscribe("t", q)
			stopped.StopReading()
			var others []*mqttest.Client
			for range readers {
				c := mqttest.Connect(t, s, nil)
				c.Subscribe("t", q)
				others = append(others, c)
			}
			pub := mqttest.Connect(t, s, nil)
			payload := string(make([]byte, 2000))
			begun := time.Now()
			for range messages {
				pub.Publish("t", payload, q)
			}
			for _, c := range others {
				for range messages {
					c.Receive()
				}
				c.Nothing()
			}
			if took := time.Since(begun); took > 100*time.Millisecond {
				t.Errorf("the others have waited %v", took)
			}
			lost := d.sum(t, s)
			st := s.Stats()
			if lost == 0 || st.Queued > 1000 || st.QueuedBytes > 2<<20 {
				t.Errorf("queued %d, %d bytes, dropped %v", st.Queued, st.QueuedBytes, st.Dropped)
			}
			if st.Delivered+st.Queued+lost != messages*(readers+1) {
				t.Errorf("delivered %d + queued %d + dropped %d, want %d", st.Delivered, st.Queued, lost, messages*(readers+1))
			}
		})
	}
}

// The same on sockets, with event loops and without.
func TestPitfall073_Sockets(t *testing.T) {
	const readers, messages = 1, 300
	for _, on := range []testnet.Transport{testnet.Loop, testnet.TCP, testnet.UnixLoop} {
		t.Run(on.String(), func(t *testing.T) {
			d := &p73Dropped{}
			s := &mqttx.Server{Trace: d.trace(), Limits: mqttx.Limits{QueuedMessages: 10}}
			n := on.Start(t, s)
			stopped := n.Connect(nil)
			stopped.Subscribe("t", 1)
			stopped.StopReading()
			var others []*mqttest.Client
			for range readers {
				c := n.Connect(nil)
				c.Subscribe("t", 1)
				others = append(others, c)
			}
			pub := n.Connect(nil)
			payload := string(make([]byte, 60<<10))
			for range messages {
				pub.Publish("t", payload, 1)
				for _, c := range others {
					c.Receive()
				}
			}
			others[0].Nothing()
			pub.Nothing()
			if lost := d.sum(t, s); lost == 0 {
				t.Errorf("18 MB are taken for a client that does not read: %+v", s.Stats())
			}
		})
	}
}

// Publishers are held before anything is lost: a reader that is only slower loses nothing.
func TestPitfall074_HeldBack(t *testing.T) {
	const publishers, each = 20, 100
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		d := &p73Dropped{}
		s := p63Start(t, &mqttx.Server{Trace: d.trace()})
		sub := mqttest.Connect(t, s, p63Clean("sub", v))
		sub.Subscribe("t/#", 0)
		p74Flood(t, s, v, publishers, each)
		for range publishers * each {
			sub.Receive()
		}
		sub.Nothing()
		if lost := d.sum(t, s); lost != 0 {
			t.Errorf("%d lost", lost)
		}
	})
}

// p74Flood has publishers send at once as fast as they may, and waits until the server has taken all.
func p74Flood(t *testing.T, s *mqttx.Server, v mqttx.Version, publishers, each int) {
	t.Helper()
	var pubs []*mqttest.Client
	for i := range publishers {
		pubs = append(pubs, mqttest.Connect(t, s, p63Clean(fmt.Sprint("pub", i), v)))
	}
	for i, c := range pubs {
		p := &packet.Publish{Topic: fmt.Append(nil, "t/", i), Payload: make([]byte, 1000)}
		b := p63Bytes(t, v, p)
		go c.Write(append(slices.Repeat(b, each), 0xC0, 0))
	}
	for _, c := range pubs {
		mqttest.Expect[*packet.Pingresp](c)
	}
}

// A reader that has stopped holds them for a bounded time; then what is lost is counted, and the sums agree.
func TestPitfall074_Counted(t *testing.T) {
	const publishers, each = 20, 100
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		d := &p73Dropped{}
		s := p63Start(t, &mqttx.Server{Trace: d.trace()})
		sub := mqttest.Connect(t, s, p63Clean("sub", v))
		sub.Subscribe("t/#", 0)
		sub.StopReading()
		begun := time.Now()
		p74Flood(t, s, v, publishers, each)
		if took := time.Since(begun); took == 0 || took > time.Second {
			t.Errorf("the publishers were held for %v", took)
		}
		lost, st := d.sum(t, s), s.Stats()
		if lost == 0 || lost != st.Dropped[mqttx.DropOutboxFull] || st.Delivered+lost != publishers*each {
			t.Errorf("delivered %d, dropped %v of %d", st.Delivered, st.Dropped, publishers*each)
		}
		sub.GoOnReading()
		for range st.Delivered {
			sub.Receive()
		}
		sub.Nothing()
	})
}

// What a full queue throws away is not acknowledged as taken; answer, counter and trace agree.
func TestPitfall075_FullQueue(t *testing.T) {
	for q := mqttx.QoS(1); q <= 2; q++ {
		for _, v := range p63Versions {
			p63Bubble(t, fmt.Sprint("QoS ", q, " ", v), func(t *testing.T) {
				d := &p73Dropped{}
				s := p63Start(t, &mqttx.Server{Trace: d.trace(), Limits: mqttx.Limits{QueuedMessages: 2}})
				sleeper := mqttest.Connect(t, s, p63Keeps("sleeper", v))
				sleeper.Subscribe("t", 2)
				sleeper.Drop()
				pub := mqttest.Connect(t, s, p63Clean("pub", v))
				p63Code(t, "first", pub.Publish("t", "1", q), mqttx.Success)
				p63Code(t, "second", pub.Publish("t", "2", q), mqttx.Success)
				p := &packet.Publish{Topic: []byte("t"), Payload: []byte("3"), QoS: q, PacketID: 77}
				if v == mqttx.V5 {
					p63Code(t, "third", p63Send(pub, p), mqttx.QuotaExceeded)
				} else {
					pub.Send(p) // it cannot be told, so there is no acknowledgement
					pub.Closed()
					pub = mqttest.Connect(t, s, p63Clean("pub", v))
				}
				if n := d.sum(t, s); n != 1 || s.Stats().Dropped[mqttx.DropQueueFull] != 1 {
					t.Errorf("dropped %v", s.Stats().Dropped)
				}
				other := mqttest.Connect(t, s, nil)
				other.Subscribe("t", 2)
				p63Code(t, "with a reader that has room", pub.Publish("t", "4", q), mqttx.Success)
				p63Gets(t, other, "4")
				if n := d.sum(t, s); n != 2 {
					t.Errorf("%d dropped, want 2", n)
				}
				p63Gets(t, mqttest.Connect(t, s, p63Keeps("sleeper", v)), "1", "2")
			})
		}
	}
}

// Waiting QoS 0 goes first, the oldest before newer ones.
func TestPitfall075_OldestQoS0First(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		var lost []string
		s := p63Start(t, &mqttx.Server{
			Limits:  mqttx.Limits{QueuedMessages: 3},
			Handler: mqttx.Callbacks[*mqttx.Conn]{Deliver: func(_ *mqttx.Conn, m *mqttx.Message) *mqttx.Message { return m }},
			Trace: &mqttx.Trace{Dropped: func(_ mqttx.Client, m *mqttx.Message, why mqttx.DropReason) {
				lost = append(lost, fmt.Sprint(string(m.Payload), " ", why))
			}},
		})
		p := p63Clean("reader", mqttx.V5)
		p.ReceiveMaximum = 1
		reader := mqttest.Connect(t, s, p)
		reader.Subscribe("t", 1)
		pub := mqttest.Connect(t, s, nil)
		for _, m := range []string{"1 open", "1 a", "0 b", "0 c", "1 d", "1 e"} {
			p63Code(t, m, pub.Publish("t", m, mqttx.QoS(m[0]-'0')), mqttx.Success)
			synctest.Wait()
		}
		p63Code(t, "only QoS 1 is left", pub.Publish("t", "1 f", 1), mqttx.QuotaExceeded)
		synctest.Wait()
		why := mqttx.DropQueueFull
		if want := []string{fmt.Sprint("0 b ", why), fmt.Sprint("0 c ", why), fmt.Sprint("1 f ", why)}; !slices.Equal(lost, want) {
			t.Errorf("lost %q, want %q", lost, want)
		}
		p63Gets(t, reader, "1 open", "1 a", "1 d", "1 e")
	})
}

// DisconnectWhenFull ends the connection of a client whose queue is full; its session stays.
func TestPitfall075_DisconnectWhenFull(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{QueuedMessages: 2, DisconnectWhenFull: true}})
		p := p63Keeps("reader", mqttx.V5)
		p.ReceiveMaximum = 1
		reader := mqttest.Connect(t, s, p)
		reader.Subscribe("t", 1)
		pub := mqttest.Connect(t, s, nil)
		for i := range 3 {
			p63Code(t, "PUBACK", pub.Publish("t", fmt.Sprint(i), 1), mqttx.Success)
		}
		p63Code(t, "over the limit", pub.Publish("t", "3", 1), mqttx.QuotaExceeded)
		mqttest.Expect[*packet.Publish](reader)
		p63Bye(t, reader, mqttx.QuotaExceeded)
		reader = mqttest.Connect(t, s, p)
		if !reader.Connack.SessionPresent {
			t.Error("the session is gone")
		}
		p63Gets(t, reader, "0", "1", "2")
	})
}
