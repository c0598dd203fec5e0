package topic

import "fmt"

// PieceNames is how many names a walk takes at a time.
const PieceNames = pieceNames

// Visits is how many nodes Match(name) visits.
func (r *Router[K, V]) Visits(name string) int {
	l := r.look(name, false)
	defer r.done(l)
	return l.visits
}

// Visits is how many nodes Match(filter) visits.
func (t *Tree[V]) Visits(filter string) int {
	w := new(walk[V])
	_, w.filter = Share(filter)
	for i := range t.shards {
		w.shard(&t.shards[i], func(string, V) bool { return true })
	}
	return w.visits
}

// Nodes counts the nodes and what else must be gone when nothing is kept.
func (r *Router[K, V]) Nodes() int {
	n := nodes(&r.wild.trie)
	for i := range r.shards {
		n += nodes(&r.shards[i].trie)
	}
	for i := range r.owned.parts {
		n += len(r.owned.parts[i].m)
	}
	return n
}

// Nodes counts the nodes.
func (t *Tree[V]) Nodes() int {
	n := 0
	for i := range t.shards {
		n += nodes(&t.shards[i].trie)
	}
	return n
}

// nodes counts all but the root, and its kids if there are any without children.
func nodes[T any](t *trie[T]) int {
	count := 0
	stack := []*node[T]{&t.root}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n.kids == nil {
			continue
		}
		if n.kids.len() == 0 {
			count++
		}
		for _, c := range children(n.kids) {
			count++
			stack = append(stack, c)
		}
	}
	return count
}

func children[T any](k *kids[T]) []*node[T] {
	list := append([]*node[T](nil), k.list...)
	if k.plus != nil {
		list = append(list, k.plus)
	}
	if k.hash != nil {
		list = append(list, k.hash)
	}
	return list
}

// Verify says what is wrong inside; nil: nothing.
func (r *Router[K, V]) Verify() error {
	total := 0
	for i := -1; i < shardCount; i++ {
		s := &r.wild
		if i >= 0 {
			s = &r.shards[i]
		}
		n := 0
		err := verify(&s.trie, func(path string, s *spot[K, V]) error {
			if s.many == nil {
				n++
				return nil
			}
			n += len(s.many.plain.rows)
			if len(s.many.groups.rows) == 0 && len(s.many.plain.rows) < 2 {
				return fmt.Errorf("%q: %d rows spread", path, len(s.many.plain.rows))
			}
			for _, g := range s.many.groups.rows {
				n += len(g.val.members.rows)
				if g.val.filter != "$share/"+g.key+"/"+path || len(g.val.members.rows) == 0 || g.val.ring > len(g.val.members.rows) {
					return fmt.Errorf("%q: group %q: %+v", path, g.key, g.val)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if int64(n) != s.count.Load() {
			return fmt.Errorf("shard %d: %d subscriptions, count says %d", i, n, s.count.Load())
		}
		total += n
	}
	for i := range r.owned.parts {
		for _, f := range r.owned.parts[i].m {
			if f.more == nil {
				total--
			} else {
				total -= len(f.more.rows)
			}
		}
	}
	if total != 0 {
		return fmt.Errorf("%d more subscriptions than owners know of", total)
	}
	return nil
}

// Verify says what is wrong inside; nil: nothing.
func (t *Tree[V]) Verify() error {
	for i := range t.shards {
		n := int64(0)
		s := &t.shards[i]
		if err := verify(&s.trie, func(string, *V) error { n++; return nil }); err != nil {
			return err
		}
		if n != s.count.Load() {
			return fmt.Errorf("shard %d: %d names, count says %d", i, n, s.count.Load())
		}
	}
	return nil
}

func verify[T any](t *trie[T], each func(string, *T) error) error {
	type place struct {
		n    *node[T]
		path string
	}
	stack := []place{{&t.root, ""}}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if p.n.has {
			if p.n != &t.root && len(p.n.text) > int(p.n.from)+len(p.n.label()) {
				return fmt.Errorf("%q: text %q", p.path, p.n.text)
			}
			if err := each(p.path, &p.n.value); err != nil {
				return err
			}
		}
		if p.n.kids == nil {
			if !p.n.has && p.n != &t.root {
				return fmt.Errorf("%q: empty node", p.path)
			}
			continue
		}
		if p.n.kids.len() == 0 {
			return fmt.Errorf("%q: empty kids", p.path)
		}
		for i, c := range p.n.kids.list {
			if p.n.kids.place(firstLevel(c.label())) != i {
				return fmt.Errorf("%q: child %q not found", p.path, c.label())
			}
		}
		for _, c := range children(p.n.kids) {
			path := c.label()
			if p.n != &t.root {
				path = p.path + "/" + c.label()
			}
			stack = append(stack, place{c, path})
		}
	}
	return nil
}
