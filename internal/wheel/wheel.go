// Package wheel keeps the broker's timers: keep alive, connect deadline, will
// delay, session expiry, resend. One Wheel holds millions of them.
//
// It is a hierarchical timing wheel of eight levels with 64 slots each. A slot
// of the lowest level is one tick, a millisecond; a slot of each further level
// is 64 times as wide, so that eight levels reach beyond the 292 years of a
// time.Duration. A slot is a doubly linked list through the timers themselves:
// Set and Stop allocate nothing and cost the same for one timer as for
// millions. A timer far ahead moves to a lower level each time its slot begins,
// at most seven times.
//
// Nothing ticks. Between two slots that hold something the wheel is one timer
// of the Go runtime and no goroutine at all; without timers it is not even
// that.
//
// Putting a deadline off, which every packet does with a keep alive, takes no
// lock: the timer stays where it is linked and moves when that slot begins.
// The rule that allows it: the slot a timer is linked in never begins after the
// timer's deadline.
package wheel

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// tick is the resolution: a deadline is rounded up to a whole tick.
const tick = time.Millisecond

const (
	never   = math.MaxInt64               // in place of a tick: no deadline
	maxTick = int64(math.MaxInt64 / tick) // the last tick a time.Duration reaches
)

// Timer is one deadline and what to do then. It is embedded or held by value;
// the zero value with F filled in is ready and not set. It must not be copied
// while set and belongs to one Wheel as long as it is set.
type Timer struct {
	// F is called when the deadline has come. It is filled in before the first
	// Set and not changed while the timer is set. The calls of one Wheel come one
	// at a time, in the order of their deadlines to the tick, on a goroutine of
	// the Wheel and with no lock held. F must not block: all other timers wait
	// for it. It may Set and Stop any timer, its own included, and may Close the
	// Wheel. A panic in F ends the program like one on any goroutine.
	F func()

	// Deadline in ticks, 0 if not set. It turns from or to 0, and to an earlier
	// deadline, only under Wheel.mu; anyone may raise it.
	due atomic.Int64

	// Under Wheel.mu; meaningful while set.
	next, prev *Timer
	slot       uint16
}

// Wheel fires Timers. It is made by New; all methods may be called from any
// goroutine, also from a Timer's F.
type Wheel struct {
	// Fixed by New.
	origin time.Time // tick 0

	// mu is held for short, bounded work, never while an F runs, and no other
	// lock is taken under it.
	mu sync.Mutex

	// Under mu: the timers.
	slots    [levels * slotsPerLevel]*Timer // first timer of each slot, nil if empty
	occupied [levels]uint64                 // a bit for each slot that is not empty
	count    int                            // timers set
	now      int64                          // tick up to which slots have been emptied
	open     int                            // slot being emptied, which began at now, or noSlot

	// Under mu: the goroutine.
	alarm   *time.Timer // calls run
	wake    int64       // tick alarm is set for, or never
	runs    int         // calls of run that are under way or will come from alarm
	running bool        // one of them is emptying slots
	closed  bool
	ended   sync.Cond // a call of run has ended
}

// New returns an empty Wheel. It starts no goroutine and needs no Close as long
// as no timer is set. In a testing/synctest bubble the Wheel must be made there.
func New() *Wheel {
	// Tick 0 is past already, so that no deadline falls on the 0 of an unset Timer.
	w := &Wheel{origin: time.Now().Add(-tick), open: noSlot, wake: never}
	w.ended.L = &w.mu
	return w
}

// Set arms t for the time at, in place of an earlier setting if there is one.
// F never starts before at and, if the machine keeps up, less than a
// millisecond after it. A time in the past means at once or, if an F is
// running, within a millisecond.
//
// A time with a monotonic clock reading, as time.Now().Add gives, is measured
// on that clock. A time without one, as read from a store, is measured from the
// wall clock's time now, and later changes of the wall clock do not move it.
// More than 292 years ahead counts as 292 years.
//
// On a closed Wheel an unset timer stays unset. Set panics if t.F is nil.
func (w *Wheel) Set(t *Timer, at time.Time) {
	if t.F == nil {
		panic("wheel: Set of a Timer without F")
	}
	due := w.dueTick(at)
	for old := t.due.Load(); old != 0 && due >= old; old = t.due.Load() {
		if t.due.CompareAndSwap(old, due) {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if t.due.Load() != 0 {
		w.unlink(t)
	} else {
		w.count++
	}
	t.due.Store(due)
	w.link(t, due)
	if !w.running {
		w.arm()
	}
}

// Stop takes the setting of t back. It returns true if t was set and F will not
// run for that setting; it returns false if t was not set, and then F may be
// just running or about to. It does not wait for F.
func (w *Wheel) Stop(t *Timer) bool {
	if t.due.Load() == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.due.Swap(0) == 0 {
		return false
	}
	w.unlink(t)
	if w.count--; w.count == 0 && !w.running {
		w.disarm()
	}
	return true
}

// Len returns how many timers are set.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// dueTick returns the first tick that is not before at, in 1..maxTick.
func (w *Wheel) dueTick(at time.Time) int64 {
	var since time.Duration
	if at.Round(0) != at {
		since = at.Sub(w.origin)
	} else {
		// No monotonic reading: the wall clock may have been set since origin.
		now := time.Now()
		elapsed := now.Sub(w.origin)
		since = min(at.Sub(now), math.MaxInt64-elapsed) + elapsed
	}
	due := int64(since / tick)
	if since%tick > 0 {
		due++
	}
	return min(max(due, 1), maxTick)
}

// nowTick returns the last tick that has begun.
func (w *Wheel) nowTick() int64 {
	return int64(time.Since(w.origin) / tick)
}
