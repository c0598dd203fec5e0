package mqttx

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// Stats are figures of a Server, each read by itself while it goes on. Counters count from the first method call.
type Stats struct {
	Connections   int64 // clients connected now
	Sessions      int64 // sessions now, connected or not
	Subscriptions int64 // subscriptions of all sessions now
	Retained      int64 // retained messages now
	Queued        int64 // QoS 1 and 2 messages waiting or under way to clients now
	QueuedBytes   int64 // their bytes, shared ones counted for each session
	Published     int64 // messages accepted, wills and the server's own included
	Delivered     int64 // copies handed to a connection (QoS 0) or acknowledged by a client (QoS 1, 2)
	Expired       int64 // copies whose Message Expiry Interval ran out before they were sent
	Dropped       map[DropReason]int64
}

// counters are the server's own.
type counters struct {
	connections, sessions, subscriptions, queued, queuedBytes atomic.Int64
	published, delivered, expired                             atomic.Int64
	retained, retainedBytes                                   atomic.Int64
	unfinished                                                atomic.Int64 // bytes of CONNECTs that are not whole yet
	dropped                                                   [dropReasons]atomic.Int64
}

// Stats gives the figures of now.
func (s *Server) Stats() Stats {
	b := s.open()
	st := Stats{
		Connections:   b.n.connections.Load(),
		Sessions:      b.n.sessions.Load(),
		Subscriptions: b.n.subscriptions.Load(),
		Retained:      b.n.retained.Load(),
		Queued:        b.n.queued.Load(),
		QueuedBytes:   b.n.queuedBytes.Load(),
		Published:     b.n.published.Load(),
		Delivered:     b.n.delivered.Load(),
		Expired:       b.n.expired.Load(),
		Dropped:       make(map[DropReason]int64),
	}
	for i := range b.n.dropped {
		if n := b.n.dropped[i].Load(); n > 0 {
			st.Dropped[DropReason(i)] = n
		}
	}
	return st
}

// drop counts a message that does not reach c, and tells Trace.
func (b *broker) drop(c Client, m *Message, why DropReason) {
	b.n.dropped[why].Add(1)
	if t := b.trace; t != nil && t.Dropped != nil {
		b.watch("Dropped", func() { t.Dropped(c, m, why) })
	}
}

// watch calls a function of Trace; a panic in it harms nobody.
func (b *broker) watch(what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			b.log.error("panic in a Trace function", "function", what, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	f()
}
