package mqttx

import (
	"context"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// takeSession gives the connection the session of its client id, alone: an older connection is told SessionTakenOver and
// its Disconnected has returned before this does ([MQTT-3.1.4-3], N1). No lock is held while it waits, and only this
// client does.
func (c *Conn) takeSession(ctx context.Context, clean bool, prev *Conn) (*session, error) {
	if prev != nil && !c.waitGone(ctx, prev) {
		c.behind = prev
		return nil, ServerBusy
	}
	return c.b.settle(c, clean)
}

// waitGone waits until prev has gone, as long as there is time for CONNECT; the connection's own end also ends the wait.
func (c *Conn) waitGone(ctx context.Context, prev *Conn) bool {
	select {
	case <-prev.gone:
		return true
	default:
	}
	select {
	case <-prev.gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// claim makes c the owner of its client id and gives the owner before it, which is to go. A session belongs to its user:
// another one is refused, and nothing changes.
func (b *broker) claim(c *Conn) (prev *Conn, err error) {
	client := c.client.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil, ServerUnavailable
	}
	s := b.sessions[client.ID]
	if s == nil {
		if len(b.sessions) >= b.limits.Load().Sessions {
			return nil, QuotaExceeded
		}
		s = b.newSession(client.ID, client)
		s.owner = c
		b.sessions[client.ID] = s
		c.claimed = true
		return nil, nil
	}
	if s.client.Load().User != client.User {
		return nil, &Error{Code: NotAuthorized, Err: errOtherUser}
	}
	prev, s.owner = s.owner, c
	c.claimed = true
	return prev, nil
}

// settle finds the session when the owner before has gone.
func (b *broker) settle(c *Conn, clean bool) (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[c.client.Load().ID]
	if s == nil || s.owner != c {
		return nil, &Error{Code: ServerBusy, Err: errTakenOver}
	}
	b.wheel.Stop(&s.timer)
	c.present = s.established && !clean
	return s, nil
}

// renew gives a client that asked for Clean Start a new session, once nothing can refuse it any more, and ends the stored
// one ([MQTT-3.1.2-4], [MQTT-3.1.4-4], G46).
func (b *broker) renew(c *Conn, s *session) (*session, error) {
	b.mu.Lock()
	if b.sessions[s.id] != s || s.owner != c {
		b.mu.Unlock()
		return nil, &Error{Code: ServerBusy, Err: errTakenOver}
	}
	if c.present || !s.established {
		b.mu.Unlock()
		return s, nil
	}
	n := b.newSession(s.id, c.client.Load())
	n.owner = c
	b.sessions[s.id] = n
	s.unstore()
	b.mu.Unlock()
	s.die()
	return n, nil
}

// attach makes the session take messages for c and sends CONNACK, then what has waited.
func (c *Conn) attach(s *session, ack *packet.Connack) {
	w := c.way
	w.begin(nil, time.Now())
	c.b.mu.Lock()
	if !s.established {
		s.established = true
		c.b.n.sessions.Add(1)
	}
	c.b.mu.Unlock()
	c.postMu.Lock()
	c.sess.Store(s)
	early := c.early
	c.early = nil
	c.postMu.Unlock()

	s.mu.Lock()
	s.client.Store(c.client.Load())
	s.expiry, s.endAt = c.expiry, time.Time{}
	s.will, s.willAt = nil, time.Time{}
	s.quota = c.window
	s.again = s.open.head
	for e := s.open.head; e != nil; e = e.next {
		e.counted = false
	}
	for id := range s.received {
		s.received[id] = received{c.b.ms(), 0}
	}
	c.out.mu.Lock()
	if c.out.closing {
		c.out.mu.Unlock()
		s.mu.Unlock()
		c.phase = phaseEnd
		return
	}
	ack.SessionPresent = c.present
	c.putLocked(ack)
	c.out.acked = true
	w.touchLocked(c)
	c.out.mu.Unlock()
	s.conn.Store(c)
	s.mu.Unlock()

	c.phase, c.setup = phaseOpen, nil
	c.b.n.connections.Add(1)
	c.counts = true
	c.armKeepAlive()
	if t := c.b.trace; t != nil && t.Connected != nil {
		c.b.watch("Connected", func() { t.Connected(c) })
	}
	for _, m := range early {
		w.begin(newLetter(m), w.now)
		s.send(w)
	}
	w.begin(nil, w.now)
	s.mu.Lock()
	switch {
	case c.b.has.deliver:
		c.askPump()
	default:
		s.pumpLocked(c, w)
	}
	c.armResendLocked(s)
	s.mu.Unlock()
	c.postMu.Lock()
	if len(c.posts) > 0 {
		c.startTasksLocked()
	}
	c.postMu.Unlock()
}

// finish ends what a connection has begun, once, when its driver reads no more: the session sleeps or ends, the will goes
// its way, Disconnected is called. It runs on the turn.
func (c *Conn) finish() {
	c.takeTurn()
	b := c.b
	c.phase = phaseEnd
	b.wheel.Stop(&c.timer)
	b.wheel.Stop(&c.resend)
	c.uncount()
	c.tail = nil
	s := c.sess.Load()
	if s != nil {
		s.mu.Lock()
		if s.conn.Load() == c {
			s.conn.Store(nil)
		}
		s.mu.Unlock()
	}
	if c.counts {
		b.n.connections.Add(-1)
	}
	delayed := c.will != nil && s != nil && c.will.delay > 0 && c.expiry > 0 && b.compat&CleanSessionsOnly == 0
	if c.will != nil && s != nil && !delayed {
		b.publishWill(c.will)
	}
	c.callDisconnected()
	if t := b.trace; t != nil && t.Refused != nil && !c.counts && !c.told {
		b.watch("Refused", func() { t.Refused(c.Client(), c.why) })
	}
	if c.counts {
		if t := b.trace; t != nil && t.Disconnected != nil {
			b.watch("Disconnected", func() { t.Disconnected(c, c.why) })
		}
	}
	if c.claimed {
		c.leaveSession(s, delayed)
	}
	c.endTurn()
	if p := c.behind; p != nil { // nobody passes the connection that c waited for in vain
		go func() {
			<-p.gone
			close(c.gone)
		}()
	} else {
		close(c.gone)
	}
}

// leaveSession lets go of the client id: the session goes on to a newer owner, sleeps until it expires, or ends.
func (c *Conn) leaveSession(s *session, delayed bool) {
	b := c.b
	now := time.Now()
	sleeps := c.expiry > 0 && b.compat&CleanSessionsOnly == 0
	id := c.client.Load().ID
	b.mu.Lock()
	c.left = true
	held := b.sessions[id]
	if held != s && held != nil && held.owner == c { // refused after the claim, or EndSession has put a new one there
		held.owner = nil
		if p := c.behind; p != nil && !p.left {
			held.owner = p
		} else if !held.established {
			delete(b.sessions, id)
		}
	}
	switch {
	case s == nil:
		b.mu.Unlock()
		if held != nil {
			held.armTimer()
		}
		return
	case sleeps:
		if held == s && s.owner == c {
			s.owner = nil
		}
		b.mu.Unlock()
		s.sleep(c, now, delayed)
		return
	}
	ghost := b.compat&CleanSessionsOnly != 0 && c.expiry > 0 && held == s && s.owner == c
	if held == s {
		if s.owner != c && s.owner != nil || ghost {
			n := b.newSession(id, s.client.Load())
			n.owner = s.owner
			if ghost {
				n.owner = nil
				n.expiry = c.expiry
				n.endAt = after(now, c.expiry)
			}
			b.sessions[id] = n
			if ghost {
				defer n.armTimer()
			}
		} else {
			delete(b.sessions, id)
		}
	}
	stored := s.unstore()
	b.mu.Unlock()
	s.die()
	if c.version == V5 && !ghost && c.expiry == 0 && (c.expiryAsked || b.compat&NoExpiryIfAbsent == 0) {
		if stored {
			go b.sessionExpired(s)
		} else {
			b.callSessionExpired(s.who())
		}
	}
}

// unstore takes everything of a session that leaves broker.sessions out of the Store, and tells whether there was anything.
// It is called under broker.mu: what a later session with the same id writes comes after that.
func (s *session) unstore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.durable
	if stored {
		s.durable = false
		s.b.journal.delSession(s)
	}
	return stored
}

// sessionExpired calls SessionExpired once nothing of the session is left in the Store either (G48). If the server closes
// before that, the next one finds the session there and ends it.
func (b *broker) sessionExpired(s *session) {
	if j := b.journal; j != nil && j.wait(context.Background(), j.position()) != nil {
		return
	}
	b.callSessionExpired(s.who())
}

// setExpiry takes the Session Expiry Interval of DISCONNECT.
func (c *Conn) setExpiry(d time.Duration) { c.expiry, c.expiryAsked = d, true }

// saveSession writes the session to the Store, if it is to outlive its connection there, and waits until that is safe.
func (c *Conn) saveSession(ctx context.Context, s *session) error {
	j := c.b.journal
	if j == nil {
		return nil
	}
	s.mu.Lock()
	was, endAt, due, dueAt := s.durable, s.endAt, s.will, s.willAt
	s.endAt, s.will, s.willAt = time.Time{}, nil, time.Time{}
	s.client.Store(c.client.Load())
	s.expiry = c.expiry
	s.durable = !s.dead && c.expiry > 0 && c.b.compat&CleanSessionsOnly == 0
	var commit uint64
	switch {
	case s.durable:
		commit = j.putSession(s)
	case was:
		commit = j.delSession(s)
	}
	s.mu.Unlock()
	err := j.wait(ctx, commit)
	if err != nil { // it sleeps on
		s.mu.Lock()
		s.endAt, s.will, s.willAt = endAt, due, dueAt
		if was {
			j.putSession(s)
		}
		s.mu.Unlock()
	}
	return err
}

// sleep notes when the session expires and when a delayed will is due, whichever comes first.
func (s *session) sleep(c *Conn, now time.Time, delayed bool) {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		if delayed {
			s.b.publishWill(c.will)
		}
		return
	}
	s.expiry = c.expiry
	s.endAt = after(now, c.expiry)
	if delayed {
		s.will = c.will.due(now, min(c.will.delay, c.expiry))
		s.willAt = now.Add(min(c.will.delay, c.expiry))
	}
	if s.durable {
		s.b.journal.putSession(s)
	}
	s.mu.Unlock()
	s.armTimer()
}

// after gives now+d; zero if that is never.
func after(now time.Time, d time.Duration) time.Time {
	if d == forever {
		return time.Time{}
	}
	return now.Add(d)
}

// due gives the will's message as it will be published in d.
func (w *will) due(now time.Time, d time.Duration) *letter {
	l := &letter{Message: w.l.Message}
	if w.expires >= 0 {
		l.Expires = now.Add(d + w.expires)
	}
	l.Will = false
	return l
}

// armTimer sets the session's timer to what comes next.
func (s *session) armTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.endAt
	if !s.willAt.IsZero() && (next.IsZero() || s.willAt.Before(next)) {
		next = s.willAt
	}
	if !next.IsZero() && !s.dead && s.conn.Load() == nil {
		s.b.wheel.Set(&s.timer, next)
	}
}

// timeUp is what the session's timer calls: the will is due, or the session has expired (G45, G47).
func (s *session) timeUp() {
	b := s.b
	now := time.Now()
	b.mu.Lock()
	if b.sessions[s.id] != s || s.owner != nil {
		b.mu.Unlock()
		return
	}
	s.mu.Lock()
	var due *letter
	if !s.willAt.IsZero() && !now.Before(s.willAt) {
		due, s.will, s.willAt = s.will, nil, time.Time{}
	}
	ends := !s.endAt.IsZero() && !now.Before(s.endAt)
	if s.durable && due != nil && !ends {
		b.journal.putSession(s)
	}
	s.mu.Unlock()
	if ends {
		delete(b.sessions, s.id)
		s.unstore()
	}
	b.mu.Unlock()
	go func() {
		if due != nil {
			b.publishLetter(due)
		}
		if ends {
			s.die()
			b.sessionExpired(s)
		}
	}()
	if !ends {
		s.armTimer()
	}
}

// die frees everything of a session that has left broker.sessions: its subscriptions, messages, ids and will. A will that
// was still waiting goes out; QoS 1 messages of shared subscriptions go to another member ([MQTT-4.8.2-5], G25).
func (s *session) die() {
	b := s.b
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return
	}
	s.dead = true
	b.wheel.Stop(&s.timer)
	if s.established {
		b.n.sessions.Add(-1)
	}
	b.router.UnsubscribeAll(s)
	b.n.subscriptions.Add(-int64(len(s.subs)))
	s.plain.Store(0)
	due := s.will
	s.will, s.willAt, s.endAt = nil, time.Time{}, time.Time{}
	s.subs, s.received, s.replay, s.byID, s.again = nil, nil, nil, nil, nil
	var pass []*entry
	for _, list := range []*entries{&s.open, &s.queue} {
		for e := list.head; e != nil; e = list.head {
			list.remove(e)
			if e.sub != nil && (e.id == 0 || e.qos == 1) {
				pass = append(pass, &entry{l: e.l, sub: e.sub})
			} else {
				b.drop(s.who(), &e.l.Message, DropSessionEnded)
			}
			e.seq = 0 // the range below takes it
			s.forgetLocked(e)
		}
	}
	if s.durable {
		b.journal.delSession(s)
	}
	s.mu.Unlock()
	if due != nil {
		b.publishLetter(due)
	}
	for _, e := range pass {
		b.passOn(s, e)
	}
}
