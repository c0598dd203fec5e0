package wheel_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
)

const million = 1_000_000

// populated returns a wheel with a million timers set, due in one to two hours,
// and the order in which a benchmark visits them.
func populated(b *testing.B) (w *wheel.Wheel, timers []wheel.Timer, order []int) {
	w, timers = wheel.New(), make([]wheel.Timer, million)
	b.Cleanup(w.Close)
	start := time.Now()
	f := func() {}
	for i := range timers {
		timers[i].F = f
		w.Set(&timers[i], start.Add(time.Hour+time.Duration(rand.Int64N(int64(time.Hour)))))
	}
	order = rand.Perm(million)
	b.ReportAllocs()
	b.ResetTimer()
	return w, timers, order
}

// A timer is stopped and set anew among a million others.
func BenchmarkSetStop(b *testing.B) {
	w, timers, order := populated(b)
	at := time.Now().Add(90 * time.Minute)
	i := 0
	for b.Loop() {
		timer := &timers[order[i%million]]
		i++
		w.Stop(timer)
		w.Set(timer, at)
	}
}

// The keep alive's case: a deadline is put off.
func BenchmarkSetLater(b *testing.B) {
	w, timers, order := populated(b)
	at := time.Now().Add(3 * time.Hour)
	i := 0
	for b.Loop() {
		w.Set(&timers[order[i%million]], at)
		at = at.Add(time.Microsecond)
		i++
	}
}

// The same with time.Now, as a caller has it, and from all processors.
func BenchmarkSetLaterParallel(b *testing.B) {
	w, timers, order := populated(b)
	var workers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(workers.Add(1)) * 1000; pb.Next(); i++ {
			w.Set(&timers[order[i%million]], time.Now().Add(3*time.Hour))
		}
	})
}

// A deadline is brought forward, so that the timer changes its slot.
func BenchmarkSetSooner(b *testing.B) {
	w, timers, order := populated(b)
	at := time.Now().Add(59 * time.Minute)
	i := 0
	for b.Loop() {
		w.Set(&timers[order[i%million]], at)
		at = at.Add(-time.Microsecond)
		i++
	}
}

func BenchmarkSetSoonerParallel(b *testing.B) {
	w, timers, order := populated(b)
	at := time.Now().Add(59 * time.Minute)
	var workers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(workers.Add(1)) * 1000; pb.Next(); i++ {
			w.Set(&timers[order[i%million]], at.Add(-time.Duration(i)*time.Microsecond))
		}
	})
}

// From Set to the call of F, for timers that are due at once.
func BenchmarkFire(b *testing.B) {
	w := wheel.New()
	defer w.Close()
	timers := make([]wheel.Timer, b.N)
	done := make(chan struct{})
	left := b.N
	f := func() {
		if left--; left == 0 {
			close(done)
		}
	}
	for i := range timers {
		timers[i].F = f
	}
	b.ReportAllocs()
	b.ResetTimer()
	now := time.Now()
	for i := range timers {
		w.Set(&timers[i], now)
	}
	<-done
}
