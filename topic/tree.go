package topic

import (
	"iter"
	"sync"
)

// Tree keeps values by Topic Name. The zero value is ready.
type Tree[V any] struct {
	mu sync.RWMutex
	m  map[string]V
}

// Set keeps v under name.
func (t *Tree[V]) Set(name string, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[string]V{}
	}
	t.m[name] = v
}

// Delete removes what is kept under name.
func (t *Tree[V]) Delete(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.m[name]
	delete(t.m, name)
	return ok
}

// Get is what is kept under name.
func (t *Tree[V]) Get(name string) (V, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.m[name]
	return v, ok
}

// Len is the number of names.
func (t *Tree[V]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.m)
}

// Match yields the names that filter matches, and their values.
func (t *Tree[V]) Match(filter string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		t.mu.RLock()
		found := map[string]V{}
		for n, v := range t.m {
			if Match(filter, n) {
				found[n] = v
			}
		}
		t.mu.RUnlock()
		for n, v := range found {
			if !yield(n, v) {
				return
			}
		}
	}
}
