package mqttest_test

import (
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMemStore(t *testing.T) {
	mqttest.TestStore(t, func(t *testing.T) mqttx.Store { return &mqttest.MemStore{} })
}

func TestMemStoreReopened(t *testing.T) {
	var m mqttest.MemStore
	mqttest.TestStoreReopened(t, func(t *testing.T) mqttx.Store { return &m })
}

// scanner is a Store whose Scan is spoilt.
type scanner struct {
	mqttest.MemStore
	scan func(yield func(mqttx.Record, error) bool, all iter.Seq2[mqttx.Record, error])
}

func (s *scanner) Scan(from, to []byte) iter.Seq2[mqttx.Record, error] {
	return func(yield func(mqttx.Record, error) bool) { s.scan(yield, s.MemStore.Scan(from, to)) }
}

// committer is a Store whose Commit is spoilt.
type committer struct {
	mqttest.MemStore
	spoil func(c []mqttx.Change) []mqttx.Change
}

func (s *committer) Commit(b *mqttx.Batch) error {
	return s.MemStore.Commit(&mqttx.Batch{Changes: s.spoil(b.Changes)})
}

// keeper is a Store that keeps the slices of the newest batch for later.
type keeper struct {
	mqttest.MemStore
	kept []mqttx.Change
}

func (s *keeper) Commit(b *mqttx.Batch) error {
	err := s.MemStore.Commit(&mqttx.Batch{Changes: s.kept})
	s.kept = append([]mqttx.Change(nil), b.Changes...)
	return err
}

func (s *keeper) Scan(from, to []byte) iter.Seq2[mqttx.Record, error] {
	s.MemStore.Commit(&mqttx.Batch{Changes: s.kept})
	s.kept = nil
	return s.MemStore.Scan(from, to)
}

func TestStoreFindsFaults(t *testing.T) {
	each := func(f func(c mqttx.Change) (mqttx.Change, bool)) *committer {
		return &committer{spoil: func(in []mqttx.Change) (out []mqttx.Change) {
			for _, c := range in {
				if c, keep := f(c); keep {
					out = append(out, c)
				}
			}
			return out
		}}
	}
	for name, s := range map[string]mqttx.Store{
		"deletes nothing":    each(func(c mqttx.Change) (mqttx.Change, bool) { return c, !c.Delete }),
		"no range":           each(func(c mqttx.Change) (mqttx.Change, bool) { return c, c.To == nil }),
		"range takes To":     each(func(c mqttx.Change) (mqttx.Change, bool) { return upTo(c), true }),
		"no empty values":    each(func(c mqttx.Change) (mqttx.Change, bool) { return c, c.Delete || c.To != nil || len(c.Value) > 0 }),
		"cuts at NUL":        each(func(c mqttx.Change) (mqttx.Change, bool) { c.Key, _, _ = cutNUL(c.Key); return c, true }),
		"backwards":          &committer{spoil: reversed},
		"first change only":  &committer{spoil: func(c []mqttx.Change) []mqttx.Change { return c[:min(len(c), 1)] }},
		"small batches only": &committer{spoil: func(c []mqttx.Change) []mqttx.Change { return c[:min(len(c), 1000)] }},
		"small values only": each(func(c mqttx.Change) (mqttx.Change, bool) {
			c.Value = c.Value[:min(len(c.Value), 1<<20)]
			return c, true
		}),
		"keeps slices":         &keeper{},
		"scans backwards":      &scanner{scan: backwards},
		"scans all but one":    &scanner{scan: skipFirst},
		"scan reports failure": &scanner{scan: failing},
	} {
		t.Run(name, func(t *testing.T) {
			if !anyFails(t, func(t testing.TB) { mqttest.AllStoreParts(t, func() mqttx.Store { return fresh(s) }) }) {
				t.Error("no part of the suite has found it")
			}
		})
	}
}

// fresh gives a Store like s with nothing in it.
func fresh(s mqttx.Store) mqttx.Store {
	switch s := s.(type) {
	case *committer:
		return &committer{spoil: s.spoil}
	case *scanner:
		return &scanner{scan: s.scan}
	}
	return &keeper{}
}

func upTo(c mqttx.Change) mqttx.Change {
	if c.To != nil {
		c.To = append(append([]byte{}, c.To...), 0)
	}
	return c
}

func cutNUL(b []byte) (before, after []byte, found bool) {
	for i, x := range b {
		if x == 0 && i > 0 {
			return b[:i], b[i:], true
		}
	}
	return b, nil, false
}

func reversed(in []mqttx.Change) (out []mqttx.Change) {
	for i := range in {
		out = append(out, in[len(in)-1-i])
	}
	return out
}

func backwards(yield func(mqttx.Record, error) bool, all iter.Seq2[mqttx.Record, error]) {
	var rs []mqttx.Record
	for r := range all {
		rs = append(rs, r)
	}
	for i := range rs {
		if !yield(rs[len(rs)-1-i], nil) {
			return
		}
	}
}

func skipFirst(yield func(mqttx.Record, error) bool, all iter.Seq2[mqttx.Record, error]) {
	first := true
	for r := range all {
		if !first && !yield(r, nil) {
			return
		}
		first = false
	}
}

func failing(yield func(mqttx.Record, error) bool, _ iter.Seq2[mqttx.Record, error]) {
	yield(mqttx.Record{}, errors.New("disk on fire"))
}

func TestStoreReopenedFindsLoss(t *testing.T) {
	if !anyFails(t, func(t testing.TB) {
		mqttest.StoreReopened(t, func() mqttx.Store { return &mqttest.MemStore{} })
	}) {
		t.Error("a Store that forgets all has passed")
	}
}

func TestMemStoreBlockAndFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m mqttest.MemStore
		s := &mqttx.Server{Handler: mqttx.AllowAnonymous(), Store: &m}
		mqttest.Start(t, s)
		expiry := uint32(1000)
		sub := mqttest.Connect(t, s, &packet.Connect{ClientID: "sub", SessionExpiryInterval: &expiry})
		sub.Subscribe("t", 1)
		pub := mqttest.Connect(t, s, nil)

		m.Block()
		pub.Send(&packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1})
		pub.Nothing() // not acknowledged before it is safe
		if _, waiting := m.Commits(); waiting != 1 {
			t.Errorf("%d commits wait, want 1", waiting)
		}
		m.Unblock()
		mqttest.Expect[*packet.Puback](pub)
		sub.Receive()

		m.Fail(errors.New("disk full"))
		made, _ := m.Commits()
		pub.Send(&packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 2})
		pub.Nothing()
		mqttest.Advance(time.Minute) // it is tried again and again
		pub.Nothing()
		if now, _ := m.Commits(); now != made {
			t.Errorf("%d commits were made while they failed", now-made)
		}
		m.Fail(nil)
		mqttest.Advance(time.Minute)
		mqttest.Expect[*packet.Puback](pub)
		sub.Receive()
		if m.Len() == 0 {
			t.Error("the Store is empty")
		}
	})
}

// A test that ends while commits are blocked does not hang, and one that ends while they fail is told.
func TestMemStoreAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(m *mqttest.MemStore)
		want string
	}{
		{"blocked", (*mqttest.MemStore).Block, ""},
		{"failing", func(m *mqttest.MemStore) { m.Fail(errors.New("disk full")) }, "mqttest: closing the server: disk full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m mqttest.MemStore
				got := failure(t, func(t testing.TB) {
					s := &mqttx.Server{Handler: mqttx.AllowAnonymous(), Store: &m}
					mqttest.Start(t, s)
					pub := mqttest.Connect(t, s, nil)
					c.f(&m)
					pub.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("kept"), Retain: true, QoS: 1, PacketID: 1})
					pub.Nothing()
				})
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}
