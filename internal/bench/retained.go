package bench

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// retain stores messages, has them delivered to subscribers who come then, and removes them.
func (r *run) retain(ctx context.Context) (*Result, error) {
	if err := r.open(ctx, false); err != nil {
		return nil, err
	}
	start := r.clock.now()
	storing := r.send(ctx, start, math.MaxInt64)
	why := r.wait(ctx, 0, r.settled, true)
	r.stopped.Store(true)
	storing.cancel()
	<-storing.done
	if why == bySettled {
		if err := r.barrier(ctx); err != nil {
			r.fail(err)
			why = byFailure
		}
	}
	r.res.StoreSeconds = time.Duration(r.clock.now() - start).Seconds()

	from := r.mark()
	r.fan = int32(len(r.subs))
	if why == bySettled {
		_ = r.each(ctx, len(r.subs), len(r.subs), func(ctx context.Context, i int) error {
			err := r.subs[i].subscribe(ctx)
			if err != nil {
				r.fail(err)
			}
			return err // wait sees the failure
		})
		why = r.wait(ctx, 0, r.settled, true)
	}
	if why == bySettled {
		if err := r.barrier(ctx); err != nil {
			r.fail(err)
		}
	}
	to := r.mark()
	if last := r.lastArrival(); last > 0 {
		to.at = last
	}
	r.between(from, to, to.delivered)
	r.res.Published = r.published()
	r.res.PublishPerSec = float64(r.res.Published) / r.res.StoreSeconds
	if first := r.firstArrival(); first > 0 {
		r.res.FirstMillis = float64(first-from.at) / 1e6
	}
	res := r.result(why)
	if err := r.remove(); err != nil {
		return res, fmt.Errorf("removing the retained messages: %w", err)
	}
	return res, r.procErr
}

func (r *run) firstArrival() int64 {
	first := int64(math.MaxInt64)
	for _, s := range r.subs {
		if at := s.firstAt.Load(); at > 0 {
			first = min(first, at)
		}
	}
	if first == math.MaxInt64 {
		return 0
	}
	return first
}

// removing bounds how long it takes to remove the retained messages.
const removing = time.Minute

// remove removes what was stored, with a connection of its own, however the run went.
func (r *run) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removing)
	defer cancel()
	c, err := r.o.Dial(ctx, r.o.URL, r.options("r", 0))
	if err != nil {
		return err
	}
	defer c.Close()
	m := packet.Publish{Retain: true}
	for k := range r.o.Messages {
		m.Topic = strconv.AppendInt(append(m.Topic[:0], r.prefix...), int64(k), 10)
		if err := c.PublishAsync(ctx, &m, nil); err != nil {
			return err
		}
	}
	if err := c.Ping(ctx); err != nil {
		return err
	}
	return c.Shutdown(ctx, nil)
}
