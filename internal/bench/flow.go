package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// flow is every scenario in which messages go from publishers to subscribers who are there.
func (r *run) flow(ctx context.Context) (*Result, error) {
	if err := r.open(ctx, true); err != nil {
		return nil, err
	}
	var why ended
	if r.o.Scenario == Sub { // time begins with the first message
		why = r.wait(ctx, 0, func() bool { return r.delivered() > 0 }, false)
	}
	start, end := r.clock.now(), int64(math.MaxInt64)
	warmup := int64(r.o.Warmup)
	if r.o.Messages > 0 {
		warmup = 0
	}
	begin := start + warmup
	if r.o.Duration > 0 {
		end = begin + int64(r.o.Duration)
	}
	if r.o.Scenario == Sub {
		begin = 0 // of other processes
	}
	r.measureFrom(begin, end)
	from := r.mark()
	sending := r.send(ctx, start, end)
	if warmup > 0 {
		why = r.wait(ctx, begin, never, r.paced)
		from = r.mark()
		if r.paced && r.o.Duration > 0 { // a busy machine may have been late
			end = from.at + int64(r.o.Duration)
			r.measureFrom(from.at, end)
		}
	}
	until := end
	if r.o.Duration == 0 {
		until = 0
	}
	if why == byTime || why == bySettled {
		if r.paced {
			why = r.wait(ctx, until, r.settled, r.o.Scenario != Sub)
		} else { // what is lost must not hold up the end
			why = r.wait(ctx, until, func() bool { return sending.over() && r.published() == uint64(r.o.Messages) }, false)
		}
	}
	to := r.mark()
	r.finishSending(ctx, sending, why, &to)
	r.between(from, to, r.operations(from, to))
	return r.result(why), r.procErr
}

// measureFrom says which messages count in the latencies, by when they are due.
func (r *run) measureFrom(begin, end int64) {
	for _, l := range []*latencies{r.latency, r.lag} {
		l.begin.Store(begin)
		l.end.Store(end)
	}
}

// operations are what a broker's CPU time is divided by.
func (r *run) operations(from, to mark) uint64 {
	if len(r.subs) == 0 {
		return to.published - from.published
	}
	return to.delivered - from.delivered
}

// sending is what sends beside the readers of clients.
type sending struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	unsent uint64        // open loop, when done is closed
}

// over tells whether it has ended.
func (s *sending) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// send starts the publishers. In the open loop messages are due from start to end.
func (r *run) send(ctx context.Context, start, end int64) *sending {
	s := &sending{done: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	switch {
	case !r.paced:
		go func() {
			defer close(s.done)
			s.unsent = r.schedule(ctx, start, end)
		}()
		return s
	case r.fan == 0 && r.o.QoS == 0:
		var all sync.WaitGroup
		for _, p := range r.pubs {
			all.Go(func() { p.sendByPing(ctx) })
		}
		go func() {
			all.Wait()
			close(s.done)
		}()
		return s
	}
	close(s.done)
	for _, p := range r.pubs {
		p.start()
	}
	return s
}

// grace is how long the open loop may take after its end for what was due before.
const grace = time.Second

// finishSending lets nobody send any more and waits for what is under way. If the run ends with its last message and not
// with the time, that is the end of the measured time, which it puts in to.
func (r *run) finishSending(ctx context.Context, s *sending, why ended, to *mark) {
	if why == byTime && !r.paced {
		r.wait(ctx, r.clock.now()+int64(grace), s.over, false)
	}
	r.stopped.Store(true)
	if why == byInterrupt {
		r.latency.end.Store(to.at)
		r.lag.end.Store(to.at)
		ctx = context.WithoutCancel(ctx) // what was sent is still waited for
	}
	s.cancel()
	<-s.done
	r.res.Unsent = s.unsent
	if r.o.Scenario != Sub && why != byFailure && why != byStall {
		if r.wait(ctx, 0, r.settled, true) == bySettled {
			if err := r.barrier(ctx); err != nil {
				r.fail(err)
			}
		}
	}
	if why == bySettled {
		*to = r.mark()
		if last := r.lastArrival(); last > 0 {
			to.at = last
		}
	}
}

// settled tells whether all is sent, acknowledged and delivered.
func (r *run) settled() bool {
	if r.o.Scenario == Sub {
		return r.o.Messages > 0 && r.delivered() >= uint64(r.o.Messages)
	}
	for _, p := range r.pubs {
		if !p.exhausted() || p.done != nil && p.acked.Load() < p.sent.Load() {
			return false
		}
	}
	return r.delivered() >= r.expected()
}

// expected is the number of deliveries that there must be.
func (r *run) expected() uint64 { return r.published() * uint64(r.fan) }

func (r *run) lastArrival() (last int64) {
	for _, s := range r.subs {
		last = max(last, s.lastAt.Load())
	}
	return last
}

// barrier waits until the broker has read all that was sent and written all that it had for subscribers: a duplicate
// would come before its PINGRESP.
func (r *run) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.Patience, errors.New("the broker does not answer PINGREQ"))
	defer cancel()
	err := parallel(ctx, partings, len(r.pubs), func(ctx context.Context, i int) error { return r.pubs[i].confirm(ctx) })
	if err != nil {
		return err
	}
	return parallel(ctx, partings, len(r.subs), func(ctx context.Context, i int) error {
		if err := r.subs[i].c.Ping(ctx); err != nil {
			return fmt.Errorf("subscriber %d: %w", i, err)
		}
		return nil
	})
}

// schedule publishes at the rate, each publisher in turn, from start until end or the last message, and gives the number
// of messages that were due and not sent.
func (r *run) schedule(ctx context.Context, start, end int64) (unsent uint64) {
	total := int64(math.MaxInt64)
	if r.o.Messages > 0 {
		total = int64(r.o.Messages)
	}
	alarm := newAlarm(ctx, r.o.Precise)
	defer alarm.stop()
	rate := int64(r.o.Rate)
	dueAt := func(k int64) int64 { return start + k/rate*int64(time.Second) + k%rate*int64(time.Second)/rate }
	for k := int64(0); k < total && dueAt(k) < end; k++ {
		due := dueAt(k)
		now := r.clock.now()
		if now < due {
			if !alarm.wait(time.Duration(due - now)) {
				if ctx.Err() == nil {
					r.fail(errors.New("the timer of the open loop does not work"))
				}
				return 0
			}
			now = r.clock.now()
		}
		r.lag.record(0, due, now)
		p := r.pubs[k%int64(len(r.pubs))]
		if err := p.publishDue(ctx, due); err != nil {
			if ctx.Err() == nil {
				r.fail(p.failure(err))
			}
			for ; k < total && dueAt(k) < min(end, r.clock.now()); k++ {
				unsent++
			}
			return unsent
		}
	}
	return 0
}

// result checks what has arrived; all clients are disconnected for that.
func (r *run) result(why ended) *Result {
	c := &r.res.Check
	c.Disconnects, _ = r.broken()
	failure := r.why()
	r.hangUp()
	c.Sent, c.Expected, c.Received = r.published(), r.expected(), r.delivered()
	if r.o.QoS > 0 {
		c.Unconfirmed = c.Sent - r.acknowledged()
	}
	for _, s := range r.subs {
		c.Lost += s.missing()
		c.Duplicates += s.duplicates
		c.OutOfOrder += s.disorder
		c.Damaged += s.damaged
		c.Foreign += s.foreign
	}
	switch r.o.Scenario {
	case Shared:
		for _, p := range r.pubs {
			c.Lost += p.union.missing(p.sent.Load())
		}
	case Sub:
		c.Expected = c.Received + c.Lost
	}
	r.res.Latency, r.res.SendLag = r.latency.summary(), r.lag.summary()
	r.res.Failure = r.judge(why, failure)
	r.res.OK = r.res.Failure == ""
	return r.res
}

// judge says what is wrong with the run; nothing: empty.
func (r *run) judge(why ended, failure error) string {
	c := &r.res.Check
	var bad []string
	if failure != nil {
		bad = append(bad, failure.Error())
	}
	if why == byStall {
		bad = append(bad, fmt.Sprintf("nothing happened for %v", r.o.Patience))
	}
	twice := c.Duplicates
	if r.o.QoS == 1 {
		twice = 0
	}
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{c.Lost, "lost"},
		{twice, "delivered twice"},
		{c.OutOfOrder, "out of order"},
		{c.Damaged, "damaged"},
		{c.Foreign, "not of this run"},
		{c.Unconfirmed, "not acknowledged"},
		{uint64(c.Disconnects), "connections lost"},
	} {
		if x.n > 0 {
			bad = append(bad, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return strings.Join(bad, ", ")
}
