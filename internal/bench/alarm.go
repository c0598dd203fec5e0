package bench

import (
	"context"
	"time"
)

// alarm wakes up one goroutine.
type alarm interface {
	// wait waits for d, or not at all if that is not above 0. false: the context of the alarm has ended.
	wait(d time.Duration) bool
	stop()
}

// newAlarm makes the best there is.
func newAlarm(ctx context.Context, precise bool) alarm {
	if precise {
		if a := newPreciseAlarm(ctx); a != nil {
			return a
		}
	}
	return &timerAlarm{ctx}
}

// timerAlarm wakes up with Go's timers, on Linux up to a millisecond late when the process is idle.
type timerAlarm struct{ ctx context.Context }

func (a *timerAlarm) wait(d time.Duration) bool {
	if d <= 0 {
		return a.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}

func (a *timerAlarm) stop() {}
