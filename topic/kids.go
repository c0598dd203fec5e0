package topic

import "hash/maphash"

// kids are the children of a node, told apart by the first level of their labels.
// A level that is + or # stands apart from the others: a Router asks for all three
// at every node, and a literal level is never taken for a wildcard.
type kids[T any] struct {
	list       []*node[T] // all others, in no order
	index      *index     // of list; nil while there are few
	plus, hash *node[T]
}

const kidsIndexFrom = 8

func (k *kids[T]) len() int {
	n := len(k.list)
	if k.plus != nil {
		n++
	}
	if k.hash != nil {
		n++
	}
	return n
}

// find is the child whose label begins with level, or nil.
func (k *kids[T]) find(level string) *node[T] {
	switch level {
	case "+":
		return k.plus
	case "#":
		return k.hash
	}
	return k.literal(level)
}

// literal is find that takes a wildcard for a level like any other.
func (k *kids[T]) literal(level string) *node[T] {
	if i := k.place(level); i >= 0 {
		return k.list[i]
	}
	return nil
}

func (k *kids[T]) place(level string) int {
	if k.index == nil {
		for i, c := range k.list {
			if c.begins(level) {
				return i
			}
		}
		return -1
	}
	h := k.index.hash(level)
	for s := k.index.first(h); ; s = k.index.next(s) {
		i, same, ok := k.index.at(s, h)
		if !ok {
			return -1
		}
		if same && k.list[i].begins(level) {
			return i
		}
	}
}

// add adds a child whose first level is not among them yet.
func (k *kids[T]) add(c *node[T]) {
	level := firstLevel(c.label())
	switch level {
	case "+":
		k.plus = c
		return
	case "#":
		k.hash = c
		return
	}
	k.list = append(k.list, c)
	switch {
	case len(k.list) <= kidsIndexFrom:
	case k.index == nil || k.index.full(len(k.list)):
		k.reindex()
	default:
		k.index.put(k.index.hash(level), len(k.list)-1)
	}
}

func (k *kids[T]) reindex() {
	if k.index == nil {
		k.index = &index{seed: maphash.MakeSeed()}
	}
	k.index.clear(len(k.list))
	for i, c := range k.list {
		k.index.put(k.index.hash(firstLevel(c.label())), i)
	}
}

// remove takes out the child whose label begins with level, which there is.
func (k *kids[T]) remove(level string) {
	switch level {
	case "+":
		k.plus = nil
		return
	case "#":
		k.hash = nil
		return
	}
	i := k.place(level)
	last := len(k.list) - 1
	if k.index != nil {
		k.index.remove(k.index.hash(level), i)
		if i != last {
			k.index.move(k.index.hash(firstLevel(k.list[last].label())), last, i)
		}
	}
	k.list[i] = k.list[last]
	k.list[last] = nil
	k.list = shrink(k.list[:last])
	switch {
	case k.index == nil:
	case last <= kidsIndexFrom/2:
		k.index = nil
	case k.index.roomy(last):
		k.reindex()
	}
}

// index finds places in a list by hash: open addressing, linear probing, no
// tombstones. A slot is 0 or the hash in its upper half and the place plus 1 in its
// lower half. It takes 11 to 21 bytes per place, where a map with string keys
// takes 27 to 54, and it holds no pointers.
type index struct {
	seed  maphash.Seed // its own, so that nobody can choose levels that collide
	slots []uint64     // a power of two of them
}

func (x *index) hash(level string) uint32 { return uint32(maphash.String(x.seed, level)) }

func (x *index) first(h uint32) int { return int(h) & (len(x.slots) - 1) }
func (x *index) next(s int) int     { return (s + 1) & (len(x.slots) - 1) }

// at is the place in slot s, whether its hash is h, and whether the slot is taken.
func (x *index) at(s int, h uint32) (place int, same, ok bool) {
	v := x.slots[s]
	return int(uint32(v)) - 1, uint32(v>>32) == h, v != 0
}

// full and roomy keep between 1/8 and 3/4 of the slots taken.
func (x *index) full(n int) bool  { return 4*n > 3*len(x.slots) }
func (x *index) roomy(n int) bool { return 8*n < len(x.slots) }

// clear makes room for n places and some more.
func (x *index) clear(n int) {
	size := 2 * kidsIndexFrom
	for 2*size < 3*n {
		size *= 2
	}
	x.slots = make([]uint64, size)
}

func (x *index) put(h uint32, place int) {
	s := x.first(h)
	for x.slots[s] != 0 {
		s = x.next(s)
	}
	x.slots[s] = uint64(h)<<32 | uint64(place+1)
}

func (x *index) slot(h uint32, place int) int {
	want := uint64(h)<<32 | uint64(place+1)
	s := x.first(h)
	for x.slots[s] != want {
		s = x.next(s)
	}
	return s
}

// move notes that what was at place from is now at place to.
func (x *index) move(h uint32, from, to int) {
	x.slots[x.slot(h, from)] = uint64(h)<<32 | uint64(to+1)
}

// remove empties the slot of a place and moves up what was pushed behind it.
func (x *index) remove(h uint32, place int) {
	hole := x.slot(h, place)
	for s := x.next(hole); x.slots[s] != 0; s = x.next(s) {
		home := x.first(uint32(x.slots[s] >> 32))
		// May the entry stand in the hole? Not if its home lies behind the hole.
		if (s-home)&(len(x.slots)-1) >= (s-hole)&(len(x.slots)-1) {
			x.slots[hole] = x.slots[s]
			hole = s
		}
	}
	x.slots[hole] = 0
}
