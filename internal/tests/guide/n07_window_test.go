package guide_test

import (
	"fmt"
	"maps"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n07Window connects a client with a window of 2, which v3 clients get from Limits.Inflight, and sends it 5 messages.
func n07Window(t *testing.T, v mqttx.Version, q mqttx.QoS) *mqttest.Client {
	t.Helper()
	limits := mqttx.Limits{}
	p := g1Connect("c", v)
	if v == mqttx.V5 {
		p.ReceiveMaximum = 2
	} else {
		limits.Inflight = 2
	}
	s := g1Started(t, &mqttx.Server{Limits: limits})
	c := mqttest.Connect(t, s, p)
	g70Topics(t, c, "t")
	pub := mqttest.Connect(t, s, nil)
	for i := range 5 {
		pub.Publish("t", fmt.Sprint(i), q)
	}
	pub.Publish("t", "qos 0", 0) // has no window
	return c
}

func TestGuide_N7_QoS1(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		c := n07Window(t, v, 1)
		ids := []uint16{g70Publish(t, c, "0", 1, false), g70Publish(t, c, "1", 1, false)}
		g1Got(t, mqttest.Expect[*packet.Publish](c), "t", "qos 0", 0, false)
		c.Nothing()
		for i := range 5 {
			c.Send(&packet.Puback{PacketID: ids[i]})
			if i < 3 {
				ids = append(ids, g70Publish(t, c, fmt.Sprint(i+2), 1, false))
			}
			c.Nothing()
		}
	})
}

func TestGuide_N7_QoS2(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		c := n07Window(t, v, 2)
		ids := []uint16{g70Publish(t, c, "0", 2, false), g70Publish(t, c, "1", 2, false)}
		g1Got(t, mqttest.Expect[*packet.Publish](c), "t", "qos 0", 0, false)
		for i := range 5 {
			c.Send(&packet.Pubrec{PacketID: ids[i]})
			g70ID(t, "PUBREL", mqttest.Expect[*packet.Pubrel](c).PacketID, ids[i])
			c.Nothing() // only PUBCOMP makes room
			c.Send(&packet.Pubcomp{PacketID: ids[i]})
			if i < 3 {
				ids = append(ids, g70Publish(t, c, fmt.Sprint(i+2), 2, false))
			}
			c.Nothing()
		}
	})
}

// A refusal of QoS 2 makes room as well.
func TestGuide_N7_Refused(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		c := n07Window(t, mqttx.V5, 2)
		id := g70Publish(t, c, "0", 2, false)
		g70Publish(t, c, "1", 2, false)
		c.Next()
		c.Send(&packet.Pubrec{PacketID: id, Code: mqttx.QuotaExceeded})
		g70Publish(t, c, "2", 2, false)
		c.Nothing()
	})
}

// On overflow waiting QoS 0 goes first, oldest first, and then the new message.
func TestGuide_N7_OldestQoS0First(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		var dropped []string
		s := g1Started(t, &mqttx.Server{
			Limits: mqttx.Limits{QueuedMessages: 3},
			Trace: &mqttx.Trace{Dropped: func(c mqttx.Client, m *mqttx.Message, why mqttx.DropReason) {
				dropped = append(dropped, fmt.Sprint(c.ID, " ", string(m.Payload), " ", why))
			}},
			Handler: mqttx.Callbacks[int]{Deliver: func(_ int, m *mqttx.Message) *mqttx.Message { return m }}, // has QoS 0 wait its turn
		})
		p := g1Connect("c", mqttx.V5)
		p.ReceiveMaximum = 1
		c := mqttest.Connect(t, s, p)
		g70Topics(t, c, "t")
		send := func(payload string, q mqttx.QoS) {
			t.Helper()
			s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: []byte(payload), QoS: q})
			synctest.Wait()
		}
		send("open", 1)
		id := g70Publish(t, c, "open", 1, false)
		send("a", 1)
		send("old", 0)
		send("young", 0)
		send("b", 1) // for old
		send("c", 1) // for young
		send("d", 1) // no room
		send("late", 0)
		want := []string{"c old queue-full", "c young queue-full", "c d queue-full", "c late queue-full"}
		if fmt.Sprint(dropped) != fmt.Sprint(want) {
			t.Errorf("dropped %q, want %q", dropped, want)
		}
		if n := s.Stats().Dropped[mqttx.DropQueueFull]; n != 4 {
			t.Errorf("%d counted", n)
		}
		for _, next := range []string{"a", "b", "c"} {
			c.Send(&packet.Puback{PacketID: id})
			id = g70Publish(t, c, next, 1, false)
		}
		c.Nothing()
	})
}

// A client that stops reading costs what the limits allow. The others get all, and what is missing is counted.
func TestGuide_N7_StoppedReader(t *testing.T) {
	const messages, queued = 20_000, 1000
	for q := mqttx.QoS(0); q <= 1; q++ {
		for _, on := range []testnet.Transport{testnet.Loop, testnet.TCP} {
			t.Run(fmt.Sprintf("QoS %d, %v", q, on), func(t *testing.T) {
				s := g1Quiet(nil)
				s.Limits = mqttx.Limits{QueuedMessages: queued, Inflight: queued}
				n := on.Start(t, s)
				slow := n.Connect(g1Connect("slow", mqttx.V311))
				slow.Subscribe("t", 1)
				slow.StopReading()
				all, err := s.Subscribe(t.Context(), "t")
				if err != nil {
					t.Fatal(err)
				}
				got := make(chan int)
				go func() {
					k := 0
					for range all {
						if k++; k == messages {
							break
						}
						if k%100 == 0 {
							got <- k
						}
					}
					got <- k
				}()
				before := n07Heap()
				for i := range messages {
					if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: make([]byte, 2000), QoS: q}); err != nil {
						t.Fatal(err)
					}
					if (i+1)%100 == 0 { // so that the other's queue has room too
						g1Await(t, "the other subscriber's messages", got)
					}
				}
				if more := n07Heap() - before; more > 16<<20 {
					t.Errorf("%d bytes more in use", more)
				}
				st := s.Stats()
				missing := int64(0)
				for _, n := range st.Dropped {
					missing += n
				}
				if st.Queued > 2*queued || missing == 0 || st.Delivered+missing+st.Queued != 2*messages {
					t.Errorf("of %d copies %d delivered, %d queued, %v dropped", 2*messages, st.Delivered, st.Queued, st.Dropped)
				}
			})
		}
	}
}

// n07Heap is the memory in use.
func n07Heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// By choice the client that is over its limit is disconnected instead.
func TestGuide_N7_DisconnectWhenFull(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{QueuedMessages: 2, Inflight: 1, DisconnectWhenFull: true}})
		p := g70Keep("c", v)
		if v == mqttx.V5 {
			p.ReceiveMaximum = 1
		}
		c := mqttest.Connect(t, s, p)
		g70Topics(t, c, "t")
		other := g38Subscriber(t, s, "t")
		pub := mqttest.Connect(t, s, nil)
		for i := range 4 {
			g1Code(t, "PUBACK", pub.Publish("t", fmt.Sprint(i), 1), mqttx.Success)
		}
		g70Publish(t, c, "0", 1, false)
		g1Bye(t, c, mqttx.QuotaExceeded)
		g38Gets(t, other, "0", "1", "2", "3")
		c = g70Resume(t, s, "c", v) // the session is there, and what it had room for
		g70Publish(t, c, "0", 1, true)
		if n := s.Stats().Dropped[mqttx.DropQueueFull]; n != 1 {
			t.Errorf("%d dropped", n)
		}
	})
}

// An id is not given again before its message is acknowledged, however many come between.
func TestGuide_N8_WrapAround(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g70Keep("c", mqttx.V5))
		g70Topics(t, c, "t")
		send := func() uint16 {
			t.Helper()
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			return mqttest.Expect[*packet.Publish](c).PacketID
		}
		first := send()
		wrapped := false
		last := first
		for range 70 {
			const batch = 1000
			for range batch {
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 1}); err != nil {
					t.Fatal(err)
				}
			}
			for range batch {
				id := mqttest.Expect[*packet.Publish](c).PacketID
				if id == first || id == 0 {
					t.Fatalf("id %d while %d is open", id, first)
				}
				wrapped = wrapped || id < last
				last = id
				c.Send(&packet.Puback{PacketID: id})
			}
		}
		if !wrapped {
			t.Error("the ids did not wrap")
		}
		c.Nothing()
		c.Drop()
		c = g70Resume(t, s, "c", mqttx.V5)
		p := mqttest.Expect[*packet.Publish](c)
		if p.PacketID != first || !p.Dup {
			t.Errorf("resent %d, DUP %v; want %d", p.PacketID, p.Dup, first)
		}
		if id := send(); id == first || id == 0 {
			t.Errorf("id %d while %d is open", id, first)
		}
	})
}

// With all ids in use sending waits for one.
func TestGuide_N8_AllOpen(t *testing.T) {
	g1Bubble(t, "3.1.1", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: -1}})
		c := mqttest.Connect(t, s, g1Connect("c", mqttx.V311))
		g70Topics(t, c, "t")
		for range 65536 {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		open := make([]bool, 65536)
		for range 65535 {
			id := mqttest.Expect[*packet.Publish](c).PacketID
			if id == 0 || open[id] {
				t.Fatalf("id %d twice", id)
			}
			open[id] = true
		}
		c.Nothing()
		c.Send(&packet.Puback{PacketID: 4711})
		g70ID(t, "the last one", mqttest.Expect[*packet.Publish](c).PacketID, 4711)
		c.Nothing()
	})
}

// After a resume open messages keep their ids, and new ones get others, in each version.
func TestGuide_N8_Resume(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		store := new(mqttest.MemStore)
		s := g1Started(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, s, g70Keep("c", v))
		g70Topics(t, c, "t")
		ids := map[uint16]bool{}
		for range 10 {
			ids[n06Sent(t, s, c, "x", 1)] = true
		}
		for restart := range 2 {
			if restart == 1 {
				s.Close()
				s = g1Started(t, &mqttx.Server{Store: store})
			}
			c.Drop()
			c = g70Resume(t, s, "c", v)
			again := map[uint16]bool{}
			for range len(ids) {
				again[g70Publish(t, c, "x", 1, true)] = true
			}
			if !maps.Equal(ids, again) {
				t.Errorf("resent %v, want %v", again, ids)
			}
			id := n06Sent(t, s, c, "x", 1)
			if id == 0 || ids[id] {
				t.Errorf("id %d is open", id)
			}
			ids[id] = true
			c.Nothing()
		}
	})
}
