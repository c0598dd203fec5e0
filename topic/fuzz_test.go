package topic_test

import (
	"strings"
	"testing"

	"github.com/e8743928/mqttx/topic"
)

// FuzzMatch: whatever a filter and a name are, nothing panics, and if they are
// well formed, Match, Router and Tree agree with the naive matcher.
func FuzzMatch(f *testing.F) {
	for _, c := range matches {
		f.Add(c.filter, c.name, "a/b")
	}
	f.Add("a/+/c", "a/b/c", "a/+/d")
	f.Fuzz(func(t *testing.T, filter, name, other string) {
		var r topic.Router[int, int]
		var tr topic.Tree[int]
		_, _ = r.Subscribe(other, 2, 2)
		_, err := r.Subscribe(filter, 1, 1)
		tr.Set(other, 2)
		tr.Set(name, 1)
		got := topic.Match(filter, name)
		routed, kept := 0, 0
		for k := range r.MatchAndAdvance(name) {
			if k == 1 {
				routed++
			}
		}
		for n := range tr.Match(filter) {
			if n == name {
				kept++
			}
		}
		if kept > 1 || (kept == 1) != got {
			t.Errorf("%q and %q: Match %v, Tree %d times", filter, name, got, kept)
		}
		if err == nil && (routed > 1 || (routed == 1) != got) {
			t.Errorf("%q and %q: Match %v, Router %d times", filter, name, got, routed)
		}
		if err == nil && topic.CheckName(name) == nil && got != naive(filter, name) {
			t.Errorf("%q and %q: Match %v", filter, name, got)
		}
		if err := r.Verify(); err != nil {
			t.Error(err)
		}
		if err := tr.Verify(); err != nil {
			t.Error(err)
		}
		r.UnsubscribeAll(1)
		r.UnsubscribeAll(2)
		tr.Delete(name)
		tr.Delete(other)
		if r.Nodes() != 0 || tr.Nodes() != 0 {
			t.Errorf("%d and %d nodes left", r.Nodes(), tr.Nodes())
		}
	})
}

// FuzzCheckFilter compares with the rules as the standard words them, level by level.
func FuzzCheckFilter(f *testing.F) {
	for _, s := range []string{"", "a", "#", "a#", "+/a", "+a", "a/#/b", "$share/g/t", "$share//t", "$share/g", "$share/+/t", "a\x00", "\xff", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ok := s != "" && len(s) <= topic.MaxLength && strings.ToValidUTF8(s, "") == s && !strings.Contains(s, "\x00")
		name := ok && !strings.Contains(s, "+") && !strings.Contains(s, "#")
		levels := strings.Split(s, "/")
		if levels[0] == "$share" && len(levels) > 1 {
			ok = ok && len(levels) > 2 && levels[1] != "" && !strings.ContainsAny(levels[1], "+#") && (len(levels) > 3 || levels[2] != "")
			levels = levels[min(2, len(levels)):]
		}
		for i, l := range levels {
			switch {
			case l == "+":
			case l == "#":
				ok = ok && i == len(levels)-1
			default:
				ok = ok && !strings.ContainsAny(l, "+#")
			}
		}
		if err := topic.CheckFilter(s); (err == nil) != ok {
			t.Errorf("CheckFilter(%q) = %v", s, err)
		}
		if err := topic.CheckName(s); (err == nil) != name {
			t.Errorf("CheckName(%q) = %v", s, err)
		}
	})
}
