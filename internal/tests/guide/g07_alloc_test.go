//go:build !race

package guide_test

import (
	"testing"

	"github.com/e8743928/mqttx/topic"
)

// The levels of a topic cost no allocation: a race build, where sync.Pool forgets at random, cannot tell.
func TestGuide_G7_MatchAllocatesNothing(t *testing.T) {
	var r topic.Router[string, int]
	for i, f := range []string{"a/b/c/d/e/f", "a/+/c/+/e/+", "#", "a/b/#", "+/b/c/d/e/f", "a/b/c/d/e/g"} {
		if _, err := r.Subscribe(f, "c", i); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	n := testing.AllocsPerRun(100, func() {
		found = 0
		for range r.Match("a/b/c/d/e/f") {
			found++
		}
	})
	if n != 0 || found != 5 {
		t.Errorf("%v allocations, %d found", n, found)
	}
}
