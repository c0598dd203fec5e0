package mqttx

import (
	"cmp"
	"context"
	"iter"
)

// Conn finds the connection of a client that is connected.
func (s *Server) Conn(clientID string) (*Conn, bool) {
	b := s.open()
	b.mu.Lock()
	x := b.sessions[clientID]
	b.mu.Unlock()
	if x == nil {
		return nil, false
	}
	c := x.conn.Load()
	return c, c != nil
}

// Conns yields the connections of the clients that are connected when the loop begins.
func (s *Server) Conns() iter.Seq[*Conn] {
	b := s.open()
	return func(yield func(*Conn) bool) {
		for _, x := range b.allSessions() {
			if c := x.conn.Load(); c != nil && !yield(c) {
				return
			}
		}
	}
}

// Disconnect is [Conn.Disconnect] by client id; [ErrNoClient] if no such client is connected (G53).
func (s *Server) Disconnect(clientID string, why error) error {
	c, ok := s.Conn(clientID)
	if !ok {
		return ErrNoClient
	}
	return c.Disconnect(why)
}

// EndSession disconnects a client with AdministrativeAction, if it is connected, and forgets its session with everything in
// it, in the Store too. [ErrNoClient] if there is no such session. It does not wait for callbacks of the client.
func (s *Server) EndSession(ctx context.Context, clientID string) error {
	b := s.open()
	b.mu.Lock()
	x := b.sessions[clientID]
	if x == nil || !x.established {
		b.mu.Unlock()
		return ErrNoClient
	}
	owner := x.owner
	if owner == nil {
		delete(b.sessions, clientID)
	} else {
		n := b.newSession(clientID, x.client.Load())
		n.owner = owner
		b.sessions[clientID] = n
	}
	x.unstore()
	b.mu.Unlock()
	b.wheel.Stop(&x.timer)
	if owner != nil {
		owner.end(&DisconnectError{By: ByServer, Code: AdministrativeAction}, &Error{Code: AdministrativeAction})
	}
	x.die()
	if b.journal != nil {
		return b.journal.wait(ctx, b.journal.position())
	}
	return nil
}

// allSessions gives the sessions of now.
func (b *broker) allSessions() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*session, 0, len(b.sessions))
	for _, x := range b.sessions {
		list = append(list, x)
	}
	return list
}

func compareStrings(a, b string) int { return cmp.Compare(a, b) }
