package wheel_test

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/e8743928/mqttx/internal/wheel"
)

const year = 365 * 24 * time.Hour

// record is when something fired, counted from start.
type record struct {
	start time.Time
	mu    sync.Mutex
	times []time.Duration
}

func (r *record) now() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Since(r.start))
}

// get returns the times and forgets them.
func (r *record) get() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.times
	r.times = nil
	return times
}

// expect fails the test unless there was a firing at each time of want, and no
// other, since the last call.
func (r *record) expect(t *testing.T, what string, want ...time.Duration) {
	t.Helper()
	if got := r.get(); !slices.Equal(got, want) {
		t.Errorf("%s fired at %v, want %v", what, got, want)
	}
}

// after sets a new timer for d from now.
func after(w *wheel.Wheel, d time.Duration) (*wheel.Timer, *record) {
	r := &record{start: time.Now()}
	t := &wheel.Timer{F: r.now}
	w.Set(t, r.start.Add(d))
	return t, r
}

// sleepTo lets virtual time come to d after start and all due timers fire.
func sleepTo(start time.Time, d time.Duration) {
	time.Sleep(time.Until(start.Add(d)))
	synctest.Wait()
}

func TestFiresAtItsDeadlineAndNotBefore(t *testing.T) {
	for _, d := range []time.Duration{
		time.Millisecond, 63 * time.Millisecond, 64 * time.Millisecond, 65 * time.Millisecond,
		999 * time.Millisecond, time.Second, 4900 * time.Millisecond, 5 * time.Second, 15 * time.Second,
		90 * time.Second, time.Hour, 65535 * 1500 * time.Millisecond, 30 * 24 * time.Hour, 20 * year, 200 * year,
	} {
		synctest.Test(t, func(t *testing.T) {
			w, start := wheel.New(), time.Now()
			_, fired := after(w, d)
			sleepTo(start, d-1)
			fired.expect(t, d.String())
			sleepTo(start, d)
			fired.expect(t, d.String(), d)
			if n := w.Len(); n != 0 {
				t.Errorf("Len %d after the last timer", n)
			}
		})
	}
}

func TestRoundsUpToTheTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		_, one := after(w, 1)
		_, odd := after(w, 5*time.Second+1)
		_, high := after(w, 6*time.Second-1)
		sleepTo(start, time.Minute)
		one.expect(t, "1 ns", time.Millisecond)
		odd.expect(t, "5 s and 1 ns", 5001*time.Millisecond)
		high.expect(t, "6 s less 1 ns", 6*time.Second)
	})
}

// Deadlines on both sides of the beginning of slots of every level, set in one
// go, fire exactly and in order, whatever order they were set in.
func TestCascadeAcrossAllLevels(t *testing.T) {
	var deadlines []time.Duration
	for width := int64(1); width < int64(math.MaxInt64/time.Millisecond); width *= 64 {
		for _, slots := range []int64{1, 2, 33, 63} {
			for _, off := range []int64{-1, 0, 1, width / 3} {
				if ms := width*slots + off; ms > 0 && ms < int64(250*year/time.Millisecond) {
					deadlines = append(deadlines, time.Duration(ms)*time.Millisecond)
				}
			}
		}
	}
	slices.Sort(deadlines)
	for _, stride := range []int{1, 7, len(deadlines) - 1} {
		for ; gcd(stride, len(deadlines)) != 1; stride-- {
		}
		synctest.Test(t, func(t *testing.T) {
			w, start := wheel.New(), time.Now()
			var fired []time.Duration
			for i := range deadlines {
				d := deadlines[i*stride%len(deadlines)]
				w.Set(&wheel.Timer{F: func() {
					if late := time.Since(start) - d; late != 0 {
						t.Errorf("%v fired late by %v", d, late)
					}
					fired = append(fired, d)
				}}, start.Add(d))
			}
			sleepTo(start, 251*year)
			if !slices.Equal(fired, deadlines) {
				t.Errorf("stride %d: %d of %d fired, or in another order", stride, len(fired), len(deadlines))
			}
		})
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// A wheel that has been running for any time places new timers as exactly as a
// new one does: the slots' boundaries are not where the timers are set.
func TestSetAtAnyAgeOfTheWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New()
		for _, age := range []time.Duration{0, 61 * time.Millisecond, 4090 * time.Millisecond, 3 * time.Hour, 8 * year} {
			time.Sleep(age)
			start := time.Now()
			var all []*record
			for ms := 1; ms <= 5000; ms += 7 {
				_, fired := after(w, time.Duration(ms)*time.Millisecond)
				all = append(all, fired)
			}
			sleepTo(start, 5*time.Second)
			for i, fired := range all {
				fired.expect(t, age.String(), time.Duration(1+7*i)*time.Millisecond)
			}
		}
	})
}

func TestSetAgainMovesTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		later, firedLater := after(w, 10*time.Second)
		sooner, firedSooner := after(w, 10*time.Second)
		back, firedBack := after(w, 10*time.Second)
		w.Set(later, start.Add(20*time.Second))
		w.Set(sooner, start.Add(5*time.Second))
		w.Set(back, start.Add(10*year))
		w.Set(back, start.Add(time.Second))
		if n := w.Len(); n != 3 {
			t.Errorf("Len %d, want 3", n)
		}
		sleepTo(start, time.Minute)
		firedLater.expect(t, "later", 20*time.Second)
		firedSooner.expect(t, "sooner", 5*time.Second)
		firedBack.expect(t, "back", time.Second)
	})
}

// The use a keep alive makes: put off again and again, then silence.
func TestPutOffUntilSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		timer, fired := after(w, 15*time.Second)
		for range 1000 {
			time.Sleep(9999 * time.Millisecond)
			w.Set(timer, time.Now().Add(15*time.Second))
		}
		silent := time.Since(start) + 15*time.Second
		sleepTo(start, silent-time.Millisecond)
		fired.expect(t, "keep alive")
		sleepTo(start, silent)
		fired.expect(t, "keep alive", silent)
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		unset := &wheel.Timer{F: func() { t.Error("fired, never set") }}
		if w.Stop(unset) {
			t.Error("Stop of an unset timer returned true")
		}
		stopped, firedStopped := after(w, time.Second)
		gone, firedGone := after(w, time.Second)
		if !w.Stop(stopped) || w.Stop(stopped) {
			t.Error("Stop must return true once")
		}
		sleepTo(start, time.Minute)
		if w.Stop(gone) {
			t.Error("Stop of a timer that fired returned true")
		}
		firedStopped.expect(t, "stopped")
		firedGone.expect(t, "other", time.Second)
		w.Set(stopped, start.Add(2*time.Minute))
		sleepTo(start, time.Hour)
		firedStopped.expect(t, "set after Stop", 2*time.Minute)
	})
}

func TestThePastFiresAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := wheel.New()
		time.Sleep(time.Minute)
		now := time.Now()
		for _, at := range []time.Time{
			{},
			time.Unix(0, 0), now.Add(-time.Hour), now.Add(-2 * time.Millisecond), now.Add(-time.Millisecond),
			now.Add(-1), now, now.Round(0),
		} {
			for _, w := range []*wheel.Wheel{old, wheel.New()} {
				fired := &record{start: now}
				w.Set(&wheel.Timer{F: fired.now}, at)
				synctest.Wait()
				fired.expect(t, at.String(), 0)
			}
		}
	})
}

// A deadline at or before the making of the wheel is a setting like any other.
func TestThePastCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		timer := &wheel.Timer{F: func() { t.Error("fired, was stopped") }}
		stops := 0
		w.Set(&wheel.Timer{F: func() { // nothing else fires while this runs
			for off := range 5 * time.Millisecond / (time.Millisecond / 4) {
				w.Set(timer, start.Add(-off*time.Millisecond/4))
				if w.Stop(timer) {
					stops++
				}
			}
		}}, start)
		synctest.Wait()
		if stops != 20 {
			t.Errorf("%d of 20 stopped", stops)
		}
	})
}

// Times as a store gives them back, without the monotonic clock.
func TestWallClockDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		fired := &record{start: start}
		for _, d := range []time.Duration{time.Hour, 5 * time.Second, 150 * year} {
			at := time.Unix(0, start.Add(d).UnixNano()).UTC()
			w.Set(&wheel.Timer{F: fired.now}, at)
		}
		sleepTo(start, 200*year)
		fired.expect(t, "all", 5*time.Second, time.Hour, 150*year)
	})
}

// Two hundred years pass with a few timers set; what no time.Duration can reach
// stays set and does no harm.
func TestCenturies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		far := []*wheel.Timer{}
		for _, at := range []time.Time{
			time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
			time.Unix(math.MaxInt64-62135596801, 999999999), // the last time.Time
			start.Add(math.MaxInt64),
			start.Add(math.MaxInt64).Round(0),
		} {
			timer := &wheel.Timer{F: func() { t.Errorf("%v fired at %v", at, time.Now()) }}
			w.Set(timer, at)
			far = append(far, timer)
		}
		_, century := after(w, 100*year)
		sleepTo(start, 200*year)
		century.expect(t, "century", 100*year)

		// After them, seconds still count.
		_, second := after(w, time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		second.expect(t, "second", time.Second)
		for i, timer := range far {
			if !w.Stop(timer) {
				t.Errorf("far timer %d no longer set", i)
			}
		}
	})
}

// A timer that is stopped leaves a wake for nothing behind. What is set then
// takes a slot that was in use a round before.
func TestWakeForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now() // at tick 1
		after(w, year)
		_, round0 := after(w, 4*time.Millisecond)
		sleepTo(start, 4*time.Millisecond)
		round0.expect(t, "slot 5", 4*time.Millisecond)
		stopped, _ := after(w, 61*time.Millisecond)
		w.Stop(stopped)
		sleepTo(start, 63*time.Millisecond)
		_, round1 := after(w, 5*time.Millisecond)
		sleepTo(start, time.Second)
		round1.expect(t, "slot 5, a round later", 5*time.Millisecond)
	})
}

func TestSetAndStopFromF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		times, calls := &record{start: start}, 0
		victim, firedVictim := after(w, 3*time.Second)
		same, firedSame := after(w, time.Second)
		var self wheel.Timer
		self.F = func() {
			times.now()
			switch calls++; calls {
			case 1, 2:
				w.Set(&self, time.Now().Add(time.Second))
			case 3:
				if !w.Stop(victim) {
					t.Error("victim, due at the same tick and set later, was not stopped")
				}
				w.Set(same, time.Now())
			}
		}
		w.Set(&self, start.Add(time.Second))
		w.Stop(victim)
		w.Set(victim, start.Add(3*time.Second).Add(time.Microsecond))
		sleepTo(start, time.Minute)
		times.expect(t, "self", time.Second, 2*time.Second, 3*time.Second)
		firedVictim.expect(t, "victim")
		firedSame.expect(t, "same", time.Second, 3001*time.Millisecond)
	})
}

// A timer that sets itself to the past for ever does not keep others from firing.
func TestSelfSetToThePastDoesNotStarve(t *testing.T) {
	w := wheel.New() // real time: the busy timer would stop the virtual clock
	defer w.Close()
	var busy wheel.Timer
	busy.F = func() { w.Set(&busy, time.Time{}) }
	w.Set(&busy, time.Time{})
	done := make(chan struct{})
	w.Set(&wheel.Timer{F: func() { close(done) }}, time.Now().Add(5*time.Millisecond))
	<-done
	w.Stop(&busy)
}

// The bubble ends with timers set and the wheel not closed: synctest would
// report a goroutine left behind.
func TestNoGoroutineWhileAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		_, near := after(w, time.Second)
		after(w, year)
		sleepTo(start, time.Minute)
		near.expect(t, "near", time.Second)
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if strings.Contains(string(stacks), "wheel.(*Wheel)") {
			t.Errorf("a goroutine of the wheel is left:\n%s", stacks)
		}
	})
}

func TestWorksAgainAfterIdleEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New()
		for _, idle := range []time.Duration{0, time.Millisecond, time.Hour, 30 * year} {
			time.Sleep(idle)
			timer, _ := after(w, time.Minute)
			w.Stop(timer) // ends it by Stop, below by firing
			start := time.Now()
			_, fired := after(w, 10*time.Second)
			sleepTo(start, 20*time.Second)
			fired.expect(t, idle.String(), 10*time.Second)
		}
	})
}

// runtime.Goexit, as t.FailNow calls it, ends one call of F and not the wheel,
// even in the middle of a wide slot.
func TestGoexitInF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()  // at tick 1
		const wide = 4095 * time.Millisecond // tick 4096 begins a slot of the third level
		inner := &record{start: start}
		w.Set(&wheel.Timer{F: func() {
			w.Set(&wheel.Timer{F: inner.now}, start.Add(wide+50*time.Millisecond))
			runtime.Goexit()
		}}, start.Add(wide))
		_, same := after(w, wide)
		_, next := after(w, wide+2*time.Millisecond)
		sleepTo(start, time.Minute)
		same.expect(t, "same", wide)
		next.expect(t, "next", wide+2*time.Millisecond)
		inner.expect(t, "inner", wide+50*time.Millisecond)
		w.Close()
	})
}

func TestSetWithoutFPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Set of a Timer without F did not panic")
		}
	}()
	wheel.New().Set(&wheel.Timer{}, time.Now())
}

func TestTimerSize(t *testing.T) {
	if size := unsafe.Sizeof(wheel.Timer{}); size > 48 {
		t.Errorf("a Timer takes %d bytes, want at most 48", size)
	}
}
