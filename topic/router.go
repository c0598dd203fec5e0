package topic

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Router says who subscribed to what. K is the reference of a subscriber, V the
// options of one subscription. The zero value is ready; all methods may be called
// by any goroutine at any time, from within a loop over Match too. A Router must
// not be copied.
//
// A subscription to $share/{name}/{filter} joins the group of that Share Name and
// that filter; of a group, one member gets each message, in turn (G25). The
// same K may have an ordinary subscription to the filter and be a member of groups
// besides; these are independent of each other.
type Router[K comparable, V any] struct {
	// Awake says whether a member of a group may have a turn, which is to say
	// whether its client is connected; nil: all may. While any member is awake, none
	// that sleeps has a turn; if none is, the one has it whose turn it is anyway, so
	// that the message may be kept for it. A member that wakes waits for its
	// turn until the end of the round.
	//
	// Awake is called by Match and MatchAndAdvance with locks held: it must be quick
	// and must not call the Router. It is set before the first call of a method
	// and not changed after.
	Awake func(K) bool

	owned       owned[K]
	looks       sync.Pool // of *look[K, V]
	generations [generationCount]atomic.Uint64
	shards      [shardCount]routerShard[K, V] // of filters with a literal first level
	wild        routerShard[K, V]             // of filters that begin with a wildcard
	wildChanges atomic.Uint64                 // the generation of wild
}

type routerShard[K comparable, V any] struct {
	count atomic.Int64 // of subscriptions; written under mu
	mu    sync.RWMutex
	trie  trie[spot[K, V]] // under mu
	_     [64]byte         // keeps the locks of two shards apart
}

// Subscribe adds the subscription of k to a filter, shared or not (G23, G25).
// If k has it already, v replaces the options, k keeps its place in a group, and
// added is false. The filter is kept; it should not be a part of a large buffer.
// The error is that of CheckFilter, and then nothing has changed.
func (r *Router[K, V]) Subscribe(filter string, k K, v V) (added bool, err error) {
	if err := CheckFilter(filter); err != nil {
		return false, err
	}
	group, rest := Share(filter)
	p := r.owned.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, changes := r.shard(rest)
	known, added := s.subscribe(filter, group, rest, k, v, changes)
	if added {
		p.add(k, known)
	}
	return added, nil
}

func (s *routerShard[K, V]) subscribe(filter, group, rest string, k K, v V, changes *atomic.Uint64) (known string, added bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.trie.reach(rest)
	known, added = n.value.subscribe(filter, group, n.has, k, v)
	n.has = true
	if added {
		s.count.Add(1)
	}
	changes.Add(1)
	return known, added
}

// Unsubscribe removes the subscription of k to exactly this filter and says
// whether there was one.
func (r *Router[K, V]) Unsubscribe(filter string, k K) bool {
	p := r.owned.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.unsubscribe(filter, k) {
		return false
	}
	p.remove(k, filter)
	return true
}

// UnsubscribeAll removes all subscriptions of k and says how many there were. It
// takes time for those of k only, however many others there are.
func (r *Router[K, V]) UnsubscribeAll(k K) int {
	p := r.owned.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	p.take(k, func(filter string) {
		r.unsubscribe(filter, k)
		n++
	})
	return n
}

func (r *Router[K, V]) unsubscribe(filter string, k K) bool {
	group, rest := Share(filter)
	s, changes := r.shard(rest)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.trie.find(rest)
	if n == nil {
		return false
	}
	ok, empty := n.value.unsubscribe(group, k)
	if empty {
		s.trie.drop(rest)
	}
	if ok {
		s.count.Add(-1)
		changes.Add(1)
	}
	return ok
}

// shard is where a filter, without its $share/{name}/, belongs, and the generation
// that counts its changes.
func (r *Router[K, V]) shard(filter string) (*routerShard[K, V], *atomic.Uint64) {
	if wildcardFirst(filter) {
		return &r.wild, &r.wildChanges
	}
	h := hashFirst(filter)
	return &r.shards[h%shardCount], &r.generations[h%generationCount]
}

// Count is the number of subscriptions, at O(1).
func (r *Router[K, V]) Count() int {
	n := r.wild.count.Load()
	for i := range r.shards {
		n += r.shards[i].count.Load()
	}
	return int(n)
}

// Generation is for those who keep what Match has yielded: it changes whenever
// what Match(name) yields may have changed, be it a V alone. Turns in groups
// and Awake do not count, so the member of a group must not be kept. Ask for
// the Generation first and Match then. Changes elsewhere rarely show: there is one
// counter per first level, hashed into 1,024, and one for all filters that begin
// with a wildcard. It takes no lock.
func (r *Router[K, V]) Generation(name string) uint64 {
	g := r.generations[hashFirst(name)%generationCount].Load()
	if !dollar(name) {
		g += r.wildChanges.Load()
	}
	return g
}

// Match yields all subscriptions whose filter matches a name, in no order, and of
// each group that matches the member whose turn it is, without moving the turn
// (G24, G26). A K with several subscriptions that match comes once for each. What
// it yields is how things stood before the first, and no lock is held meanwhile.
//
// It visits the nodes of the name only, at each level at most the literal one, +
// and #, and does not allocate once it has found its size (G21). The name is taken
// as it is; see CheckName.
func (r *Router[K, V]) Match(name string) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { r.each(name, false, yield) }
}

// MatchAndAdvance is Match that moves the turn of each group that matches on to
// its next member, as delivering a message should (G26). The turns have moved
// when the loop begins, even if it is left early.
func (r *Router[K, V]) MatchAndAdvance(name string) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { r.each(name, true, yield) }
}

func (r *Router[K, V]) each(name string, advance bool, yield func(K, V) bool) {
	l := r.look(name, advance)
	for i := range l.found {
		if !yield(l.found[i].key, l.found[i].val) {
			break
		}
	}
	r.done(l)
}

// look finds what matches a name. The caller hands it back with done.
func (r *Router[K, V]) look(name string, advance bool) *look[K, V] {
	l, _ := r.looks.Get().(*look[K, V])
	if l == nil {
		l = new(look[K, V])
	}
	l.awake, l.advance = r.Awake, advance
	l.in(&r.shards[hashFirst(name)%shardCount], name)
	if !dollar(name) { // [MQTT-4.7.2-1]
		l.in(&r.wild, name)
	}
	return l
}

func (r *Router[K, V]) done(l *look[K, V]) {
	clear(l.found) // so that no K outlives its use
	l.found, l.visits = l.found[:0], 0
	r.looks.Put(l)
}
