//go:build !race

package topic_test

import (
	"fmt"
	"testing"

	"github.com/e8743928/mqttx/topic"
)

// In race builds sync.Pool drops things at random, so these are not for them.

func TestGuide_G21_MatchAllocatesNothing(t *testing.T) {
	r := topic.Router[*client, *int]{Awake: func(*client) bool { return true }}
	clients := make([]client, 300)
	for i := range clients {
		for _, f := range []string{"a/+/c", "a/#", "#", "+/b/#", "$share/g/a/b/c", fmt.Sprintf("$share/g%d/a/b/c", i), fmt.Sprintf("a/%d/c", i)} {
			if _, err := r.Subscribe(f, &clients[i], nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	found := 0
	for what, f := range map[string]func(){
		"Match": func() {
			for range r.Match("a/b/c") {
				found++
			}
		},
		"MatchAndAdvance": func() {
			for range r.MatchAndAdvance("a/b/c") {
				found++
			}
		},
		"left early": func() {
			for range r.Match("a/b/c") {
				found++
				break
			}
		},
		"nested": func() {
			for range r.Match("a/7/c") {
				found++
				for range r.Match("none") {
					found++
				}
			}
		},
		"no match":   func() { list := r.Match("$none"); list(func(*client, *int) bool { found++; return true }) },
		"Generation": func() { r.Generation("a/b/c") },
		"Count":      func() { r.Count() },
		"func Match": func() { topic.Match("$share/g/a/+/#", "a/b/c") },
		"CheckName":  func() { _ = topic.CheckName("a/b/c") },
		"CheckFilter": func() {
			_ = topic.CheckFilter("$share/g/a/+/#")
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	if found == 0 {
		t.Error("nothing matched")
	}
}

func TestTreeMatchAllocatesNothing(t *testing.T) {
	var tr topic.Tree[*int]
	for i := range 2000 {
		tr.Set(fmt.Sprintf("a/%d/c", i), nil)
	}
	found := 0
	for _, f := range []string{"a/7/c", "a/+/c", "#", "none/#"} {
		if n := testing.AllocsPerRun(20, func() {
			for range tr.Match(f) {
				found++
			}
			for range tr.Match(f) {
				break
			}
			tr.Get("a/7/c")
			tr.Set("a/7/c", nil)
		}); n != 0 {
			t.Errorf("%q: %v allocations", f, n)
		}
	}
	if found == 0 {
		t.Error("nothing matched")
	}
}
