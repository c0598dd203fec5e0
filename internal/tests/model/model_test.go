package model

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
)

// message is what was published; its payload is its number.
type message struct {
	n       int
	from    int
	topic   string
	qos     packet.QoS
	expires time.Time // zero: never
}

// want is a copy that a session has to get.
type want struct {
	m        message
	qos      packet.QoS
	group    string // of a shared subscription; empty: its own
	got      int    // how often it has come as a new message
	replay   bool   // retained: in answer to SUBSCRIBE
	optional bool   // at QoS 0 it may be lost when the connection breaks
}

// subscription is one filter of a session.
type subscription struct {
	filter, share string
	qos           packet.QoS
	noLocal       bool
}

// session is what the model knows of a session.
type session struct {
	subs  map[string]subscription
	wants []*want
	ends  time.Time // when it expires; zero: connected, or never
}

// pending is an acknowledgement that a client holds back.
type pending struct {
	p packet.Packet
}

// client is a client with its half of the session.
type client struct {
	i      int
	id     string
	v      packet.Version
	w      *wire // nil: not connected
	expiry uint32
	will   *will

	open     map[uint16]bool // QoS 2 messages received and not released
	seen     map[uint16]int  // number by packet id, of messages that are not acknowledged whole
	acks     []pending
	outgoing map[uint16]*outgoing // QoS 2 messages of its own
	nextID   uint16
}

// outgoing is a QoS 2 message on its way to the server.
type outgoing struct {
	m        message
	released bool // PUBREL is sent
}

// will is a will as CONNECT handed it in.
type will struct {
	n     int
	topic string
	qos   packet.QoS
	delay uint32
}

// dueWill is a will that waits for its delay.
type dueWill struct {
	at time.Time
	w  *will
	c  *client
}

// world is the server with its clients, and the model.
type world struct {
	srv      *mqttx.Server
	clients  []*client
	sessions map[string]*session
	retained map[string]message
	wills    []dueWill
	groups   map[int]int // how many groups match a message, by number
	shared   map[int]int // how many QoS 2 copies their members got
	next     int         // number of the next message
	accepted int64       // messages that the server has accepted
	copies   int64       // copies made of them
}

// settle lets the server come to rest, takes what it has sent, and checks it.
func (x *world) settle() error {
	synctest.Wait()
	for _, c := range x.clients {
		if c.w == nil {
			continue
		}
		ps, err := c.w.take()
		if err != nil {
			return fmt.Errorf("%s: %w", c.id, err)
		}
		for _, p := range ps {
			if err := x.received(c, p); err != nil {
				return fmt.Errorf("%s: %w", c.id, err)
			}
		}
		if c.w.isOver() {
			return fmt.Errorf("%s: the server has closed the connection", c.id)
		}
	}
	return x.checkSums()
}

// received checks one packet that a client got, and notes what it owes for it.
func (x *world) received(c *client, p packet.Packet) error {
	switch p := p.(type) {
	case *packet.Publish:
		return x.delivered(c, p)
	case *packet.Pubrel:
		delete(c.open, p.PacketID)
		c.acks = append(c.acks, pending{&packet.Pubcomp{PacketID: p.PacketID}})
	case *packet.Pubrec:
		if o := c.outgoing[p.PacketID]; o == nil {
			return fmt.Errorf("PUBREC %d without a PUBLISH", p.PacketID)
		}
	case *packet.Pubcomp:
		delete(c.outgoing, p.PacketID)
	case *packet.Puback, *packet.Suback, *packet.Unsuback:
	default:
		return fmt.Errorf("unexpected %T", p)
	}
	return nil
}

// delivered checks a PUBLISH against what the session has to get.
func (x *world) delivered(c *client, p *packet.Publish) error {
	var n int
	if _, err := fmt.Sscanf(string(p.Payload), "%d", &n); err != nil {
		return fmt.Errorf("payload %q", p.Payload)
	}
	switch {
	case p.QoS == 0:
	case p.QoS == 1:
		c.acks = append(c.acks, pending{&packet.Puback{PacketID: p.PacketID}})
	case c.open[p.PacketID]:
		if !p.Dup || c.seen[p.PacketID] != n {
			return fmt.Errorf("packet id %d is open and came again as a new message %d", p.PacketID, n)
		}
		c.acks = append(c.acks, pending{&packet.Pubrec{PacketID: p.PacketID}})
		return nil
	default:
		c.open[p.PacketID] = true
		c.seen[p.PacketID] = n
		c.acks = append(c.acks, pending{&packet.Pubrec{PacketID: p.PacketID}})
	}
	return x.match(c, p, n)
}

// match finds the copy that a PUBLISH is, and checks QoS, topic, flags, expiry and order.
func (x *world) match(c *client, p *packet.Publish, n int) error {
	s := x.sessions[c.id]
	var found *want
	for _, w := range s.wants {
		if w.m.n == n && w.replay == p.Retain && w.qos == p.QoS && (w.got == 0 || w.qos == 1 && p.Dup) {
			found = w
			break
		}
	}
	if found == nil {
		return fmt.Errorf("message %d at QoS %d (retain %t, dup %t) is not for it, or came already; it wants %s", n, p.QoS, p.Retain, p.Dup, s.list())
	}
	if found.m.topic != string(p.Topic) {
		return fmt.Errorf("message %d came on %q, was on %q", n, p.Topic, found.m.topic)
	}
	if e := found.m.expires; !e.IsZero() && !time.Now().Before(e) && !p.Dup {
		return fmt.Errorf("message %d came %v after its expiry", n, time.Since(e))
	}
	if found.got == 0 && !found.replay {
		for _, w := range s.wants {
			if w == found {
				break
			}
			later := w.got == 0 && !w.replay && !w.optional && w.m.from == found.m.from && w.m.topic == found.m.topic && w.qos == found.qos && w.group == found.group
			if later && !w.lapsed() {
				return fmt.Errorf("message %d came before message %d", n, w.m.n)
			}
		}
	}
	if found.replay && found.got == 0 {
		x.copies++ // the server makes it when it sends it
	}
	found.got++
	if found.group != "" && found.qos == 2 {
		if x.shared[n]++; x.shared[n] > x.groups[n] { // which group a copy is of cannot be told
			return fmt.Errorf("message %d came %d times to members of %d groups", n, x.shared[n], x.groups[n])
		}
	}
	return nil
}

// lapsed tells whether a copy may have expired.
func (w *want) lapsed() bool { return !w.m.expires.IsZero() && !time.Now().Before(w.m.expires) }

func (s *session) list() string {
	var b strings.Builder
	for _, w := range s.wants {
		if w.got == 0 {
			fmt.Fprintf(&b, "%d(QoS %d%s) ", w.m.n, w.qos, map[bool]string{true: ", retained"}[w.replay])
		}
	}
	return b.String()
}

// route notes who has to get a message.
func (x *world) route(m message, retain bool) {
	x.accepted++
	if retain {
		x.retained[m.topic] = m
	}
	for _, c := range x.clients {
		s := x.sessions[c.id]
		if s == nil {
			continue
		}
		best := -1
		for _, sub := range s.subs {
			if sub.share == "" && topic.Match(sub.filter, m.topic) && !(sub.noLocal && m.from == c.i) {
				best = max(best, int(sub.qos))
			}
		}
		if best >= 0 {
			x.copies++
			x.give(c, s, m, min(packet.QoS(best), m.qos), "")
		}
	}
	x.routeShared(m)
}

// routeShared notes, for each group, every member as one that may get the message.
func (x *world) routeShared(m message) {
	groups := make(map[string]bool)
	for _, c := range x.clients {
		s := x.sessions[c.id]
		if s == nil {
			continue
		}
		for key, sub := range s.subs {
			if sub.share != "" && topic.Match(sub.filter, m.topic) {
				if !groups[key] {
					groups[key] = true
					x.groups[m.n]++
					x.copies++
				}
				x.give(c, s, m, min(sub.qos, m.qos), key)
			}
		}
	}
}

func (x *world) give(c *client, s *session, m message, qos packet.QoS, group string) {
	if qos == 0 && c.w == nil {
		return // dropped: not connected
	}
	s.wants = append(s.wants, &want{m: m, qos: qos, group: group, optional: qos == 0 || group != ""})
}

// checkSums checks that every accepted copy is delivered, queued, expired or dropped with a reason.
func (x *world) checkSums() error {
	st := x.srv.Stats()
	if st.Published != x.accepted {
		return fmt.Errorf("published %d, the model says %d", st.Published, x.accepted)
	}
	sum := st.Delivered + st.Queued + st.Expired
	for _, n := range st.Dropped {
		sum += n
	}
	if sum != x.copies {
		return fmt.Errorf("%d copies made, %d accounted for: %+v", x.copies, sum, st)
	}
	if int(st.Retained) != len(x.retained) {
		return fmt.Errorf("%d retained, the model says %d", st.Retained, len(x.retained))
	}
	return x.checkSessions(st)
}

func (x *world) checkSessions(st mqttx.Stats) error {
	subs, connected := 0, 0
	for _, s := range x.sessions {
		subs += len(s.subs)
	}
	for _, c := range x.clients {
		if c.w != nil {
			connected++
		}
	}
	if int(st.Sessions) != len(x.sessions) || int(st.Subscriptions) != subs || int(st.Connections) != connected {
		return fmt.Errorf("the server has %d sessions, %d subscriptions, %d connections; the model %d, %d, %d",
			st.Sessions, st.Subscriptions, st.Connections, len(x.sessions), subs, connected)
	}
	return nil
}

// finished checks, when every session has been resumed and drained, that nothing is missing.
func (x *world) finished() error {
	for id, s := range x.sessions {
		for _, w := range s.wants {
			if w.got == 0 && !w.optional && !w.replay && !w.lapsed() {
				return fmt.Errorf("%s has not got message %d (QoS %d); it wants %s", id, w.m.n, w.qos, s.list())
			}
			if w.qos == 2 && w.got > 1 {
				return fmt.Errorf("%s has got message %d %d times at QoS 2", id, w.m.n, w.got)
			}
		}
	}
	if st := x.srv.Stats(); st.Queued != 0 {
		return fmt.Errorf("all is acknowledged but %d are queued", st.Queued)
	}
	return nil
}

// expire moves the model's time: wills that are due, sessions that end, in the order of their times.
func (x *world) expire() {
	now := time.Now()
	for {
		at, what := time.Time{}, func() {}
		sooner := func(t time.Time) bool { return !t.IsZero() && !t.After(now) && (at.IsZero() || t.Before(at)) }
		for i, d := range x.wills {
			if sooner(d.at) {
				at, what = d.at, func() {
					x.wills = slices.Delete(x.wills, i, i+1)
					x.publishWill(d.c, d.w)
				}
			}
		}
		for id, s := range x.sessions {
			if sooner(s.ends) {
				at, what = s.ends, func() { x.removeSession(id) }
			}
		}
		if at.IsZero() {
			return
		}
		what()
	}
}

// removeSession ends a session. What it has not acknowledged of a group's messages may go to another member.
func (x *world) removeSession(id string) {
	gone := x.sessions[id]
	delete(x.sessions, id)
	for _, w := range gone.wants {
		if w.group == "" {
			continue
		}
		for _, c := range x.clients {
			if s := x.sessions[c.id]; s != nil {
				if sub, member := s.subs[w.group]; member {
					x.give(c, s, w.m, min(sub.qos, w.m.qos), w.group)
				}
			}
		}
	}
}

// publishWill routes a will.
func (x *world) publishWill(c *client, w *will) {
	m := message{n: w.n, from: c.i, topic: w.topic, qos: w.qos}
	x.route(m, false)
}
