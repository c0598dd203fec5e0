package mqttx

import (
	"context"
	"time"
)

// route sends w.l to everybody who subscribed, and tells how many that are. A code from 0x80 says that nobody has it,
// because there was no room.
func (b *broker) route(w *way) (matched int, code ReasonCode) {
	kept := false
	if w.l.Retain {
		w.l = w.l.keep()
		if kept, code = b.keepRetained(w); code >= 0x80 {
			if w.canRefuse() {
				return 0, code
			}
			b.drop(w.l.From, &w.l.Message, DropRetainedFull)
		}
	}
	b.n.published.Add(1)
	if t := b.trace; t != nil && t.Published != nil {
		w.l = w.l.keep()
		b.watch("Published", func() { t.Published(&w.l.Message) })
	}
	w.collect()
	matched = len(w.targets)
	some, fulls := kept, 0
	for i := range w.targets {
		switch w.targets[i].s.accept(w, &w.targets[i]) {
		case took:
			some = true
		case full:
			fulls++
		}
		w.targets[i] = target{}
	}
	if !some && fulls > 0 {
		return matched, QuotaExceeded
	}
	return matched, Success
}

// canRefuse tells whether the publisher of w.l can be told that it is not accepted: a client of MQTT 5.0 that waits for an
// acknowledgement, or the program. A will, QoS 0, and what 3.1 and 3.1.1 clients publish is routed all the same (G35).
func (w *way) canRefuse() bool {
	if w.by == nil {
		return w.l.From.ID == ""
	}
	return w.by.version == V5 && w.pub.QoS > 0
}

const fewTargets = 16 // up to here a receiver with several subscriptions is looked for one by one

// collect finds the receivers of w.l: one copy for each, at the highest QoS and with the identifiers of all its matching
// subscriptions ([MQTT-3.3.4-2] to [MQTT-3.3.4-4], G24); shared subscriptions make copies of their own (G25).
func (w *way) collect() {
	w.targets = w.targets[:0]
	var index map[*session]int
	for s, x := range w.b.router.MatchAndAdvance(w.l.Topic) {
		if x.NoLocal && s.id == w.l.From.ID { // by id: a will may outlive its session (G84)
			continue
		}
		if x.Share == "" && s.plain.Load() > 1 {
			at := -1
			if index != nil {
				if i, ok := index[s]; ok {
					at = i
				}
			} else {
				for i := range w.targets {
					if w.targets[i].s == s && w.targets[i].sub == nil {
						at = i
						break
					}
				}
			}
			if at >= 0 {
				w.targets[at].merge(x)
				continue
			}
			if index == nil && len(w.targets) >= fewTargets {
				index = make(map[*session]int, 4*fewTargets)
				for i := range w.targets {
					if w.targets[i].sub == nil {
						index[w.targets[i].s] = i
					}
				}
			}
			if index != nil {
				index[s] = len(w.targets)
			}
		}
		t := target{s: s, ids: x.ids, qos: x.QoS, retain: x.RetainAsPublished}
		if x.Share != "" {
			t.sub = x
		}
		w.targets = append(w.targets, t)
	}
}

// merge adds another matching subscription of the same receiver.
func (t *target) merge(x *sub) {
	t.qos = max(t.qos, x.QoS)
	t.retain = t.retain || x.RetainAsPublished
	if x.ids != nil {
		t.ids = append(t.ids[:len(t.ids):len(t.ids)], x.ids...)
	}
}

// Publish routes m to all subscribers, in the program's own name, and keeps it if m.Retain says so. Allow is not asked
// about it, but about whoever receives it. At QoS 1 and 2 it returns when m is safe: in the queues of its receivers, and in
// the Store if there is one. m must not be changed afterwards. It waits for the Store, and up to 10 ms for a receiver that does
// not take what it is sent, but for the latter not with the ctx of a callback. Errors are ctx's, a message that is not valid,
// [ErrServerClosed], that of a Store, or an *[Error] with QuotaExceeded if there was no room for it anywhere.
func (s *Server) Publish(ctx context.Context, m *Message) error {
	b := s.open()
	if b.openErr != nil {
		return b.openErr
	}
	if err := checkMessage(m); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.isFinished() {
		return ErrServerClosed
	}
	w := way{b: b}
	w.begin(newLetter(m), time.Now())
	_, code := b.route(&w)
	w.flush()
	if code >= 0x80 {
		return &Error{Code: code}
	}
	if w.full != nil {
		b.waitRoom(ctx, w.full)
	}
	if m.QoS > 0 && b.journal != nil {
		return b.journal.wait(ctx, w.commit)
	}
	return nil
}

// waitRoom pauses a publisher in process for a receiver that does not take what it is sent, as [Conn] does for clients. It
// does not pause a callback, whose own connection may be the one.
func (b *broker) waitRoom(ctx context.Context, full *Conn) {
	if _, inCallback := ctx.Value(connKey{}).(*Conn); inCallback {
		return
	}
	full.out.mu.Lock()
	room := full.out.roomLocked()
	moved := full.out.moved
	full.out.mu.Unlock()
	if room == nil {
		return
	}
	t := time.NewTimer(longestPause)
	defer t.Stop()
	select {
	case <-room:
	case <-ctx.Done():
	case <-t.C:
		full.out.pausedInVain(moved)
	}
}

// publishLetter routes a will that is due, under the rules of now.
func (b *broker) publishLetter(l *letter) {
	if b.has.allow {
		a := Access{Client: l.From, Op: OpPublish, Topic: l.Topic, QoS: l.QoS, Retain: l.Retain}
		if err := b.allowed(context.Background(), a); err != nil {
			b.drop(l.From, &l.Message, DropNotAllowed)
			return
		}
	}
	w := way{b: b}
	w.begin(l, time.Now())
	if _, code := b.route(&w); code >= 0x80 {
		b.log.warn("will not delivered", "client", l.From.ID, "topic", l.Topic, "code", code.String())
	}
	w.flush()
}

// publishWill publishes a will at once.
func (b *broker) publishWill(x *will) { b.publishLetter(x.due(time.Now(), 0)) }

// passOn gives a message of a shared subscription whose receiver is gone to another member of the group.
func (b *broker) passOn(gone *session, e *entry) {
	w := way{b: b}
	w.begin(e.l, time.Now())
	if e.l.expired(w.now) {
		b.n.expired.Add(1)
		return
	}
	for s, x := range b.router.MatchAndAdvance(e.l.Topic) {
		if x.Share == e.sub.Share && x.Filter == e.sub.Filter && s != gone {
			s.accept(&w, &target{s: s, sub: x, ids: x.ids, qos: x.QoS, retain: x.RetainAsPublished})
			w.flush()
			return
		}
	}
	b.drop(gone.who(), &e.l.Message, DropSessionEnded)
}
