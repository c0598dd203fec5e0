package mqttx

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"
)

const (
	longestPause = 10 * time.Millisecond  // for a receiver that does not take what it is sent
	lastWords    = 2 * time.Second        // for what the outbox holds when a connection ends
	lingerTime   = 500 * time.Millisecond // for the client to read DISCONNECT before the socket goes
	smallRead    = 2 << 10
	largeRead    = 64 << 10
	largeWrite   = 64 << 10 // what is accounted at once
)

// newConn makes a connection; nil: the server is closing, or full.
func (b *broker) newConn(ctx context.Context, w wire) *Conn {
	c := &Conn{link{b: b, wire: w, base: ctx, accepted: time.Now(), gone: make(chan struct{})}}
	c.maxPacket = maxPacket
	w.bind(c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing || len(b.conns) >= b.limits.Load().Connections {
		return nil
	}
	b.conns[c] = struct{}{}
	c.armConnect()
	return c
}

// stream is the driver for any net.Conn: the goroutine that serves it reads, another writes while there is something to
// write.
type stream struct {
	nc      net.Conn
	written chan struct{} // closed when the writer has ended
}

func newStream(nc net.Conn) *stream { return &stream{nc, make(chan struct{})} }

func (s *stream) remoteAddr() net.Addr { return s.nc.RemoteAddr() }
func (s *stream) localAddr() net.Addr  { return s.nc.LocalAddr() }
func (s *stream) bind(*Conn)           {}

// cut closes at once. TLS would wait for room to say goodbye, so what is below it is closed.
func (s *stream) cut(*Conn) {
	if t, ok := s.nc.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close()
		return
	}
	s.nc.Close()
}

// tlsState gives the TLS state of a *tls.Conn, or of a transport over TLS that has such a method.
func (s *stream) tlsState() *tls.ConnectionState {
	switch t := s.nc.(type) {
	case interface{ ConnectionState() tls.ConnectionState }:
		st := t.ConnectionState()
		return &st
	case interface{ TLS() *tls.ConnectionState }:
		return t.TLS()
	}
	return nil
}

// flush starts a writer if none is at work.
func (s *stream) flush(c *Conn) {
	o := &c.out
	o.mu.Lock()
	o.dirty = false
	start := !o.writing && (len(o.buf) > 0 || len(o.refs) > 0)
	o.writing = o.writing || start
	o.mu.Unlock()
	if start {
		go s.write(c)
	}
}

// hangUp wakes the reader, and lets the writer send what is left and close the sending side.
func (s *stream) hangUp(c *Conn) {
	s.nc.SetReadDeadline(time.Unix(1, 0))
	s.nc.SetWriteDeadline(time.Now().Add(lastWords))
	o := &c.out
	o.mu.Lock()
	start := !o.writing
	o.writing = true
	o.mu.Unlock()
	if start {
		go s.write(c)
	}
}

// write sends what the outbox holds until it is empty; at the connection's end it closes the sending side.
func (s *stream) write(c *Conn) {
	o := &c.out
	var spare []byte
	for {
		o.mu.Lock()
		if len(o.buf) == 0 && len(o.refs) == 0 {
			if !o.closing {
				o.writing = false
				o.letGo()
				o.mu.Unlock()
				if spare != nil {
					putBuffer(spare)
				}
				return
			}
			o.mu.Unlock()
			s.closeSending()
			return
		}
		whole, bufs := o.takeLocked(spare)
		o.mu.Unlock()
		if err := s.writeAll(c, bufs); err != nil {
			o.mu.Lock()
			o.buf, o.refs, o.size = nil, nil, 0
			o.mu.Unlock()
			c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
			s.cut(c)
			close(s.written)
			return
		}
		if spare = whole; cap(spare) > largeRead {
			spare = nil
		}
	}
}

// writeAll writes in pieces, so that a slow client is seen to take something while it does.
func (s *stream) writeAll(c *Conn, bufs net.Buffers) (err error) {
	for len(bufs) > 0 && err == nil {
		var piece net.Buffers
		piece, bufs = firstPiece(bufs)
		var n int64
		if len(piece) == 1 {
			var k int
			k, err = s.nc.Write(piece[0])
			n = int64(k)
		} else {
			n, err = piece.WriteTo(s.nc)
		}
		c.out.mu.Lock()
		wake := c.out.wroteLocked(int(n))
		c.out.mu.Unlock()
		if wake && err == nil {
			c.pump()
		}
	}
	return err
}

// firstPiece cuts at most largeWrite bytes from the front of bufs.
func firstPiece(bufs net.Buffers) (piece, rest net.Buffers) {
	room := largeWrite
	for i, b := range bufs {
		if len(b) > room {
			piece = append(bufs[:i:i], b[:room])
			bufs[i] = b[room:]
			return piece, bufs[i:]
		}
		room -= len(b)
	}
	return bufs, nil
}

// closeSending tells the client that nothing more comes, and the reader that the writer is through.
func (s *stream) closeSending() {
	half, can := s.nc.(interface{ CloseWrite() error })
	if !can || half.CloseWrite() != nil {
		s.nc.Close()
	}
	close(s.written)
}

// serve reads until the connection ends, and cleans up behind it.
func (s *stream) serve(c *Conn) {
	s.read(c)
	c.finish()
	<-s.written
	c.b.remove(c)
	s.linger(c)
	s.nc.Close()
}

// linger reads what the client still sends for a moment: closing a socket with unread bytes would take back what was
// written last, DISCONNECT perhaps.
func (s *stream) linger(c *Conn) {
	if _, can := s.nc.(interface{ CloseWrite() error }); !can || c.why.By != ByServer {
		return
	}
	s.nc.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, io.LimitReader(s.nc, 1<<20))
}

// read feeds the connection with what comes.
func (s *stream) read(c *Conn) {
	src := newSource(s.nc)
	defer src.close()
	for {
		b, err := src.next()
		c.work(b)
		if c.ended.Load() {
			return
		}
		if err != nil {
			c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
			return
		}
	}
}

// work feeds the connection with b and waits out its pauses. It is called by a goroutine that may wait.
func (c *Conn) work(b []byte) {
	for {
		for !c.pause.until.IsZero() {
			c.waitPause()
		}
		if len(b) == 0 || c.ended.Load() {
			return
		}
		b = b[c.feed(b):]
	}
}

// pauseFor makes reading pause for a receiver whose outbox is full, unless that cannot help: the receiver is the publisher
// itself or paused, or has taken nothing during the last pause for it.
func (c *Conn) pauseFor(r *Conn) {
	if r == c || r.held.Load() {
		return
	}
	r.out.mu.Lock()
	room := r.out.roomLocked()
	r.out.mu.Unlock()
	if room != nil {
		c.pause = pause{until: time.Now().Add(longestPause), room: room, full: r}
	}
}

// waitPause waits a pause out; keep alive stands still meanwhile.
func (c *Conn) waitPause() {
	p := c.pause
	var moved uint64
	if p.full != nil {
		p.full.out.mu.Lock()
		moved = p.full.out.moved
		p.full.out.mu.Unlock()
	}
	c.held.Store(true)
	t := time.NewTimer(time.Until(p.until))
	select {
	case <-p.room:
	case <-c.Context().Done():
	case <-t.C:
		if p.full != nil {
			p.full.out.pausedInVain(moved)
		}
	}
	t.Stop()
	c.seen.Store(c.b.since(time.Now()))
	c.held.Store(false)
	c.takeTurn()
	c.pause = pause{}
	c.goOn()
	c.endTurn()
}

// pausedInVain notes that a pause has not helped if nothing was taken since moved.
func (o *outbox) pausedInVain(moved uint64) {
	o.mu.Lock()
	if o.moved == moved {
		o.stalled = moved + 1
	}
	o.mu.Unlock()
}

// source gives the bytes of a connection as they come.
type source interface {
	// next waits for bytes; they are valid until the call after.
	next() ([]byte, error)
	close()
}

// plainSource reads by Read. Its buffer grows while much is coming and shrinks again.
type plainSource struct {
	nc  net.Conn
	buf []byte
}

func (s *plainSource) next() ([]byte, error) {
	if s.buf == nil {
		s.buf = make([]byte, smallRead)
	}
	n, err := s.nc.Read(s.buf)
	b := s.buf[:n]
	switch {
	case n == len(s.buf) && n < largeRead:
		s.buf = make([]byte, largeRead)
	case n < smallRead/2 && len(s.buf) > smallRead:
		s.buf = nil
	}
	return b, err
}

func (s *plainSource) close() {}
