package mqttx

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	longestPause = 10 * time.Millisecond  // for a receiver that does not take what it is sent
	lastWords    = 2 * time.Second        // for what the outbox holds when a connection ends
	lingerTime   = 500 * time.Millisecond // for the client to read DISCONNECT before the socket goes
	smallRead    = 2 << 10
	largeRead    = 64 << 10
)

// newConn makes a connection; nil: the server is closing, or full.
func (b *broker) newConn(ctx context.Context, nc net.Conn) *Conn {
	c := &Conn{link{b: b, nc: nc, wire: goroutines{}, base: ctx, accepted: time.Now(), gone: make(chan struct{}), written: make(chan struct{})}}
	c.maxPacket = maxPacket
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing || len(b.conns) >= b.limits.Load().Connections {
		return nil
	}
	b.conns[c] = struct{}{}
	c.armConnect()
	return c
}

// goroutines is the driver for any net.Conn: the goroutine that serves it reads, another writes while there is something
// to write.
type goroutines struct{}

// flush starts a writer if none is at work.
func (goroutines) flush(c *Conn) {
	o := &c.out
	o.mu.Lock()
	o.dirty = false
	start := !o.writing && (len(o.buf) > 0 || len(o.refs) > 0)
	o.writing = o.writing || start
	o.mu.Unlock()
	if start {
		go c.write()
	}
}

// hangUp wakes the reader, and lets the writer send what is left and close the sending side.
func (goroutines) hangUp(c *Conn) {
	c.nc.SetReadDeadline(time.Unix(1, 0))
	c.nc.SetWriteDeadline(time.Now().Add(lastWords))
	o := &c.out
	o.mu.Lock()
	start := !o.writing
	o.writing = true
	o.mu.Unlock()
	if start {
		go c.write()
	}
}

// write sends what the outbox holds until it is empty; at the connection's end it closes the sending side.
func (c *Conn) write() {
	o := &c.out
	var spare []byte
	for {
		o.mu.Lock()
		if len(o.buf) == 0 && len(o.refs) == 0 {
			if !o.closing {
				o.writing = false
				o.mu.Unlock()
				return
			}
			o.mu.Unlock()
			c.closeSending()
			return
		}
		whole, bufs := o.takeLocked(spare)
		o.mu.Unlock()
		total, err := int64(0), error(nil)
		if len(bufs) == 1 {
			n := 0
			n, err = c.nc.Write(bufs[0])
			total = int64(n)
		} else {
			total, err = bufs.WriteTo(c.nc)
		}
		if spare = whole; cap(spare) > largeRead {
			spare = nil
		}
		o.mu.Lock()
		wake := o.wroteLocked(int(total))
		if err != nil {
			o.buf, o.refs, o.size = nil, nil, 0
		}
		o.mu.Unlock()
		if err != nil {
			c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
			c.closeSending()
			return
		}
		if wake {
			c.pump()
		}
	}
}

// closeSending tells the client that nothing more comes, and the reader that the writer is through.
func (c *Conn) closeSending() {
	half, can := c.nc.(interface{ CloseWrite() error })
	if !can || half.CloseWrite() != nil {
		c.nc.Close()
	}
	close(c.written)
}

// serve reads until the connection ends, and cleans up behind it.
func (c *Conn) serve() {
	c.read()
	c.finish()
	<-c.written
	c.linger()
	c.nc.Close()
}

// linger reads what the client still sends for a moment: closing a socket with unread bytes would take back what was
// written last, DISCONNECT perhaps.
func (c *Conn) linger() {
	if _, can := c.nc.(interface{ CloseWrite() error }); !can || c.why.By != ByServer {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, io.LimitReader(c.nc, 1<<20))
}

// read feeds the connection with what comes.
func (c *Conn) read() {
	src := newSource(c.nc)
	defer src.close()
	for {
		b, err := src.next()
		for len(b) > 0 && !c.ended.Load() {
			b = b[c.feed(b):]
			for !c.pause.until.IsZero() {
				c.waitPause()
			}
		}
		if c.ended.Load() {
			return
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
			return
		}
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
