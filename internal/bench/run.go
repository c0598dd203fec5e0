package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// Run does what o says. When ctx ends, it stops early and measures what there is; if that happens before all have
// connected, there is no Result. An error tells that nothing could be measured; that something was lost is in the Result.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Client.Version == 0 {
		o.Client.Version = packet.V5
	}
	if o.Dial == nil {
		o.Dial = client.Dial
	}
	r := newRun(o)
	defer r.hangUp()
	if r.before, r.procErr = r.sample(); r.procErr != nil {
		return nil, r.procErr
	}
	switch o.Scenario {
	case Conn:
		return r.connections(ctx)
	case Retained:
		return r.retain(ctx)
	}
	return r.flow(ctx)
}

// run is one call of Run.
type run struct {
	// Fixed before the first client connects.
	o        Options
	id       uint32
	clock    clock
	began    int64
	prefix   string // of topics, with the slash
	fill     []byte // what payloads have behind the stamp
	paced    bool   // closed loop
	retained bool
	fan      int32 // subscribers that get each message, once all have subscribed
	pubs     []*publisher
	subs     []*subscriber
	before   sample // of the broker
	latency  *latencies
	lag      *latencies
	failed   chan struct{} // closed when failure is set
	res      *Result

	// Only Run's goroutine.
	procErr error
	shown   progressMark
	clients []*client.Client // all, once connected
	hungUp  bool

	stopped   atomic.Bool // publishers send no more
	connected atomic.Int64

	mu      sync.Mutex // a leaf
	failure error      // the first
}

func newRun(o Options) *run {
	r := &run{
		o: o, id: rand.Uint32(), clock: newClock(), paced: o.Rate == 0, retained: o.Scenario == Retained,
		fill: filler(o.Payload - stampSize), latency: newLatencies(), lag: newLatencies(), failed: make(chan struct{}),
	}
	r.began = r.clock.now()
	r.shown.at = r.began
	r.prefix = fmt.Sprintf("%s/%08x/", o.Prefix, r.id)
	switch o.Scenario {
	case FanIn, FanOut:
		r.fan = int32(o.Subscribers)
	case P2P, Latency, Shared:
		r.fan = 1
	}
	if o.Scenario != Sub && o.Scenario != Conn {
		for i := range o.Publishers {
			r.pubs = append(r.pubs, r.newPublisher(i))
		}
	}
	if o.needsSubscribers() {
		for i := range o.Subscribers {
			r.subs = append(r.subs, r.newSubscriber(i))
		}
	}
	r.res = &Result{
		Scenario: o.Scenario, URL: o.URL, Version: o.Client.Version.String(), QoS: o.QoS, Payload: o.Payload,
		Publishers: len(r.pubs), Subscribers: len(r.subs), Rate: o.Rate,
	}
	if r.paced && o.Scenario != Sub {
		r.res.Window = o.Window
	}
	return r
}

// fail notes why the run cannot go on; only the first reason counts.
func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = err
		close(r.failed)
	}
}

func (r *run) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// sample looks at the broker, if it is known.
func (r *run) sample() (sample, error) {
	if r.o.PID == 0 {
		return sample{}, nil
	}
	return sampleProcess(r.o.PID)
}

// mark is a moment of a run.
type mark struct {
	at                   int64
	broker, self         sample
	published, delivered uint64
}

func (r *run) mark() mark {
	m := mark{at: r.clock.now(), published: r.published(), delivered: r.delivered()}
	var err error
	if m.broker, err = r.sample(); err != nil && r.procErr == nil {
		r.procErr = err
	}
	m.self, _ = sampleProcess(os.Getpid()) // zero where there is no /proc
	return m
}

func (r *run) published() (n uint64) {
	for _, p := range r.pubs {
		n += p.sent.Load()
	}
	return n
}

func (r *run) acknowledged() (n uint64) {
	for _, p := range r.pubs {
		n += p.acked.Load()
	}
	return n
}

func (r *run) delivered() (n uint64) {
	for _, s := range r.subs {
		n += s.received.Load()
	}
	return n
}

// between fills in what was measured from one moment to the other; operations are what the CPU time of the broker is
// divided by.
func (r *run) between(from, to mark, operations uint64) {
	res := r.res
	res.Seconds = time.Duration(to.at - from.at).Seconds()
	res.Published, res.Delivered = to.published-from.published, to.delivered-from.delivered
	if res.Seconds > 0 {
		res.PublishPerSec, res.DeliverPerSec = float64(res.Published)/res.Seconds, float64(res.Delivered)/res.Seconds
		res.GeneratorCPU = (to.self.cpu - from.self.cpu) / 1e4 / res.Seconds
	}
	if r.o.PID != 0 && r.procErr == nil {
		res.Broker = broker(r.o.PID, r.before, from.broker, to.broker, operations, res.Seconds)
	}
}
