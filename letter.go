package mqttx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/e8743928/mqttx/internal/wheel"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
)

// letter is a message on its way through the broker. While lent, its strings and bytes lie in the buffer that a PUBLISH
// was read into; whoever wants to keep it asks for keep.
type letter struct {
	Message
	lent  bool
	timer *wheel.Timer // of a retained message that expires; under broker.retainMu
}

// newLetter wraps a message that its owner has handed on.
func newLetter(m *Message) *letter { return &letter{Message: *m} }

// keep gives a letter that may outlive the read buffer.
func (l *letter) keep() *letter {
	if !l.lent {
		return l
	}
	n := &letter{Message: l.Message}
	both := make([]byte, len(l.Topic)+len(l.Payload))
	at := copy(both, l.Topic)
	copy(both[at:], l.Payload)
	n.Topic = borrow(both[:at:at])
	n.Payload = both[at:]
	if l.Props != nil {
		p := *l.Props
		p.ContentType = strings.Clone(p.ContentType)
		p.ResponseTopic = strings.Clone(p.ResponseTopic)
		p.CorrelationData = slices.Clone(p.CorrelationData)
		p.User = slices.Clone(p.User)
		n.Props = &p
	}
	return n
}

// borrow gives b as a string without a copy. Whoever calls it knows that b does not change while the string is used.
func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// read fills l from a PUBLISH whose bytes it borrows; props is reused space.
func (l *letter) read(p *packet.Publish, props *Properties, now time.Time) {
	l.Message = Message{
		Topic: borrow(p.Topic), Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup,
	}
	l.lent = true
	if p.HasMessageExpiry {
		l.Expires = now.Add(time.Duration(p.MessageExpiryInterval) * time.Second)
	}
	if p.PayloadFormat != FormatAbsent || p.ContentType != nil || p.ResponseTopic != nil || p.CorrelationData != nil || len(p.User) > 0 {
		*props = Properties{
			ContentType: borrow(p.ContentType), ResponseTopic: borrow(p.ResponseTopic),
			CorrelationData: p.CorrelationData, PayloadFormat: p.PayloadFormat, User: p.User,
		}
		l.Props = props
	}
}

// expired tells whether the message's time has run out.
func (l *letter) expired(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }

// checkMessage judges a message that the program made.
func checkMessage(m *Message) error {
	if m == nil {
		return errors.New("mqttx: nil message")
	}
	if err := topic.CheckName(m.Topic); err != nil {
		return fmt.Errorf("mqttx: %w: %w", TopicNameInvalid, err)
	}
	if m.QoS > 2 {
		return fmt.Errorf("mqttx: QoS %d: %w", m.QoS, QoSNotSupported)
	}
	if m.Props != nil && m.Props.ResponseTopic != "" {
		if err := topic.CheckName(m.Props.ResponseTopic); err != nil {
			return fmt.Errorf("mqttx: response topic: %w: %w", TopicNameInvalid, err)
		}
	}
	if m.size() > maxPacket-64 {
		return fmt.Errorf("mqttx: message of %d bytes: %w", m.size(), PacketTooLarge)
	}
	return nil
}

// way is one message going through the rooms, and the outboxes that want flushing when it is through. Each connection borrows
// one for its turn; others are made where the server itself publishes.
type way struct {
	b       *broker
	by      *Conn // who may be made to pause; nil: nobody
	now     time.Time
	l       *letter
	scratch letter     // for l while it is lent
	props   Properties // for l.Props while it is lent
	pub     packet.Publish
	forms   [2]form // heads of l for 3.1 and 3.1.1: without packet id, with one
	forms5  [2]form // the same for 5.0
	targets []target
	touched []*Conn
	full    *Conn  // a receiver that is worth a pause
	commit  uint64 // the journal's position that an acknowledgement waits for
}

var wayPool = sync.Pool{New: func() any { return new(way) }}

// takeTurn makes the caller the one who works for the connection, with a way for what it publishes.
func (c *Conn) takeTurn() {
	c.turn.Lock()
	w := wayPool.Get().(*way)
	w.b, w.by = c.b, c
	c.way = w
}

// endTurn flushes what was filled on the turn, and ends it.
func (c *Conn) endTurn() {
	w := c.way
	w.flush()
	w.l, w.by, w.full = nil, nil, nil
	w.scratch, w.props, w.pub = letter{}, Properties{}, packet.Publish{User: w.pub.User[:0]}
	c.way = nil
	wayPool.Put(w)
	c.turn.Unlock()
}

// form is the head of a PUBLISH, everything before the payload, to be copied and patched for each receiver.
type form struct {
	head []byte
	idAt int
	ok   bool
}

// begin makes w ready for another message.
func (w *way) begin(l *letter, now time.Time) {
	w.now = now
	w.full, w.commit = nil, 0
	w.turnTo(l)
}

// turnTo goes on with l.
func (w *way) turnTo(l *letter) {
	w.l = l
	for i := range w.forms {
		w.forms[i].ok = false
		w.forms5[i].ok = false
	}
}

// touchLocked notes, under r.out.mu, that r's outbox was filled.
func (w *way) touchLocked(r *Conn) {
	if r.out.touch() {
		w.touched = append(w.touched, r)
	}
}

// flush flushes all outboxes that were filled.
func (w *way) flush() {
	for i, r := range w.touched {
		w.touched[i] = nil
		r.wire.flush(r)
	}
	w.touched = w.touched[:0]
}

// copyFor says how one copy of a message is to be sent.
type copyFor struct {
	qos         QoS
	retain, dup bool
	id          uint16
	ids         []uint32 // Subscription Identifiers
}

// write appends w.l to c's outbox, under c.out.mu. It gives the size of the packet; too large tells that the client's
// Maximum Packet Size forbids it and nothing was appended [MQTT-3.1.2-24].
func (w *way) write(c *Conn, f copyFor) (tooLarge bool) {
	o := &c.out
	l := w.l
	o.grow()
	before := len(o.buf)
	first := byte(packet.TypePublish)<<4 | byte(f.qos)<<1
	if f.retain {
		first |= 1
	}
	if f.dup {
		first |= 8
	}
	own := c.version == V5 && (len(f.ids) > 0 || c.aliasMaxOut > 0)
	if own {
		if !w.appendOwn(c, f) {
			return true
		}
		o.buf[before] = first
	} else {
		fm := w.formOf(c.version, f.qos > 0)
		if fm == nil || len(fm.head)+len(l.Payload) > c.maxPacket {
			return true
		}
		o.buf = append(o.buf, fm.head...)
		o.buf[before] = first
		if f.qos > 0 {
			o.buf[before+fm.idAt] = byte(f.id >> 8)
			o.buf[before+fm.idAt+1] = byte(f.id)
		}
	}
	if len(l.Payload) >= refSize && !l.lent {
		o.refs = append(o.refs, ref{len(o.buf), l.Payload})
		o.size += len(l.Payload)
	} else {
		o.buf = append(o.buf, l.Payload...)
	}
	o.size += len(o.buf) - before
	return false
}

// formOf gives the head for a version, with or without packet id, made once for all receivers.
func (w *way) formOf(v Version, withID bool) *form {
	forms := &w.forms
	if v == V5 {
		forms = &w.forms5
	}
	i := 0
	if withID {
		i = 1
	}
	fm := &forms[i]
	if fm.ok {
		return fm
	}
	p := w.l.packet(w.now)
	p.QoS = QoS(i)
	head, idAt, err := p.AppendHead(fm.head[:0], v)
	if err != nil {
		return nil
	}
	fm.head, fm.idAt, fm.ok = head, idAt, true
	return fm
}

// appendOwn appends a head that is this client's alone: with Subscription Identifiers or a Topic Alias.
func (w *way) appendOwn(c *Conn, f copyFor) bool {
	o := &c.out
	p := w.l.packet(w.now)
	p.QoS, p.PacketID, p.SubscriptionIDs = f.qos, f.id, f.ids
	topic, fresh := p.Topic, false
	if c.aliasMaxOut > 0 {
		if p.TopicAlias, fresh = o.aliasFor(w.l.Topic, int(c.aliasMaxOut)); p.TopicAlias != 0 && !fresh {
			p.Topic = nil
		}
	}
	before := len(o.buf)
	fits := func() bool {
		b, _, err := p.AppendHead(o.buf[:before], c.version)
		o.buf = b
		return err == nil && len(b)-before+len(w.l.Payload) <= c.maxPacket
	}
	ok := fits()
	if !ok && p.TopicAlias != 0 { // the alias takes three bytes itself
		p.Topic, p.TopicAlias, fresh = topic, 0, false
		ok = fits()
	}
	if !ok {
		o.buf = o.buf[:before]
		return false
	}
	if fresh {
		o.bind(w.l.Topic, p.TopicAlias)
	}
	return true
}

// packet gives the PUBLISH of l for encoding, with what is left of its expiry [MQTT-3.3.2-6].
func (l *letter) packet(now time.Time) packet.Publish {
	p := packet.Publish{Topic: unsafe.Slice(unsafe.StringData(l.Topic), len(l.Topic)), Payload: l.Payload}
	if !l.Expires.IsZero() {
		p.HasMessageExpiry = true
		p.MessageExpiryInterval = secondsLeft(l.Expires.Sub(now))
	}
	if x := l.Props; x != nil {
		p.PayloadFormat = x.PayloadFormat
		if x.ContentType != "" {
			p.ContentType = []byte(x.ContentType)
		}
		if x.ResponseTopic != "" {
			p.ResponseTopic = []byte(x.ResponseTopic)
		}
		p.CorrelationData = x.CorrelationData
		p.User = x.User
	}
	return p
}

// secondsLeft gives whole seconds, rounded to the nearest so that a message sent at once shows what it came with.
func secondsLeft(d time.Duration) uint32 {
	s := (d + time.Second/2) / time.Second
	return uint32(max(min(int64(s), 1<<32-1), 0))
}
