package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// publisher is a client that publishes to one topic, or when messages are retained each to one of its own.
type publisher struct {
	// Fixed before the first message.
	run   *run
	index int
	c     *client.Client
	topic []byte // nil: of each message its own, see topicOf
	limit uint64 // messages to send
	done  func(client.Ack, error)

	sent  atomic.Uint64 // written under mu in the closed loop, else by the scheduler; counted just before it is handed over
	acked atomic.Uint64

	mu      sync.Mutex
	message packet.Publish // the next one; only the scheduler's in the open loop
	base    uint64         // all messages below it have arrived everywhere

	// left has for message n, at n modulo the window, how many subscribers do not have it yet; nil where nothing waits for
	// subscribers.
	left []atomic.Int32

	union sharedStream
}

// sharedStream follows the messages of a publisher over all members of a shared subscription.
type sharedStream struct {
	mu sync.Mutex
	stream
}

func (r *run) newPublisher(i int) *publisher {
	p := &publisher{run: r, index: i, limit: math.MaxUint64}
	if n := r.o.Messages; n > 0 && r.o.Scenario != Sub {
		p.limit = uint64(n / r.o.Publishers)
		if i < n%r.o.Publishers {
			p.limit++
		}
	}
	p.message = packet.Publish{QoS: r.o.QoS, Retain: r.retained, Payload: make([]byte, r.o.Payload)}
	copy(p.message.Payload[stampSize:], r.fill)
	if !r.retained {
		p.topic = strconv.AppendInt(append([]byte(nil), r.prefix...), int64(i), 10)
		p.message.Topic = p.topic
	}
	if r.o.QoS > 0 {
		p.done = p.acknowledged
	}
	if r.paced && r.fan > 0 {
		p.left = make([]atomic.Int32, r.o.Window)
	}
	return p
}

// topicOf appends the topic of message n to b.
func (p *publisher) topicOf(b []byte, n uint64) []byte {
	if p.topic != nil {
		return append(b, p.topic...)
	}
	b = append(b, p.run.prefix...)
	return strconv.AppendUint(b, n*uint64(p.run.o.Publishers)+uint64(p.index), 10)
}

// prepare makes message n, due at a reading of the clock.
func (p *publisher) prepare(n uint64, due int64) {
	stamp{p.run.id, uint32(p.index), n, due}.put(p.message.Payload)
	if p.topic == nil {
		p.message.Topic = p.topicOf(p.message.Topic[:0], n)
	}
}

// exhausted tells whether nothing more will be sent.
func (p *publisher) exhausted() bool { return p.run.stopped.Load() || p.sent.Load() >= p.limit }

// fillLocked sends what the window has room for, once half of it is free: a broker that makes batches shall get some.
func (p *publisher) fillLocked() {
	sent := p.sent.Load()
	under := sent - p.base
	if p.left == nil {
		under = 0
	}
	if p.done != nil {
		under = max(under, sent-p.acked.Load())
	}
	window := uint64(p.run.o.Window)
	if window-under < (window+1)/2 {
		return
	}
	for now := p.run.clock.now(); under < window && !p.exhausted(); under++ {
		if !p.sendLocked(now) {
			return
		}
	}
}

// sendLocked sends a message without waiting; false: it could not be.
func (p *publisher) sendLocked(due int64) bool {
	n := p.sent.Load()
	p.prepare(n, due)
	if p.left != nil {
		p.left[n%uint64(len(p.left))].Store(p.run.fan)
	}
	p.sent.Store(n + 1)
	err := p.c.TryPublish(&p.message, p.done)
	if err == nil {
		return true
	}
	p.sent.Store(n)
	if !errors.Is(err, client.ErrBusy) { // that goes on with the next acknowledgement
		p.run.fail(p.failure(err))
	}
	return false
}

// publishDue sends a message of the open loop, waiting if it must.
func (p *publisher) publishDue(ctx context.Context, due int64) error {
	n := p.sent.Load()
	p.prepare(n, due)
	p.sent.Store(n + 1)
	err := p.c.PublishAsync(ctx, &p.message, p.done)
	if err != nil {
		p.sent.Store(n)
	}
	return err
}

// start sends the first messages of the closed loop.
func (p *publisher) start() {
	p.mu.Lock()
	p.fillLocked()
	p.mu.Unlock()
}

// acknowledged is called by the reader of p's client.
func (p *publisher) acknowledged(ack client.Ack, err error) {
	switch {
	case err != nil:
		p.run.fail(p.failure(err))
		return
	case ack.Code >= packet.UnspecifiedError:
		p.run.fail(p.failure(fmt.Errorf("message refused: %w", ack.Code)))
		return
	}
	p.acked.Add(1)
	if p.run.paced {
		p.mu.Lock()
		p.fillLocked()
		p.mu.Unlock()
	}
}

// arrived is called by the readers of subscribers, once for each message and subscriber that has to get it.
func (p *publisher) arrived(n uint64) {
	if p.left == nil {
		return
	}
	size := uint64(len(p.left))
	if p.left[n%size].Add(-1) != 0 {
		return
	}
	p.mu.Lock()
	for p.base < p.sent.Load() && p.left[p.base%size].Load() == 0 {
		p.base++
	}
	p.fillLocked()
	p.mu.Unlock()
}

// confirm waits until the broker has read all that p has sent: it answers PINGREQ behind it.
func (p *publisher) confirm(ctx context.Context) error {
	if err := p.c.Ping(ctx); err != nil {
		return p.failure(err)
	}
	return nil
}

// sendByPing sends QoS 0 that no subscriber counts: a window, and then it waits for the PINGRESP behind it.
func (p *publisher) sendByPing(ctx context.Context) {
	for !p.exhausted() {
		p.mu.Lock()
		now := p.run.clock.now()
		for i := 0; i < p.run.o.Window && !p.exhausted() && p.sendLocked(now); i++ {
		}
		p.mu.Unlock()
		err := p.confirm(ctx)
		if err != nil && ctx.Err() == nil {
			p.run.fail(err)
		}
		if err != nil {
			return
		}
	}
}

func (p *publisher) failure(err error) error { return fmt.Errorf("publisher %d: %w", p.index, err) }
