package mqttx

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/e8743928/mqttx/topic"
)

// load brings back what the Store holds: retained messages, and sessions with all that belongs to them. Sessions that were
// connected begin to expire now.
func (b *broker) load() error {
	now := time.Now()
	for r, err := range b.store.Scan([]byte{ofRetained}, []byte{ofRetained + 1}) {
		if err != nil {
			return fmt.Errorf("mqttx: reading the Store: %w", err)
		}
		v := newReader(r.Value)
		l := v.message()
		if v.err != nil || l.Topic != string(r.Key[1:]) {
			return recordError(r.Key, v.err)
		}
		if l.expired(now) {
			b.journal.delRetained(l.Topic)
			continue
		}
		b.retainMu.Lock()
		b.enterRetainedLocked(l)
		b.retainMu.Unlock()
	}
	for r, err := range b.store.Scan([]byte{ofSession}, []byte{ofSession + 1}) {
		if err != nil {
			return fmt.Errorf("mqttx: reading the Store: %w", err)
		}
		if err := b.loadRecord(r); err != nil {
			return recordError(r.Key, err)
		}
	}
	for _, s := range b.allSessions() {
		if s.endAt.IsZero() {
			s.endAt = after(now, s.expiry)
		}
		if passed(s.endAt, now) || passed(s.willAt, now) {
			s.timeUp() // before a client can resume what is over
			continue
		}
		s.armTimer()
	}
	return nil
}

// passed tells whether a point in time has come; zero never does.
func passed(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

func recordError(key []byte, err error) error {
	if err == nil {
		err = errRecord
	}
	return fmt.Errorf("%w (key %q)", err, cut(string(key)))
}

// loadRecord takes one record of a session.
func (b *broker) loadRecord(r Record) error {
	k := r.Key[1:]
	if len(k) < 2 {
		return errRecord
	}
	n := int(k[0])<<8 | int(k[1])
	if len(k) < 2+n+1 {
		return errRecord
	}
	id, kind, rest := string(k[2:2+n]), k[2+n], k[3+n:]
	v := newReader(r.Value)
	s := b.sessions[id]
	if s == nil && kind != kindSession {
		return errRecord
	}
	switch kind {
	case kindSession:
		b.loadSession(id, v)
	case kindSub:
		return s.loadSub(string(rest), v)
	case kindEntry:
		return s.loadEntry(rest, v)
	case kindReceived:
		if len(rest) != 2 {
			return errRecord
		}
		if s.received == nil {
			s.received = make(map[uint16]received)
		}
		s.received[binary.BigEndian.Uint16(rest)] = received{at: b.ms()}
	default:
		return errRecord
	}
	return v.err
}

func (b *broker) loadSession(id string, v *reader) {
	c := v.client()
	s := b.newSession(id, &c)
	s.established, s.durable = true, true
	s.expiry = time.Duration(v.num())
	s.endAt = v.time()
	if s.willAt = v.time(); !s.willAt.IsZero() {
		s.will = v.message()
	}
	if v.err != nil {
		return
	}
	b.sessions[id] = s
	b.n.sessions.Add(1)
}

func (s *session) loadSub(filter string, v *reader) error {
	x := &sub{}
	x.Share, x.Filter = topic.Share(filter)
	x.QoS, x.RetainHandling = QoS(v.byte()), v.byte()
	flags := v.byte()
	x.NoLocal, x.RetainAsPublished = flags&1 != 0, flags&2 != 0
	if x.ID = uint32(v.num()); x.ID != 0 {
		x.ids = []uint32{x.ID}
	}
	if v.err != nil || x.QoS > 2 {
		return errRecord
	}
	s.durable = false // it is in the Store already
	defer func() { s.durable = true }()
	if _, code := s.subscribe(&way{b: s.b}, x); code != Success && code != QuotaExceeded {
		return errRecord
	}
	return nil
}

func (s *session) loadEntry(seq []byte, v *reader) error {
	if len(seq) != 8 {
		return errRecord
	}
	e := &entry{seq: binary.BigEndian.Uint64(seq), qos: QoS(v.byte())}
	flags := v.byte()
	e.retain, e.sent, e.released = flags&1 != 0, flags&2 != 0, flags&4 != 0
	e.id = uint16(v.num())
	for n := v.num(); n > 0 && v.err == nil; n-- {
		e.ids = append(e.ids, uint32(v.num()))
	}
	if filter := v.text(); filter != "" {
		e.sub = &sub{}
		e.sub.Share, e.sub.Filter = topic.Share(filter)
	}
	e.l = v.message()
	if v.err != nil || e.qos == 0 || e.qos > 2 {
		return errRecord
	}
	s.seq = max(s.seq, e.seq)
	s.b.n.queued.Add(1)
	s.b.n.queuedBytes.Add(int64(e.size()))
	if e.id == 0 {
		s.queue.push(e)
		return nil
	}
	if s.byID == nil {
		s.byID = make(map[uint16]*entry)
	}
	if s.byID[e.id] != nil {
		return errRecord
	}
	s.byID[e.id] = e
	s.lastID = max(s.lastID, e.id)
	s.open.push(e)
	return nil
}
