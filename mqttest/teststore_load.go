package mqttest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/e8743928/mqttx"
)

// model is what a Store should hold.
type model map[string]string

// commit commits b and changes the model likewise.
func (m *model) commit(t testing.TB, s mqttx.Store, b []mqttx.Change) {
	t.Helper()
	if *m == nil {
		*m = make(model)
	}
	commit(t, s, b...)
	for _, c := range b {
		switch {
		case c.To != nil:
			maps.DeleteFunc(*m, func(k, _ string) bool { return k >= string(c.Key) && k < string(c.To) })
		case c.Delete:
			delete(*m, string(c.Key))
		default:
			(*m)[string(c.Key)] = string(c.Value)
		}
	}
}

// check fails the test unless the Store holds what the model does.
func (m model) check(t testing.TB, s mqttx.Store) {
	t.Helper()
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+"="+m[k])
	}
	want(t, s, "", string(lastKey), all...)
}

// randomBatch makes changes to a small set of keys, so that they meet; the same ones for the same seed.
func randomBatch(seed uint64) []mqttx.Change {
	r := rand.New(rand.NewPCG(seed, 1))
	key := func() string {
		k := make([]byte, 1+r.IntN(3))
		for i := range k {
			k[i] = "\x00ab\xff"[r.IntN(4)]
		}
		return string(k)
	}
	var out []mqttx.Change
	for range r.IntN(20) {
		switch r.IntN(10) {
		case 0:
			out = append(out, delTo(key(), key()))
		case 1, 2, 3:
			out = append(out, del(key()))
		default:
			out = append(out, set(key(), fmt.Sprint(r.Uint64())))
		}
	}
	return out
}

func storeRandom(t testing.TB, s mqttx.Store) {
	var m model
	for seed := range uint64(200) {
		m.commit(t, s, randomBatch(seed))
		if seed%10 == 0 {
			m.check(t, s)
		}
	}
	m.check(t, s)
}

func storeLarge(t testing.TB, s mqttx.Store) {
	const n = 20_000
	var changes []mqttx.Change
	var all []string
	value := string(bytes.Repeat([]byte("v"), 300))
	for i := range n {
		k := fmt.Sprintf("k%06d", i*7919%n)
		changes = append(changes, set(k, value))
	}
	commit(t, s, changes...)
	for i := range n {
		all = append(all, fmt.Sprintf("k%06d=%s", i, value))
	}
	want(t, s, "k", "l", all...)
	commit(t, s, delTo("k000010", "k019990"))
	want(t, s, "k", "l", slices.Concat(all[:10], all[n-10:])...)
}

func storeLargeValue(t testing.TB, s mqttx.Store) {
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16*4)
	commit(t, s, set("a", "1"), mqttx.Change{Key: []byte("b"), Value: value}, set("c", "3"))
	want(t, s, "a", "z", "a=1", "b="+string(value), "c=3")
	commit(t, s, set("b", "short"))
	want(t, s, "a", "z", "a=1", "b=short", "c=3")
}

// storeBeside commits while Scans are under way. What no commit touches has to be seen by every Scan, once and in order.
func storeBeside(t testing.TB, s mqttx.Store) {
	const n = 100
	var changes []mqttx.Change
	for i := range n {
		changes = append(changes, set(fmt.Sprintf("%03d", i), "stays"))
	}
	commit(t, s, changes...)

	// A Commit that begins within a Scan is done when the Scan is over, at the latest.
	done := make(chan error, 1)
	first := true
	for _, err := range s.Scan(nil, lastKey) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		if first {
			first = false
			go func() { done <- s.Commit(&mqttx.Batch{Changes: []mqttx.Change{set("050-", "new")}}) }()
		}
	}
	if err := <-done; err != nil {
		t.Fatalf("Commit beside Scan: %v", err)
	}
	want(t, s, "050", "051", "050=stays", "050-=new")

	var wg sync.WaitGroup
	ended := make(chan struct{})
	errs := make(chan error, 2)
	for range 2 {
		wg.Go(func() {
			for {
				if err := checkBeside(s, n); err != nil {
					errs <- err
					return
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for i := range 300 {
		k := fmt.Sprintf("%03d-%d", i%n, i%3)
		c := []mqttx.Change{set(k, "comes"), delTo(k, k+"\x00"), set(k, "goes")}
		if i%2 == 1 {
			c = append(c, del(k))
		}
		if err := s.Commit(&mqttx.Batch{Changes: c}); err != nil {
			errs <- fmt.Errorf("Commit beside Scan: %w", err)
			break
		}
	}
	close(ended)
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
}

// checkBeside scans once.
func checkBeside(s mqttx.Store, n int) error {
	var last string
	stays := 0
	for r, err := range s.Scan([]byte("0"), []byte("9")) {
		if err != nil {
			return fmt.Errorf("Scan beside Commit: %w", err)
		}
		if string(r.Key) <= last {
			return fmt.Errorf("Scan beside Commit: %q comes after %q", r.Key, last)
		}
		last = string(r.Key)
		if string(r.Value) == "stays" {
			stays++
		}
	}
	if stays != n {
		return fmt.Errorf("Scan beside Commit: saw %d of the %d records that nobody touched", stays, n)
	}
	return nil
}
