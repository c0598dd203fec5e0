package topic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/topic"
)

func TestGuide_G22_CheckFilter(t *testing.T) {
	for _, c := range []struct {
		filter string
		want   error
	}{
		{"a", nil},
		{"/", nil},
		{"a/", nil},
		{"//", nil},
		{" ", nil},
		{"+", nil},
		{"#", nil},
		{"+/+", nil},
		{"+/#", nil},
		{"/#", nil},
		{"a/+/#", nil},
		{"a/+/b/#", nil},
		{"$SYS/#", nil},
		{"$", nil},
		{"$share", nil},
		{"$shared/a", nil},
		{"$share/g/t", nil},
		{"$share/g//finance", nil},
		{"$share/g//", nil},
		{"$share/g/#", nil},
		{"$share/g/+/t", nil},
		{"$share/g/$share/h/t", nil},
		{strings.Repeat("a", topic.MaxLength), nil},
		{strings.Repeat("/", topic.MaxLength), nil},
		{"", topic.ErrEmpty},
		{strings.Repeat("a", topic.MaxLength+1), topic.ErrTooLong},
		{"a\xff", topic.ErrUTF8},
		{"\xed\xa0\x80", topic.ErrUTF8}, // a surrogate
		{"a\x00b", topic.ErrNull},
		{"a#", topic.ErrWildcard},
		{"a/#/b", topic.ErrWildcard},
		{"#/a", topic.ErrWildcard},
		{"##", topic.ErrWildcard},
		{"a/b#", topic.ErrWildcard},
		{"+a", topic.ErrWildcard},
		{"a+", topic.ErrWildcard},
		{"a+/b", topic.ErrWildcard},
		{"++", topic.ErrWildcard},
		{"+#", topic.ErrWildcard},
		{"#+", topic.ErrWildcard},
		{"$share/g/a#", topic.ErrWildcard},
		{"$share/g/#/", topic.ErrWildcard},
		{"$share/", topic.ErrShare},
		{"$share//", topic.ErrShare},
		{"$share//t", topic.ErrShare},
		{"$share/g", topic.ErrShare},
		{"$share/g/", topic.ErrShare},
		{"$share/g+/t", topic.ErrShare},
		{"$share/#/t", topic.ErrShare},
		{"$share/+/t", topic.ErrShare},
	} {
		if err := topic.CheckFilter(c.filter); !errors.Is(err, c.want) {
			t.Errorf("CheckFilter(%.40q) = %v, want %v", c.filter, err, c.want)
		}
		var r topic.Router[int, int]
		added, err := r.Subscribe(c.filter, 1, 1)
		if !errors.Is(err, c.want) || added != (c.want == nil) {
			t.Errorf("Subscribe(%.40q) = %v, %v, want %v", c.filter, added, err, c.want)
		}
		if want := map[bool]int{true: 1}[c.want == nil]; r.Count() != want {
			t.Errorf("after Subscribe(%.40q): Count %d, want %d", c.filter, r.Count(), want)
		}
	}
}

func TestPitfall018_WildcardInsideLevel(t *testing.T) {
	for _, f := range []string{"a#", "a+/b", "a/#/b", "+a", "$share/g/a#"} {
		var r topic.Router[int, int]
		if _, err := r.Subscribe(f, 1, 1); !errors.Is(err, topic.ErrWildcard) {
			t.Errorf("Subscribe(%q): %v", f, err)
		}
		if r.Unsubscribe(f, 1) || r.UnsubscribeAll(1) != 0 || r.Count() != 0 || r.Nodes() != 0 {
			t.Errorf("%q left something behind", f)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, c := range []struct {
		name string
		want error
	}{
		{"a/b", nil},
		{"/", nil},
		{"$SYS/x", nil},
		{"$share/g/t", nil},
		{strings.Repeat("a", topic.MaxLength), nil},
		{"", topic.ErrEmpty},
		{strings.Repeat("a", topic.MaxLength+1), topic.ErrTooLong},
		{"\xc0\x80", topic.ErrUTF8},
		{"\x00", topic.ErrNull},
		{"a/+", topic.ErrWildcard},
		{"a#", topic.ErrWildcard},
	} {
		if err := topic.CheckName(c.name); !errors.Is(err, c.want) {
			t.Errorf("CheckName(%.40q) = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestGuide_G25_Share(t *testing.T) {
	for _, c := range [][3]string{
		{"$share/g/t", "g", "t"},
		{"$share/g//t", "g", "/t"},
		{"$share/g/a/#", "g", "a/#"},
		{"$share/g/", "", "$share/g/"},
		{"$share/g", "", "$share/g"},
		{"$share//t", "", "$share//t"},
		{"$share/+/t", "", "$share/+/t"},
		{"$share", "", "$share"},
		{"$sharea/g/t", "", "$sharea/g/t"},
		{"a/b", "", "a/b"},
		{"", "", ""},
	} {
		if g, f := topic.Share(c[0]); g != c[1] || f != c[2] {
			t.Errorf("Share(%q) = %q, %q, want %q, %q", c[0], g, f, c[1], c[2])
		}
	}
}

// matches is what Match, Router and Tree must all say.
var matches = []struct {
	filter, name string
	want         bool
}{
	{"a", "a", true},
	{"a", "A", false},
	{"a", "a/", false},
	{"a/", "a/", true},
	{"a/", "a", false},
	{"a//b", "a//b", true},
	{"a//b", "a/b", false},
	{"/a", "/a", true},
	{"/a", "a", false},
	{"/", "/", true},
	{"/", "//", false},
	{"a b", "a b", true},
	{"caf\u00e9", "cafe\u0301", false},
	{"abc", "ab", false},
	{"ab", "abc", false},
	{"a/#", "a", true},
	{"a/#", "a/", true},
	{"a/#", "a/b", true},
	{"a/#", "a/b/c", true},
	{"a/#", "ab", false},
	{"a/#", "b/a", false},
	{"a/b/#", "a", false},
	{"#", "a", true},
	{"#", "/", true},
	{"#", "a/b/c", true},
	{"+", "a", true},
	{"+", "/", false},
	{"+", "a/b", false},
	{"+/+", "/", true},
	{"/+", "/", true},
	{"/+", "/a", true},
	{"+/", "/", true},
	{"a/+", "a/", true},
	{"a/+", "a/b", true},
	{"a/+", "a", false},
	{"a/+", "a/b/c", false},
	{"a/+/c", "a/b/c", true},
	{"a/+/c", "a//c", true},
	{"a/+/c", "a/b/d", false},
	{"+/b", "a/b", true},
	{"+/#", "a", true},
	{"+/#", "a/b/c", true},
	{"a/+/#", "a/b", true},
	{"a/+/#", "a/b/c", true},
	{"a/+/#", "a", false},
	{"+/+/#", "a/b", true},
	{"+/+/#", "a", false},
	{"#", "$SYS/x", false},
	{"+/x", "$SYS/x", false},
	{"+/#", "$SYS", false},
	{"+", "$", false},
	{"$SYS/#", "$SYS/x", true},
	{"$SYS/#", "$SYS", true},
	{"$SYS/+", "$SYS/x", true},
	{"$", "$", true},
	{"a/+", "a/$x", true},
	{"$share/g/#", "$SYS/x", false},
	{"$share/g/+/x", "$SYS/x", false},
	{"$share/g/$SYS/#", "$SYS/x", true},
	{"$share/g/a/#", "a", true},
	{"$share/g/a/+", "a/b", true},
	{"$share/g/a/+", "$share/g/a/b", false},
	{"$share/g//a", "/a", true},
	{"$share/g/#", "$share/g/x", false},
	{"$share", "$share", true},
}

func TestGuide_G22_Wildcards(t *testing.T) {
	for _, c := range matches {
		if got := topic.Match(c.filter, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.name, got)
		}
		if got := routed(t, c.filter, c.name); got != c.want {
			t.Errorf("Router: %q gets %q: %v", c.filter, c.name, got)
		}
		if got := kept(c.filter, c.name); got != c.want {
			t.Errorf("Tree: %q gets %q: %v", c.filter, c.name, got)
		}
	}
}

// routed asks a Router that has some more filters.
func routed(t *testing.T, filter, name string) bool {
	t.Helper()
	var r topic.Router[string, int]
	for _, f := range []string{"a", "a/b/c", "a/+/c/d", "a/#", "+/b", "#", "$SYS/x", "/", "abcd/e", "$share/h/a/#"} {
		if _, err := r.Subscribe(f, "other", 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Subscribe(filter, "one", 1); err != nil {
		t.Fatal(err)
	}
	for k := range r.Match(name) {
		if k == "one" {
			return true
		}
	}
	return false
}

// kept asks a Tree that has some more names.
func kept(filter, name string) bool {
	var tree topic.Tree[bool]
	for _, n := range []string{"a/b/d", "a//b/c", "$SYS/y", "abcd", "/a/b", "a/b/c/d/e", "b"} {
		tree.Set(n, false)
	}
	tree.Set(name, true)
	for n, v := range tree.Match(filter) {
		if v && n == name {
			return true
		}
	}
	return false
}

// TestMatchOfBadFilters: a wildcard out of place is a character like any other.
func TestMatchOfBadFilters(t *testing.T) {
	for _, c := range []struct {
		filter, name string
		want         bool
	}{
		{"+a", "ba", false},
		{"+a", "+a", true},
		{"+a", "b", false},
		{"a/+b/c", "a/x/c", false},
		{"#a", "b", false},
		{"#/a", "b/a", false},
		{"#/a", "#/a", true},
		{"a#", "ab", false},
		{"a#", "a", false},
		{"$share//t", "t", false},
		{"$share/g", "g", false},
		{"", "a", false},
		{"", "", true},
	} {
		if got := topic.Match(c.filter, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.name, got)
		}
		if got := kept(c.filter, c.name); got != c.want {
			t.Errorf("Tree: %q gets %q: %v", c.filter, c.name, got)
		}
	}
}

func TestPitfall001_HashAfterPlusTakesParent(t *testing.T) {
	for _, c := range [][2]string{{"+/#", "a"}, {"a/+/#", "a/b"}, {"+/+/#", "a/b"}, {"+/#", "/"}} {
		if !topic.Match(c[0], c[1]) || !routed(t, c[0], c[1]) || !kept(c[0], c[1]) {
			t.Errorf("%q does not get %q", c[0], c[1])
		}
	}
}

func TestPitfall002_RetainedParentOfHash(t *testing.T) {
	var tree topic.Tree[int]
	tree.Set("a", 1)
	tree.Set("a/b", 2)
	tree.Set("ab", 3)
	sum := 0
	for _, v := range tree.Match("a/#") {
		sum += 10 + v
	}
	if sum != 23 {
		t.Errorf("a/# gets %d, want a and a/b", sum)
	}
}

func TestPitfall003_DollarNotByWildcard(t *testing.T) {
	for _, f := range []string{"#", "+/y", "+/#", "+/+", "$share/g/#", "$share/g/+/y"} {
		if topic.Match(f, "$x/y") || routed(t, f, "$x/y") || kept(f, "$x/y") {
			t.Errorf("%q gets $x/y", f)
		}
	}
}

func TestPitfall101_OddTopics(t *testing.T) {
	odd := []string{
		"", "/", "//", "$", "$x", "$share", "$share/", "$share//", "$share/g", "$share/g/", "$share/g/x", "+", "#", "a+", "#/", "/#",
		strings.Repeat("/", topic.MaxLength), strings.Repeat("a", topic.MaxLength), strings.Repeat("a/", topic.MaxLength/2) + "a",
		strings.Repeat("+/", topic.MaxLength/2) + "+", strings.Repeat("+/", topic.MaxLength/2) + "#", strings.Repeat("x", topic.MaxLength+9),
	}
	var r topic.Router[int, int]
	var tree topic.Tree[int]
	for i, s := range odd {
		_, err := r.Subscribe(s, i, i)
		if (err == nil) != (topic.CheckFilter(s) == nil) {
			t.Errorf("Subscribe(%.40q): %v", s, err)
		}
		tree.Set(s, i)
	}
	for i, f := range odd {
		for _, n := range odd {
			want := topic.Match(f, n)
			got := false
			for k := range r.Match(n) {
				got = got || k == i
			}
			if topic.CheckFilter(f) == nil && got != want {
				t.Errorf("Router: %.40q gets %.40q: %v, want %v", f, n, got, want)
			}
			got = false
			for k := range tree.Match(f) {
				got = got || k == n
			}
			if got != want {
				t.Errorf("Tree: %.40q gets %.40q: %v, want %v", f, n, got, want)
			}
		}
	}
	for i, s := range odd {
		if v, ok := tree.Get(s); !ok || v != i {
			t.Errorf("Get(%.40q) = %d, %v", s, v, ok)
		}
		r.UnsubscribeAll(i)
		tree.Delete(s)
	}
	if r.Count() != 0 || r.Nodes() != 0 || tree.Len() != 0 || tree.Nodes() != 0 {
		t.Errorf("left: %d subscriptions, %d nodes; %d names, %d nodes", r.Count(), r.Nodes(), tree.Len(), tree.Nodes())
	}
}

// TestPitfall101_Deep has a node at each of 65,536 levels.
func TestPitfall101_Deep(t *testing.T) {
	name := strings.Repeat("/", topic.MaxLength)
	const step = 64
	var r topic.Router[int, int]
	var tree topic.Tree[int]
	n := 0
	for i := step; i <= len(name); i += step {
		n++
		if _, err := r.Subscribe(name[:i], 1, i); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Subscribe(strings.Repeat("+/", i/step)+"#", 2, i); err != nil {
			t.Fatal(err)
		}
		tree.Set(name[:i], i)
	}
	ordinary, wild := 0, 0
	for k := range r.Match(name[:n*step]) {
		if k == 1 {
			ordinary++
		} else {
			wild++
		}
	}
	if ordinary != 1 || wild != n {
		t.Errorf("%d and %d match, want 1 and %d", ordinary, wild, n)
	}
	if v := r.Visits(name[:n*step]); v > 3*n {
		t.Errorf("%d nodes visited, %d are there", v, 2*n)
	}
	found := 0
	for range tree.Match("#") {
		found++
	}
	if found != n {
		t.Errorf("# gets %d of %d names", found, n)
	}
	if got := r.UnsubscribeAll(1) + r.UnsubscribeAll(2); got != 2*n || r.Nodes() != 0 {
		t.Errorf("%d subscriptions removed, %d nodes left", got, r.Nodes())
	}
}
