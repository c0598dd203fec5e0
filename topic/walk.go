package topic

import "slices"

// walk goes through the part of a Tree that a filter may match. It is used again
// and again, for its memory.
//
// It lets go of the shard's lock after each piece, with nodes on its stack that
// others may change meanwhile. That is well because a node stands for the same
// place as long as it lives: split lets the upper part keep the node, drop cuts nodes
// off only when nothing with a value is left below, and nodes are never joined or
// used again.
type walk[V any] struct {
	filter string
	stack  []pace[V] // nodes not visited yet
	found  []kept[V] // by this piece
	visits int
}

// pace is a node whose label is to be compared with filter[at:]; all: there is
// nothing to compare, # has taken it.
type pace[V any] struct {
	n  *node[V]
	at int
}

const all = -1

type kept[V any] struct {
	val  V
	name string
}

// A piece is so much that no writer waits long.
const (
	pieceNames  = 256
	pieceVisits = 1024
)

// shard yields what one shard has, and says whether to go on.
func (w *walk[V]) shard(s *treeShard[V], yield func(string, V) bool) bool {
	if s.count.Load() == 0 {
		return true
	}
	w.push(&s.trie.root, 0)
	for len(w.stack) > 0 {
		w.piece(s)
		for i := range w.found {
			if !yield(w.found[i].name, w.found[i].val) {
				return false
			}
		}
		w.rest()
	}
	return true
}

// piece visits some nodes.
func (w *walk[V]) piece(s *treeShard[V]) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for visits := 0; visits < pieceVisits && len(w.found) < pieceNames && len(w.stack) > 0; visits++ {
		last := len(w.stack) - 1
		p := w.stack[last]
		w.stack[last] = pace[V]{}
		w.stack = w.stack[:last]
		if p.n == &s.trie.root {
			w.firsts(p.n)
		} else {
			w.visit(p.n, p.at)
		}
	}
}

// firsts goes on to the first levels that may match.
func (w *walk[V]) firsts(root *node[V]) {
	w.below(root, 0)
	if wildcardFirst(w.filter) { // [MQTT-4.7.2-1]
		w.stack = slices.DeleteFunc(w.stack, func(p pace[V]) bool { return dollar(p.n.label()) })
	}
}

func (w *walk[V]) visit(n *node[V], at int) {
	w.visits++
	if at != all {
		label := n.label()
		f, m, ok := agree(w.filter[at:], label)
		if !ok {
			return
		}
		at += f
		switch {
		case at <= len(w.filter) && w.filter[at:] == "#": // which takes the parent level too
			at = all
		case m <= len(label):
			return
		case at <= len(w.filter):
			w.below(n, at)
			return
		}
	}
	if n.has {
		w.found = append(w.found, kept[V]{n.value, n.text})
	}
	if at == all {
		w.children(n, all)
	}
}

// below goes on to the children of a node that may match the level at filter[at].
func (w *walk[V]) below(n *node[V], at int) {
	switch level := w.filter[at:levelEnd(w.filter, at)]; {
	case level == "#" && at+1 == len(w.filter):
		w.children(n, all)
	case level == "+":
		w.children(n, at)
	default:
		if c := n.child(level); c != nil {
			w.push(c, at)
		}
	}
}

func (w *walk[V]) children(n *node[V], at int) {
	if n.kids == nil {
		return
	}
	for _, c := range n.kids.list {
		w.push(c, at)
	}
	if n.kids.plus != nil {
		w.push(n.kids.plus, at)
	}
	if n.kids.hash != nil {
		w.push(n.kids.hash, at)
	}
}

func (w *walk[V]) push(n *node[V], at int) { w.stack = append(w.stack, pace[V]{n, at}) }

// rest forgets what has been yielded.
func (w *walk[V]) rest() {
	clear(w.found)
	w.found = w.found[:0]
}

// forget makes ready for the next walk; nothing is pinned meanwhile.
func (w *walk[V]) forget() {
	w.rest()
	clear(w.stack)
	w.stack, w.filter, w.visits = w.stack[:0], "", 0
}
