package topic_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/e8743928/mqttx/topic"
)

// filled has n exact filters, each of its own client, and what extra gives.
func filled(b *testing.B, n int, extra ...string) *topic.Router[*client, *int] {
	b.Helper()
	r := new(topic.Router[*client, *int])
	r.Awake = func(*client) bool { return true }
	clients := make([]client, n+len(extra))
	for i := range clients {
		f := fmt.Sprintf("device/%07d/state", i)
		if i >= n {
			f = extra[i-n]
		}
		if _, err := r.Subscribe(f, &clients[i], nil); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	return r
}

var wildcards = []string{"device/+/state", "device/#", "+/+/state", "#", "device/+/alarm", "+/+/+/+"}

func names1000(n int) []string {
	l := make([]string, 1000)
	for i := range l {
		l[i] = fmt.Sprintf("device/%07d/state", i*7919%n)
	}
	return l
}

func BenchmarkRouterMatch(b *testing.B) {
	groups := make([]string, 10_000)
	for i := range groups {
		groups[i] = fmt.Sprintf("$share/g%d/jobs/%d/#", i%100, i)
	}
	same := make([]string, 10_000)
	for i := range same {
		same[i] = fmt.Sprintf("$share/g%d/all/#", i)
	}
	for _, c := range []struct {
		what  string
		n     int
		extra []string
		names []string
	}{
		{"10", 10, nil, names1000(10)},
		{"10k", 10_000, nil, names1000(10_000)},
		{"1M", 1_000_000, nil, names1000(1_000_000)},
		{"10k+6wildcards", 10_000, wildcards, names1000(10_000)},
		{"10k+10kgroups", 10_000, groups, names1000(10_000)},
		{"10k+10kgroups/oneGroup", 10_000, groups, []string{"jobs/77/x"}},
		{"10kgroupsMatch", 10, same, []string{"all/x"}},
		{"none", 10_000, nil, []string{"other/1/state"}},
	} {
		b.Run(c.what, func(b *testing.B) {
			r := filled(b, c.n, c.extra...)
			b.ReportAllocs()
			found, i := 0, 0
			for b.Loop() {
				for range r.MatchAndAdvance(c.names[i%len(c.names)]) {
					found++
				}
				i++
			}
			b.ReportMetric(float64(found)/float64(i), "matches")
		})
	}
}

func BenchmarkRouterMatchParallel(b *testing.B) {
	for _, c := range []struct {
		what  string
		extra []string
	}{{"exact", nil}, {"wildcards", wildcards}} {
		b.Run(c.what, func(b *testing.B) {
			r, l := filled(b, 10_000, c.extra...), names1000(10_000)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					for range r.MatchAndAdvance(l[i%len(l)]) {
					}
				}
			})
		})
	}
}

func BenchmarkRouterGeneration(b *testing.B) {
	r := filled(b, 10)
	for b.Loop() {
		r.Generation("device/0000001/state")
	}
}

func BenchmarkRouterSubscribe(b *testing.B) {
	r, c := filled(b, 100_000), new(client)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Subscribe("device/0000001/cmd/#", c, nil); err != nil {
			b.Fatal(err)
		}
		r.Unsubscribe("device/0000001/cmd/#", c)
	}
}

func BenchmarkTreeMatch(b *testing.B) {
	t, l := new(topic.Tree[*int]), names1000(100_000)
	for i := range 100_000 {
		t.Set(fmt.Sprintf("device/%07d/state", i), nil)
	}
	for _, f := range []string{"exact", "device/+/state", "device/0000007/#", "#"} {
		b.Run(f, func(b *testing.B) {
			b.ReportAllocs()
			found, i := 0, 0
			for b.Loop() {
				filter := f
				if f == "exact" {
					filter = l[i%len(l)]
				}
				for range t.Match(filter) {
					found++
				}
				i++
			}
			b.ReportMetric(float64(found)/float64(i), "matches")
		})
	}
}

func BenchmarkTreeSet(b *testing.B) {
	t, l := new(topic.Tree[*int]), names1000(100_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		t.Set(l[i%len(l)], nil)
		i++
	}
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		topic.Match("device/+/state", "device/0000001/state")
	}
}
