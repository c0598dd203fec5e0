package bench

import (
	"context"
	"fmt"
	"time"
)

// ended is why a wait is over.
type ended int

const (
	byTime ended = iota
	bySettled
	byInterrupt
	byStall
	byFailure
)

// pollEvery is how often a wait looks.
const pollEvery = 10 * time.Millisecond

// wait waits for a reading of the clock (0: none) or until settled, and shows the progress meanwhile. If stalls, it
// gives up when nothing has happened for the patience of the options.
func (r *run) wait(ctx context.Context, until int64, settled func() bool, stalls bool) ended {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var at <-chan time.Time
	if until != 0 {
		timer := time.NewTimer(time.Until(r.clock.when(until)))
		defer timer.Stop()
		at = timer.C
	}
	last, since := r.activity(), r.clock.now()
	for !settled() {
		select {
		case <-poll.C:
		case <-at:
			return byTime
		case <-ctx.Done():
			return byInterrupt
		case <-r.failed:
			return byFailure
		}
		now := r.clock.now()
		r.report(now)
		if a := r.activity(); a != last {
			last, since = a, now
		} else if stalls && now-since >= int64(r.o.Patience) {
			return byStall
		}
	}
	return bySettled
}

// activity changes when anything happens.
func (r *run) activity() uint64 {
	return r.published() + r.acknowledged() + r.delivered() + uint64(r.connected.Load())
}

// never settles.
func never() bool { return false }

// progressMark is what the last report said.
type progressMark struct {
	at                              int64
	published, delivered, connected uint64
}

// report shows the progress and looks for connections that have ended, both once a second.
func (r *run) report(now int64) {
	elapsed := time.Duration(now - r.shown.at)
	if elapsed < time.Second {
		return
	}
	if r.o.Scenario != Conn {
		if n, err := r.broken(); n > 0 {
			r.fail(fmt.Errorf("connection lost: %w", err))
		}
	}
	m := progressMark{now, r.published(), r.delivered(), uint64(r.connected.Load())}
	if r.o.Progress != nil {
		per := func(now, before uint64) float64 { return float64(now-before) / elapsed.Seconds() }
		r.o.Progress(Progress{
			Elapsed: time.Duration(now - r.began), Connections: int(m.connected), Published: m.published, Delivered: m.delivered,
			PublishPerSec:  per(m.published, r.shown.published),
			DeliverPerSec:  per(m.delivered, r.shown.delivered),
			ConnectsPerSec: per(m.connected, r.shown.connected),
		})
	}
	r.shown = m
}

// broken counts the clients whose connection has ended, and gives the error of one.
func (r *run) broken() (n int, err error) {
	for _, c := range r.clients {
		if e := c.Err(); e != nil {
			n++
			err = e
		}
	}
	return n, err
}
