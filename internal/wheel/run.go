package wheel

import (
	"math"
	"reflect"
	"runtime"
	"time"
)

// maxSteps bounds how many timers change slots before others get the lock.
const maxSteps = 256

// clockEnd is where the runtime's clock in a synctest bubble ends, in Unix
// seconds (the year 2262). It wakes sleepers that want to sleep longer, again and again.
const clockEnd = math.MaxInt64 / int64(time.Second)

// arm sets the alarm for the earliest slot unless it goes off by then anyway.
// mu is held.
func (w *Wheel) arm() {
	_, begin := w.earliest()
	if begin >= w.wake {
		return
	}
	sinceOrigin := time.Duration(begin) * tick
	if w.origin.Add(sinceOrigin).Unix() >= clockEnd {
		return
	}
	w.wake = begin
	wait := sinceOrigin - time.Since(w.origin)
	if w.alarm == nil {
		w.alarm = time.AfterFunc(wait, w.run)
		w.runs++
	} else if !w.alarm.Reset(wait) {
		w.runs++
	}
}

// disarm takes the alarm back. A run it has started already finds nothing to
// do. mu is held.
func (w *Wheel) disarm() {
	w.wake = never
	if w.alarm != nil && w.alarm.Stop() {
		w.runs--
	}
}

// run is the goroutine that the alarm starts: it fires what is due and ends.
func (w *Wheel) run() {
	if !w.begin() {
		return
	}
	defer w.end() // also if an F ends the goroutine by runtime.Goexit
	for f := w.take(); f != nil; f = w.take() {
		call(f)
	}
}

// begin makes the caller the running one, or counts it as ended if another is
// running or the Wheel is closed.
func (w *Wheel) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.running {
		w.runs--
		w.ended.Broadcast()
		return false
	}
	w.running = true
	return true
}

// end sets the alarm for what is left. Whatever was Set while running was left
// to it.
func (w *Wheel) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = false
	w.runs--
	w.disarm()
	if !w.closed {
		w.arm()
	}
	w.ended.Broadcast()
}

// take empties slots up to the present time until a timer is due. It returns
// that timer's F, or nil if there is none or the Wheel is closed.
func (w *Wheel) take() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.nowTick()
	for steps := 1; !w.closed; steps++ {
		if (w.open == noSlot || w.slots[w.open] == nil) && !w.advance(now) {
			return nil
		}
		if f := w.step(); f != nil {
			return f
		}
		if steps%maxSteps == 0 {
			w.mu.Unlock()
			w.mu.Lock()
		}
	}
	return nil
}

// Close stops the Wheel for good: no F starts after it returns, and the timers
// that are set stay so until Stop. It waits for an F that is running and for
// the goroutine to end, except when called from an F, of this or of another
// Wheel, where waiting could be a deadlock. It may be called more than once.
func (w *Wheel) Close() {
	inF := calledFromF()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.disarm()
	}
	for w.runs > 0 && !inF {
		w.ended.Wait()
	}
}

// call is how every F is called, by which calledFromF knows one.
//
//go:noinline
func call(f func()) { f() }

// calledFromF reports whether this goroutine is in a call of an F.
func calledFromF() bool {
	entry := reflect.ValueOf(call).Pointer()
	var pcs [64]uintptr
	for skip := 1; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		frames := runtime.CallersFrames(pcs[:n])
		for more := true; more; {
			var frame runtime.Frame
			if frame, more = frames.Next(); frame.Entry == entry {
				return true
			}
		}
	}
}
