package wheel_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
)

// Each setting fires once or is stopped, never both and never neither, though
// Stop comes at the very time of the deadline.
func TestStopRacesWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New()
		var group sync.WaitGroup
		var stopped, fires atomic.Int64
		for owner := range 8 {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(owner), 1))
				var fired atomic.Int64
				timer := wheel.Timer{F: func() { fired.Add(1) }}
				for range 1000 {
					fired.Store(0)
					wait := time.Duration(2+random.IntN(100)) * time.Millisecond
					at := time.Now().Add(wait)
					var helpers sync.WaitGroup // time stands still while they set the timer
					for _, share := range random.Perm(4) {
						helpers.Go(func() { w.Set(&timer, at.Add(wait*time.Duration(share)-wait/2)) })
					}
					helpers.Wait()
					w.Set(&timer, at)
					time.Sleep(wait)
					want := int64(1)
					if w.Stop(&timer) {
						want = 0
						stopped.Add(1)
					}
					time.Sleep(time.Millisecond)
					if got := fired.Load(); got != want {
						t.Errorf("owner %d: fired %d times, want %d", owner, got, want)
					}
					fires.Add(want)
				}
			})
		}
		group.Wait()
		if n := w.Len(); n != 0 {
			t.Errorf("Len %d at the end", n)
		}
		t.Logf("%d stopped, %d fired", stopped.Load(), fires.Load())
	})
}

// Putting off at the time of the deadline comes before the firing or after it;
// either way the last deadline fires, once. Each timer is put off right after
// the one before it has fired, a little later each time, to meet the wheel at
// every step of its work.
func TestPutOffRacesWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		const first, second = 70 * time.Millisecond, 140 * time.Millisecond
		var timers [10_000]*wheel.Timer
		var fired [len(timers)]*record
		var ready, position atomic.Int64
		for i := range timers {
			w.Set(&wheel.Timer{F: func() {
				await(&ready, i)
				position.Store(int64(i))
			}}, start.Add(first))
			timers[i], fired[i] = after(w, first)
		}
		at := start.Add(second)
		time.Sleep(first)
		for i, timer := range timers {
			ready.Store(int64(i))
			await(&position, i)
			for range i % 200 {
				position.Load()
			}
			w.Set(timer, at)
		}
		sleepTo(start, time.Second)
		twice := 0
		for i, record := range fired {
			times := record.get()
			if len(times) == 2 && times[0] == first {
				times = times[1:]
				twice++
			}
			if !slices.Equal(times, []time.Duration{second}) {
				t.Errorf("timer %d fired at %v and not once at %v", i, times, second)
			}
		}
		t.Logf("%d of %d fired before they were put off", twice, len(timers))
	})
}

// await returns as soon as it can after v has come to i.
func await(v *atomic.Int64, i int) {
	for spins := 1; v.Load() < int64(i); spins++ {
		if spins%1000 == 0 {
			runtime.Gosched()
		}
	}
}

// An alarm that has gone off and one that is set to the past at the same moment
// do not make two goroutines call F.
func TestOneFAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New()
		calls, inside := 0, false // without a lock: -race sees calls that overlap
		f := func() {
			if inside {
				t.Error("two calls of F at the same time")
			}
			inside = true
			for range 10 {
				runtime.Gosched()
			}
			inside = false
			calls++
		}
		const rounds = 500
		for range rounds {
			var group sync.WaitGroup
			timers := make([]wheel.Timer, 5)
			at := time.Now().Add(10 * time.Millisecond)
			for i := range timers {
				timers[i].F = f
				if i < 2 {
					w.Set(&timers[i], at)
					continue
				}
				group.Go(func() {
					time.Sleep(10 * time.Millisecond)
					w.Set(&timers[i], at.Add(-time.Hour))
				})
			}
			group.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		w.Close()
		if calls != 5*rounds {
			t.Errorf("F was called %d times, want %d", calls, 5*rounds)
		}
	})
}

// Many timers in one slot: while the wheel moves and fires them, others stop,
// hasten and put off theirs. All are accounted for.
func TestChangesDuringCascade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, owners = 5000, 4
		w, start := wheel.New(), time.Now()
		var fired, stopped atomic.Int64
		var group sync.WaitGroup
		for owner := range owners {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(owner), 2))
				timers := make([]wheel.Timer, each)
				for i := range timers {
					timers[i].F = func() { fired.Add(1) }
					w.Set(&timers[i], start.Add(5*time.Second+time.Duration(random.IntN(3000))*time.Millisecond))
				}
				time.Sleep(4095 * time.Millisecond) // their slot on the third level begins; tick 0 is 1 ms old
				for i := range timers {
					switch random.IntN(4) {
					case 0:
						if w.Stop(&timers[i]) {
							stopped.Add(1)
						}
					case 1:
						w.Set(&timers[i], start.Add(time.Hour))
					case 2:
						w.Set(&timers[i], start.Add(4096*time.Millisecond))
					}
				}
			})
		}
		group.Wait()
		sleepTo(start, 8*time.Second)
		if sum := fired.Load() + stopped.Load() + int64(w.Len()); sum != each*owners || w.Len() == 0 {
			t.Errorf("%d fired, %d stopped, %d set: sum %d, want %d", fired.Load(), stopped.Load(), w.Len(), sum, each*owners)
		}
		sleepTo(start, 2*time.Hour)
		if sum := fired.Load() + stopped.Load(); sum != each*owners || w.Len() != 0 {
			t.Errorf("%d fired and %d stopped in the end, want %d together", fired.Load(), stopped.Load(), each*owners)
		}
	})
}

// In real time, so that nothing but the wheel orders anything.
func TestManyGoroutinesOnSharedTimers(t *testing.T) {
	w := wheel.New()
	defer w.Close()
	timers := make([]wheel.Timer, 64)
	for i := range timers {
		timers[i].F = func() { w.Set(&timers[(i+1)%len(timers)], time.Now().Add(time.Minute)) }
	}
	var group sync.WaitGroup
	for owner := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(owner), 3))
			for range 5000 {
				timer := &timers[random.IntN(len(timers))]
				if random.IntN(3) == 0 {
					w.Stop(timer)
					continue
				}
				w.Set(timer, time.Now().Add(time.Duration(random.Int64N(int64(1)<<random.IntN(40)))-time.Millisecond))
			}
		})
	}
	group.Wait()
	w.Close()
	set := w.Len()
	for i := range timers {
		if w.Stop(&timers[i]) {
			set--
		}
	}
	if set != 0 || w.Len() != 0 {
		t.Errorf("Len and what Stop found differ by %d; Len %d at the end", set, w.Len())
	}
}
