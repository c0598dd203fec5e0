package mqttest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// inbox keeps what a connection brings. A goroutine reads all the time, so that the server is never held up.
type inbox struct {
	nc   net.Conn
	done chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	buf    []byte        // all that has come
	err    error         // why nothing more comes
	moved  chan struct{} // closed and made anew when buf, err or parked changes
	resume chan struct{} // not nil: not to read until it is closed
	parked bool          // the goroutine waits for resume
}

func newInbox(nc net.Conn) *inbox {
	in := &inbox{nc: nc, done: make(chan struct{}), moved: make(chan struct{})}
	go in.run()
	return in
}

func (in *inbox) run() {
	defer close(in.done)
	b := make([]byte, 32<<10)
	for in.ready() {
		n, err := in.nc.Read(b)
		in.mu.Lock()
		in.buf = append(in.buf, b[:n]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // that is stop
			in.err = err
		}
		ended := in.err != nil
		in.changedLocked()
		in.mu.Unlock()
		if ended {
			in.nc.Close() // as a client does when the server closes
			return
		}
	}
}

// ready waits while reading is stopped; false: the connection was closed meanwhile.
func (in *inbox) ready() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.resume != nil && in.err == nil {
		resume := in.resume
		in.parked = true
		in.changedLocked()
		in.mu.Unlock()
		<-resume
		in.mu.Lock()
		in.parked = false
	}
	return in.err == nil
}

func (in *inbox) changedLocked() {
	close(in.moved)
	in.moved = make(chan struct{})
}

// stop returns when nothing more is read.
func (in *inbox) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.resume == nil {
		in.resume = make(chan struct{})
		in.nc.SetReadDeadline(time.Unix(1, 0))
	}
	for !in.parked && in.err == nil {
		moved := in.moved
		in.mu.Unlock()
		<-moved
		in.mu.Lock()
	}
}

// goOn reads again.
func (in *inbox) goOn() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.resume == nil {
		return
	}
	in.nc.SetReadDeadline(time.Time{})
	close(in.resume)
	in.resume = nil
}

func (in *inbox) stopped() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.resume != nil
}

// ended tells whether nothing more comes.
func (in *inbox) ended() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err != nil
}

// close closes the connection and returns when the goroutine has ended.
func (in *inbox) close() {
	in.nc.Close()
	in.mu.Lock()
	if in.err == nil {
		in.err = net.ErrClosed
	}
	if in.resume != nil {
		close(in.resume)
		in.resume = nil
	}
	in.mu.Unlock()
	<-in.done
}

// from gives what has come from position at on, what will tell of more, and whether and why none will.
func (in *inbox) from(at int) (b []byte, moved <-chan struct{}, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.buf[at:len(in.buf):len(in.buf)], in.moved, in.err
}

// closedByServer tells whether an error of Read means that the other side closed.
func closedByServer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, errReset)
}
