package mqttx

import (
	"context"
	"iter"
	"sync"

	"github.com/e8743928/mqttx/topic"
)

// local is the queue of a subscriber in the program itself.
type local struct {
	s    *session
	more chan struct{} // has room for one: something is in the queue

	mu     sync.Mutex
	queue  []*Message
	bytes  int
	closed bool
}

// Subscribe subscribes the program itself: the messages that match any of the filters from this call on, each once, wills,
// retained and in-process ones included when they are published; what is retained already is not replayed
// ([Server.Retained] has it). They wait in a queue with the limits of a session; beyond, new ones are dropped and counted.
// The loop ends with ctx, with break, or with the server, and is to be run once, by one goroutine. Filters may be shared ones.
// Messages must not be changed. Errors are [ErrServerClosed], that of a Store, and an *[Error]: TopicFilterInvalid, or what
// forbids the subscription.
func (s *Server) Subscribe(ctx context.Context, filters ...string) (iter.Seq[*Message], error) {
	b := s.open()
	if b.openErr != nil {
		return nil, b.openErr
	}
	for _, f := range filters {
		if err := topic.CheckFilter(f); err != nil {
			return nil, &Error{Code: TopicFilterInvalid, Err: err}
		}
	}
	if b.isFinished() {
		return nil, ErrServerClosed
	}
	x := &session{b: b}
	x.client.Store(&Client{})
	x.local = &local{s: x, more: make(chan struct{}, 1)}
	w := way{b: b}
	for _, f := range filters {
		sub := &sub{Subscription: Subscription{QoS: 2, RetainAsPublished: true}}
		sub.Share, sub.Filter = topic.Share(f)
		if _, code := x.subscribe(&w, sub); code != Success {
			x.die()
			return nil, &Error{Code: code}
		}
	}
	stop := context.AfterFunc(ctx, x.local.close)
	return func(yield func(*Message) bool) {
		defer stop()
		defer x.local.close()
		for ctx.Err() == nil {
			m := x.local.pop()
			if m == nil {
				select {
				case <-x.local.more:
					continue
				case <-ctx.Done():
				case <-b.done:
				}
				return
			}
			b.delivered(x.who, m)
			if !yield(m) {
				return
			}
		}
	}, nil
}

// push queues w.l.
func (q *local) push(w *way) verdict {
	b := q.s.b
	w.l = w.l.keep()
	m := &w.l.Message
	lim := b.limits.Load()
	q.mu.Lock()
	if q.closed || len(q.queue) >= lim.QueuedMessages || q.bytes+m.size() > lim.QueuedBytes ||
		b.n.queuedBytes.Load()+int64(m.size()) > int64(lim.TotalQueuedBytes) {
		why, v := DropQueueFull, full
		if q.closed {
			why, v = DropSessionEnded, missed
		}
		q.mu.Unlock()
		b.drop(q.s.who(), m, why)
		return v
	}
	q.queue = append(q.queue, m)
	q.bytes += m.size()
	q.mu.Unlock()
	b.n.queued.Add(1)
	b.n.queuedBytes.Add(int64(m.size()))
	select {
	case q.more <- struct{}{}:
	default:
	}
	return took
}

// pop takes the oldest message; nil: there is none.
func (q *local) pop() *Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil
	}
	m := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	if len(q.queue) == 0 {
		q.queue = nil
	}
	q.bytes -= m.size()
	q.s.b.n.queued.Add(-1)
	q.s.b.n.queuedBytes.Add(-int64(m.size()))
	return m
}

// close ends the subscription and drops what is queued.
func (q *local) close() {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.closed = true
	rest := q.queue
	q.queue, q.bytes = nil, 0
	q.mu.Unlock()
	b := q.s.b
	for _, m := range rest {
		b.n.queued.Add(-1)
		b.n.queuedBytes.Add(-int64(m.size()))
		b.drop(q.s.who(), m, DropSessionEnded)
	}
	q.s.die()
}
