package bench

import (
	"context"
	"math"
	"time"

	"github.com/e8743928/mqttx/internal/client"
)

// connections opens connections, each with its latency, and holds them.
func (r *run) connections(ctx context.Context) (*Result, error) {
	n := r.o.Publishers
	r.res.Publishers = n
	r.clients = make([]*client.Client, n)
	r.latency.begin.Store(0)
	r.latency.end.Store(math.MaxInt64)
	from := r.mark()
	if err := r.connectAll(ctx, n); err != nil {
		r.dropMissing()
		return nil, err
	}
	to := r.mark()
	r.res.ConnectSeconds = time.Duration(to.at - from.at).Seconds()
	if r.o.Duration > 0 {
		r.wait(ctx, to.at+int64(r.o.Duration), never, false)
		held := r.mark()
		r.res.HeldSeconds = time.Duration(held.at - to.at).Seconds()
		to.broker.rss, to.broker.peak, to.broker.threads = held.broker.rss, held.broker.peak, held.broker.threads
	}
	r.between(from, to, uint64(n))
	r.res.Published, r.res.PublishPerSec = uint64(n), float64(n)/r.res.ConnectSeconds
	if b := r.res.Broker; b != nil {
		r.res.BytesPerConn = float64(b.RSS-b.RSSBefore) / float64(n)
	}
	return r.result(bySettled), r.procErr
}

// connectAll opens n connections: in the closed loop so many at a time, in the open loop at a rate.
func (r *run) connectAll(ctx context.Context, n int) error {
	start := r.clock.now()
	connect := func(ctx context.Context, i int) error {
		due := r.clock.now()
		if !r.paced {
			due = start + int64(float64(i)/float64(r.o.Rate)*float64(time.Second))
			if !(&timerAlarm{ctx}).wait(time.Duration(due - r.clock.now())) {
				return context.Cause(ctx)
			}
		}
		if _, err := r.dial(ctx, i, r.options("c", i)); err != nil {
			return err
		}
		r.latency.record(i, due, r.clock.now())
		return nil
	}
	workers := r.o.Window
	if !r.paced {
		workers = min(n, maxWindow)
	}
	return r.each(ctx, workers, n, connect)
}
