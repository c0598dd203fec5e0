package topic

import "strings"

// Filters and names are spread over shards by their first level, each with a lock
// of its own, so that readers of different first levels share nothing. Filters
// that begin with a wildcard have a shard to themselves, because any name may
// match them. A reader therefore takes at most two read locks, one after the
// other, and only one if no filter begins with a wildcard.
//
// Generations are counted more finely than locks: a counter costs 8 bytes, and two
// first levels that share one void each other's caches.
const (
	shardCount      = 64
	generationCount = 1024
)

// hashFirst is a hash of the first level of a filter or name. It is not seeded:
// whoever chooses levels that collide shares a lock and a counter, nothing else.
// Only the last bytes of a long level count, so that a long one costs no more.
func hashFirst(s string) uint32 {
	const most = 32
	l := firstLevel(s)
	if len(l) > most {
		l = l[len(l)-most:]
	}
	h := uint32(2166136261)
	for i := range len(l) {
		h = (h ^ uint32(l[i])) * 16777619
	}
	return h ^ h>>15
}

// keep is a part of a longer string, to be kept for long: a copy if it would hold
// much more memory than it needs.
func keep(part, whole string) string {
	if len(whole) > 2*len(part)+64 {
		return strings.Clone(part)
	}
	return part
}
