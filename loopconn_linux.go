package mqttx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/e8743928/mqttx/internal/poll"
	"github.com/e8743928/mqttx/packet"
)

// looped is a connection on a loop.
type looped struct {
	l      *loop
	c      *Conn
	gen    uint32
	refuse error          // what CONNACK is to tell
	peer   netip.AddrPort // zero for a unix socket

	// Under the connection's out.mu.
	fd       int  // -1: closed
	added    bool // in the poller's set
	in, outW bool // what it is watched for
	busy     bool // the loop works for it
	away     bool // a goroutine works for it: nothing is read
	draining bool // what comes is thrown away until the client has closed
	shut     bool // the sending side is closed
	flushed  chan struct{}
}

// take puts a new connection on the next loop, or closes it.
func (ls *loops) take(fd int, sa syscall.Sockaddr, refuse error) {
	l := ls.all[int(ls.next.Add(1))%len(ls.all)]
	x := &looped{l: l, fd: fd}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		x.peer = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		x.peer = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	l.mu.Lock()
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = x
	l.gens++
	x.gen = l.gens &^ (1 << 31)
	l.mu.Unlock()
	x.refuse = refuse
	c := ls.b.newConn(context.Background(), x)
	if c == nil {
		l.mu.Lock()
		l.closeLocked(x) // unless the loop has, at its end
		l.mu.Unlock()
		return
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.out.closing {
		x.in = true
		x.watchLocked()
	}
}

func (x *looped) bind(c *Conn) {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	x.c, c.refuse = c, x.refuse
}

// watchLocked tells the poller what the socket is watched for. A descriptor that is watched for nothing leaves the set:
// hang-ups would be reported all the same.
func (x *looped) watchLocked() {
	if x.fd < 0 {
		return
	}
	in := x.in && !x.away || x.draining
	if !in && !x.outW {
		if x.added {
			x.l.p.Remove(x.fd)
			x.added = false
		}
		return
	}
	if err := x.l.p.Set(x.fd, uint64(x.gen)<<32|uint64(uint32(x.fd)), in, x.outW, !x.added); err == nil {
		x.added = true
	}
}

func (x *looped) remoteAddr() net.Addr {
	if !x.peer.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(x.peer)
}

func (x *looped) localAddr() net.Addr {
	x.c.out.mu.Lock()
	defer x.c.out.mu.Unlock()
	if x.fd >= 0 {
		if sa, err := syscall.Getsockname(x.fd); err == nil {
			switch a := sa.(type) {
			case *syscall.SockaddrInet4:
				return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
			case *syscall.SockaddrInet6:
				return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
			case *syscall.SockaddrUnix:
				return &net.UnixAddr{Name: a.Name, Net: "unix"}
			}
		}
	}
	return &net.TCPAddr{}
}

func (x *looped) tlsState() *tls.ConnectionState { return nil }

// readable reads once and handles what came.
func (x *looped) readable() {
	c := x.c
	c.out.mu.Lock()
	draining, reads := x.draining, x.in && !x.away && x.fd >= 0
	x.busy = reads
	c.out.mu.Unlock()
	if draining {
		if n, err := poll.Read(x.fd, x.l.buf); n == 0 && !errors.Is(err, poll.ErrAgain) {
			x.close()
		}
		return
	}
	if !reads {
		return
	}
	rest, leaves := x.handle()
	c.out.mu.Lock()
	x.busy = false
	ended := c.out.closing && !x.away
	x.away = x.away || ended
	c.out.mu.Unlock()
	switch {
	case ended:
		x.finishHere()
	case leaves:
		x.leave(rest)
	}
}

// handle reads and does what it can without waiting; what is left needs a goroutine.
func (x *looped) handle() (rest []byte, leaves bool) {
	c, l := x.c, x.l
	n, err := poll.Read(x.fd, l.buf)
	if errors.Is(err, poll.ErrAgain) {
		return nil, false
	}
	if n == 0 {
		if err == nil {
			err = io.EOF
		}
		c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
		return nil, false
	}
	b := l.buf[:n]
	if c.b.has.blocking || !c.turn.TryLock() {
		return b, true
	}
	defer c.turn.Unlock()
	if !c.opened.Load() && (c.b.has.slowConnect || !isWhole(b) || len(c.tail) > 0) {
		return b, true
	}
	c.way = &l.way
	l.way.by = c
	used := c.consumeAll(b)
	c.way = nil
	l.way.by = nil
	return b[used:], used < len(b) || !c.pause.until.IsZero()
}

// isWhole tells whether b is just one packet.
func isWhole(b []byte) bool {
	h, n, err := packet.ParseHeader(b)
	return err == nil && n > 0 && n+h.Length == len(b)
}

// later has a goroutine do what has to wait, if the caller is the loop; else the caller may wait itself.
func (x *looped) later(f func()) bool {
	x.c.out.mu.Lock()
	defer x.c.out.mu.Unlock()
	if !x.busy || x.away {
		return false
	}
	x.away = true
	x.watchLocked()
	go func() {
		f()
		x.back()
	}()
	return true
}

// finishHere is finish on the loop, where nobody has to be called or waited for.
func (x *looped) finishHere() {
	c := x.c
	if len(c.b.tables) > 0 || c.why.By == ByServer {
		go x.finish()
		return
	}
	c.finish()
	c.out.mu.Lock()
	flushed := len(c.out.buf) == 0 && len(c.out.refs) == 0
	c.out.mu.Unlock()
	if !flushed {
		go x.finishSending()
		return
	}
	c.b.remove(c)
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	x.l.closeLocked(x)
}

// leave lets a goroutine handle b, and what it waits for, while the loop goes on with others.
func (x *looped) leave(b []byte) {
	c := x.c
	c.out.mu.Lock()
	if x.away || c.out.closing {
		c.out.mu.Unlock()
		return
	}
	x.away = true
	x.watchLocked()
	c.out.mu.Unlock()
	mine := append([]byte(nil), b...)
	go func() {
		c.work(mine)
		x.back()
	}()
}

// back returns the connection to its loop, or cleans up behind it if it has ended meanwhile.
func (x *looped) back() {
	c := x.c
	c.out.mu.Lock()
	if !c.out.closing {
		x.away = false
		x.watchLocked()
		c.out.mu.Unlock()
		return
	}
	c.out.mu.Unlock()
	x.finish()
}

// finish cleans up behind a connection that has ended: what is left is sent, the client may read it, the socket is closed.
func (x *looped) finish() {
	x.c.finish()
	x.finishSending()
}

func (x *looped) finishSending() {
	c := x.c
	x.waitFlushed()
	c.b.remove(c)
	if c.why.By != ByServer {
		x.close()
		return
	}
	c.out.mu.Lock()
	x.draining = true
	x.watchLocked()
	c.out.mu.Unlock()
	time.AfterFunc(lingerTime, x.close)
}

// waitFlushed waits until the outbox is empty or has had its time.
func (x *looped) waitFlushed() {
	o := &x.c.out
	o.mu.Lock()
	if x.fd < 0 || len(o.buf) == 0 && len(o.refs) == 0 {
		o.mu.Unlock()
		return
	}
	x.flushed = make(chan struct{})
	flushed := x.flushed
	o.mu.Unlock()
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-flushed:
	case <-t.C:
	}
}

func (x *looped) tellFlushed() {
	if x.flushed != nil {
		close(x.flushed)
		x.flushed = nil
	}
}

// close has the loop close the socket.
func (x *looped) close() {
	x.l.mu.Lock()
	x.l.gone = append(x.l.gone, x)
	x.l.mu.Unlock()
	x.l.p.Wake()
}

func (x *looped) cut(*Conn) { x.close() }

// hangUp stops reading and sees to it that somebody cleans up.
func (x *looped) hangUp(c *Conn) {
	c.out.mu.Lock()
	x.in = false
	started := x.away || x.busy // whoever is at work finishes
	x.away = x.away || !x.busy
	x.watchLocked()
	c.out.mu.Unlock()
	x.flush(c)
	if !started {
		go x.finish()
	}
}

// flush writes what the outbox holds as far as the socket takes it; the rest follows when it is writable again.
func (x *looped) flush(c *Conn) {
	for {
		wake, err := x.send(&c.out)
		if err != nil {
			c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
			return
		}
		if !wake || !c.refill() {
			return
		}
	}
}

// send writes once what there is; wake tells that what waited for room goes on.
func (x *looped) send(o *outbox) (wake bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dirty = false
	if x.fd < 0 {
		o.buf, o.refs, o.size, o.sent = nil, nil, 0, 0
		return false, nil
	}
	blocked := false
	for len(o.buf) > 0 || len(o.refs) > 0 {
		n, err := o.writeTo(x.fd)
		if errors.Is(err, poll.ErrAgain) {
			blocked = true
			break
		}
		if err != nil {
			o.buf, o.refs, o.size, o.sent = nil, nil, 0, 0
			x.tellFlushed()
			return false, fmt.Errorf("mqttx: write: %w", err)
		}
		wake = o.wroteLocked(n) || wake
	}
	if blocked {
		o.compact()
	}
	if blocked != x.outW {
		x.outW = blocked
		x.watchLocked()
	}
	if !blocked {
		o.letGo()
		if o.closing && !x.shut {
			x.shut = true
			poll.CloseWrite(x.fd)
		}
		x.tellFlushed()
	}
	return wake, nil
}
