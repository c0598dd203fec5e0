package mqttx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What the Store holds. Keys of a session begin with 's' and its client id with its length, so that one range holds all of
// it; then comes what it is:
//
//	a            who it belongs to, expiry, pending will
//	b + filter   a subscription
//	c + seq      a message that waits or is under way
//	d + id       a QoS 2 message received and not released
//
// Retained messages have 'r' and their topic. Every value begins with the version of its form.
const (
	recordForm = 1

	ofSession  = 's'
	ofRetained = 'r'

	kindSession  = 'a'
	kindSub      = 'b'
	kindEntry    = 'c'
	kindReceived = 'd'
)

var errRecord = errors.New("mqttx: a record in the Store that cannot be read")

// key makes a key of the session.
func (s *session) key(kind byte, rest string) []byte {
	k := make([]byte, 0, 4+len(s.id)+len(rest))
	k = append(k, ofSession, byte(len(s.id)>>8), byte(len(s.id)))
	k = append(k, s.id...)
	if kind == 0 {
		return k
	}
	k = append(k, kind)
	return append(k, rest...)
}

func seqText(seq uint64) string { return string(binary.BigEndian.AppendUint64(nil, seq)) }
func idText(id uint16) string   { return string(binary.BigEndian.AppendUint16(nil, id)) }

// writer appends the parts of a value.
type writer struct{ b []byte }

func newWriter() *writer { return &writer{b: []byte{recordForm}} }

func (w *writer) num(n uint64)  { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) text(s string) { w.num(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.num(0)
		return
	}
	w.num(uint64(t.UnixNano()))
}

func (w *writer) flags(fs ...bool) {
	var b byte
	for i, f := range fs {
		if f {
			b |= 1 << i
		}
	}
	w.b = append(w.b, b)
}

func (w *writer) client(c Client) {
	w.text(c.ID)
	w.text(c.User)
	w.num(uint64(len(c.attrs)))
	names := make([]string, 0, len(c.attrs))
	for n := range c.attrs {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		w.text(n)
		w.text(c.attrs[n])
	}
}

func (w *writer) message(m *Message) {
	w.text(m.Topic)
	w.text(string(m.Payload))
	w.b = append(w.b, byte(m.QoS))
	p := m.Props
	w.flags(m.Retain, p != nil, p != nil && p.CorrelationData != nil)
	w.time(m.Expires)
	w.client(m.From)
	if p == nil {
		return
	}
	w.text(p.ContentType)
	w.text(p.ResponseTopic)
	w.text(string(p.CorrelationData))
	w.b = append(w.b, byte(p.PayloadFormat))
	w.num(uint64(len(p.User)))
	for _, u := range p.User {
		w.text(u.Name)
		w.text(u.Value)
	}
}

// reader takes the parts of a value; after an error everything it gives is zero.
type reader struct {
	b   []byte
	err error
}

// newReader checks the form.
func newReader(b []byte) *reader {
	if len(b) == 0 {
		return &reader{err: errRecord}
	}
	if b[0] != recordForm {
		return &reader{err: fmt.Errorf("%w: form %d, of a newer version perhaps", errRecord, b[0])}
	}
	return &reader{b: b[1:]}
}

func (r *reader) num() uint64 {
	n, used := binary.Uvarint(r.b)
	if used <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[used:]
	return n
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errRecord
	}
	r.b = nil
}

func (r *reader) text() string {
	n := r.num()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *reader) time() time.Time {
	n := r.num()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}

func (r *reader) client() Client {
	c := Client{ID: r.text(), User: r.text()}
	for n := r.num(); n > 0 && r.err == nil; n-- {
		name := r.text()
		c.Set(name, r.text())
	}
	return c
}

func (r *reader) message() *letter {
	l := &letter{}
	l.Topic = r.text()
	l.Payload = []byte(r.text())
	l.QoS = QoS(r.byte())
	flags := r.byte()
	l.Retain = flags&1 != 0
	l.Expires = r.time()
	l.From = r.client()
	if flags&2 != 0 {
		p := &Properties{ContentType: r.text(), ResponseTopic: r.text()}
		if data := r.text(); flags&4 != 0 {
			p.CorrelationData = []byte(data)
		}
		p.PayloadFormat = PayloadFormat(r.byte())
		for n := r.num(); n > 0 && r.err == nil; n-- {
			p.User = append(p.User, UserProperty{Name: r.text(), Value: r.text()})
		}
		l.Props = p
	}
	if l.QoS > 2 {
		r.fail()
	}
	return l
}

func (j *journal) set(key []byte, w *writer) uint64 { return j.add(Change{Key: key, Value: w.b}) }
func (j *journal) del(key []byte) uint64            { return j.add(Change{Key: key, Delete: true}) }

// putSession writes what a session is; it is called under session.mu, as are the others below.
func (j *journal) putSession(s *session) uint64 {
	w := newWriter()
	w.client(s.who())
	w.num(uint64(s.expiry))
	w.time(s.endAt)
	w.time(s.willAt)
	if !s.willAt.IsZero() {
		w.message(&s.will.Message)
	}
	return j.set(s.key(kindSession, ""), w)
}

func (j *journal) delSession(s *session) uint64 {
	from := s.key(0, "")
	return j.add(Change{Key: from, To: append(slices.Clone(from), 0xFF)})
}

func (j *journal) putSub(s *session, x *sub) uint64 {
	w := newWriter()
	w.b = append(w.b, byte(x.QoS), x.RetainHandling)
	w.flags(x.NoLocal, x.RetainAsPublished)
	w.num(uint64(x.ID))
	return j.set(s.key(kindSub, x.key()), w)
}

func (j *journal) delSub(s *session, filter string) uint64 { return j.del(s.key(kindSub, filter)) }

func (j *journal) putEntry(s *session, e *entry) uint64 {
	w := newWriter()
	w.b = append(w.b, byte(e.qos))
	w.flags(e.retain, e.id != 0, e.released)
	w.num(uint64(e.id))
	w.num(uint64(len(e.ids)))
	for _, id := range e.ids {
		w.num(uint64(id))
	}
	filter := ""
	if e.sub != nil {
		filter = e.sub.key()
	}
	w.text(filter)
	w.message(&e.l.Message)
	return j.set(s.key(kindEntry, seqText(e.seq)), w)
}

// putState writes how far an exchange has come.
func (j *journal) putState(s *session, e *entry) uint64 { return j.putEntry(s, e) }

func (j *journal) delEntry(s *session, e *entry) uint64 {
	return j.del(s.key(kindEntry, seqText(e.seq)))
}

func (j *journal) putReceived(s *session, id uint16) uint64 {
	return j.set(s.key(kindReceived, idText(id)), newWriter())
}

func (j *journal) delReceived(s *session, id uint16) uint64 {
	return j.del(s.key(kindReceived, idText(id)))
}

func (j *journal) putRetained(l *letter) uint64 {
	w := newWriter()
	w.message(&l.Message)
	return j.set(append([]byte{ofRetained}, l.Topic...), w)
}

func (j *journal) delRetained(topic string) uint64 {
	return j.del(append([]byte{ofRetained}, topic...))
}
