package pitfalls_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// The client's Maximum Packet Size bounds what it gets and ours what it sends; a message that is skipped frees its id and
// its place in the window, is counted, and what stands before and behind it goes out.
func TestPitfall080_TwoLimits(t *testing.T) {
	for q := range mqttx.QoS(3) {
		p63Bubble(t, fmt.Sprint("QoS ", q), func(t *testing.T) {
			s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 1000}})
			p := p63Clean("small", mqttx.V5)
			p.MaximumPacketSize, p.ReceiveMaximum = 100, 1
			small := mqttest.Connect(t, s, p)
			small.Subscribe("t", q)
			large := mqttest.Connect(t, s, nil)
			large.Subscribe("t", q)
			p63Code(t, "900 bytes from a client that takes 100", small.Publish("t", string(make([]byte, 900)), q), mqttx.Success)
			if m := large.Receive(); len(m.Payload) != 900 {
				t.Errorf("%d bytes", len(m.Payload))
			}
			for _, size := range []int{1, 5000, 2, 5000, 5000, 3} {
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: make([]byte, size), QoS: q}); err != nil {
					t.Fatal(err)
				}
				if m := large.Receive(); len(m.Payload) != size {
					t.Errorf("%d bytes, want %d", len(m.Payload), size)
				}
			}
			for want := 1; want <= 3; want++ {
				if m := small.Receive(); len(m.Payload) != want {
					t.Errorf("%d bytes, want %d", len(m.Payload), want)
				}
			}
			small.Nothing()
			if st := s.Stats(); st.Dropped[mqttx.DropTooLarge] != 4 || st.Queued != 0 {
				t.Errorf("dropped %v, queued %d", st.Dropped, st.Queued)
			}
			large.Send(&packet.Publish{Topic: []byte("t"), Payload: make([]byte, 1000)})
			p63Bye(t, large, mqttx.PacketTooLarge)
			small.Nothing()
		})
	}
}

// p81Pipe is what fits into a connection in memory besides the outbox.
const p81Pipe = 64 << 10

// What waits for one connection is bounded, wherever it comes from.
func TestPitfall081_BytesPerConnection(t *testing.T) {
	const size, count, bound = 4000, 1000, 1<<20 + p81Pipe + 64<<10
	origins := map[string]func(t *testing.T, s *mqttx.Server, c *mqttest.Client){
		"client": func(t *testing.T, s *mqttx.Server, _ *mqttest.Client) {
			pub := mqttest.Connect(t, s, nil)
			for range count {
				pub.Publish("t", string(make([]byte, size)), 0)
			}
			pub.Nothing()
		},
		"program": func(t *testing.T, s *mqttx.Server, _ *mqttest.Client) {
			for range count {
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: make([]byte, size)}); err != nil {
					t.Fatal(err)
				}
			}
		},
		"Conn.Send": func(t *testing.T, s *mqttx.Server, c *mqttest.Client) {
			conn, _ := s.Conn(c.ClientID)
			full := 0
			for range count {
				if conn.Send(&mqttx.Message{Topic: "t", Payload: make([]byte, size)}) != nil {
					full++
				}
			}
			if full == 0 {
				t.Error("Send never said that the queue is full")
			}
		},
		"large payloads": func(t *testing.T, s *mqttx.Server, _ *mqttest.Client) {
			for range count / 10 {
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: make([]byte, 40<<10)}); err != nil {
					t.Fatal(err)
				}
			}
		},
		"wills": func(t *testing.T, s *mqttx.Server, _ *mqttest.Client) {
			for i := range 100 {
				p := p63Clean(fmt.Sprint("dying", i), mqttx.V5)
				p.Will = &packet.Will{Topic: "t", Payload: make([]byte, 40<<10)}
				mqttest.Connect(t, s, p).Drop()
			}
		},
		"retained": func(t *testing.T, s *mqttx.Server, c *mqttest.Client) {
			for i := range count {
				m := &mqttx.Message{Topic: fmt.Sprint("r/", i), Payload: make([]byte, size), Retain: true}
				if err := s.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			c.Send(&packet.Subscribe{PacketID: 9, Filters: []packet.Filter{{Filter: "r/#"}}})
		},
	}
	for name, fill := range origins {
		p63Bubble(t, name, func(t *testing.T) {
			s := p63Start(t, &mqttx.Server{})
			c := mqttest.Connect(t, s, nil)
			c.Subscribe("t", 0)
			c.StopReading()
			had := len(c.Raw())
			before := s.Stats().Delivered
			fill(t, s, c)
			synctest.Wait()
			sent := s.Stats().Delivered - before
			if name == "retained" {
				if sent*size > 256<<10+p81Pipe+16<<10 {
					t.Errorf("%d bytes of retained messages at once", sent*size)
				}
				return
			}
			c.GoOnReading()
			c.Send(&packet.Pingreq{})
			for range sent {
				c.Receive()
			}
			mqttest.Expect[*packet.Pingresp](c)
			if got := len(c.Raw()) - had; got > bound {
				t.Errorf("%d bytes have waited, want %d at most", got, bound)
			} else if got < bound/2 {
				t.Errorf("only %d bytes have waited: the bound was not met", got)
			}
		})
	}
}

// Acknowledgements are bounded too: a client that sends and does not read is cut off, and its session stays.
func TestPitfall081_OnlySending(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		long := &mqttx.Error{Code: mqttx.NotAuthorized, Text: strings.Repeat("no ", 10000)}
		s := p63Start(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
			Subscribe: func(_ context.Context, _ *mqttx.Conn, s *mqttx.Subscription) error {
				if s.Filter == "no" {
					return long
				}
				return nil
			},
		}})
		c := mqttest.Connect(t, s, p63Keeps("c", mqttx.V5))
		c.Subscribe("t", 1)
		c.StopReading()
		n := 0
		for ; n < 1000 && s.Stats().Connections > 0; n++ {
			c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "no"}}})
			synctest.Wait()
		}
		if n < 4<<20/30000 || n > 5<<20/30000 {
			t.Errorf("cut off after %d answers of 30,000 bytes, want about 4 MiB", n)
		}
		c.Closed()
		mqttest.Advance(10 * time.Second)
		again := mqttest.Connect(t, s, p63Keeps("c", mqttx.V5))
		if !again.Connack.SessionPresent {
			t.Error("the session is gone")
		}
		again.Publish("t", "x", 1)
		p63Gets(t, again, "x")
	})
}
