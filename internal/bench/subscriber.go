package bench

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// subscriber is a client that follows what publishers send.
type subscriber struct {
	// Fixed before the first message.
	run    *run
	index  int
	first  int // index of the first publisher whose messages it gets
	filter string
	c      *client.Client

	received atomic.Uint64 // without duplicates
	firstAt  atomic.Int64  // reading of the clock; 0: nothing has come
	lastAt   atomic.Int64

	// Only the client's reader, until it has ended.
	streams []stream // of its publishers; with a shared subscription only next is used, for the order
	seen    []uint64 // Retained: a bit for each message
	origins map[origin]*origStream
	topic   []byte // scratch

	duplicates, disorder, damaged, foreign uint64
}

// origin is a publisher of another process.
type origin struct{ run, publisher uint32 }

// origStream follows an origin from the first number that was seen.
type origStream struct {
	stream
	first uint64
	topic string
}

func (r *run) newSubscriber(i int) *subscriber {
	s := &subscriber{run: r, index: i, filter: r.prefix + "+"}
	switch r.o.Scenario {
	case P2P, Latency:
		s.first, s.filter = i, string(r.pubs[i].topic)
		s.streams = make([]stream, 1)
	case Sub:
		s.filter = r.o.Prefix + "/#"
		s.origins = make(map[origin]*origStream)
	case Shared:
		s.filter = fmt.Sprintf("$share/%06x/%s", r.id&0xFFFFFF, s.filter)
		s.streams = make([]stream, len(r.pubs))
	case Retained:
		s.seen = make([]uint64, (r.o.Messages+63)/64)
	default:
		s.streams = make([]stream, len(r.pubs))
	}
	return s
}

// subscribe subscribes, with the QoS of the messages.
func (s *subscriber) subscribe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.run.o.Patience)
	defer cancel()
	ack, err := s.c.Subscribe(ctx, &packet.Subscribe{Filters: []packet.Filter{{Filter: s.filter, QoS: s.run.o.QoS}}})
	switch {
	case err != nil:
		return fmt.Errorf("subscriber %d: subscribe to %q: %w", s.index, s.filter, err)
	case ack.Codes[0] >= packet.UnspecifiedError:
		return fmt.Errorf("subscriber %d: subscribe to %q: %w", s.index, s.filter, ack.Codes[0])
	case packet.QoS(ack.Codes[0]) != s.run.o.QoS:
		return fmt.Errorf("subscriber %d: subscribe to %q: granted QoS %d, not %d", s.index, s.filter, ack.Codes[0], s.run.o.QoS)
	}
	return nil
}

// take follows a message. It is called by the reader of the client.
func (s *subscriber) take(m *packet.Publish) {
	now := s.run.clock.now()
	st, ok := readStamp(m.Payload)
	if !ok || s.origins == nil && st.run != s.run.id {
		s.foreign++
		return
	}
	var a arrival
	if s.origins != nil {
		a = s.takeOrigin(m, st)
	} else {
		i := int(st.publisher) - s.first
		if st.publisher >= uint32(len(s.run.pubs)) || i < 0 || s.streams != nil && i >= len(s.streams) || !s.whole(m, st) {
			s.damaged++
			return
		}
		a = s.follow(i, st.number)
	}
	switch a {
	case twice:
		s.duplicates++
		return
	case late:
		s.disorder++
	}
	s.run.latency.record(s.index, st.due, now)
	if s.received.Add(1) == 1 {
		s.firstAt.Store(now)
	}
	s.lastAt.Store(now)
	if s.origins == nil {
		s.run.pubs[st.publisher].arrived(st.number)
	}
}

// whole tells whether all else of a message is as its publisher sent it.
func (s *subscriber) whole(m *packet.Publish, st stamp) bool {
	p := s.run.pubs[st.publisher]
	if len(m.Payload) != s.run.o.Payload || m.QoS != s.run.o.QoS || m.Retain != s.run.retained || st.number > p.sent.Load() {
		return false
	}
	s.topic = p.topicOf(s.topic[:0], st.number)
	return bytes.Equal(m.Topic, s.topic) && bytes.Equal(m.Payload[stampSize:], s.run.fill)
}

// follow notes the number of a message of the publisher that is the i-th of s.
func (s *subscriber) follow(i int, n uint64) arrival {
	switch s.run.o.Scenario {
	case Retained: // in any order
		k := n*uint64(len(s.run.pubs)) + uint64(i)
		if k >= uint64(s.run.o.Messages) || s.seen[k/64]&(1<<(k%64)) != 0 {
			return twice
		}
		s.seen[k/64] |= 1 << (k % 64)
		return inOrder
	case Shared:
		all := &s.run.pubs[i].union
		all.mu.Lock()
		a := all.take(n)
		all.mu.Unlock()
		if a == twice {
			return twice
		}
		mine := &s.streams[i]
		if n < mine.next {
			return late
		}
		mine.next = n + 1
		return inOrder
	}
	return s.streams[i].take(n)
}

// takeOrigin follows a publisher of another process.
func (s *subscriber) takeOrigin(m *packet.Publish, st stamp) arrival {
	key := origin{st.run, st.publisher}
	o := s.origins[key]
	if o == nil {
		o = &origStream{stream: stream{next: st.number}, first: st.number, topic: string(m.Topic)}
		s.origins[key] = o
	}
	if o.topic != string(m.Topic) {
		s.damaged++
	}
	if st.number < o.first { // before what was taken for the first
		o.gaps = append([]gap{{st.number + 1, o.first}}, o.gaps...)
		if st.number+1 == o.first {
			o.gaps = o.gaps[1:]
		}
		o.first = st.number
		return late
	}
	return o.take(st.number)
}

// missing is how many messages have not come that should have. The client's reader must have ended.
func (s *subscriber) missing() (n uint64) {
	for _, o := range s.origins {
		n += o.missing(0)
	}
	switch s.run.o.Scenario {
	case Sub, Shared: // Shared: see run.check
		return n
	case Retained:
		for _, p := range s.run.pubs {
			n += p.sent.Load()
		}
		return n - s.received.Load()
	}
	for i := range s.streams {
		n += s.streams[i].missing(s.run.pubs[s.first+i].sent.Load())
	}
	return n
}
