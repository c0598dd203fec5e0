package mqttest

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/e8743928/mqttx"
)

// MemStore is a [mqttx.Store] in memory, for tests that start a second Server on what the first has left, and for tests of
// what a Server does while its Store is slow or fails. The zero value is an empty one; it must not be copied. Its methods
// may be called from any goroutine.
type MemStore struct {
	mu      sync.Mutex
	records map[string][]byte // values are never changed, only replaced
	open    chan struct{}     // not nil: commits wait until it is closed
	fail    error
	commits int
	waiting int
}

// Commit makes the changes of b, unless Fail has been told an error. After Block it waits for Unblock first.
func (m *MemStore) Commit(b *mqttx.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting++
	for m.open != nil {
		open := m.open
		m.mu.Unlock()
		<-open
		m.mu.Lock()
	}
	m.waiting--
	if m.fail != nil {
		return m.fail
	}
	if m.records == nil {
		m.records = make(map[string][]byte)
	}
	for _, c := range b.Changes {
		switch {
		case c.To != nil:
			for k := range m.records {
				if k >= string(c.Key) && k < string(c.To) {
					delete(m.records, k)
				}
			}
		case c.Delete:
			delete(m.records, string(c.Key))
		default:
			m.records[string(c.Key)] = bytes.Clone(c.Value)
		}
	}
	m.commits++
	return nil
}

// Scan yields the records as they are when the loop begins.
func (m *MemStore) Scan(from, to []byte) iter.Seq2[mqttx.Record, error] {
	return func(yield func(mqttx.Record, error) bool) {
		type record struct {
			key   string
			value []byte
		}
		var found []record
		m.mu.Lock()
		for k, v := range m.records {
			if k >= string(from) && k < string(to) {
				found = append(found, record{k, v})
			}
		}
		m.mu.Unlock()
		slices.SortFunc(found, func(a, b record) int { return strings.Compare(a.key, b.key) })
		for _, r := range found {
			if !yield(mqttx.Record{Key: []byte(r.key), Value: bytes.Clone(r.value)}, nil) {
				return
			}
		}
	}
}

// Block makes commits wait, before they change anything, until Unblock.
func (m *MemStore) Block() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		m.open = make(chan struct{})
	}
}

// Unblock lets commits go on.
func (m *MemStore) Unblock() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open != nil {
		close(m.open)
		m.open = nil
	}
}

// Fail makes commits change nothing and return err; nil: they work again.
func (m *MemStore) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Commits gives the number of commits that were made, and how many are waiting for Unblock.
func (m *MemStore) Commits() (made, waiting int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits, m.waiting
}

// Len gives the number of records.
func (m *MemStore) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}
