package topic

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Tree keeps values by Topic Name and is asked by Topic Filter, as a server keeps
// Retained Messages. The zero value is ready; all methods may be called by any
// goroutine at any time, from within a loop over Match too. A Tree must not be
// copied.
//
// It takes names as they are, without normalising [MQTT-4.7.3-4], and checks none;
// see CheckName.
type Tree[V any] struct {
	walks  sync.Pool // of *walk[V]
	shards [shardCount]treeShard[V]
}

type treeShard[V any] struct {
	count atomic.Int64 // of names; written under mu
	mu    sync.RWMutex
	trie  trie[V]  // under mu
	_     [64]byte // keeps the locks of two shards apart
}

func (t *Tree[V]) shard(name string) *treeShard[V] {
	return &t.shards[hashFirst(name)%shardCount]
}

// Set keeps v under name, instead of what was there. The name is kept; it should
// not be a part of a large buffer.
func (t *Tree[V]) Set(name string, v V) {
	s := t.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.trie.reach(name)
	n.value = v
	if !n.has {
		n.text, n.from, n.has = name, uint32(len(name)-len(n.label())), true
		s.count.Add(1)
	}
}

// Delete removes what is kept under name and says whether there was anything.
func (t *Tree[V]) Delete(name string) bool {
	s := t.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trie.find(name) == nil {
		return false
	}
	s.trie.drop(name)
	s.count.Add(-1)
	return true
}

// Get is what is kept under name, if anything is.
func (t *Tree[V]) Get(name string) (V, bool) {
	s := t.shard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n := s.trie.find(name); n != nil {
		return n.value, true
	}
	var none V
	return none, false
}

// Len is the number of names, at O(1).
func (t *Tree[V]) Len() int {
	n := int64(0)
	for i := range t.shards {
		n += t.shards[i].count.Load()
	}
	return int(n)
}

// Match yields the names that a filter matches, with their values, in no order
// (G36). The verdict is that of the function Match, so a filter that begins with a
// wildcard gets no name that begins with $ [MQTT-4.7.2-1]; of a filter with
// $share/{name}/ the rest counts.
//
// Only the subtree that may match is visited: a filter without wildcards costs one
// path, however many names there are. It is visited piece by piece, as the loop asks
// for more, and no lock is held while the loop body runs. So a name that is set
// or deleted while the loop runs may be seen or not; any other is seen once,
// with the value it had when its piece was visited. With iter.Pull2 a caller can
// stop between names for as long as it likes: what it then holds is at most the
// children that it has not visited yet.
func (t *Tree[V]) Match(filter string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) { t.each(filter, yield) }
}

func (t *Tree[V]) each(filter string, yield func(string, V) bool) {
	w, _ := t.walks.Get().(*walk[V])
	if w == nil {
		w = new(walk[V])
	}
	_, w.filter = Share(filter)
	if wildcardFirst(w.filter) {
		for i := range t.shards {
			if !w.shard(&t.shards[i], yield) {
				break
			}
		}
	} else {
		w.shard(t.shard(w.filter), yield)
	}
	w.forget()
	t.walks.Put(w)
}
