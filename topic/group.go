package topic

import "sync"

// group is one shared subscription: the members that have the same Share Name and
// the same filter.
//
// Its rows are in two parts. The first `ring` members were awake when last asked
// and take turns; the others sleep. A turn costs O(1) amortised however many sleep:
// a member is moved behind the ring when its turn finds it asleep, and each turn
// asks a few of the sleepers whether they woke. Only while the whole ring sleeps
// are all asked each time.
type group[K comparable, V any] struct {
	filter string // with its $share/{name}/, one string for all members

	// Under mu, or the shard's lock for writing. mu comes after the shard's lock.
	mu      sync.Mutex
	members table[K, V]
	ring    int
	next    int // whose turn it is, at most len(rows)
	ask     int // the next sleeper to ask, counted from ring
}

// askSleepers is how many sleepers are asked at each turn. In a group with no more
// of them a member that wakes is dealt to at once.
const askSleepers = 8

// add gives a new member the last place in the ring.
func (g *group[K, V]) add(k K, v V) {
	g.members.add(k, v)
	g.wake(len(g.members.rows) - 1)
}

// wake moves the sleeper in row i to the end of the ring.
func (g *group[K, V]) wake(i int) {
	g.members.swap(i, g.ring)
	g.ring++
}

// remove takes row i out. Who has had a turn in this round has had it still, and
// who waits for one waits still.
func (g *group[K, V]) remove(i int) {
	if i < g.ring {
		if i < g.next {
			g.next--
			g.members.swap(i, g.next)
			i = g.next
		}
		g.ring--
		g.members.swap(i, g.ring)
		i = g.ring
	}
	g.members.remove(i)
}

// turn is the member whose turn it is: the next in the ring that is awake. If no
// member of the group is, it is the next of all. With advance the turn moves on.
func (g *group[K, V]) turn(awake func(K) bool, advance bool) row[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if awake != nil {
		g.settle(awake)
	}
	n := g.ring
	if n == 0 {
		n = len(g.members.rows)
	}
	if g.next >= n {
		g.next = 0
	}
	m := g.members.rows[g.next]
	if advance {
		g.next++
	}
	return m
}

// settle sees to it that the next in the ring is awake, or the ring empty.
func (g *group[K, V]) settle(awake func(K) bool) {
	rows := g.members.rows
	for range min(askSleepers, len(rows)-g.ring) {
		if g.ask >= len(rows)-g.ring {
			g.ask = 0
		}
		if i := g.ring + g.ask; awake(rows[i].key) {
			g.wake(i)
		} else {
			g.ask++
		}
	}
	for g.ring > 0 {
		if g.next >= g.ring {
			g.next = 0
		}
		if awake(rows[g.next].key) {
			return
		}
		g.ring--
		g.members.swap(g.next, g.ring)
	}
	for i := range rows {
		if awake(rows[i].key) {
			g.wake(i)
		}
	}
}
