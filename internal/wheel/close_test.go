package wheel_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
)

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		set, firedSet := after(w, time.Second)
		unset := &wheel.Timer{F: func() { t.Error("fired after Close") }}
		w.Close()
		w.Close()
		w.Set(set, start.Add(2*time.Second))
		w.Set(unset, start)
		sleepTo(start, time.Hour)
		firedSet.expect(t, "set before Close")
		if !w.Stop(set) || w.Stop(unset) || w.Len() != 0 {
			t.Error("after Close, Stop must return true for the timer set before, and no other may be set")
		}
		wheel.New().Close()
	})
}

func TestCloseWaitsForF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New()
		release := make(chan struct{})
		ended := false
		w.Set(&wheel.Timer{F: func() { <-release; ended = true }}, time.Now())
		_, second := after(w, 0)
		synctest.Wait()
		returned := make(chan bool)
		for range 2 {
			go func() { w.Close(); returned <- ended }()
		}
		synctest.Wait()
		select {
		case <-returned:
			t.Error("Close returned while an F was running")
		default:
		}
		close(release)
		for range 2 {
			if !<-returned {
				t.Error("Close returned before the F that was running had ended")
			}
		}
		second.expect(t, "due with the running one")
	})
}

// Close waits for the F that is running and for nothing later.
func TestCloseDoesNotWaitForDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := wheel.New(), time.Now()
		w.Set(&wheel.Timer{F: func() { time.Sleep(time.Second) }}, start)
		_, late := after(w, time.Hour)
		synctest.Wait()
		w.Close()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("Close waited %v, want 1s", waited)
		}
		sleepTo(start, 2*time.Hour)
		late.expect(t, "late")
	})
}

// The bubble is a deadlock, which synctest reports, if Close from an F waits.
func TestCloseFromF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, start := wheel.New(), wheel.New(), time.Now()
		aClosed := make(chan struct{})
		a.Set(&wheel.Timer{F: func() { a.Close(); deep(80, a.Close); b.Close(); close(aClosed) }}, start.Add(time.Second))
		b.Set(&wheel.Timer{F: func() { <-aClosed; a.Close(); b.Close() }}, start.Add(time.Second))
		_, late := after(a, time.Second)
		sleepTo(start, time.Minute)
		a.Close()
		b.Close()
		late.expect(t, "due with the F that closed")
	})
}

// deep calls f from below n more frames.
//
//go:noinline
func deep(n int, f func()) int {
	if n == 0 {
		f()
		return 0
	}
	return deep(n-1, f) + 1
}

// Close comes at the very time at which timers fire: none fires after it.
func TestCloseRacesWithDeadlines(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			w, start := wheel.New(), time.Now()
			closed := false
			for range 20 {
				// Unsynchronized but for Close: -race sees an F that is not over.
				w.Set(&wheel.Timer{F: func() {
					if closed {
						t.Error("fired after Close")
					}
				}}, start.Add(time.Second))
			}
			time.Sleep(time.Second)
			w.Close()
			closed = true
		})
	}
}
