package mqttx

import (
	"iter"
	"slices"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
)

// keepRetained keeps w.l as the retained message of its topic, or clears the topic for an empty payload ([MQTT-3.3.1-5] to
// [MQTT-3.3.1-7], G35, G37). A code from 0x80 says that there is no room.
func (b *broker) keepRetained(w *way) (kept bool, code ReasonCode) {
	l := w.l
	b.retainMu.Lock()
	defer b.retainMu.Unlock()
	old, had := b.retained.Get(l.Topic)
	if len(l.Payload) == 0 {
		if had {
			b.forgetRetainedLocked(old)
			if b.journal != nil {
				w.commit = max(w.commit, b.journal.delRetained(l.Topic))
			}
		}
		return false, Success
	}
	lim := b.limits.Load()
	more := int64(l.size())
	if had {
		more -= int64(old.size())
	}
	if !had && b.n.retained.Load() >= int64(lim.Retained) || more > 0 && b.n.retainedBytes.Load()+more > int64(lim.RetainedBytes) {
		return false, QuotaExceeded
	}
	if had {
		b.forgetRetainedLocked(old)
	}
	b.enterRetainedLocked(l)
	if b.journal != nil {
		w.commit = max(w.commit, b.journal.putRetained(l))
	}
	return true, Success
}

func (b *broker) enterRetainedLocked(l *letter) {
	b.retained.Set(l.Topic, l)
	b.n.retained.Add(1)
	b.n.retainedBytes.Add(int64(l.size()))
	if !l.Expires.IsZero() {
		l.timer = &wheel.Timer{F: func() { b.retainedExpired(l) }}
		b.wheel.Set(l.timer, l.Expires)
	}
}

func (b *broker) forgetRetainedLocked(l *letter) {
	b.retained.Delete(l.Topic)
	b.n.retained.Add(-1)
	b.n.retainedBytes.Add(-int64(l.size()))
	if l.timer != nil {
		b.wheel.Stop(l.timer)
	}
}

// retainedExpired removes a retained message whose Message Expiry Interval has run out ([MQTT-3.3.2-5]).
func (b *broker) retainedExpired(l *letter) {
	b.retainMu.Lock()
	defer b.retainMu.Unlock()
	if now, ok := b.retained.Get(l.Topic); !ok || now != l {
		return
	}
	b.forgetRetainedLocked(l)
	if b.journal != nil {
		b.journal.delRetained(l.Topic)
	}
}

// appendRetained adds the retained messages that a subscription asks for, as far as the client may receive them.
func (b *broker) appendRetained(list []replay, s *session, x *sub) []replay {
	now := time.Now()
	for _, l := range b.retained.Match(x.Filter) {
		if l.expired(now) {
			continue
		}
		if b.has.allow && !s.mayReceive(nil, l, min(l.QoS, x.QoS)) {
			b.drop(s.who(), &l.Message, DropNotAllowed)
			continue
		}
		list = append(list, replay{l, x})
	}
	return list
}

// startReplay sends retained messages after their SUBACK: as room and window allow, never all at once. A repeated
// SUBSCRIBE starts its filter's replay anew in place of what is left of the one before.
func (c *Conn) startReplay(s *session, list []replay) {
	w := way{b: c.b}
	w.begin(nil, time.Now())
	s.mu.Lock()
	if s.conn.Load() != c {
		s.mu.Unlock()
		return
	}
	again := make(map[string]bool)
	for i := range list {
		again[list[i].sub.Filter] = true
	}
	s.replay = slices.DeleteFunc(s.replay, func(r replay) bool { return again[r.sub.Filter] })
	s.replay = append(s.replay, list...)
	if c.b.has.deliver {
		c.askPump()
	} else {
		s.pumpLocked(c, &w)
	}
	s.mu.Unlock()
	w.flush()
}

// Retained yields the retained messages that a filter matches, as they were when the loop began. A filter that is not
// valid matches nothing.
func (s *Server) Retained(filter string) iter.Seq[*Message] {
	b := s.open()
	return func(yield func(*Message) bool) {
		now := time.Now()
		for _, l := range b.retained.Match(filter) {
			if !l.expired(now) && !yield(&l.Message) {
				return
			}
		}
	}
}
