package topic_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
)

func TestPitfall070_ThreeMembersAThousandEach(t *testing.T) {
	var r router
	for _, k := range []string{"a", "b", "c"} {
		subscribe(t, &r, "$share/g/jobs", k, 0)
	}
	got := map[string]int{}
	for range 3000 {
		for k := range r.MatchAndAdvance("jobs") {
			got[k]++
		}
	}
	if want := map[string]int{"a": 1000, "b": 1000, "c": 1000}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGuide_G25_Shared(t *testing.T) {
	asleep := map[string]bool{}
	r := router{Awake: func(k string) bool { return !asleep[k] }}
	subscribe(t, &r, "$share/workers/jobs/#", "a", 1)
	subscribe(t, &r, "$share/workers/jobs/#", "b", 1)
	deal := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			for k := range r.MatchAndAdvance("jobs/x") {
				got[k]++
			}
		}
		return got
	}
	check := func(what string, got map[string]int, a, b int) {
		t.Helper()
		if got["a"] != a || got["b"] != b {
			t.Errorf("%s: %v, want a:%d b:%d", what, got, a, b)
		}
	}
	check("both awake", deal(10), 5, 5)
	asleep["a"] = true
	check("a asleep", deal(10), 0, 10)
	asleep["a"] = false
	check("a is back", deal(10), 5, 5)
	asleep["a"], asleep["b"] = true, true
	check("none awake: in turn anyway", deal(10), 5, 5)
	asleep["b"] = false
	check("b is back", deal(10), 0, 10)
	asleep["a"] = false

	subscribe(t, &r, "$share/workers/jobs/x", "b", 2) // the same name, another filter
	subscribe(t, &r, "$share/others/jobs/#", "a", 3)
	check("three groups", deal(10), 15, 15)
	subscribe(t, &r, "jobs/#", "a", 0)
	check("a for itself besides", deal(10), 25, 15)
	if !r.Unsubscribe("jobs/#", "a") {
		t.Error("a had no subscription for itself")
	}
	check("and no more", deal(10), 15, 15)
	if !r.Unsubscribe("$share/workers/jobs/#", "a") || r.Unsubscribe("$share/workers/jobs/#", "a") {
		t.Error("a leaves")
	}
	check("a left one group", deal(10), 10, 20)
}

func TestPitfall026_SleepersGetNothing(t *testing.T) {
	awake := map[string]bool{}
	r := router{Awake: func(k string) bool { return awake[k] }}
	const members = 100
	for i := range members {
		subscribe(t, &r, "$share/g/t", fmt.Sprint(i), i)
	}
	one := func() string {
		for k := range r.MatchAndAdvance("t") {
			return k
		}
		return ""
	}
	all := map[string]bool{}
	for range members {
		all[one()] = true
	}
	if len(all) != members {
		t.Errorf("none awake: %d of %d had a turn", len(all), members)
	}
	awake["57"] = true
	for range 20 {
		if k := one(); k != "57" {
			t.Fatalf("%q got it, only 57 is awake", k)
		}
	}
	for i := range members {
		awake[fmt.Sprint(i)] = i%2 == 1
	}
	for range members { // by now all who woke have been found
		if k := one(); !awake[k] {
			t.Fatalf("%q got it asleep", k)
		}
	}
	got := map[string]int{}
	for range 10 * members / 2 {
		got[one()]++
	}
	for k, n := range got {
		if n != 10 || !awake[k] {
			t.Errorf("%q got %d, want 10", k, n)
		}
	}
	if len(got) != members/2 {
		t.Errorf("%d got any, want %d", len(got), members/2)
	}
}

// TestPitfall026_FewAsksPerTurn: thousands of sleepers are not asked each time.
func TestPitfall026_FewAsksPerTurn(t *testing.T) {
	asked := 0
	r := router{Awake: func(k string) bool { asked++; return k == "up" }}
	for i := range 10_000 {
		subscribe(t, &r, "$share/g/t", fmt.Sprint(i), i)
	}
	subscribe(t, &r, "$share/g/t", "up", 0)
	const turns = 20_000
	for range turns {
		for k := range r.MatchAndAdvance("t") {
			if k != "up" {
				t.Fatalf("%q got it asleep", k)
			}
		}
	}
	if asked > 11*turns {
		t.Errorf("asked %d times in %d turns", asked, turns)
	}
}

func TestPitfall068_GroupIsNameAndFilter(t *testing.T) {
	var r router
	subscribe(t, &r, "$share/g/a", "k", 1)
	subscribe(t, &r, "$share/g/b", "l", 2)
	subscribe(t, &r, "$share/g/+", "m", 3)
	subscribe(t, &r, "$share/h/a", "n", 4)
	expect(t, "a", list(r.MatchAndAdvance("a")), "k:1", "m:3", "n:4")
	expect(t, "b", list(r.MatchAndAdvance("b")), "l:2", "m:3")
}

func TestPitfall069_OrdinaryAndGroupCopy(t *testing.T) {
	var r router
	subscribe(t, &r, "$share/g/a", "k", 1)
	subscribe(t, &r, "$share/g/a", "l", 1)
	subscribe(t, &r, "a", "k", 2)
	subscribe(t, &r, "+", "l", 3)
	expect(t, "k's turn", list(r.MatchAndAdvance("a")), "k:1", "k:2", "l:3")
	expect(t, "l's turn", list(r.MatchAndAdvance("a")), "k:2", "l:1", "l:3")
}

func TestGuide_G26_Advance(t *testing.T) {
	var r router
	subscribe(t, &r, "$share/workers/jobs/#", "worker1", 1)
	subscribe(t, &r, "$share/workers/jobs/#", "worker2", 2)
	for i, want := range []string{"worker1:1", "worker2:2", "worker1:1", "worker2:2"} {
		expect(t, fmt.Sprint("advance ", i), list(r.MatchAndAdvance("jobs/process")), want)
	}
	for range 4 {
		expect(t, "peek", list(r.Match("jobs/process")), "worker1:1")
	}
	for range r.MatchAndAdvance("jobs/process") {
		break
	}
	expect(t, "left early", list(r.Match("jobs/process")), "worker2:2")
}

func TestGuide_G26_Concurrent(t *testing.T) {
	r := router{Awake: func(string) bool { return true }}
	subscribe(t, &r, "$share/workers/jobs/#", "worker1", 1)
	subscribe(t, &r, "$share/workers/jobs/#", "worker2", 2)
	var got [2]struct {
		sync.Mutex
		n int
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				for _, v := range r.MatchAndAdvance("jobs/process") {
					got[v-1].Lock()
					got[v-1].n++
					got[v-1].Unlock()
				}
				for range r.Match("jobs/process") {
				}
			}
		})
	}
	wg.Wait()
	if got[0].n != 4000 || got[1].n != 4000 {
		t.Errorf("%d and %d, want 4000 each", got[0].n, got[1].n)
	}
}

// TestGuide_G25_LeavingKeepsTheRound: who has had a turn has had it still.
func TestGuide_G25_LeavingKeepsTheRound(t *testing.T) {
	for leaver := range 6 {
		for turns := range 6 {
			var r router
			for i := range 6 {
				subscribe(t, &r, "$share/g/t", fmt.Sprint(i), i)
			}
			had := map[int]bool{leaver: true}
			for range turns {
				for _, v := range r.MatchAndAdvance("t") {
					had[v] = true
				}
			}
			r.Unsubscribe("$share/g/t", fmt.Sprint(leaver))
			for range 6 - len(had) {
				for _, v := range r.MatchAndAdvance("t") {
					if had[v] {
						t.Errorf("%d left after %d turns: %d had two", leaver, turns, v)
					}
					had[v] = true
				}
			}
			if len(had) != 6 {
				t.Errorf("%d left after %d turns: only %v had one", leaver, turns, had)
			}
		}
	}
}
