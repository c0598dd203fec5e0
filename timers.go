package mqttx

import (
	"errors"
	"time"

	"github.com/e8743928/mqttx/packet"
)

var (
	errSilent = errors.New("mqttx: nothing came for 1.5 times the keep alive")
	errTries  = errors.New("mqttx: no acknowledgement after the last resend")
)

// since gives t as nanoseconds since the broker's start.
func (b *broker) since(t time.Time) int64 { return int64(t.Sub(b.began)) }

// ms gives the time since the broker's start in milliseconds; it wraps after 49 days, so only differences count.
func (b *broker) ms() uint32 { return uint32(time.Since(b.began) / time.Millisecond) }

// armConnect sets the deadline for CONNECT.
func (c *Conn) armConnect() {
	c.timer.F = c.timeUp
	if t := c.b.limits.Load().ConnectTimeout; t != forever {
		c.b.wheel.Set(&c.timer, c.accepted.Add(t))
	}
}

// silence is how long the client may say nothing: 1.5 times its keep alive ([MQTT-3.1.2-22], G38), or Limits.Idle (G41).
func (c *Conn) silence() time.Duration {
	if c.keepAlive > 0 {
		return c.keepAlive + c.keepAlive/2
	}
	return c.b.limits.Load().Idle
}

// armKeepAlive sets the timer for the client's silence.
func (c *Conn) armKeepAlive() {
	c.b.wheel.Stop(&c.timer)
	c.seen.Store(c.b.since(time.Now()))
	c.opened.Store(true)
	if d := c.silence(); d != forever {
		c.b.wheel.Set(&c.timer, time.Now().Add(d))
	}
}

// timeUp is what the connection's timer calls. Packets only note their time; the timer is set again when it finds some.
func (c *Conn) timeUp() {
	if !c.opened.Load() {
		c.end(&DisconnectError{By: ByServer, Code: MaximumConnectTime, Err: errConnectTime}, nil)
		return
	}
	d := c.silence()
	if d == forever {
		return
	}
	now := time.Now()
	seen := c.b.began.Add(time.Duration(c.seen.Load()))
	if c.held.Load() {
		seen = now
	}
	if end := seen.Add(d); now.Before(end) {
		c.b.wheel.Set(&c.timer, end)
		return
	}
	c.end(&DisconnectError{By: ByServer, Code: KeepAliveTimeout, Err: errSilent}, &Error{Code: KeepAliveTimeout})
}

// resends tells whether QoS 2 packets are sent again on a timer: in 3.1 and 3.1.1, in 5.0 only by option (G70-G72).
func (c *Conn) resends() bool {
	return (c.version != V5 || c.b.compat&TimedResendV5 != 0) && c.b.limits.Load().ResendInterval != forever
}

// armResendLocked sets the resend timer while something of QoS 2 is under way, under session.mu.
func (c *Conn) armResendLocked(s *session) {
	if !c.resends() || c.resendArmed {
		return
	}
	if next, ok := s.nextResendLocked(); ok {
		c.resendArmed = true
		c.resend.F = c.resendUp
		c.b.wheel.Set(&c.resend, next)
	}
}

// nextResendLocked tells when the next resend is due.
func (s *session) nextResendLocked() (time.Time, bool) {
	b := s.b
	interval := b.limits.Load().ResendInterval
	now := b.ms()
	var oldest int32 = -1
	for e := s.open.head; e != nil && e != s.again; e = e.next {
		if e.qos == 2 {
			oldest = max(oldest, int32(now-e.sentAt))
		}
	}
	for _, r := range s.received {
		oldest = max(oldest, int32(now-r.at))
	}
	if oldest < 0 {
		return time.Time{}, false
	}
	return time.Now().Add(max(interval-time.Duration(oldest)*time.Millisecond, time.Millisecond)), true
}

// maxTries is as many resends as an entry can count.
const maxTries = 255

// resendUp is what the resend timer calls: it sends again what is due, but only while the outbox is idle, since neither a
// slow link nor a slow Store is a silent client, and what waits for the Store must not go out before. After the last try the
// connection is closed and the session kept (G73), or by option the entry is dropped.
func (c *Conn) resendUp() {
	s := c.sess.Load()
	w := way{b: c.b}
	w.begin(nil, time.Now())
	s.mu.Lock()
	c.resendArmed = false
	if s.conn.Load() != c {
		s.mu.Unlock()
		return
	}
	gaveUp := false
	if c.out.idle() {
		gaveUp = s.resendDueLocked(c, &w)
	} else {
		s.postponeLocked()
	}
	if !gaveUp {
		c.armResendLocked(s)
	}
	s.mu.Unlock()
	w.flush()
	if gaveUp {
		c.fail(UnspecifiedError, errTries)
	}
}

// resendDueLocked sends again what has waited for the interval; true: the connection is to be closed.
func (s *session) resendDueLocked(c *Conn, w *way) (gaveUp bool) {
	lim := s.b.limits.Load()
	now := s.b.ms()
	due := func(at uint32) bool { return time.Duration(int32(now-at))*time.Millisecond >= lim.ResendInterval }
	tries := min(lim.ResendTries, maxTries)
	drop := s.b.compat&DropAfterTries != 0
	for e := s.open.head; e != nil && e != s.again; {
		next := e.next
		switch {
		case e.qos != 2 || !due(e.sentAt):
		case int(e.tries) < tries:
			e.tries++
			if e.released {
				e.sentAt = now
				c.writePubrel(w, e.id)
			} else {
				w.turnTo(e.l)
				s.writeLocked(c, w, e)
			}
		case drop:
			s.giveUpLocked(e)
		default:
			return true
		}
		e = next
	}
	for id, r := range s.received {
		switch {
		case !due(r.at):
		case int(r.tries) < tries:
			s.received[id] = received{now, r.tries + 1}
			c.out.mu.Lock()
			if !c.out.closing {
				c.out.grow()
				c.out.buf = packet.AppendAck(c.out.buf, packet.TypePubrec, id)
				c.out.size += 4
				w.touchLocked(c)
			}
			c.out.mu.Unlock()
		case drop:
			delete(s.received, id)
			if s.durable {
				s.b.journal.delReceived(s, id)
			}
		default:
			return true
		}
	}
	return false
}

// giveUpLocked drops an entry after its last resend.
func (s *session) giveUpLocked(e *entry) {
	s.closeLocked(e)
	if e.counted {
		s.quota++
	}
	s.b.drop(s.who(), &e.l.Message, DropResendTries)
	s.forgetLocked(e)
}

// postponeLocked lets the interval begin anew for what could not be sent because the outbox is not idle.
func (s *session) postponeLocked() {
	now := s.b.ms()
	for e := s.open.head; e != nil && e != s.again; e = e.next {
		e.sentAt = now
	}
	for id, r := range s.received {
		r.at = now
		s.received[id] = r
	}
}

// idle tells whether all has been written that there was to send, acknowledgements that wait for the journal included.
func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size == 0 && len(o.acks) == 0
}
