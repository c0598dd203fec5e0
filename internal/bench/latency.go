package bench

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of histograms, in nanoseconds, and their precision: 0.1 %, but no finer than half a microsecond.
const (
	lowestLatency  = int64(time.Microsecond)
	highestLatency = int64(time.Hour)
	latencyDigits  = 3
)

// latencies collects durations of many goroutines: those that began in the measured interval.
type latencies struct {
	begin, end atomic.Int64 // of the clock; what is outside is not counted
	shards     []shard
}

// shard has a lock of its own so that readers on different cores do not meet.
type shard struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newLatencies() *latencies {
	l := &latencies{shards: make([]shard, 2*runtime.GOMAXPROCS(0))}
	for i := range l.shards {
		l.shards[i].h = hdrhistogram.New(lowestLatency, highestLatency, latencyDigits)
	}
	l.begin.Store(math.MaxInt64)
	l.end.Store(math.MaxInt64)
	return l
}

// record counts what was due at from and over at to; i, any number, tells callers apart.
func (l *latencies) record(i int, from, to int64) {
	if from < l.begin.Load() || from >= l.end.Load() {
		return
	}
	s := &l.shards[i%len(l.shards)]
	s.mu.Lock()
	_ = s.h.RecordValue(min(max(to-from, 0), highestLatency)) // in range
	s.mu.Unlock()
}

// summary adds it up; nil: nothing was counted.
func (l *latencies) summary() *Percentiles {
	sum := hdrhistogram.New(lowestLatency, highestLatency, latencyDigits)
	for i := range l.shards {
		l.shards[i].mu.Lock()
		sum.Merge(l.shards[i].h)
		l.shards[i].mu.Unlock()
	}
	if sum.TotalCount() == 0 {
		return nil
	}
	at := func(q float64) float64 { return micros(sum.ValueAtQuantile(q)) }
	return &Percentiles{
		Count: sum.TotalCount(), Mean: sum.Mean() / 1000,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: micros(sum.Max()),
	}
}

func micros(ns int64) float64 { return float64(ns) / 1000 }
