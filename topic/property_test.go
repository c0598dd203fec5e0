package topic_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/e8743928/mqttx/topic"
)

// naive is the standard's text as a program (4.7.1, 4.7.2, 4.8.2), for filters
// and names that are well formed.
func naive(filter, name string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	if f[0] == "$share" && len(f) > 2 {
		f = f[2:]
	}
	if strings.HasPrefix(name, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i, l := range f {
		if l == "#" {
			return true // n has at least its parent, or we would not be here
		}
		if i >= len(n) || l != "+" && l != n[i] {
			return false
		}
		if i+1 == len(n) && i+2 == len(f) && f[i+1] == "#" {
			return true
		}
	}
	return len(f) == len(n)
}

var (
	levels = []string{"", "a", "b", "ab", "$x", "a"}

	names = rapid.Custom(func(t *rapid.T) string {
		l := rapid.SliceOfN(rapid.SampledFrom(levels), 1, 5).Draw(t, "levels")
		if s := strings.Join(l, "/"); s != "" {
			return s
		}
		return "a"
	})
	filters = rapid.Custom(func(t *rapid.T) string {
		l := rapid.SliceOfN(rapid.SampledFrom(append(levels, "+", "+")), 1, 5).Draw(t, "levels")
		if rapid.Bool().Draw(t, "hash") {
			l[len(l)-1] = "#"
		}
		s := strings.Join(l, "/")
		if s == "" {
			s = "#"
		}
		return rapid.SampledFrom([]string{"", "", "", "$share/g/", "$share/h/"}).Draw(t, "share") + s
	})
)

func TestMatchIsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, n := filters.Draw(t, "filter"), names.Draw(t, "name")
		if err := topic.CheckFilter(f); err != nil {
			t.Fatalf("%q: %v", f, err)
		}
		if got, want := topic.Match(f, n), naive(f, n); got != want {
			t.Fatalf("Match(%q, %q) = %v", f, n, got)
		}
	})
}

// TestPitfall002_RouterAndTreeAgree: the same verdict for every pair.
func TestPitfall002_RouterAndTreeAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := rapid.SliceOfN(filters, 1, 20).Draw(t, "filters")
		ns := rapid.SliceOfN(names, 1, 20).Draw(t, "names")
		var r topic.Router[string, bool]
		var tr topic.Tree[bool]
		for _, f := range fs {
			if _, err := r.Subscribe(f, f, true); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range ns {
			tr.Set(n, true)
		}
		for _, n := range ns {
			var routed []string
			for f := range r.Match(n) {
				routed = append(routed, f)
			}
			for _, f := range fs {
				want, found := naive(f, n), 0
				for name := range tr.Match(f) {
					if name == n {
						found++
					}
				}
				if slices.Contains(routed, f) != want || found > 1 || (found == 1) != want {
					t.Fatalf("%q and %q: want %v, Router %q, Tree %d times", f, n, want, routed, found)
				}
			}
			slices.Sort(routed)
			if u := slices.Compact(slices.Clone(routed)); len(u) != len(routed) {
				t.Fatalf("%q: twice in %q", n, routed)
			}
		}
	})
}

type sub struct {
	filter string
	k      int
}

// TestPitfall103_RandomSequences runs a Router beside a small model, ordinary and
// shared subscriptions mixed, and leaves nothing at the end.
func TestPitfall103_RandomSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asleep := map[int]bool{}
		r := topic.Router[int, int]{Awake: func(k int) bool { return !asleep[k] }}
		model := map[sub]int{}
		keys, v := rapid.IntRange(0, 30), 0
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				s := sub{filters.Draw(t, "filter"), keys.Draw(t, "k")}
				v++
				_, had := model[s]
				if added, err := r.Subscribe(s.filter, s.k, v); err != nil || added == had {
					t.Fatalf("Subscribe(%v) = %v, %v", s, added, err)
				}
				model[s] = v
			},
			"many to one": func(t *rapid.T) {
				f := filters.Draw(t, "filter")
				for k := range 25 {
					v++
					if _, err := r.Subscribe(f, k, v); err != nil {
						t.Fatal(err)
					}
					model[sub{f, k}] = v
				}
			},
			"unsubscribe": func(t *rapid.T) {
				s := sub{filters.Draw(t, "filter"), keys.Draw(t, "k")}
				if len(model) > 0 && rapid.Bool().Draw(t, "there") {
					all := make([]sub, 0, len(model))
					for s := range model {
						all = append(all, s)
					}
					slices.SortFunc(all, func(a, b sub) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
					s = rapid.SampledFrom(all).Draw(t, "sub")
				}
				_, had := model[s]
				if got := r.Unsubscribe(s.filter, s.k); got != had {
					t.Fatalf("Unsubscribe(%v) = %v", s, got)
				}
				delete(model, s)
			},
			"unsubscribe all": func(t *rapid.T) {
				k, n := keys.Draw(t, "k"), 0
				for s := range model {
					if s.k == k {
						delete(model, s)
						n++
					}
				}
				if got := r.UnsubscribeAll(k); got != n {
					t.Fatalf("UnsubscribeAll(%d) = %d, want %d", k, got, n)
				}
			},
			"sleep or wake": func(t *rapid.T) { k := keys.Draw(t, "k"); asleep[k] = !asleep[k] },
			"match": func(t *rapid.T) {
				name := names.Draw(t, "name")
				got := map[int]int{} // k by v, which is unique
				first := r.Match(name)
				for k, v := range first {
					got[v] = k
				}
				again := map[int]int{}
				for k, v := range r.MatchAndAdvance(name) {
					again[v] = k
				}
				if fmt.Sprint(got) != fmt.Sprint(again) {
					t.Fatalf("looked %v, advanced %v", got, again)
				}
				checkMatch(t, model, asleep, name, got)
			},
			"": func(t *rapid.T) {
				if r.Count() != len(model) {
					t.Fatalf("Count %d, want %d", r.Count(), len(model))
				}
				if err := r.Verify(); err != nil {
					t.Fatal(err)
				}
			},
		})
		for k := range 31 {
			r.UnsubscribeAll(k)
		}
		if r.Count() != 0 || r.Nodes() != 0 {
			t.Fatalf("%d subscriptions and %d nodes left", r.Count(), r.Nodes())
		}
	})
}

// checkMatch: all ordinary subscriptions that match, and of each group one member,
// one that is awake if any is.
func checkMatch(t *rapid.T, model map[sub]int, asleep map[int]bool, name string, got map[int]int) {
	groups := map[string][]sub{}
	want := 0
	for s, v := range model {
		if !naive(s.filter, name) {
			continue
		}
		if g, _ := topic.Share(s.filter); g != "" {
			groups[s.filter] = append(groups[s.filter], s)
			continue
		}
		want++
		if k, ok := got[v]; !ok || k != s.k {
			t.Fatalf("%q: %v is missing", name, s)
		}
	}
	for f, members := range groups {
		want++
		chosen, dealtAsleep, anyAwake := 0, false, false
		for _, m := range members {
			anyAwake = anyAwake || !asleep[m.k]
			if k, ok := got[model[m]]; ok && k == m.k {
				chosen++
				dealtAsleep = asleep[k]
			}
		}
		if chosen != 1 || dealtAsleep && anyAwake {
			t.Fatalf("%q: %d members of %q chosen, asleep: %v", name, chosen, f, dealtAsleep)
		}
	}
	if len(got) != want {
		t.Fatalf("%q: %d found, want %d", name, len(got), want)
	}
}

// TestTreeIsAMap runs a Tree beside a map.
func TestTreeIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr topic.Tree[int]
		model := map[string]int{}
		wide := rapid.Custom(func(t *rapid.T) string { // enough first levels for an index
			return fmt.Sprintf("a/%d/%s", rapid.IntRange(0, 40).Draw(t, "i"), names.Draw(t, "rest"))
		})
		either := rapid.OneOf(names, wide)
		v := 0
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				for _, n := range rapid.SliceOfN(either, 1, 20).Draw(t, "names") {
					v++
					tr.Set(n, v)
					model[n] = v
				}
			},
			"delete": func(t *rapid.T) {
				for _, n := range rapid.SliceOfN(either, 1, 10).Draw(t, "names") {
					_, had := model[n]
					if got := tr.Delete(n); got != had {
						t.Fatalf("Delete(%q) = %v", n, got)
					}
					delete(model, n)
				}
			},
			"get": func(t *rapid.T) {
				n := either.Draw(t, "name")
				v, had := model[n]
				if got, ok := tr.Get(n); got != v || ok != had {
					t.Fatalf("Get(%q) = %d, %v", n, got, ok)
				}
			},
			"match": func(t *rapid.T) {
				f, n := filters.Draw(t, "filter"), 0
				for name, v := range tr.Match(f) {
					if model[name] != v || !naive(f, name) {
						t.Fatalf("%q gets %q", f, name)
					}
					n++
				}
				for name := range model {
					if naive(f, name) {
						n--
					}
				}
				if n != 0 {
					t.Fatalf("%q: %d too many", f, n)
				}
			},
			"": func(t *rapid.T) {
				if err := tr.Verify(); err != nil || tr.Len() != len(model) {
					t.Fatalf("Len %d, want %d; %v", tr.Len(), len(model), err)
				}
			},
		})
		for n := range model {
			tr.Delete(n)
		}
		if tr.Len() != 0 || tr.Nodes() != 0 {
			t.Fatalf("%d names and %d nodes left", tr.Len(), tr.Nodes())
		}
	})
}
