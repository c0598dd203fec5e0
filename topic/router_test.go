package topic_test

import (
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/e8743928/mqttx/topic"
)

type router = topic.Router[string, int]

func subscribe(t testing.TB, r *router, filter, k string, v int) {
	t.Helper()
	if added, err := r.Subscribe(filter, k, v); err != nil || !added {
		t.Fatalf("Subscribe(%q, %q) = %v, %v", filter, k, added, err)
	}
}

// list is what a search yields, as "k:v", sorted.
func list(seq iter.Seq2[string, int]) []string {
	var l []string
	for k, v := range seq {
		l = append(l, fmt.Sprintf("%s:%d", k, v))
	}
	slices.Sort(l)
	return l
}

func expect(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestGuide_G21_VisitsOnlyItsPath(t *testing.T) {
	var r router
	for _, f := range []string{"a/b/c/d", "a/b/c", "a/b", "a", "a/b/x", "a/y"} {
		subscribe(t, &r, f, "k", 0)
	}
	const levels = 4
	if v := r.Visits("a/b/c/d"); v > levels+1 {
		t.Errorf("%d nodes visited without a +, want at most %d", v, levels+1)
	}
	for _, f := range []string{"a/+/c/d", "a/+/c/#", "+/b/#", "+/n", "#", "$share/g/a/b/c/d", "$share/h/+/+/+/+"} {
		subscribe(t, &r, f, "k", 0)
	}
	before, found := r.Visits("a/b/c/d"), list(r.Match("a/b/c/d"))
	if before > 1<<levels {
		t.Errorf("%d nodes visited, want at most %d", before, 1<<levels)
	}
	for i := range 100_000 {
		subscribe(t, &r, fmt.Sprintf("a/b/other/%d/+", i), "k", 0)
		subscribe(t, &r, fmt.Sprintf("$share/g%d/a/c/+/d", i), "k", 0)
		subscribe(t, &r, fmt.Sprintf("$share/g/n%d/#", i), "k", 0)
	}
	for i := range 1_000 {
		subscribe(t, &r, fmt.Sprintf("+/n%d", i), "k", 0)
	}
	if after := r.Visits("a/b/c/d"); after != before {
		t.Errorf("%d nodes visited, %d before unrelated filters came", after, before)
	}
	if got := list(r.Match("a/b/c/d")); !slices.Equal(got, found) {
		t.Errorf("unrelated filters changed the result: %v, %v before", got, found)
	}
	if r.UnsubscribeAll("k"); r.Nodes() != 0 || r.Count() != 0 {
		t.Errorf("%d nodes and %d subscriptions left", r.Nodes(), r.Count())
	}
}

func TestPitfall070_SilentGroups(t *testing.T) {
	var r router
	subscribe(t, &r, "$share/g/jobs/#", "k", 1)
	before := r.Visits("jobs/x")
	for i := range 100_000 {
		subscribe(t, &r, fmt.Sprintf("$share/g%d/silent/%d/#", i%100, i), "k", 1)
	}
	if after := r.Visits("jobs/x"); after != before {
		t.Errorf("%d nodes visited, %d before the silent groups came", after, before)
	}
}

func TestPitfall070_SubscribeAgainReplaces(t *testing.T) {
	var r router
	for _, f := range []string{"a", "$share/g/a"} {
		subscribe(t, &r, f, "k", 1)
		subscribe(t, &r, f, "l", 1)
		if added, err := r.Subscribe(f, "k", 2); err != nil || added {
			t.Errorf("again: %v, %v", added, err)
		}
	}
	expect(t, "Match", list(r.MatchAndAdvance("a")), "k:2", "k:2", "l:1") // k has not moved behind l
	expect(t, "Match", list(r.MatchAndAdvance("a")), "k:2", "l:1", "l:1")
	if r.Count() != 4 {
		t.Errorf("Count %d, want 4", r.Count())
	}
}

func TestGuide_G23_Subscribe(t *testing.T) {
	var r router
	subscribe(t, &r, "sensors/+/temp", "c", 1)
	if added, err := r.Subscribe("sensors/+/temp", "c", 2); added || err != nil {
		t.Errorf("again: %v, %v", added, err)
	}
	if r.Count() != 1 {
		t.Errorf("Count %d, want 1", r.Count())
	}
	expect(t, "Match", list(r.Match("sensors/x/temp")), "c:2")
	if r.Unsubscribe("sensors/+/temp", "d") || r.Unsubscribe("sensors/+", "c") || r.Unsubscribe("$share/g/sensors/+/temp", "c") {
		t.Error("removed what is not there")
	}
	subscribe(t, &r, "sensors/+/temp", "d", 0)
	subscribe(t, &r, "$share/g/sensors/+/temp", "d", 3)
	subscribe(t, &r, "other", "d", 0)
	if !r.Unsubscribe("sensors/+/temp", "c") || r.Unsubscribe("sensors/+/temp", "c") {
		t.Error("Unsubscribe")
	}
	expect(t, "Match", list(r.Match("sensors/x/temp")), "d:0", "d:3")
	if n := r.UnsubscribeAll("c"); n != 0 {
		t.Errorf("c had %d", n)
	}
	if n := r.UnsubscribeAll("d"); n != 3 || r.Count() != 0 || r.Nodes() != 0 {
		t.Errorf("UnsubscribeAll %d, Count %d, %d nodes left", n, r.Count(), r.Nodes())
	}
}

func TestGuide_G23_Concurrent(t *testing.T) {
	var r topic.Router[int, int]
	r.Awake = func(k int) bool { return k%3 != 0 }
	filters := []string{"a/b", "a/+", "a/#", "#", "+/b", "$share/g/a/b", "$share/g/#", "a/b/c/d", "a/b/c", "x"}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				k := g*1000 + i%20
				if _, err := r.Subscribe(filters[i%len(filters)], k, i); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					r.Unsubscribe(filters[(i+g)%len(filters)], k)
				}
				if i%50 == 49 {
					r.UnsubscribeAll(k)
				}
			}
		})
		wg.Go(func() {
			for i := range 300 {
				for k := range r.MatchAndAdvance([]string{"a/b", "a/b/c", "x", "y"}[i%4]) {
					if k%1000 >= 20 {
						t.Errorf("k %d was never there", k)
					}
				}
				r.Generation("a")
				r.Count()
			}
		})
	}
	wg.Wait()
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
	for k := range 8000 {
		r.UnsubscribeAll(k)
	}
	if r.Count() != 0 || r.Nodes() != 0 {
		t.Errorf("%d subscriptions and %d nodes left", r.Count(), r.Nodes())
	}
}

// TestPitfall103_SameClientAtOnce has changes of one K overlap.
func TestPitfall103_SameClientAtOnce(t *testing.T) {
	var r router
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				f := []string{"a", "$share/g/a", "a/#"}[i%3]
				switch i % 4 {
				case 0, 1:
					if _, err := r.Subscribe(f, "k", i); err != nil {
						t.Error(err)
					}
				case 2:
					r.Unsubscribe(f, "k")
				case 3:
					r.UnsubscribeAll("k")
				}
			}
		})
	}
	wg.Wait()
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
	if n, c := r.Count(), r.UnsubscribeAll("k"); n != c || r.Nodes() != 0 {
		t.Errorf("Count %d, removed %d, %d nodes left", n, c, r.Nodes())
	}
}

func TestGuide_G24_Match(t *testing.T) {
	var r router
	subscribe(t, &r, "sensors/+/temp", "c", 1)
	subscribe(t, &r, "alerts/#", "c", 0)
	expect(t, "sensors", list(r.Match("sensors/room1/temp")), "c:1")
	expect(t, "alerts", list(r.Match("alerts")), "c:0")
	expect(t, "none", list(r.Match("sensors/room1/hum")))
	subscribe(t, &r, "sensors/#", "c", 2)
	subscribe(t, &r, "sensors/room1/temp", "d", 0)
	expect(t, "several of one client", list(r.Match("sensors/room1/temp")), "c:1", "c:2", "d:0")
}

func TestGuide_G24_LoopMayChangeTheRouter(t *testing.T) {
	var r router
	for i := range 10 {
		subscribe(t, &r, "a/#", fmt.Sprint(i), i)
	}
	n := 0
	for k := range r.Match("a") {
		n++
		r.UnsubscribeAll(k)
		subscribe(t, &r, "a", "n"+k, 1)
		for range r.Match("a") {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d seen, want the 10 that were there", n)
	}
	if r.Count() != 10 {
		t.Errorf("Count %d", r.Count())
	}
}

func TestGeneration(t *testing.T) {
	var r router
	changes := func(name string, f func()) bool {
		before := r.Generation(name)
		f()
		return r.Generation(name) != before
	}
	for _, c := range []struct {
		what, name string
		f          func()
		want       bool
	}{
		{"new", "a/b", func() { subscribe(t, &r, "a/b", "k", 1) }, true},
		{"replaced", "a/b", func() { _, _ = r.Subscribe("a/b", "k", 2) }, true},
		{"same first level", "a/b", func() { subscribe(t, &r, "a/#", "k", 1) }, true},
		{"group", "a/b", func() { subscribe(t, &r, "$share/g/a/+", "k", 1) }, true},
		{"+ first", "a/b", func() { subscribe(t, &r, "+/b", "k", 1) }, true},
		{"# first", "a/b", func() { subscribe(t, &r, "#", "k", 1) }, true},
		{"+ first in a group", "a/b", func() { subscribe(t, &r, "$share/g/+/b", "k", 1) }, true},
		{"+ first, $ name", "$SYS/b", func() { subscribe(t, &r, "+/b/c", "k", 1) }, false},
		{"$ filter, $ name", "$SYS/b", func() { subscribe(t, &r, "$SYS/#", "k", 1) }, true},
		{"elsewhere", "a/b", func() { subscribe(t, &r, "b/a", "k", 1) }, false},
		{"group elsewhere", "a/b", func() { subscribe(t, &r, "$share/a/b/c", "k", 1) }, false},
		{"removed elsewhere", "a/b", func() { r.Unsubscribe("b/a", "k") }, false},
		{"refused", "a/b", func() { _, _ = r.Subscribe("a/b#", "k", 1) }, false},
		{"not there", "a/b", func() { r.Unsubscribe("a/b", "l") }, false},
		{"looked", "a/b", func() { list(r.MatchAndAdvance("a/b")) }, false},
		{"removed", "a/b", func() { r.Unsubscribe("a/#", "k") }, true},
		{"all removed", "a/b", func() { r.UnsubscribeAll("k") }, true},
		{"all of nothing", "a/b", func() { r.UnsubscribeAll("k") }, false},
	} {
		if got := changes(c.name, c.f); got != c.want {
			t.Errorf("%s: Generation(%q) changed: %v", c.what, c.name, got)
		}
	}
	// Of 1,000 tenants that change their filters few disturb another one.
	disturbed := 0
	for i := range 1000 {
		if changes("tenant/x", func() { subscribe(t, &r, fmt.Sprintf("tenant%d/x", i), "k", 1) }) {
			disturbed++
		}
	}
	if disturbed > 10 {
		t.Errorf("%d of 1000 first levels share a counter with another", disturbed)
	}
}
