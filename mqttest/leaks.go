package mqttest

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
)

// Leaks fails the test if goroutines that came into being after this call and have to do with mqttx are left when all else
// of the test is cleaned up; so it is best the first line. They get 10 s to end. It counts the goroutines of the whole
// process, so it is not for tests that run in parallel with others. A synctest bubble checks this by itself.
func Leaks(t testing.TB) {
	t.Helper()
	before := make(map[string]bool)
	for id := range goroutines() {
		before[id] = true
	}
	t.Cleanup(func() {
		t.Helper()
		var left []string
		for wait, began := time.Millisecond, time.Now(); time.Since(began) < patience; wait = min(2*wait, 100*time.Millisecond) {
			left = left[:0]
			for id, stack := range goroutines() {
				if !before[id] {
					left = append(left, stack)
				}
			}
			if len(left) == 0 {
				return
			}
			<-time.After(wait)
		}
		t.Errorf("mqttest: %d goroutines are left:\n\n%s", len(left), strings.Join(left, "\n\n"))
	})
}

// goroutines gives the stacks of the goroutines that have to do with mqttx, without the caller's and other tests' own.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	module := reflect.TypeFor[mqttx.Server]().PkgPath()
	m := make(map[string]string)
	for i, g := range strings.Split(string(buf), "\n\n") {
		if i == 0 || !strings.Contains(g, module) || strings.Contains(g, "\ntesting.tRunner(") {
			continue
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(g, "goroutine "), " ")
		m[id] = g
	}
	return m
}
