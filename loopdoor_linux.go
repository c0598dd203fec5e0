package mqttx

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/e8743928/mqttx/internal/poll"
)

// door is a listening socket on a loop.
type door struct {
	l     *loop
	fd    int
	addr  net.Addr
	limit *limitListener // nil: none
	shut  bool           // under l.mu
}

const doorToken = 1 << 63

// listenLoop serves a listening socket on the event loops, until Shutdown or Close is done.
func (s *Server) listenLoop(nl net.Listener) error {
	b := s.open()
	if b.openErr != nil {
		nl.Close()
		return b.openErr
	}
	ls, err := b.startLoops()
	switch {
	case errors.Is(err, ErrServerClosed):
		nl.Close()
		return err
	case err != nil:
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
	limit, limited := nl.(*limitListener)
	if limited {
		nl = limit.Listener
	}
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
	d := &door{l: ls.all[0], fd: fd, addr: nl.Addr(), limit: limit}
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
		if d.limit != nil && !d.limit.admits() {
			poll.Close(fd)
			continue
		}
		refuse := b.admit()
		if refuse != nil && !b.limits.Load().ConnectRateReply {
			poll.Close(fd)
			continue
		}
		b.loops.take(fd, sa, refuse)
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
