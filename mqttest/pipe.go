package mqttest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is what one direction of a Pipe holds before its writer waits, the size of a small socket buffer.
const pipeBuffer = 64 << 10

// Pipe gives the two ends of a connection in memory, for [mqttx.Server.ServeConn] and [NewClient]. Unlike [net.Pipe] it
// has a buffer of 64 KiB in each direction, so that a write need not meet a read, as on a socket, and yet a peer that does
// not read is felt; and it has CloseWrite, so that a server's last words arrive. Deadlines, virtual time in a synctest
// bubble included, work as on a socket. What was written before Close can still be read by the other end.
func Pipe() (a, b net.Conn) {
	x, y := newHalf(), newHalf()
	return &pipe{in: x, out: y}, &pipe{in: y, out: x}
}

// pipe is one end: it reads from in and writes to out.
type pipe struct{ in, out *half }

// half is one direction.
type half struct {
	mu     sync.Mutex
	change sync.Cond // of anything below
	buf    []byte
	ended  bool // the writer has closed: EOF behind buf
	gone   bool // the reader has closed: nobody takes what is written
	read   deadline
	write  deadline
}

func newHalf() *half {
	h := &half{}
	h.change.L = &h.mu
	return h
}

// deadline is one of a half, under its mu.
type deadline struct {
	timer  *time.Timer
	passed bool
}

// Read takes what is there, and waits while nothing is.
func (p *pipe) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.gone:
			return 0, net.ErrClosed
		case h.read.passed:
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(h.buf) > 0:
			n := copy(b, h.buf)
			if h.buf = h.buf[n:]; len(h.buf) == 0 {
				h.buf = nil
			}
			h.change.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.change.Wait()
	}
}

// Write returns when all of b is in the buffer.
func (p *pipe) Write(b []byte) (n int, err error) {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.ended:
			return n, net.ErrClosed
		case h.write.passed:
			return n, os.ErrDeadlineExceeded
		case h.gone:
			return n, io.ErrClosedPipe
		case len(b) == 0:
			return n, nil
		}
		if room := min(pipeBuffer-len(h.buf), len(b)); room > 0 {
			h.buf = append(h.buf, b[:room]...)
			b = b[room:]
			n += room
			h.change.Broadcast()
			continue
		}
		h.change.Wait()
	}
}

// Close ends both directions.
func (p *pipe) Close() error {
	p.in.mu.Lock()
	was := p.in.gone
	p.in.gone = true
	p.in.buf = nil
	p.in.read.stop()
	p.in.change.Broadcast()
	p.in.mu.Unlock()
	p.CloseWrite()
	if was {
		return net.ErrClosed
	}
	return nil
}

// CloseWrite ends the direction to the other end, which reads EOF after what was written.
func (p *pipe) CloseWrite() error {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return net.ErrClosed
	}
	h.ended = true
	h.write.stop()
	h.change.Broadcast()
	return nil
}

// waitEnd waits until the other end sends no more, without reading; false: limit has come first.
func (p *pipe) waitEnd(limit time.Duration) bool {
	h := p.in
	late := false
	t := time.AfterFunc(limit, func() {
		h.mu.Lock()
		late = true
		h.change.Broadcast()
		h.mu.Unlock()
	})
	defer t.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.ended && !late {
		h.change.Wait()
	}
	return h.ended
}

// LocalAddr has the network "pipe", like that of [net.Pipe]: a server counts it as this machine.
func (p *pipe) LocalAddr() net.Addr { return pipeAddr{} }

// RemoteAddr has the network "pipe".
func (p *pipe) RemoteAddr() net.Addr { return pipeAddr{} }

// SetDeadline sets both deadlines.
func (p *pipe) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// SetReadDeadline sets the time from which Read fails; zero: never.
func (p *pipe) SetReadDeadline(t time.Time) error { return p.in.set(&p.in.read, &p.in.gone, t) }

// SetWriteDeadline sets the time from which Write fails; zero: never.
func (p *pipe) SetWriteDeadline(t time.Time) error { return p.out.set(&p.out.write, &p.out.ended, t) }

// set sets d, one of h's, unless its side is closed.
func (h *half) set(d *deadline, closed *bool, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *closed {
		return net.ErrClosed
	}
	d.stop()
	d.passed = false
	if t.IsZero() {
		return nil
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		h.change.Broadcast()
		return nil
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if d.timer == timer {
			d.passed = true
			h.change.Broadcast()
		}
	})
	d.timer = timer
	return nil
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
