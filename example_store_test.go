package mqttx_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/e8743928/mqttx"
)

var ctx = context.Background()

// mapStore is a Store in a map: enough to outlive a Server, not a process.
type mapStore struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *mapStore) Commit(b *mqttx.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range b.Changes {
		switch {
		case c.To != nil:
			for k := range s.m {
				if k >= string(c.Key) && k < string(c.To) {
					delete(s.m, k)
				}
			}
		case c.Delete:
			delete(s.m, string(c.Key))
		default:
			s.m[string(c.Key)] = slices.Clone(c.Value)
		}
	}
	return nil
}

func (s *mapStore) Scan(from, to []byte) iter.Seq2[mqttx.Record, error] {
	return func(yield func(mqttx.Record, error) bool) {
		s.mu.Lock()
		var found []mqttx.Record
		for k, v := range s.m {
			if k >= string(from) && k < string(to) {
				found = append(found, mqttx.Record{Key: []byte(k), Value: v})
			}
		}
		s.mu.Unlock()
		slices.SortFunc(found, func(a, b mqttx.Record) int { return slices.Compare(a.Key, b.Key) })
		for _, r := range found {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// A Store is two methods; mqttest.TestStore judges it.
func ExampleStore() {
	store := &mapStore{m: make(map[string][]byte)}
	first := mqttx.Server{Store: store}
	first.Publish(ctx, &mqttx.Message{Topic: "kept", Payload: []byte("over a restart"), QoS: 1, Retain: true})
	first.Close()

	second := mqttx.Server{Store: store}
	for m := range second.Retained("#") {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
	}
	second.Close()
	// Output: kept: over a restart
}
