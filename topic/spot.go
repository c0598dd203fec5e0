package topic

// spot is what is subscribed at one filter. Nearly always that is one ordinary
// subscription, which stands in the node itself.
type spot[K comparable, V any] struct {
	k    K
	v    V
	many *many[K, V] // nil: k and v are the only subscription
}

type many[K comparable, V any] struct {
	filter string // one string for all who have the ordinary subscription
	plain  table[K, V]
	groups table[string, *group[K, V]] // by Share Name
}

// subscribe adds k, or replaces its v, in a group or, if that is "", for itself.
// taken says whether the spot holds anything yet. The filter, in full, comes back
// as the string to remember k's subscription by.
func (s *spot[K, V]) subscribe(filter, group string, taken bool, k K, v V) (known string, added bool) {
	if group == "" && !taken {
		s.k, s.v = k, v
		return filter, true
	}
	if group == "" && s.many == nil && s.k == k {
		s.v = v
		return filter, false
	}
	s.spread(taken)
	if group != "" {
		return s.many.join(filter, group, k, v)
	}
	if s.many.filter == "" {
		s.many.filter = filter
	}
	return s.many.filter, s.many.plain.set(k, v)
}

// spread makes room for more than one subscription.
func (s *spot[K, V]) spread(taken bool) {
	if s.many != nil {
		return
	}
	m := new(many[K, V])
	if taken {
		m.plain.add(s.k, s.v)
	}
	*s = spot[K, V]{many: m}
}

func (m *many[K, V]) join(filter, name string, k K, v V) (known string, added bool) {
	var g *group[K, V]
	if i := m.groups.find(name); i >= 0 {
		g = m.groups.rows[i].val
	} else {
		g = &group[K, V]{filter: filter}
		m.groups.add(name, g)
	}
	if i := g.members.find(k); i >= 0 {
		g.members.rows[i].val = v
		return g.filter, false
	}
	g.add(k, v)
	return g.filter, true
}

// unsubscribe takes k out of a group or, if that is "", its own subscription. It
// says whether there was one and whether the spot is empty now.
func (s *spot[K, V]) unsubscribe(group string, k K) (ok, empty bool) {
	m := s.many
	if m == nil {
		ok = group == "" && s.k == k
		return ok, ok
	}
	if group == "" {
		ok = m.plain.drop(k)
	} else if i := m.groups.find(group); i >= 0 {
		g := m.groups.rows[i].val
		if j := g.members.find(k); j >= 0 {
			g.remove(j)
			ok = true
		}
		if len(g.members.rows) == 0 {
			m.groups.remove(i)
		}
	}
	if len(m.groups.rows) > 0 || len(m.plain.rows) > 1 {
		return ok, false
	}
	if len(m.plain.rows) == 0 {
		return ok, true
	}
	*s = spot[K, V]{k: m.plain.rows[0].key, v: m.plain.rows[0].val}
	return ok, false
}
