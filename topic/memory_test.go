package topic_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/e8743928/mqttx/topic"
)

// heap is the size of what lives.
func heap() int {
	runtime.GC()
	runtime.GC() // the second empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// perItem is what each of n items costs. The strings of their topics, made
// before, count apart.
func perItem(n int, add func(i int, topic string)) float64 {
	topics := make([]string, n)
	for i := range topics {
		topics[i] = fmt.Sprintf("device/%07d/state", i)
	}
	base := heap()
	for i, s := range topics {
		add(i, s)
	}
	grown := heap() - base
	runtime.KeepAlive(topics)
	return float64(grown) / float64(n)
}

type client struct{ _ [8]byte }

// TestMemory holds the promise of few bytes; the benchmarks say how many.
func TestMemory(t *testing.T) {
	const n = 100_000
	clients := make([]client, n)
	var r topic.Router[*client, *int]
	if b := perItem(n, func(i int, s string) {
		if _, err := r.Subscribe(s, &clients[i], nil); err != nil {
			t.Fatal(err)
		}
	}); b > 250 {
		t.Errorf("%.0f bytes per subscription", b)
	}
	var tr topic.Tree[*int]
	if b := perItem(n, func(_ int, s string) { tr.Set(s, nil) }); b > 130 {
		t.Errorf("%.0f bytes per name", b)
	}
	runtime.KeepAlive(clients)
	if b := unsafe.Sizeof(r) + unsafe.Sizeof(tr); b > 64<<10 {
		t.Errorf("%d bytes for an empty Router and Tree", b)
	}
	runtime.KeepAlive(&r)
	runtime.KeepAlive(&tr)
}

// TestTreeForgetsLongNames: a node that others need does not hold the whole of a
// long name that is gone. Labels are copies when the name is much longer.
func TestTreeForgetsLongNames(t *testing.T) {
	const names, long = 200, 60_000
	var tr tree
	base := heap()
	for i := range names {
		name := fmt.Sprintf("%d/", i) + strings.Repeat("x", long)
		tr.Set(name, 1)
		tr.Set(fmt.Sprintf("%d/y", i), 1)
		tr.Delete(name)
	}
	if grown := heap() - base; grown > names*long/10 {
		t.Errorf("%d bytes are held for %d short names", grown, tr.Len())
	}
	if tr.Len() != names {
		t.Errorf("Len %d", tr.Len())
	}
}

// TestMemoryComesBack: what has gone is not paid for any more.
func TestMemoryComesBack(t *testing.T) {
	const n = 50_000
	topics := make([]string, n)
	for i := range topics {
		topics[i] = fmt.Sprintf("device/%07d/state", i)
	}
	var r topic.Router[int, int]
	var tr topic.Tree[int]
	subscribe := func(k int, filter string) {
		if _, err := r.Subscribe(filter, k, 0); err != nil {
			t.Fatal(err)
		}
	}
	base := heap()
	check := func(what string, most int) {
		t.Helper()
		if grown := heap() - base; grown > most {
			t.Errorf("%s: %d bytes, want at most %d", what, grown, most)
		}
	}
	for i, s := range topics {
		tr.Set(s, i)
	}
	for _, s := range topics[100:] {
		tr.Delete(s)
	}
	check("100 of 50,000 names left", 100_000)
	for i, s := range topics {
		subscribe(i, s)
	}
	for i, s := range topics {
		if r.UnsubscribeAll(i) != 1 || tr.Delete(s) != (i < 100) {
			t.Fatal(s)
		}
	}
	check("none left", 50_000)

	for i := range n {
		subscribe(i, "common")
	}
	one := heap()
	for i := range n {
		subscribe(i, "common/too")
	}
	for i := range n {
		r.Unsubscribe("common/too", i)
	}
	if grown := heap() - one; grown > 20*n {
		t.Errorf("%d bytes more after a second subscription that is gone", grown)
	}
	runtime.KeepAlive(topics)
	runtime.KeepAlive(&r)
	runtime.KeepAlive(&tr)
}

// TestMemoryOfCommonFilter: one string is kept of a filter, not one for each client.
func TestMemoryOfCommonFilter(t *testing.T) {
	const n = 20_000
	filter := strings.Repeat("x", 1000)
	for _, f := range []string{filter, "$share/g/" + filter} {
		var r topic.Router[int, int]
		base := heap()
		for i := range n {
			if _, err := r.Subscribe(strings.Clone(f), i, 0); err != nil {
				t.Fatal(err)
			}
		}
		if grown := heap() - base; grown > 500*n {
			t.Errorf("%.10q: %d bytes for each of %d clients", f, grown/n, n)
		}
		runtime.KeepAlive(&r)
	}
}

// TestSearchesHoldNothing: what a search has yielded is not held by what is kept
// of it for the next one. One collection leaves a pool's content where it is.
func TestSearchesHoldNothing(t *testing.T) {
	var r topic.Router[*held, int]
	var tr topic.Tree[*held]
	if fill(&r, &tr); r.Count() != 0 || tr.Len() != 0 {
		t.Fatal("not empty")
	}
	gone, texts := fill(&r, &tr)
	runtime.GC()
	for i, w := range gone {
		if w.Value() != nil {
			t.Errorf("%d is held", i)
		}
	}
	for i, w := range texts {
		if w.Value() != nil {
			t.Errorf("the text of %d is held", i)
		}
	}
	runtime.KeepAlive(&r)
	runtime.KeepAlive(&tr)
}

type held [64]byte // too large to share a block of the allocator with others

//go:noinline
func fill(r *topic.Router[*held, int], tr *topic.Tree[*held]) (gone []weak.Pointer[held], texts []weak.Pointer[byte]) {
	var names []string
	long := strings.Repeat("x", 30)
	for i, f := range []string{"a/b/c", "a/+/c", "+/b/c", "+/+/#", "a/b/x", "a/+/+", "a/c/+", "b/+/c", "c"} {
		f = f + "/" + long
		if strings.Contains(f, "#") {
			f = "+/" + long + "/#"
		}
		k := new(held)
		k[0] = byte(i)
		if _, err := r.Subscribe(f, k, 0); err != nil {
			return nil, nil
		}
		tr.Set(f, k)
		names = append(names, f)
		gone, texts = append(gone, weak.Make(k)), append(texts, weak.Make(unsafe.StringData(f)))
	}
	for range r.Match("a/b/c/" + long) {
		break
	}
	for _, f := range []string{"a/#", "#", "+/b/#"} {
		for range tr.Match(f) {
			break
		}
	}
	for _, w := range gone {
		r.UnsubscribeAll(w.Value())
	}
	for _, n := range names { // not by a walk, which would tidy up after the others
		tr.Delete(n)
	}
	return gone, texts
}

func BenchmarkMemorySubscription(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		clients := make([]client, n)
		r := new(topic.Router[*client, *int])
		b.ReportMetric(perItem(n, func(i int, s string) { _, _ = r.Subscribe(s, &clients[i], nil) }), "B/sub")
		runtime.KeepAlive(clients)
		runtime.KeepAlive(r)
	}
}

// BenchmarkMemoryCommonFilter has all clients subscribe to the same filter as well.
func BenchmarkMemoryCommonFilter(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		clients := make([]client, n)
		r := new(topic.Router[*client, *int])
		b.ReportMetric(perItem(n, func(i int, _ string) { _, _ = r.Subscribe("all/news", &clients[i], nil) }), "B/sub")
		runtime.KeepAlive(clients)
		runtime.KeepAlive(r)
	}
}

func BenchmarkMemoryName(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		t := new(topic.Tree[*int])
		b.ReportMetric(perItem(n, func(_ int, s string) { t.Set(s, nil) }), "B/name")
		runtime.KeepAlive(t)
	}
}
