package wheel_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
	"pgregory.net/rapid"
)

// op is one step of the model test.
type op struct {
	Kind  string // "set", "stop" or "sleep"
	Timer int
	D     time.Duration // until the deadline, or to sleep
}

func drawOp(rt *rapid.T) op {
	// Magnitudes from nanoseconds to decades, near and at the slots' boundaries.
	d := rapid.Custom(func(rt *rapid.T) time.Duration {
		d := time.Duration(rapid.Int64Range(1, 64).Draw(rt, "digit"))
		if rapid.IntRange(0, 9).Draw(rt, "fine") > 0 {
			d *= time.Millisecond << (6 * rapid.IntRange(0, 5).Draw(rt, "level"))
		}
		return d + time.Duration(rapid.IntRange(-2, 2).Draw(rt, "off"))*time.Millisecond
	})
	return op{
		Kind:  rapid.SampledFrom([]string{"set", "set", "set", "stop", "sleep", "sleep"}).Draw(rt, "kind"),
		Timer: rapid.IntRange(0, 11).Draw(rt, "timer"),
		D:     d.Draw(rt, "d"),
	}
}

// firing is a timer's deadline, in the wheel's ticks from the start of the test.
type firing struct {
	at    time.Duration
	timer int
}

// model is a sorted list of what is set.
type model []firing

func (m *model) remove(timer int) bool {
	i := slices.IndexFunc(*m, func(f firing) bool { return f.timer == timer })
	if i >= 0 {
		*m = slices.Delete(*m, i, i+1)
	}
	return i >= 0
}

func (m *model) set(timer int, at, now time.Duration) {
	m.remove(timer)
	// Up to the next tick; the past is now, which may be between two ticks.
	at = max((at+time.Millisecond-1)/time.Millisecond*time.Millisecond, now)
	*m = append(*m, firing{at, timer})
	sortFirings(*m)
}

// sortFirings orders by time, and by timer where the wheel promises no order.
func sortFirings(f []firing) {
	slices.SortFunc(f, func(a, b firing) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.timer, b.timer)) })
}

// due takes out what fires by now.
func (m *model) due(now time.Duration) []firing {
	n := 0
	for n < len(*m) && (*m)[n].at <= now {
		n++
	}
	due := slices.Clone((*m)[:n])
	*m = slices.Delete(*m, 0, n)
	return due
}

// play runs ops on a wheel and on the model and tells the first difference.
func play(ops []op) error {
	w, start := wheel.New(), time.Now()
	defer w.Close()
	var m model
	var mu sync.Mutex
	var fired []firing // under mu
	var timers [12]wheel.Timer
	for i := range timers {
		timers[i].F = func() {
			mu.Lock()
			defer mu.Unlock()
			fired = append(fired, firing{time.Since(start), i})
		}
	}
	settle := func(i int) error {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want := m.due(time.Since(start))
		if !slices.IsSortedFunc(fired, func(a, b firing) int { return cmp.Compare(a.at, b.at) }) {
			return fmt.Errorf("op %d: fired out of order: %v", i, fired)
		}
		sortFirings(fired)
		if !slices.Equal(fired, want) {
			return fmt.Errorf("op %d: fired %v, want %v", i, fired, want)
		}
		if w.Len() != len(m) {
			return fmt.Errorf("op %d: Len %d, want %d", i, w.Len(), len(m))
		}
		fired = fired[:0]
		return nil
	}
	for i, op := range append(ops, op{Kind: "sleep", D: 100 * year}) {
		now := time.Since(start)
		switch op.Kind {
		case "set":
			w.Set(&timers[op.Timer], start.Add(now+op.D))
			m.set(op.Timer, now+op.D, now)
		case "stop":
			if got, want := w.Stop(&timers[op.Timer]), m.remove(op.Timer); got != want {
				return fmt.Errorf("op %d: Stop %v, want %v", i, got, want)
			}
		case "sleep":
			time.Sleep(op.D)
		}
		// After each op, as what is due at once would race with the next.
		if err := settle(i); err != nil {
			return err
		}
	}
	return nil
}

func TestAgainstSortedList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, 80).Draw(rt, "ops")
		var err error
		synctest.Test(t, func(*testing.T) { err = play(ops) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
