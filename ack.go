package mqttx

import (
	"errors"

	"github.com/e8743928/mqttx/packet"
)

var errWrongAck = errors.New("mqttx: an acknowledgement of the wrong kind for its packet id")

// reply is an acknowledgement that waits until the journal has committed what it acknowledges. Later ones wait behind it,
// so that their order is kept ([MQTT-4.6.0-2] and its kin).
type reply struct {
	commit uint64
	p      packet.Packet // nil: the plain form of kind
	kind   packet.Type
	id     uint16
	then   func() // runs when it is in the outbox; called without locks
}

// answer acknowledges a PUBLISH: PUBACK for QoS 1, PUBREC for QoS 2 ([MQTT-3.3.4-1]).
func (c *Conn) answer(qos QoS, id uint16, code ReasonCode, e *Error, commit uint64) {
	r := reply{commit: commit, id: id, kind: packet.TypePuback}
	if qos == 2 {
		r.kind = packet.TypePubrec
	}
	if code != Success && c.version == V5 {
		text, user := c.texts(e)
		if qos == 2 {
			p := &packet.Pubrec{PacketID: id, Code: code, ReasonString: text, User: user}
			c.shrink(p, &p.ReasonString, &p.User)
			r.p = p
		} else {
			p := &packet.Puback{PacketID: id, Code: code, ReasonString: text, User: user}
			c.shrink(p, &p.ReasonString, &p.User)
			r.p = p
		}
	}
	c.reply(r)
}

// texts gives what of an error may be sent in an acknowledgement: nothing with Request Problem Information 0
// [MQTT-3.1.2-29].
func (c *Conn) texts(e *Error) (text string, user []UserProperty) {
	if e == nil || c.noProblem {
		return "", nil
	}
	return e.Text, e.User
}

// shrink leaves out texts that would break the client's Maximum Packet Size, such as [MQTT-3.4.2-2], [MQTT-3.4.2-3].
func (c *Conn) shrink(p packet.Packet, text *string, user *[]UserProperty) {
	if *text == "" && len(*user) == 0 || c.fits(p) {
		return
	}
	*user = nil
	if !c.fits(p) {
		*text = ""
	}
}

// reply sends an acknowledgement, now or when its turn has come.
func (c *Conn) reply(r reply) {
	j := c.b.journal
	o := &c.out
	o.mu.Lock()
	if j != nil && (len(o.acks) > 0 || r.commit > j.committed.Load()) {
		o.acks = append(o.acks, r)
		first := len(o.acks) == 1
		o.mu.Unlock()
		if first {
			j.notify(c)
		}
		return
	}
	full := c.putReplyLocked(c.way, &r)
	o.mu.Unlock()
	if full {
		c.cutOff()
	}
	if r.then != nil {
		r.then()
	}
}

func (c *Conn) putReplyLocked(w *way, r *reply) (full bool) {
	o := &c.out
	if o.closing {
		return false
	}
	if r.p != nil {
		full = c.putLocked(r.p)
	} else {
		o.grow()
		o.buf = packet.AppendAck(o.buf, r.kind, r.id)
		o.size += 4
		full = o.size > outboxLast
	}
	w.touchLocked(c)
	return full
}

// release sends the acknowledgements that have waited for the journal, as far as it has come. It is called by the journal.
func (c *Conn) release(committed uint64) (waiting bool) {
	w := way{b: c.b}
	o := &c.out
	var then []func()
	o.mu.Lock()
	n := 0
	for n < len(o.acks) && o.acks[n].commit <= committed {
		c.putReplyLocked(&w, &o.acks[n])
		if f := o.acks[n].then; f != nil {
			then = append(then, f)
		}
		n++
	}
	o.acks = o.acks[n:]
	waiting = len(o.acks) > 0 && !o.closing
	if len(o.acks) == 0 {
		o.acks = nil
	}
	o.mu.Unlock()
	for _, f := range then {
		f()
	}
	w.flush()
	return waiting
}

// unansweredLocked counts the client's messages whose answer waits for the journal and that are not in session.received
// either; qos2 leaves QoS 1 out. It is called under o.mu.
func (o *outbox) unansweredLocked(qos2 bool) (n int) {
	for i := range o.acks {
		switch r := &o.acks[i]; r.kind {
		case packet.TypePuback:
			if !qos2 {
				n++
			}
		case packet.TypePubrec:
			if p, _ := r.p.(*packet.Pubrec); p != nil && p.Code >= 0x80 {
				n++
			}
		case packet.TypePubcomp:
			if r.p == nil {
				n++
			}
		}
	}
	return n
}

// handleAck takes PUBACK, PUBREC or PUBCOMP for a message to the client.
func (c *Conn) handleAck(h packet.Header, body []byte) {
	id, code, err := parseAck(h, body, c.version)
	if err != nil {
		c.malformed(err)
		return
	}
	s := c.sess.Load()
	w := c.way
	w.begin(nil, w.now)
	s.mu.Lock()
	e := s.byID[id]
	switch {
	case e == nil:
		s.mu.Unlock()
		if h.Type == packet.TypePubrec && code < 0x80 {
			c.unknownPubrec(id)
		}
		return
	case !e.ackFor(h.Type):
		s.mu.Unlock()
		c.violate(errWrongAck)
		return
	case h.Type == packet.TypePubrec && code < 0x80:
		commit := uint64(0)
		if !e.released && e.seq != 0 {
			e.released = true
			commit = s.b.journal.putState(s, e)
		}
		e.released, e.tries, e.sentAt = true, 0, c.b.ms()
		s.mu.Unlock()
		c.reply(reply{commit: commit, kind: packet.TypePubrel, id: id})
		return
	}
	s.closeLocked(e)
	if e.counted {
		s.quota++
	}
	l := e.l
	s.forgetLocked(e)
	if c.b.has.deliver {
		c.askPump()
	} else {
		s.pumpLocked(c, w)
	}
	s.mu.Unlock()
	c.b.delivered(c.Client, &l.Message)
	if c.b.has.delivered {
		if err := c.callDelivered(&l.Message, code); err != nil {
			c.endWith(err)
		}
	}
}

// parseAck reads one of the three acknowledgements that a receiver sends.
func parseAck(h packet.Header, body []byte, v Version) (id uint16, code ReasonCode, err error) {
	switch h.Type {
	case packet.TypePuback:
		var p packet.Puback
		err = p.Parse(h, body, v)
		return p.PacketID, p.Code, err
	case packet.TypePubrec:
		var p packet.Pubrec
		err = p.Parse(h, body, v)
		return p.PacketID, p.Code, err
	default:
		var p packet.Pubcomp
		err = p.Parse(h, body, v)
		return p.PacketID, p.Code, err
	}
}

// unknownPubrec answers a PUBREC whose packet id is not in use [MQTT-3.6.2-1].
func (c *Conn) unknownPubrec(id uint16) {
	r := reply{kind: packet.TypePubrel, id: id}
	if c.version == V5 {
		r.p = &packet.Pubrel{PacketID: id, Code: PacketIdentifierNotFound}
	}
	c.reply(r)
}

// handlePubrel ends the exchange of a QoS 2 message from the client ([MQTT-4.3.3-11]).
func (c *Conn) handlePubrel(h packet.Header, body []byte) {
	var p packet.Pubrel
	if err := p.Parse(h, body, c.version); err != nil {
		c.malformed(err)
		return
	}
	w := c.way
	w.commit = 0
	r := reply{kind: packet.TypePubcomp, id: p.PacketID}
	if !c.sess.Load().forgetReceived(w, p.PacketID) && c.version == V5 {
		r.p = &packet.Pubcomp{PacketID: p.PacketID, Code: PacketIdentifierNotFound}
	}
	r.commit = w.commit
	c.reply(r)
}

// alreadyReceived tells whether a QoS 2 PUBLISH with that id is open: then it is answered and nothing else
// ([MQTT-4.3.3-10], G74).
func (s *session) alreadyReceived(id uint16, ms uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, open := s.received[id]
	if open {
		r.at = ms
		s.received[id] = r
	}
	return open
}

func (s *session) noteReceived(w *way, id uint16, ms uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == nil {
		s.received = make(map[uint16]received)
	}
	s.received[id] = received{at: ms}
	if s.durable {
		w.commit = max(w.commit, s.b.journal.putReceived(s, id))
	}
	if c := s.conn.Load(); c != nil {
		c.armResendLocked(s)
	}
}

func (s *session) forgetReceived(w *way, id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.received[id]; !open {
		return false
	}
	delete(s.received, id)
	if len(s.received) == 0 {
		s.received = nil
	}
	if s.durable {
		w.commit = max(w.commit, s.b.journal.delReceived(s, id))
	}
	return true
}

func (s *session) receivedCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.received)
}
