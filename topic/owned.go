package topic

import (
	"hash/maphash"
	"sync"
)

// owned says which filters each K has, so that UnsubscribeAll need not look for
// them. It is in parts by the hash of K, each with its lock. The lock of a part is
// held over a whole change of the Router: all changes for one K come one after
// another. It comes before the lock of a shard.
type owned[K comparable] struct {
	once  sync.Once
	seed  maphash.Seed
	parts [ownedParts]ownedPart[K]
}

const ownedParts = 32

type ownedPart[K comparable] struct {
	mu sync.Mutex
	m  map[K]filters
}

func (o *owned[K]) part(k K) *ownedPart[K] {
	o.once.Do(func() { o.seed = maphash.MakeSeed() })
	return &o.parts[maphash.Comparable(o.seed, k)%ownedParts]
}

// filters is what one K has: one filter, as most do, or several.
type filters struct {
	one  string
	more *table[string, struct{}] // at least two; nil: one
}

func (p *ownedPart[K]) add(k K, filter string) {
	f, ok := p.m[k]
	switch {
	case f.more != nil:
		f.more.add(filter, struct{}{})
		return
	case ok:
		t := new(table[string, struct{}])
		t.add(f.one, struct{}{})
		t.add(filter, struct{}{})
		f = filters{more: t}
	default:
		f.one = filter
	}
	if p.m == nil {
		p.m = map[K]filters{}
	}
	p.m[k] = f
}

func (p *ownedPart[K]) remove(k K, filter string) {
	f := p.m[k]
	if f.more == nil {
		p.forget(k)
		return
	}
	f.more.drop(filter)
	if len(f.more.rows) == 1 {
		p.m[k] = filters{one: f.more.rows[0].key}
	}
}

// take removes all that k has and calls each with each filter of it.
func (p *ownedPart[K]) take(k K, each func(filter string)) {
	f, ok := p.m[k]
	if !ok {
		return
	}
	p.forget(k)
	if f.more == nil {
		each(f.one)
		return
	}
	for i := range f.more.rows {
		each(f.more.rows[i].key)
	}
}

func (p *ownedPart[K]) forget(k K) {
	delete(p.m, k)
	if len(p.m) == 0 {
		p.m = nil
	}
}
