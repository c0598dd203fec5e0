package topic_test

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/e8743928/mqttx/topic"
)

type tree = topic.Tree[int]

func TestTree(t *testing.T) {
	var tr tree
	if _, ok := tr.Get("a"); ok || tr.Delete("a") || tr.Len() != 0 {
		t.Error("the zero value has something")
	}
	for i, n := range []string{"a", "a/b", "a/b/c/d", "a/b/c/e", "a//", "/", "$SYS/x"} {
		tr.Set(n, i)
		tr.Set(n, i+10)
	}
	if tr.Len() != 7 {
		t.Errorf("Len %d, want 7", tr.Len())
	}
	if v, ok := tr.Get("a/b/c/e"); v != 13 || !ok {
		t.Errorf("Get = %d, %v", v, ok)
	}
	for _, n := range []string{"a/b/c", "a/", "", "$SYS", "a/b/c/d/e", "ab"} {
		if v, ok := tr.Get(n); ok || tr.Delete(n) {
			t.Errorf("Get(%q) = %d", n, v)
		}
	}
	expect(t, "a/#", list(tr.Match("a/#")), "a//:14", "a/b/c/d:12", "a/b/c/e:13", "a/b:11", "a:10")
	expect(t, "a/b/c/+", list(tr.Match("a/b/c/+")), "a/b/c/d:12", "a/b/c/e:13")
	expect(t, "+/+", list(tr.Match("+/+")), "/:15", "a/b:11")
	expect(t, "$SYS/#", list(tr.Match("$SYS/#")), "$SYS/x:16")
	if !tr.Delete("a/b") || tr.Delete("a/b") || !tr.Delete("a/b/c/d") {
		t.Error("Delete")
	}
	expect(t, "after Delete", list(tr.Match("a/#")), "a//:14", "a/b/c/e:13", "a:10")
	if err := tr.Verify(); err != nil {
		t.Error(err)
	}
	for _, n := range []string{"a", "a/b/c/e", "a//", "/", "$SYS/x"} {
		if !tr.Delete(n) {
			t.Errorf("no %q", n)
		}
	}
	if tr.Len() != 0 || tr.Nodes() != 0 {
		t.Errorf("%d names and %d nodes left", tr.Len(), tr.Nodes())
	}
}

func TestPitfall038_VisitsOnlyTheSubtree(t *testing.T) { visitsOnlyTheSubtree(t) }

func TestGuide_G36_VisitsOnlyTheSubtree(t *testing.T) { visitsOnlyTheSubtree(t) }

func visitsOnlyTheSubtree(t *testing.T) {
	var tr tree
	filters := []string{"a/1", "a/+", "a/#", "a/+/c", "$SYS/#", "a/1/#"}
	for _, n := range []string{"a/1", "a/2", "a/1/c", "$SYS/x", "a/3/d/e"} {
		tr.Set(n, 1)
	}
	before := map[string]int{}
	for _, f := range filters {
		before[f] = tr.Visits(f)
		if before[f] > 6 {
			t.Errorf("%q visits %d nodes, 6 are there", f, before[f])
		}
	}
	for i := range 100_000 {
		tr.Set(fmt.Sprintf("b/%d/c", i), 0)
		tr.Set(fmt.Sprintf("other%d/a", i), 0)
	}
	for _, f := range filters {
		if after := tr.Visits(f); after != before[f] {
			t.Errorf("%q visits %d nodes, %d before unrelated names came", f, after, before[f])
		}
	}
	sys := tr.Visits("+/x") // no name that begins with $ is even looked at
	for i := range 1000 {
		tr.Set(fmt.Sprintf("$SYS/%d/x", i), 0)
	}
	if after := tr.Visits("+/x"); after != sys {
		t.Errorf("+/x visits %d nodes, %d before more of $SYS came", after, sys)
	}
}

func TestTreeLoopMayChangeTheTree(t *testing.T) {
	var tr tree
	for i := range 3000 {
		tr.Set(fmt.Sprintf("a/%d", i), i)
	}
	n := 0
	for name := range tr.Match("a/#") {
		n++
		if !tr.Delete(name) {
			t.Errorf("%q came twice", name)
		}
		tr.Set("b/"+name, 0)
		for range tr.Match("#") {
			break
		}
	}
	if n != 3000 || tr.Len() != 3000 {
		t.Errorf("%d seen, %d there, want 3000", n, tr.Len())
	}
}

// TestTreeStaysTrueDuringALoop has names come and go between the pieces of a walk,
// so that nodes are split and cut off under it: what stays is seen once.
func TestTreeStaysTrueDuringALoop(t *testing.T) {
	for _, filter := range []string{"#", "a/#", "a/+/x/y", "+/+/x/#"} {
		var tr tree
		const names = 5000
		for i := range names {
			tr.Set(fmt.Sprintf("a/%d/x/y", i), 1)
		}
		next, stop := iter.Pull2(tr.Match(filter))
		seen := map[string]bool{}
		for i := 0; ; i++ {
			name, v, ok := next()
			if !ok {
				break
			}
			if v == 1 && seen[name] {
				t.Fatalf("%q: %q came twice", filter, name)
			}
			seen[name] = true
			tr.Set(fmt.Sprintf("a/%d/x/z", (i*7919)%names), 2) // splits a label
			tr.Set(fmt.Sprintf("a/%d", (i*6007)%names), 2)
			tr.Delete(fmt.Sprintf("a/%d/x/z", (i*31)%names))
			tr.Delete(fmt.Sprintf("a/%d", (i*37)%names))
		}
		stop()
		for i := range names {
			if name := fmt.Sprintf("a/%d/x/y", i); !seen[name] {
				t.Fatalf("%q: %q was not seen", filter, name)
			}
		}
		if err := tr.Verify(); err != nil {
			t.Error(err)
		}
	}
}

// TestTreeBetweenPieces: a writer gets in while a long loop stands still.
func TestTreeBetweenPieces(t *testing.T) {
	var tr tree
	for i := range 2000 {
		tr.Set(fmt.Sprintf("a/%d", i), i)
	}
	next, stop := iter.Pull2(tr.Match("#"))
	if _, _, ok := next(); !ok {
		t.Fatal("nothing")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			tr.Delete(fmt.Sprintf("a/%d", i))
		}
	}()
	<-done
	n := 1
	for {
		if _, _, ok := next(); !ok {
			break
		}
		n++
	}
	stop()
	if n > topic.PieceNames {
		t.Errorf("%d names seen, though all went after the first piece of %d", n, topic.PieceNames)
	}
	if tr.Nodes() != 0 {
		t.Errorf("%d nodes left", tr.Nodes())
	}
}

func TestTreeConcurrent(t *testing.T) {
	var tr tree
	for i := range 500 {
		tr.Set(fmt.Sprintf("stay/%d/x", i), i)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("stay/%d%s", (i*7+g)%500, strings.Repeat("/y", i%3))
				tr.Set(name, i)
				if i%2 == 0 {
					tr.Delete(name)
				}
			}
		})
		wg.Go(func() {
			for i := range 20 {
				n := 0
				for range tr.Match([]string{"stay/+/x", "#", "+/+/x", "stay/#"}[i%4]) {
					n++
				}
				if n < 500 {
					t.Errorf("%d of 500 seen", n)
				}
				tr.Get("stay/7/x")
			}
		})
	}
	wg.Wait()
	if err := tr.Verify(); err != nil {
		t.Error(err)
	}
}
