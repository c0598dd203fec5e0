package mqttx

import (
	"runtime"
	"sync"
	"sync/atomic"

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

	mu    sync.Mutex // before outbox.mu
	conns []*looped  // by descriptor
	doors []*door
	gone  []*looped // to be closed by the loop
	gens  uint32
	stop  bool
}

// ready is an event with the connection that it is for.
type ready struct {
	x  *looped
	d  *door
	ev poll.Event
}

// startLoops starts the event loops, once.
func (b *broker) startLoops() (*loops, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loops != nil {
		return b.loops, nil
	}
	if b.closing {
		return nil, ErrServerClosed
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

// closeLocked closes a connection's socket, under l.mu. For one that has been watched it is called on the loop's goroutine,
// so that nothing is read from a descriptor that is somebody else's by then.
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
