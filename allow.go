package mqttx

import (
	"context"
	"errors"
	"strings"
)

// verdicts are the answers of Allow that a session remembers, until Recheck. They are under session.mu.
type verdicts struct {
	epoch uint64
	of    map[access]bool
}

// access is an Access of a known client.
type access struct {
	topic  string
	op     Op
	qos    QoS
	retain bool
}

const maxVerdicts = 256 // remembered for one session; then all are asked again

// askAllow asks one handler.
func (b *broker) askAllow(ctx context.Context, t *table, a Access) error {
	return b.guard(t, "Allow", func() error { return t.allow(ctx, a) })
}

// allowed asks all handlers.
func (b *broker) allowed(ctx context.Context, a Access) error {
	for _, t := range b.tables {
		if t.allow != nil {
			if err := b.askAllow(ctx, t, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// recall looks an answer up.
func (s *session) recall(k access) (yes, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verdicts.epoch != s.b.epoch.Load() {
		s.verdicts = verdicts{epoch: s.b.epoch.Load()}
		return false, false
	}
	yes, known = s.verdicts.of[k]
	return yes, known
}

// remember keeps an answer that was given in epoch.
func (s *session) remember(k access, yes bool, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verdicts.epoch != epoch || epoch != s.b.epoch.Load() {
		return
	}
	if s.verdicts.of == nil || len(s.verdicts.of) >= maxVerdicts {
		s.verdicts.of = make(map[access]bool)
	}
	k.topic = strings.Clone(k.topic)
	s.verdicts.of[k] = yes
}

// mayReceive tells whether the session's client may receive l at qos. No lock is held.
func (s *session) mayReceive(w *way, l *letter, qos QoS) bool {
	k := access{topic: l.Topic, op: OpReceive, qos: qos, retain: l.Retain}
	if yes, known := s.recall(k); known {
		return yes
	}
	if w != nil {
		w.flush() // nobody's message waits for the call
	}
	epoch := s.b.epoch.Load()
	kept := strings.Clone(l.Topic)
	a := Access{Client: s.who(), Op: OpReceive, Topic: kept, QoS: qos, Retain: l.Retain}
	yes := s.allowed(context.Background(), a)
	s.remember(k, yes, epoch)
	return yes
}

// allowed asks all handlers about an access of the session's client that it has not just asked for. A Disconnect error
// ends its connection, if there is one (G14). No lock is held.
func (s *session) allowed(ctx context.Context, a Access) bool {
	err := s.b.allowed(ctx, a)
	var d *disconnect
	if c := s.conn.Load(); c != nil && errors.As(err, &d) {
		c.endWith(err)
	}
	return err == nil
}

// allowPublish asks one handler about a PUBLISH; a yes is remembered where there is only one to ask.
func (c *Conn) allowPublish(ctx context.Context, t *table, a Access) error {
	s := c.sess.Load()
	if s == nil || len(c.b.tables) > 1 {
		a.Topic = strings.Clone(a.Topic)
		return c.b.askAllow(ctx, t, a)
	}
	k := access{topic: a.Topic, op: OpPublish, qos: a.QoS, retain: a.Retain}
	if yes, known := s.recall(k); known && yes {
		return nil
	}
	epoch := c.b.epoch.Load()
	a.Topic = strings.Clone(a.Topic)
	err := c.b.askAllow(ctx, t, a)
	if err == nil {
		s.remember(k, true, epoch)
	}
	return err
}

// Recheck asks Allow again for everything that stands: subscriptions of connected and sleeping sessions, and messages
// that wait in them. What is refused now is taken away; messages are dropped with [DropNotAllowed]. An error is ctx's.
func (s *Server) Recheck(ctx context.Context) error {
	b := s.open()
	b.epoch.Add(1)
	for _, x := range b.allSessions() {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.judge(ctx)
	}
	return nil
}

// judge asks Allow about the session's subscriptions and messages, and drops what is refused. No lock is held over a call.
func (s *session) judge(ctx context.Context) {
	b := s.b
	if !b.has.allow {
		return
	}
	for _, sub := range s.subscriptions() {
		a := Access{Client: s.who(), Op: OpSubscribe, Topic: sub.Filter, QoS: sub.QoS}
		if !s.allowed(ctx, a) {
			s.unsubscribe(sub.key())
		}
	}
	s.mu.Lock()
	var waiting []*letter
	seen := make(map[*letter]bool)
	for _, list := range []*entries{&s.open, &s.queue} {
		for e := list.head; e != nil; e = e.next {
			if !seen[e.l] {
				seen[e.l] = true
				waiting = append(waiting, e.l)
			}
		}
	}
	for _, r := range s.replay {
		if !seen[r.l] {
			seen[r.l] = true
			waiting = append(waiting, r.l)
		}
	}
	s.mu.Unlock()
	refused := make(map[*letter]bool)
	for _, l := range waiting {
		if !s.mayReceive(nil, l, l.QoS) {
			refused[l] = true
		}
	}
	if len(refused) > 0 {
		s.dropRefused(refused)
	}
}

// dropRefused drops the messages that may not be received any more. An exchange whose PUBREC has come is finished.
func (s *session) dropRefused(refused map[*letter]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected := s.conn.Load() != nil
	for _, list := range []*entries{&s.open, &s.queue} {
		for e := list.head; e != nil; {
			next := e.next
			open := list == &s.open
			if refused[e.l] && !e.released && !(open && connected) {
				if open {
					s.closeLocked(e)
				} else {
					list.remove(e)
				}
				s.b.drop(s.who(), &e.l.Message, DropNotAllowed)
				s.forgetLocked(e)
			}
			e = next
		}
	}
	kept := s.replay[:0]
	for _, r := range s.replay {
		if !refused[r.l] {
			kept = append(kept, r)
		}
	}
	s.replay = kept
}
