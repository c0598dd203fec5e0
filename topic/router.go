package topic

import (
	"iter"
	"sync"
)

// Router says who subscribed to what. The zero value is ready.
type Router[K comparable, V any] struct {
	// Awake: may this member of a shared group have a turn? nil: yes.
	Awake func(K) bool

	mu      sync.Mutex
	filters map[string]*subs[K, V]
	gen     uint64
}

type subs[K comparable, V any] struct {
	keys   []K
	values []V
	next   int
}

// Subscribe adds the subscription of k to filter.
func (r *Router[K, V]) Subscribe(filter string, k K, v V) (added bool, err error) {
	if err := CheckFilter(filter); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gen++
	s := r.filters[filter]
	if s == nil {
		s = &subs[K, V]{}
		if r.filters == nil {
			r.filters = map[string]*subs[K, V]{}
		}
		r.filters[filter] = s
	}
	for i := range s.keys {
		if s.keys[i] == k {
			s.values[i] = v
			return false, nil
		}
	}
	s.keys, s.values = append(s.keys, k), append(s.values, v)
	return true, nil
}

// Unsubscribe removes the subscription of k to filter, if there is one.
func (r *Router[K, V]) Unsubscribe(filter string, k K) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unsubscribe(filter, k)
}

func (r *Router[K, V]) unsubscribe(filter string, k K) bool {
	s := r.filters[filter]
	if s == nil {
		return false
	}
	for i := range s.keys {
		if s.keys[i] == k {
			r.gen++
			s.keys = append(s.keys[:i:i], s.keys[i+1:]...)
			s.values = append(s.values[:i:i], s.values[i+1:]...)
			if i < s.next {
				s.next--
			}
			if len(s.keys) == 0 {
				delete(r.filters, filter)
			}
			return true
		}
	}
	return false
}

// UnsubscribeAll removes all subscriptions of k and says how many there were.
func (r *Router[K, V]) UnsubscribeAll(k K) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for f := range r.filters {
		if r.unsubscribe(f, k) {
			n++
		}
	}
	return n
}

// Count is the number of subscriptions.
func (r *Router[K, V]) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.filters {
		n += len(s.keys)
	}
	return n
}

// Generation changes whenever the set that Match(name) yields may have changed.
func (r *Router[K, V]) Generation(name string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gen
}

// Match yields the subscriptions that match name and of each group the member
// whose turn it is.
func (r *Router[K, V]) Match(name string) iter.Seq2[K, V] { return r.match(name, false) }

// MatchAndAdvance is Match that moves the turns.
func (r *Router[K, V]) MatchAndAdvance(name string) iter.Seq2[K, V] { return r.match(name, true) }

func (r *Router[K, V]) match(name string, advance bool) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		var keys []K
		var values []V
		r.mu.Lock()
		for f, s := range r.filters {
			if !Match(f, name) {
				continue
			}
			if !isShare(f) {
				keys, values = append(keys, s.keys...), append(values, s.values...)
				continue
			}
			n := s.next % len(s.keys)
			for i := range s.keys {
				if j := (s.next + i) % len(s.keys); r.Awake == nil || r.Awake(s.keys[j]) {
					n = j
					break
				}
			}
			if advance {
				s.next = n + 1
			}
			keys, values = append(keys, s.keys[n]), append(values, s.values[n])
		}
		r.mu.Unlock()
		for i := range keys {
			if !yield(keys[i], values[i]) {
				return
			}
		}
	}
}
