package model

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
	"pgregory.net/rapid"
)

// step is one thing that a client does; what the numbers mean depends on the kind.
type step struct{ Kind, Client, A, B, C, D int }

const (
	doConnect = iota
	doDrop
	doDisconnect
	doPublish
	doRelease
	doRepeat
	doSubscribe
	doUnsubscribe
	doAck
	doWait
	kinds
)

var (
	names   = [kinds]string{"connect", "drop", "disconnect", "publish", "release", "repeat", "subscribe", "unsubscribe", "acknowledge", "wait"}
	weights = []int{
		doConnect, doConnect, doConnect, doDrop, doDisconnect, doPublish, doPublish, doPublish, doPublish, doRelease, doRepeat,
		doSubscribe, doSubscribe, doSubscribe, doUnsubscribe, doAck, doAck, doAck, doWait,
	}
	topics   = []string{"a", "a/b", "b"}
	filters  = []string{"a", "a/#", "+", "#", "+/b", "$share/g/a/#", "$share/g/#", "$share/h/a"}
	expiries = []uint32{0, 10, 60, 1<<32 - 1} // and the client's number, so that no two things fall due at the same moment
)

func (s step) String() string {
	return fmt.Sprintf("%s %d (%d %d %d %d)", names[s.Kind], s.Client, s.A, s.B, s.C, s.D)
}

var steps = rapid.Custom(func(t *rapid.T) step {
	small := rapid.IntRange(0, 7)
	return step{
		rapid.SampledFrom(weights).Draw(t, "kind"), rapid.IntRange(0, 3).Draw(t, "client"),
		small.Draw(t, "a"), small.Draw(t, "b"), small.Draw(t, "c"), small.Draw(t, "d"),
	}
})

// TestRandomPrograms runs random programs of four clients: connecting, breaking off, resuming, taking over, subscribing,
// publishing at every QoS, holding acknowledgements back, letting time pass. After every step the server's and the model's
// state are compared; at the end everything that was promised has arrived.
func TestRandomPrograms(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 80).Draw(rt, "steps")
		program := rapid.SliceOfN(steps, n, n).Draw(rt, "program")
		if err := run(t, program); err != nil {
			rt.Fatal(err)
		}
	})
}

// run runs a program in a bubble.
func run(t *testing.T, program []step) (err error) {
	synctest.Test(t, func(t *testing.T) {
		x := &world{
			srv: &mqttx.Server{Limits: mqttx.Limits{ResendInterval: -1}, Logger: slog.New(slog.DiscardHandler)}, sessions: make(map[string]*session),
			retained: make(map[string]message), groups: make(map[int]int), shared: make(map[int]int),
		}
		defer x.srv.Close()
		for i := range 4 {
			v := packet.V5
			if i%2 == 1 {
				v = packet.V311
			}
			x.clients = append(x.clients, &client{i: i, id: fmt.Sprint("c", i), v: v})
		}
		defer func() {
			for _, c := range x.clients {
				if c.w != nil {
					c.w.drop()
				}
			}
		}()
		for n, s := range program {
			if err = x.do(s); err == nil {
				err = x.settle()
			}
			if err != nil {
				err = fmt.Errorf("step %d, %v: %w", n+1, s, err)
				return
			}
		}
		err = x.drain()
	})
	return err
}

// do makes one step on both sides.
func (x *world) do(s step) error {
	c := x.clients[s.Client]
	if s.Kind == doConnect {
		return x.connect(c, s)
	}
	if s.Kind == doWait {
		x.wait(s)
		return nil
	}
	if c.w == nil {
		return nil
	}
	switch s.Kind {
	case doDrop:
		c.w.drop()
		x.ended(c, true)
	case doDisconnect:
		c.w.send(&packet.Disconnect{})
		<-c.w.done
		x.ended(c, false)
	case doPublish:
		return x.publish(c, s)
	case doRelease, doRepeat:
		return x.goOn(c, s.Kind == doRepeat)
	case doSubscribe:
		return x.subscribe(c, s)
	case doUnsubscribe:
		f := filters[s.A%len(filters)]
		delete(x.sessions[c.id].subs, f)
		return c.w.send(&packet.Unsubscribe{PacketID: 7, Filters: []string{f}})
	case doAck:
		return c.ack(1 + s.A)
	}
	return nil
}

// connect connects, in place of an older connection if there is one.
func (x *world) connect(c *client, s step) error {
	clean := s.A < 2
	p := &packet.Connect{Version: c.v, ClientID: c.id, CleanStart: clean, ReceiveMaximum: uint16(s.C % 3)}
	expiry := uint32(0)
	if c.v == packet.V5 {
		expiry = expiries[s.B%len(expiries)]
		if expiry%10 == 0 && expiry > 0 {
			expiry += uint32(c.i)
		}
		p.SessionExpiryInterval = &expiry
	} else if !clean {
		expiry = 1<<32 - 1
	}
	var w *will
	if s.D < 3 {
		x.next++
		w = &will{n: x.next, topic: topics[s.D], qos: packet.QoS(s.B % 3)}
		if c.v == packet.V5 {
			if w.delay = []uint32{0, 5, 30}[s.C%3]; w.delay > 0 {
				w.delay += uint32(c.i)
			}
		}
		p.Will = &packet.Will{Topic: w.topic, QoS: w.qos, DelayInterval: w.delay, Payload: fmt.Append(nil, w.n)}
	}
	old := c.w
	fresh := dial(x.srv, c.v)
	if err := fresh.send(p); err != nil {
		return err
	}
	synctest.Wait()
	if old != nil {
		old.drop()
		x.ended(c, true)
	}
	c.w = fresh
	before := x.sessions[c.id]
	present := before != nil && !clean
	if before != nil && clean {
		x.endSession(c)
	}
	x.wills = deleteWills(x.wills, c)
	if !present {
		x.sessions[c.id] = &session{subs: make(map[string]subscription)}
		c.open, c.seen, c.outgoing = make(map[uint16]bool), make(map[uint16]int), make(map[uint16]*outgoing)
	}
	x.sessions[c.id].ends = time.Time{}
	c.expiry, c.will, c.acks = expiry, w, nil
	return x.checkConnack(c, present)
}

// checkConnack takes CONNACK, which comes first.
func (x *world) checkConnack(c *client, present bool) error {
	c.w.mu.Lock()
	in := c.w.in
	c.w.mu.Unlock()
	h, n, err := packet.ParseHeader(in)
	if err != nil || n == 0 || h.Type != packet.TypeConnack {
		return fmt.Errorf("no CONNACK but % x: %v", in, err)
	}
	var ack packet.Connack
	if err := ack.Parse(h, in[n:n+h.Length], c.v); err != nil {
		return err
	}
	if ack.Code != 0 || ack.SessionPresent != present {
		return fmt.Errorf("CONNACK %v, session present %t, want %t", ack.Code, ack.SessionPresent, present)
	}
	c.w.mu.Lock()
	c.w.in = c.w.in[n+h.Length:]
	c.w.mu.Unlock()
	return nil
}

func deleteWills(ws []dueWill, c *client) []dueWill {
	var kept []dueWill
	for _, d := range ws {
		if d.c != c {
			kept = append(kept, d)
		}
	}
	return kept
}

// endSession ends a session by Clean Start: a will that still waits goes out.
func (x *world) endSession(c *client) {
	x.removeSession(c.id)
	for _, d := range x.wills {
		if d.c == c {
			x.publishWill(c, d.w)
		}
	}
}

// ended notes what follows from the end of a connection.
func (x *world) ended(c *client, willed bool) {
	s := x.sessions[c.id]
	c.w = nil
	now := time.Now()
	for _, w := range s.wants {
		w.optional = w.optional || w.qos == 0
	}
	if willed && c.will != nil {
		delay := min(c.will.delay, c.expiry)
		if delay == 0 {
			x.publishWill(c, c.will)
		} else {
			x.wills = append(x.wills, dueWill{now.Add(time.Duration(delay) * time.Second), c.will, c})
		}
	}
	c.will = nil
	switch c.expiry {
	case 0:
		x.removeSession(c.id)
	case 1<<32 - 1:
	default:
		s.ends = now.Add(time.Duration(c.expiry) * time.Second)
	}
}

// publish publishes a message; at QoS 2 its PUBREL is another step.
func (x *world) publish(c *client, s step) error {
	x.next++
	m := message{n: x.next, from: c.i, topic: topics[s.A%len(topics)], qos: packet.QoS(s.B % 3)}
	p := &packet.Publish{Topic: []byte(m.topic), Payload: fmt.Append(nil, m.n), QoS: m.qos, Retain: s.C == 0}
	if c.v == packet.V5 && s.D < 2 {
		p.HasMessageExpiry, p.MessageExpiryInterval = true, 20
		m.expires = time.Now().Add(20 * time.Second)
	}
	if m.qos > 0 {
		p.PacketID = c.freeID()
	}
	if m.qos == 2 {
		if c.v == packet.V5 && len(c.outgoing) >= 50 {
			return nil
		}
		c.outgoing[p.PacketID] = &outgoing{m: m}
	}
	if p.Retain && !m.expires.IsZero() {
		p.Retain = false // the model keeps no retained messages that expire
	}
	x.route(m, p.Retain)
	return c.w.send(p)
}

func (c *client) freeID() uint16 {
	for {
		c.nextID++
		if c.nextID != 0 && c.outgoing[c.nextID] == nil {
			return c.nextID
		}
	}
}

// goOn sends PUBREL for the oldest QoS 2 message of the client, or its PUBLISH again.
func (x *world) goOn(c *client, again bool) error {
	for id := range uint16(1000) {
		o := c.outgoing[id]
		if o == nil {
			continue
		}
		if again && !o.released {
			return c.w.send(&packet.Publish{Topic: []byte(o.m.topic), Payload: fmt.Append(nil, o.m.n), QoS: 2, PacketID: id, Dup: true})
		}
		o.released = true
		return c.w.send(&packet.Pubrel{PacketID: id})
	}
	return nil
}

// subscribe subscribes to one filter; retained messages are wanted with RETAIN.
func (x *world) subscribe(c *client, s step) error {
	f := filters[s.A%len(filters)]
	qos := packet.QoS(s.B % 3)
	sub := subscription{filter: f, qos: qos}
	if rest, shared := strings.CutPrefix(f, "$share/"); shared {
		sub.share, sub.filter, _ = strings.Cut(rest, "/")
	}
	sub.noLocal = c.v == packet.V5 && sub.share == "" && s.C == 0
	have := x.sessions[c.id]
	have.subs[f] = sub
	if sub.share == "" {
		for name, m := range x.retained {
			if topic.Match(sub.filter, name) {
				have.wants = append(have.wants, &want{m: m, qos: min(qos, m.qos), replay: true, optional: true})
			}
		}
	}
	return c.w.send(&packet.Subscribe{PacketID: 6, Filters: []packet.Filter{{Filter: f, QoS: qos, NoLocal: sub.noLocal}}})
}

// ack sends what the client holds back, oldest first.
func (c *client) ack(n int) error {
	for ; n > 0 && len(c.acks) > 0; n-- {
		p := c.acks[0].p
		c.acks = c.acks[1:]
		if done, ok := p.(*packet.Pubcomp); ok {
			delete(c.seen, done.PacketID)
		}
		if err := c.w.send(p); err != nil {
			return err
		}
	}
	return nil
}

// wait lets time pass. Timed resends of 3.1.1 are off: they are not the model's subject.
func (x *world) wait(s step) {
	mqttest.Advance([]time.Duration{1_000_100, 4_001_000, 11_010_000, 61_100_300}[s.A%4] * time.Microsecond)
	x.expire()
}

// flushAll lets a client answer everything, and go on with its own messages, until nothing is open.
func (x *world) flushAll(c *client) {
	for range 100 {
		synctest.Wait()
		if x.settle() != nil {
			return
		}
		if len(c.acks) == 0 && len(c.outgoing) == 0 {
			return
		}
		c.ack(1000)
		for id := range c.outgoing {
			c.outgoing[id].released = true
			c.w.send(&packet.Pubrel{PacketID: id})
		}
	}
}

// drain resumes every session that is left, lets its client answer everything, and checks that nothing is missing.
func (x *world) drain() error {
	for range 3 {
		for _, c := range x.clients {
			if c.w == nil && x.sessions[c.id] == nil {
				continue
			}
			if c.w == nil {
				if err := x.connect(c, step{doConnect, c.i, 7, 3, 0, 7}); err != nil {
					return err
				}
			}
			x.flushAll(c)
			if err := x.settle(); err != nil {
				return err
			}
		}
	}
	return x.finished()
}
