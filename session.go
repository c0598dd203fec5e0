package mqttx

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
	"github.com/e8743928/mqttx/packet"
)

// session is what the server keeps for a client id, or for a subscriber in process. It outlives connections.
type session struct {
	// Set when it is made, then fixed.
	b     *broker
	id    string
	local *local // a subscriber in process; nil: a client

	client atomic.Pointer[Client]
	conn   atomic.Pointer[Conn] // who takes messages now; set under mu
	plain  atomic.Int32         // subscriptions that are not shared
	rate   rates                // of PUBLISH packets

	// Under broker.mu.
	owner       *Conn // who has the client id, connected or waiting for it
	established bool  // a client has had it: state that a later CONNECT finds present

	mu       sync.Mutex
	subs     map[string]*sub // by filter, $share/group included
	queue    entries         // waiting for their turn
	open     entries         // sent and not acknowledged, in the order of their first sending
	byID     map[uint16]*entry
	lastID   uint16
	quota    int                 // how many more may be open
	again    *entry              // the next of open that the connection has not been sent yet
	received map[uint16]received // QoS 2 PUBLISH packets of the client, until PUBREL
	replay   []replay
	verdicts verdicts
	expiry   time.Duration // after the connection's end; forever: never
	durable  bool          // kept in the Store
	dead     bool
	seq      uint64
	will     *letter   // due at willAt
	willAt   time.Time // zero: none
	endAt    time.Time // when it expires; zero: not, or connected
	timer    wheel.Timer
}

// sub is a subscription of a session, shared by the router and the session; it is replaced, never changed.
type sub struct {
	Subscription
	ids []uint32 // {ID}, or nil
}

// received is an open QoS 2 message of a client: when PUBREC was last sent, in ms of broker.now, and how often again.
type received struct {
	at    uint32
	tries uint8
}

// entry is a message for one session: waiting, or under way with a packet id.
type entry struct {
	l          *letter
	prev, next *entry
	ids        []uint32
	sub        *sub   // of a shared subscription, for handing the message on; nil else
	seq        uint64 // in the Store; 0: not kept there
	sentAt     uint32 // for timed resends, in ms of broker.now
	id         uint16 // 0: waiting
	qos        QoS
	retain     bool
	counted    bool  // it uses quota of this connection
	sent       bool  // to some connection: sent again it carries DUP
	released   bool  // PUBREC has come: PUBREL is next
	tries      uint8 // timed resends on this connection
}

var entryPool = sync.Pool{New: func() any { return new(entry) }}

// size is what an entry counts in the limits of bytes.
func (e *entry) size() int { return e.l.size() }

// entries is a list in order.
type entries struct {
	head, tail *entry
	n, bytes   int
	qos0       int // how many may be dropped first when there is no room
}

func (l *entries) push(e *entry) {
	e.prev, e.next = l.tail, nil
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
	l.count(e, 1)
}

func (l *entries) pushFront(e *entry) {
	e.prev, e.next = nil, l.head
	if l.head == nil {
		l.tail = e
	} else {
		l.head.prev = e
	}
	l.head = e
	l.count(e, 1)
}

func (l *entries) remove(e *entry) {
	if e.prev == nil {
		l.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	l.count(e, -1)
}

func (l *entries) count(e *entry, by int) {
	l.n += by
	l.bytes += by * e.size()
	if e.qos == 0 {
		l.qos0 += by
	}
}

func (b *broker) newSession(id string, client *Client) *session {
	s := &session{b: b, id: id}
	s.client.Store(client)
	s.timer.F = s.timeUp
	return s
}

// awake tells whether a member of a shared group is there to take its turn.
func (s *session) awake() bool { return s.local != nil || s.conn.Load() != nil }

func (s *session) who() Client { return *s.client.Load() }

func (s *session) subscriptions() []Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Subscription, 0, len(s.subs))
	for _, x := range s.subs {
		list = append(list, x.Subscription)
	}
	slices.SortFunc(list, func(a, b Subscription) int { return compareStrings(a.key(), b.key()) })
	return list
}

// verdict is what became of a copy.
type verdict byte

const (
	took   verdict = iota // sent, or queued
	missed                // dropped: counted already
	full                  // dropped because the queue has no room: counted already
)

// target is one copy to be made: a receiver with what its matching subscriptions grant.
type target struct {
	s      *session
	sub    *sub // of a shared subscription
	ids    []uint32
	qos    QoS
	retain bool // Retain As Published
}

// accept takes one copy of w.l for the session: sends it, queues it, or drops it with a reason.
func (s *session) accept(w *way, t *target) verdict {
	qos := min(w.l.QoS, t.qos)
	retain := w.l.Retain && t.retain
	if s.local != nil {
		return s.local.push(w)
	}
	if s.b.has.allow && !s.mayReceive(w, w.l, qos) {
		s.b.drop(s.who(), &w.l.Message, DropNotAllowed)
		return missed
	}
	if qos == 0 && !s.b.has.deliver {
		c := s.conn.Load()
		if c == nil {
			s.b.drop(s.who(), &w.l.Message, DropOffline)
			return missed
		}
		return c.sendAtMostOnce(w, copyFor{retain: retain, ids: t.ids})
	}
	return s.enqueue(w, t, qos, retain)
}

// sendAtMostOnce writes a QoS 0 copy if there is room.
func (c *Conn) sendAtMostOnce(w *way, f copyFor) verdict {
	o := &c.out
	why := DropReason(0)
	o.mu.Lock()
	switch {
	case o.closing:
		why = DropOffline
	case o.size > outboxHard:
		why = DropOutboxFull
	case w.write(c, f):
		why = DropTooLarge
	default:
		w.touchLocked(c)
	}
	if o.size > outboxFull && w.full == nil {
		w.full = c
	}
	o.mu.Unlock()
	if why != 0 {
		c.b.drop(c.Client(), &w.l.Message, why)
		return missed
	}
	c.b.delivered(c.Client, &w.l.Message)
	return took
}

// delivered counts a copy that has reached its client.
func (b *broker) delivered(who func() Client, m *Message) {
	b.n.delivered.Add(1)
	if t := b.trace; t != nil && t.Delivered != nil {
		b.watch("Delivered", func() { t.Delivered(who(), m) })
	}
}

// enqueue puts a copy at the end of the session's queue and sends what may be sent.
func (s *session) enqueue(w *way, t *target, qos QoS, retain bool) verdict {
	s.mu.Lock()
	c := s.conn.Load()
	switch {
	case s.dead:
		s.mu.Unlock()
		s.b.drop(s.who(), &w.l.Message, DropSessionEnded)
		return missed
	case qos == 0 && c == nil:
		s.mu.Unlock()
		s.b.drop(s.who(), &w.l.Message, DropOffline)
		return missed
	}
	if out := s.makeRoomLocked(w.l, qos); out != nil {
		s.mu.Unlock()
		s.b.drop(s.who(), &w.l.Message, DropQueueFull)
		if c != nil && s.b.limits.Load().DisconnectWhenFull {
			c.fail(QuotaExceeded, out)
		}
		return full
	}
	e := entryPool.Get().(*entry)
	*e = entry{l: w.l.keep(), ids: t.ids, sub: t.sub, qos: qos, retain: retain}
	w.l = e.l
	s.b.n.queued.Add(1)
	s.b.n.queuedBytes.Add(int64(e.size()))
	s.queue.push(e)
	if s.durable && qos > 0 {
		s.seq++
		e.seq = s.seq
		w.commit = max(w.commit, s.b.journal.putEntry(s, e))
	}
	if c != nil {
		if s.b.has.deliver {
			c.askPump()
		} else {
			s.pumpLocked(c, w)
		}
	}
	s.mu.Unlock()
	return took
}

// makeRoomLocked judges whether one more message may wait. If not, waiting QoS 0 goes first, oldest before newer. What is
// under way counts in bytes, since a client that never acknowledges may have 65,535 messages there.
func (s *session) makeRoomLocked(l *letter, qos QoS) error {
	lim := s.b.limits.Load()
	size := l.size()
	few := func() bool { return s.open.bytes+s.queue.bytes+size <= lim.QueuedBytes }
	fits := func() bool {
		return s.queue.n < lim.QueuedMessages && few() && s.b.n.queuedBytes.Load()+int64(size) <= int64(lim.TotalQueuedBytes)
	}
	if s.queue.n == 0 && s.quota > 0 && s.conn.Load() != nil && (s.open.n == 0 || few()) {
		return nil // it does not wait
	}
	for !fits() {
		if qos == 0 || s.queue.qos0 == 0 {
			return errQueueFull
		}
		for e := s.queue.head; e != nil; e = e.next {
			if e.qos == 0 {
				s.queue.remove(e)
				s.b.drop(s.who(), &e.l.Message, DropQueueFull)
				s.forgetLocked(e)
				break
			}
		}
	}
	return nil
}

// forgetLocked frees an entry that is in no list any more.
func (s *session) forgetLocked(e *entry) {
	s.b.n.queued.Add(-1)
	s.b.n.queuedBytes.Add(-int64(e.size()))
	if e.seq != 0 {
		s.b.journal.delEntry(s, e)
	}
	*e = entry{}
	entryPool.Put(e)
}

// send takes a message for this client alone; the message need not match a subscription.
func (s *session) send(w *way) error {
	before := w.l
	if s.accept(w, &target{s: s, qos: 2}) == took {
		return nil
	}
	if s.conn.Load() == nil && before.QoS == 0 {
		return errConnClosed
	}
	return errQueueFull
}

// nextIDLocked gives a packet id that is not in use; 0 if all are [MQTT-2.2.1-4].
func (s *session) nextIDLocked() uint16 {
	if len(s.byID) >= 65535 {
		return 0
	}
	for {
		s.lastID++
		if s.lastID == 0 {
			continue
		}
		if _, busy := s.byID[s.lastID]; !busy {
			return s.lastID
		}
	}
}

// ackFor tells whether an acknowledgement of type t is right for e as it stands.
func (e *entry) ackFor(t packet.Type) bool {
	switch t {
	case packet.TypePuback:
		return e.qos == 1
	case packet.TypePubrec:
		return e.qos == 2
	case packet.TypePubcomp:
		return e.qos == 2 && e.released
	}
	return false
}
