package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// options are those of client i of all.
func (r *run) options(role string, i int) client.Options {
	o := r.o.Client
	o.ClientID = fmt.Sprintf("bench-%06x-%s%d", r.id&0xFFFFFF, role, i)
	o.CleanStart = true
	o.LocalAddr = r.o.From.At(i)
	switch total := r.o.Publishers + r.o.Subscribers; {
	case r.o.Scenario == Conn:
		o.ReadBuffer = 512
	case total <= 200:
		o.ReadBuffer = 64 << 10
	case total <= 2000:
		o.ReadBuffer = 16 << 10
	}
	return o
}

// dial opens the connection i of all.
func (r *run) dial(ctx context.Context, i int, o client.Options) (*client.Client, error) {
	c, err := r.o.Dial(ctx, r.o.URL, o)
	if err != nil {
		return nil, fmt.Errorf("connection %d: %w", i, err)
	}
	r.clients[i] = c
	r.connected.Add(1)
	return c, nil
}

// open connects all clients of a scenario that moves messages, subscribers first.
func (r *run) open(ctx context.Context, subscribe bool) error {
	start := r.clock.now()
	r.clients = make([]*client.Client, len(r.subs)+len(r.pubs))
	err := r.each(ctx, r.o.Parallel, len(r.subs), func(ctx context.Context, i int) (err error) {
		s := r.subs[i]
		o := r.options("s", i)
		o.OnMessage = s.take
		if s.c, err = r.dial(ctx, i, o); err == nil && subscribe {
			err = s.subscribe(ctx)
		}
		return err
	})
	if err == nil {
		err = r.each(ctx, r.o.Parallel, len(r.pubs), func(ctx context.Context, i int) (err error) {
			n := len(r.subs) + i
			o := r.options("p", n)
			o.MaxInFlight = maxWindow
			if r.paced {
				o.MaxInFlight = r.o.Window
				o.WriteBuffer = r.o.Window * (r.o.Payload + len(r.prefix) + 64) // a whole window, so that it is never full
			}
			r.pubs[i].c, err = r.dial(ctx, n, o)
			return err
		})
	}
	r.res.ConnectSeconds = time.Duration(r.clock.now() - start).Seconds()
	if err != nil {
		r.dropMissing()
	}
	return err
}

// dropMissing leaves only the clients that are there.
func (r *run) dropMissing() {
	there := r.clients[:0]
	for _, c := range r.clients {
		if c != nil {
			there = append(there, c)
		}
	}
	r.clients = there
}

// each is parallel, and shows the progress meanwhile.
func (r *run) each(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = parallel(ctx, workers, n, f)
	}()
	poll := time.NewTicker(time.Second)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
			if r.o.Progress != nil {
				now := r.clock.now()
				connected := uint64(r.connected.Load())
				r.o.Progress(Progress{
					Elapsed: time.Duration(now - r.began), Connections: int(connected),
					ConnectsPerSec: float64(connected-r.shown.connected) / time.Duration(now-r.shown.at).Seconds(),
				})
				r.shown = progressMark{at: now, connected: connected}
			}
		case <-done:
			return err
		}
	}
}

// parallel calls f for 0 to n-1 from several goroutines, and waits for them. The first error ends it.
func parallel(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// partings is how many connections are closed at a time.
const partings = 500

// goodbye bounds how long a connection takes to close.
const goodbye = 5 * time.Second

// hangUp disconnects all clients and waits until their readers have ended. It may be called again.
func (r *run) hangUp() {
	if r.hungUp {
		return
	}
	r.hungUp = true
	r.stopped.Store(true)
	r.part(r.clients)
}

// part disconnects some.
func (r *run) part(clients []*client.Client) {
	ctx := context.Background()
	_ = parallel(ctx, partings, len(clients), func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		defer cancel()
		c := clients[i]
		if c == nil {
			return nil
		}
		_ = c.Shutdown(ctx, &packet.Disconnect{}) // whoever cares has looked at Err before
		_ = c.Close()
		<-c.Done()
		return nil
	})
}
