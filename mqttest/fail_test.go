package mqttest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// failing test runs are watched by a testing.TB that does not fail.
type watched struct {
	testing.TB
	mu       sync.Mutex
	said     []string
	cleanups []func()
}

func (w *watched) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *watched) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

func (w *watched) Fatal(args ...any)   { w.Fatalf("%s", fmt.Sprint(args...)) }
func (w *watched) Cleanup(f func())    { w.cleanups = append(w.cleanups, f) }
func (w *watched) Helper()             {}
func (w *watched) Logf(string, ...any) {}

// failure gives what f has reported, cleanups included; empty: it has not failed.
func failure(t testing.TB, f func(t testing.TB)) string {
	t.Helper()
	w := &watched{TB: t}
	run := func(f func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
	run(func() { f(w) })
	for len(w.cleanups) > 0 {
		last := w.cleanups[len(w.cleanups)-1]
		w.cleanups = w.cleanups[:len(w.cleanups)-1]
		run(last)
	}
	return strings.Join(w.said, "\n")
}

func anyFails(t testing.TB, f func(t testing.TB)) bool { return failure(t, f) != "" }
