package mqttx

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many goroutines that count over several refills get exactly the tokens that there are.
func TestGuide_G34_BucketIsExact(t *testing.T) {
	const n, goroutines, takes, intervals = 1000, 64, 400, 4
	var k bucket
	now := time.Unix(1_000_000, 0)
	for range intervals {
		var granted atomic.Int64
		var all sync.WaitGroup
		for range goroutines {
			all.Go(func() {
				for range takes {
					if k.take(now, n, time.Second) {
						granted.Add(1)
					}
				}
			})
		}
		all.Wait()
		if got := granted.Load(); got != n {
			t.Errorf("%d of %d tokens granted, want %d", got, goroutines*takes, n)
		}
		now = now.Add(time.Second)
	}
}

// A token costs no allocation, granted or not.
func TestGuide_G34_NoAllocation(t *testing.T) {
	var k bucket
	now := time.Unix(1_000_000, 0)
	for _, n := range []int{1, 1_000_000} {
		if a := testing.AllocsPerRun(1000, func() { k.take(now, n, time.Second) }); a != 0 {
			t.Errorf("rate %d: %v allocations", n, a)
		}
	}
}

// BenchmarkBucket has at least 16 goroutines count at once.
func BenchmarkBucket(b *testing.B) {
	var k bucket
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		now := time.Now()
		for pb.Next() {
			k.take(now, 1000, time.Second)
		}
	})
}
