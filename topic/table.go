package topic

// table is a list that is searched by key: by looking at each row while there are
// few, by an index once there are many. Rows have no order; the last one takes
// the place of one that is removed.
type table[K comparable, V any] struct {
	rows  []row[K, V]
	index map[K]int32 // nil while there are few
}

type row[K comparable, V any] struct {
	val V // first, so that an empty V takes no room
	key K
}

// indexFrom is how many rows a table holds before it gets an index.
const indexFrom = 16

// find is the place of k, or -1.
func (t *table[K, V]) find(k K) int {
	if t.index != nil {
		if i, ok := t.index[k]; ok {
			return int(i)
		}
		return -1
	}
	for i := range t.rows {
		if t.rows[i].key == k {
			return i
		}
	}
	return -1
}

// add appends a row whose key is not in the table yet.
func (t *table[K, V]) add(k K, v V) {
	t.rows = append(t.rows, row[K, V]{v, k})
	switch {
	case t.index != nil:
		t.index[k] = int32(len(t.rows) - 1)
	case len(t.rows) > indexFrom:
		t.index = make(map[K]int32, len(t.rows))
		for i := range t.rows {
			t.index[t.rows[i].key] = int32(i)
		}
	}
}

// set adds a row or replaces the value of the one that k has.
func (t *table[K, V]) set(k K, v V) (added bool) {
	if i := t.find(k); i >= 0 {
		t.rows[i].val = v
		return false
	}
	t.add(k, v)
	return true
}

// drop takes the row of k out, if there is one.
func (t *table[K, V]) drop(k K) bool {
	i := t.find(k)
	if i >= 0 {
		t.remove(i)
	}
	return i >= 0
}

// swap exchanges two rows.
func (t *table[K, V]) swap(i, j int) {
	if i == j {
		return
	}
	t.rows[i], t.rows[j] = t.rows[j], t.rows[i]
	if t.index != nil {
		t.index[t.rows[i].key] = int32(i)
		t.index[t.rows[j].key] = int32(j)
	}
}

// remove takes row i out.
func (t *table[K, V]) remove(i int) {
	last := len(t.rows) - 1
	t.swap(i, last)
	if t.index != nil {
		delete(t.index, t.rows[last].key)
	}
	t.rows[last] = row[K, V]{}
	t.rows = t.rows[:last]
	if last <= indexFrom/2 {
		t.index = nil
	}
	t.rows = shrink(t.rows)
}

// shrink moves a list that needs a quarter of its room, or less, into less room.
func shrink[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	if cap(list) > 2*indexFrom && len(list) <= cap(list)/4 {
		return append(make([]T, 0, 2*len(list)), list...)
	}
	return list
}
