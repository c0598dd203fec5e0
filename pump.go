package mqttx

import (
	"time"

	"github.com/e8743928/mqttx/packet"
)

// replay is one retained message that a SUBSCRIBE asked for and that is still to be sent.
type replay struct {
	l   *letter
	sub *sub
}

// pumpLocked sends what the session has, as far as the window and the outbox allow: first what was open when the
// connection began, in its old order (N7, [MQTT-4.4.0-1]), then retained messages, then the queue.
func (s *session) pumpLocked(c *Conn, w *way) {
	mine := w.l
	for s.stepLocked(c, w) {
	}
	if w.l != mine {
		w.turnTo(mine)
	}
}

// stepLocked sends one packet; false: there is nothing to send, or no room.
func (s *session) stepLocked(c *Conn, w *way) bool {
	if s.again == nil && len(s.replay) == 0 && s.queue.head == nil {
		return false
	}
	if !c.out.ready() {
		return false
	}
	if e := s.again; e != nil {
		if !e.released && s.quota <= 0 {
			return false
		}
		s.again = e.next
		s.quota--
		e.counted = true
		s.sendOpenLocked(c, w, e)
		return true
	}
	if len(s.replay) > 0 {
		return s.replayLocked(c, w)
	}
	e := s.queue.head
	if e.qos > 0 && (s.quota <= 0 || len(s.byID) >= 65535) {
		return false
	}
	s.queue.remove(e)
	if e.l.expired(w.now) {
		s.b.n.expired.Add(1)
		s.forgetLocked(e)
		return true
	}
	s.sendFirstLocked(c, w, e)
	return true
}

// replayLocked sends the next retained message.
func (s *session) replayLocked(c *Conn, w *way) bool {
	r := s.replay[0]
	qos := min(r.l.QoS, r.sub.QoS)
	if qos > 0 && (s.quota <= 0 || len(s.byID) >= 65535) {
		return false
	}
	s.replay[0] = replay{}
	s.replay = s.replay[1:]
	if len(s.replay) == 0 {
		s.replay = nil
	}
	if r.l.expired(w.now) {
		s.b.n.expired.Add(1)
		return true
	}
	e := entryPool.Get().(*entry)
	*e = entry{l: r.l, ids: r.sub.ids, qos: qos, retain: true}
	s.b.n.queued.Add(1)
	s.b.n.queuedBytes.Add(int64(e.size()))
	if s.durable && qos > 0 {
		s.seq++
		e.seq = s.seq
		s.b.journal.putEntry(s, e)
	}
	s.sendFirstLocked(c, w, e)
	return true
}

// sendFirstLocked sends a message for the first time and, at QoS 1 and 2, opens it with a packet id.
func (s *session) sendFirstLocked(c *Conn, w *way, e *entry) {
	if w.l != e.l {
		w.turnTo(e.l)
	}
	if e.qos == 0 {
		c.sendAtMostOnce(w, copyFor{retain: e.retain, ids: e.ids})
		s.forgetLocked(e)
		return
	}
	e.id = s.nextIDLocked()
	if !s.writeLocked(c, w, e) {
		s.b.drop(s.who(), &e.l.Message, DropTooLarge)
		s.forgetLocked(e)
		return
	}
	if s.byID == nil {
		s.byID = make(map[uint16]*entry)
	}
	s.byID[e.id] = e
	s.quota--
	e.counted = true
	s.open.push(e)
	if e.seq != 0 {
		s.b.journal.putState(s, e)
	}
	if e.qos == 2 { // arming looks at the whole window: not for each message of QoS 1, which has no timer
		c.armResendLocked(s)
	}
}

// sendOpenLocked sends an open message again on a new connection, or PUBREL in its place.
func (s *session) sendOpenLocked(c *Conn, w *way, e *entry) {
	e.tries = 0
	if e.released {
		e.sentAt = c.b.ms()
		c.writePubrel(w, e.id)
		c.armResendLocked(s)
		return
	}
	if w.l != e.l {
		w.turnTo(e.l)
	}
	if !s.writeLocked(c, w, e) {
		s.b.drop(s.who(), &e.l.Message, DropTooLarge)
		s.closeLocked(e)
		s.quota++
		s.forgetLocked(e)
		return
	}
	if e.qos == 2 {
		c.armResendLocked(s)
	}
}

// writeLocked writes the PUBLISH of e; false: the client's Maximum Packet Size forbids it.
func (s *session) writeLocked(c *Conn, w *way, e *entry) bool {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		e.sent = true // it may have been: the resend says so
		return true
	}
	if w.write(c, copyFor{qos: e.qos, retain: e.retain, dup: e.sent, id: e.id, ids: e.ids}) {
		return false
	}
	e.sent = true
	e.sentAt = c.b.ms()
	w.touchLocked(c)
	if o.size > outboxFull && w.full == nil {
		w.full = c
	}
	return true
}

// closeLocked takes e out of the open ones.
func (s *session) closeLocked(e *entry) {
	if s.again == e {
		s.again = e.next
	}
	s.open.remove(e)
	delete(s.byID, e.id)
	if len(s.byID) == 0 {
		s.byID = nil
	}
}

// writePubrel appends PUBREL.
func (c *Conn) writePubrel(w *way, id uint16) {
	o := &c.out
	o.mu.Lock()
	if !o.closing {
		o.grow()
		o.buf = packet.AppendAck(o.buf, packet.TypePubrel, id)
		o.size += 4
		w.touchLocked(c)
	}
	o.mu.Unlock()
}

// ready tells whether more may be sent; if not, the session is woken when there is room.
func (o *outbox) ready() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	if o.size > outboxFull {
		o.starved = true
		return false
	}
	return true
}

// pump sends what the session of c has; it is called when there may be room again, from any goroutine.
func (c *Conn) pump() {
	if c.refill() {
		c.wire.flush(c)
	}
}

// refill puts into the outbox what the session has; true: it wants flushing.
func (c *Conn) refill() bool {
	s := c.sess.Load()
	if s == nil {
		return false
	}
	if c.b.has.deliver {
		c.askPump()
		return false
	}
	w := way{b: c.b, now: time.Now()}
	s.mu.Lock()
	if s.conn.Load() == c {
		s.pumpLocked(c, &w)
	}
	s.mu.Unlock()
	return len(w.touched) > 0
}

// pumpOnTurn does pump's work where a handler has Deliver, which must run on the client's turn and without locks.
func (c *Conn) pumpOnTurn() {
	s := c.sess.Load()
	w := c.way
	w.now = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.conn.Load() == c && c.out.ready() {
		if s.again != nil {
			if !s.stepLocked(c, w) {
				return
			}
			continue
		}
		e := s.nextForDeliverLocked(w)
		if e == nil {
			return
		}
		s.mu.Unlock()
		m := c.callDeliver(&e.l.Message)
		s.mu.Lock()
		switch {
		case m == nil:
			s.b.drop(s.who(), &e.l.Message, DropByHandler)
			s.forgetLocked(e)
		case s.dead:
			s.b.drop(s.who(), &e.l.Message, DropSessionEnded)
			s.forgetLocked(e)
		case s.conn.Load() != c:
			s.queue.pushFront(e)
		default:
			if m != &e.l.Message {
				s.b.n.queuedBytes.Add(int64(m.size() - e.size()))
				e.l = newLetter(m)
			}
			s.sendFirstLocked(c, w, e)
		}
	}
}

// nextForDeliverLocked takes the next message of replay or queue that may be sent.
func (s *session) nextForDeliverLocked(w *way) *entry {
	blocked := s.quota <= 0 || len(s.byID) >= 65535
	for len(s.replay) > 0 {
		r := s.replay[0]
		qos := min(r.l.QoS, r.sub.QoS)
		if qos > 0 && blocked {
			return nil
		}
		s.replay = s.replay[1:]
		if r.l.expired(w.now) {
			s.b.n.expired.Add(1)
			continue
		}
		e := &entry{l: r.l, ids: r.sub.ids, qos: qos, retain: true}
		s.b.n.queued.Add(1)
		s.b.n.queuedBytes.Add(int64(e.size()))
		return e
	}
	for e := s.queue.head; e != nil; e = s.queue.head {
		if e.qos > 0 && blocked {
			return nil
		}
		s.queue.remove(e)
		if !e.l.expired(w.now) {
			return e
		}
		s.b.n.expired.Add(1)
		s.forgetLocked(e)
	}
	return nil
}
