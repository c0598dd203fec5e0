package mqttx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/e8743928/mqttx/internal/poll"
)

// loops is the driver for plain TCP and unix sockets on Linux: one event loop per processor, no goroutine and no buffer for
// an idle connection. What may wait (CONNECT, callbacks, pauses) leaves the loop for a goroutine and comes back.
type loops struct {
	b    *broker
	all  []*loop
	next atomic.Uint32
	wg   sync.WaitGroup
}

// loop watches some of the connections.
type loop struct {
	b *broker
	p *poll.Poller

	// Only the loop's goroutine.
	evs []poll.Event
	now []ready
	buf []byte
	way way // what the connections of one round fill; flushed at the round's end

	mu    sync.Mutex // a leaf
	conns []*looped  // by descriptor
	doors []*door
	gone  []*looped // to be closed by the loop
	gens  uint32
	stop  bool
}

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
	away     bool // a goroutine works for it: nothing is read
	draining bool // what comes is thrown away until the client has closed
	shut     bool // the sending side is closed
	flushed  chan struct{}
}

// ready is an event with the connection that it is for.
type ready struct {
	x  *looped
	d  *door
	ev poll.Event
}

// door is a listening socket on a loop.
type door struct {
	l    *loop
	fd   int
	addr net.Addr
	shut bool // under l.mu
}

const doorToken = 1 << 63

// startLoops starts the event loops, once.
func (b *broker) startLoops() (*loops, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loops != nil {
		return b.loops, nil
	}
	ls := &loops{b: b}
	for range runtime.GOMAXPROCS(0) {
		p, err := poll.New()
		if err != nil {
			ls.stop()
			return nil, err
		}
		l := &loop{b: b, p: p, buf: make([]byte, poll.Most)}
		l.way.b = b
		ls.all = append(ls.all, l)
		ls.wg.Add(1)
		go l.run(&ls.wg)
	}
	b.loops = ls
	return ls, nil
}

// stop ends the loops and closes what they still have.
func (ls *loops) stop() {
	for _, l := range ls.all {
		l.mu.Lock()
		l.stop = true
		l.mu.Unlock()
		l.p.Wake()
	}
	ls.wg.Wait()
}

// listenLoop serves a listening socket on the event loops, until Shutdown or Close is done.
func (s *Server) listenLoop(nl net.Listener) error {
	b := s.open()
	if b.openErr != nil {
		nl.Close()
		return b.openErr
	}
	ls, err := b.startLoops()
	if err != nil {
		return s.Serve(nl)
	}
	d, err := ls.open(nl)
	if err != nil {
		nl.Close()
		return err
	}
	if !b.addListener(d) {
		d.Close()
		return ErrServerClosed
	}
	<-b.done
	return ErrServerClosed
}

// open takes the socket of nl over to a loop; nl is closed.
func (ls *loops) open(nl net.Listener) (*door, error) {
	raw, ok := nl.(syscall.Conn)
	if !ok {
		return nil, errors.New("mqttx: not a socket")
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dupErr error
	if err := rc.Control(func(f uintptr) { fd, dupErr = poll.Dup(int(f)) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	d := &door{l: ls.all[0], fd: fd, addr: nl.Addr()}
	if u, ok := nl.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	nl.Close()
	l := d.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doors = append(l.doors, d)
	if err := l.p.Set(fd, doorToken|uint64(len(l.doors)-1), true, false, true); err != nil {
		return nil, err
	}
	return d, nil
}

// Close closes the listening socket.
func (d *door) Close() error {
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	if d.shut {
		return net.ErrClosed
	}
	d.shut = true
	d.l.p.Remove(d.fd)
	poll.Close(d.fd)
	if u, ok := d.addr.(*net.UnixAddr); ok {
		os.Remove(u.Name)
	}
	return nil
}

// run is the loop's goroutine: it waits, reads and handles, round by round.
func (l *loop) run(wg *sync.WaitGroup) {
	defer wg.Done()
	for {
		evs, err := l.p.Wait(l.evs[:0])
		if err != nil {
			l.b.log.error("an event loop has ended", "error", err)
			return
		}
		l.evs = evs
		if l.sort() {
			l.end()
			return
		}
		for i := range l.now {
			r := &l.now[i]
			switch {
			case r.d != nil:
				r.d.accept()
			default:
				if r.ev.Out {
					r.x.flush(r.x.c)
				}
				if r.ev.In {
					r.x.readable()
				}
			}
			*r = ready{}
		}
		l.way.flush()
		runtime.Gosched() // raw calls keep the scheduler's monitor asleep
	}
}

// sort finds whom the events are for, closes what is to be closed, and tells whether the loop is to end.
func (l *loop) sort() (stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now[:0]
	for _, ev := range l.evs {
		if ev.Token&doorToken != 0 {
			if d := l.doors[ev.Token&^doorToken]; !d.shut {
				l.now = append(l.now, ready{d: d, ev: ev})
			}
			continue
		}
		fd, gen := int(uint32(ev.Token)), uint32(ev.Token>>32)
		if fd < len(l.conns) {
			if x := l.conns[fd]; x != nil && x.gen == gen {
				l.now = append(l.now, ready{x: x, ev: ev})
			}
		}
	}
	for _, x := range l.gone {
		l.closeLocked(x)
	}
	l.gone = l.gone[:0]
	return l.stop
}

// closeLocked closes a connection's socket, under l.mu and on the loop's goroutine, so that nothing is read from a
// descriptor that is somebody else's by then.
func (l *loop) closeLocked(x *looped) {
	o := &x.c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if x.fd < 0 {
		return
	}
	l.conns[x.fd] = nil
	if x.added {
		l.p.Remove(x.fd)
	}
	poll.Close(x.fd)
	x.fd, x.added = -1, false
	o.buf, o.refs, o.size, o.sent = nil, nil, 0, 0
	x.tellFlushed()
}

// end closes everything when the server has ended.
func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.conns {
		if x != nil && x.c != nil { // the others are being taken, which fails now
			l.closeLocked(x)
		}
	}
	l.p.Close()
}

// accept takes the connections that wait at the door and spreads them over the loops.
func (d *door) accept() {
	b := d.l.b
	for range 64 {
		fd, sa, err := poll.Accept(d.fd)
		switch {
		case errors.Is(err, poll.ErrAgain):
			return
		case err != nil:
			d.rest(err)
			return
		}
		refuse := b.admit()
		if refuse != nil && !b.limits.Load().ConnectRateReply {
			poll.Close(fd)
			continue
		}
		if !b.loops.take(fd, sa, refuse) {
			poll.Close(fd)
		}
	}
}

// rest stops accepting for a while, for an error that passes, such as too many open files.
func (d *door) rest(err error) {
	const wait = 100 * time.Millisecond
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	if d.shut {
		return
	}
	d.l.b.log.warn("accept failed, trying again", "address", d.addr.String(), "error", err, "wait", wait)
	d.l.p.Remove(d.fd)
	token := uint64(0)
	for i, x := range d.l.doors {
		if x == d {
			token = doorToken | uint64(i)
		}
	}
	time.AfterFunc(wait, func() {
		d.l.mu.Lock()
		defer d.l.mu.Unlock()
		if !d.shut && !d.l.stop {
			d.l.p.Set(d.fd, token, true, false, true)
		}
	})
}

// take puts a new connection on the next loop.
func (ls *loops) take(fd int, sa syscall.Sockaddr, refuse error) bool {
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
		l.conns[fd] = nil
		l.mu.Unlock()
		return false
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.out.closing {
		x.in = true
		x.watchLocked()
	}
	return true
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
	c, l := x.c, x.l
	c.out.mu.Lock()
	draining, reads := x.draining, x.in && !x.away && x.fd >= 0
	c.out.mu.Unlock()
	if !reads && !draining {
		return
	}
	n, err := poll.Read(x.fd, l.buf)
	switch {
	case errors.Is(err, poll.ErrAgain):
		return
	case draining:
		if n == 0 {
			x.close()
		}
		return
	case n == 0:
		if err == nil {
			err = io.EOF
		}
		c.end(&DisconnectError{By: ByNetwork, Err: err}, nil)
		return
	}
	b := l.buf[:n]
	if !c.opened.Load() || c.b.has.blocking || !c.turn.TryLock() {
		x.leave(b)
		return
	}
	c.way = &l.way
	l.way.by = c
	used := c.consumeAll(b)
	paused := !c.pause.until.IsZero()
	c.way = nil
	l.way.by = nil
	c.turn.Unlock()
	if used < len(b) || paused {
		x.leave(b[used:])
	}
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
	c := x.c
	c.finish()
	x.waitFlushed()
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
	started := x.away
	x.away = true
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
	if blocked && len(o.refs) == 0 && o.sent > len(o.buf)/2 {
		o.buf, o.sent = o.buf[:copy(o.buf, o.buf[o.sent:])], 0
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

// writeTo writes once from the front of the outbox, under its mu, and takes away what was written.
func (o *outbox) writeTo(fd int) (int, error) {
	if len(o.refs) == 0 {
		n, err := poll.Write(fd, o.buf[o.sent:])
		if err != nil {
			return 0, err
		}
		if o.sent += n; o.sent == len(o.buf) {
			o.buf, o.sent = o.buf[:0], 0
		}
		return n, nil
	}
	var parts [16][]byte
	bufs := parts[:0]
	at := o.sent
	for _, r := range o.refs {
		if len(bufs) >= len(parts)-1 {
			break
		}
		if r.at > at {
			bufs = append(bufs, o.buf[at:r.at])
			at = r.at
		}
		bufs = append(bufs, r.data)
	}
	if len(bufs) < len(parts) && len(o.refs) < len(parts)/2 && at < len(o.buf) {
		bufs = append(bufs, o.buf[at:])
	}
	n, err := poll.WriteAll(fd, bufs)
	if err != nil {
		return 0, err
	}
	o.skip(n)
	return n, nil
}

// skip takes n bytes away from the front.
func (o *outbox) skip(n int) {
	for n > 0 {
		if len(o.refs) > 0 && o.refs[0].at == o.sent {
			r := &o.refs[0]
			k := min(n, len(r.data))
			r.data = r.data[k:]
			n -= k
			if len(r.data) > 0 {
				return
			}
			o.refs[0] = ref{}
			o.refs = o.refs[1:]
			continue
		}
		end := len(o.buf)
		if len(o.refs) > 0 {
			end = o.refs[0].at
		}
		k := min(n, end-o.sent)
		o.sent += k
		n -= k
	}
	if o.sent == len(o.buf) && len(o.refs) == 0 {
		o.buf, o.sent, o.refs = o.buf[:0], 0, nil
	}
}
