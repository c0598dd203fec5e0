package topic

// look is one search of a Router and what it has found. It is used again and
// again, for its memory.
type look[K comparable, V any] struct {
	awake   func(K) bool
	advance bool
	found   []row[K, V]
	stack   []step[K, V] // nodes not visited yet
	visits  int
}

// step is a node whose label is to be compared with name[at:].
type step[K comparable, V any] struct {
	n  *node[spot[K, V]]
	at int
}

// in adds what one shard has.
func (l *look[K, V]) in(s *routerShard[K, V], name string) {
	if s.count.Load() == 0 {
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, at := l.below(&s.trie.root, name, 0)
	for {
		for n != nil {
			n, at = l.visit(n, name, at)
		}
		last := len(l.stack) - 1
		if last < 0 {
			return
		}
		n, at = l.stack[last].n, l.stack[last].at
		l.stack[last] = step[K, V]{}
		l.stack = l.stack[:last]
	}
}

// visit compares one node with name[at:]. It returns the node to visit next.
func (l *look[K, V]) visit(n *node[spot[K, V]], name string, at int) (*node[spot[K, V]], int) {
	l.visits++
	label := n.label()
	switch {
	case n.wild:
		f, m, ok := agree(label, name[at:])
		if !ok {
			return nil, 0
		}
		if f <= len(label) {
			if label[f:] == "#" {
				l.take(&n.value)
			}
			return nil, 0
		}
		at += m
	case !isPrefix(label, name[at:]):
		return nil, 0
	default:
		at += len(label) + 1
	}
	if at <= len(name) {
		return l.below(n, name, at)
	}
	if n.has {
		l.take(&n.value)
	}
	if n.kids != nil && n.kids.hash != nil { // # takes its parent level too
		l.visits++
		l.take(&n.kids.hash.value)
	}
	return nil, 0
}

// below goes on to the children of a node that may match the level at name[at].
func (l *look[K, V]) below(n *node[spot[K, V]], name string, at int) (*node[spot[K, V]], int) {
	k := n.kids
	if k == nil {
		return nil, 0
	}
	if k.hash != nil {
		l.visits++
		l.take(&k.hash.value)
	}
	if k.list == nil {
		return k.plus, at
	}
	if k.plus != nil {
		l.stack = append(l.stack, step[K, V]{k.plus, at})
	}
	return k.literal(name[at:levelEnd(name, at)]), at
}

// take notes all that is subscribed at one filter.
func (l *look[K, V]) take(s *spot[K, V]) {
	m := s.many
	if m == nil {
		l.found = append(l.found, row[K, V]{s.v, s.k})
		return
	}
	l.found = append(l.found, m.plain.rows...)
	for i := range m.groups.rows {
		l.found = append(l.found, m.groups.rows[i].val.turn(l.awake, l.advance))
	}
}
