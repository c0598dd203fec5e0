package mqttx

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// journal brings changes of what must last to the Store: one goroutine commits what has gathered while the commit before
// was under way. Positions count changes; an acknowledgement waits until the position of its change is committed.
//
// A commit that fails is tried again until it succeeds: meanwhile nothing is acknowledged, and the clients of 3.1 and 3.1.1
// that wait are disconnected [MQTT-4.8.0-2].
type journal struct {
	b         *broker
	committed atomic.Uint64
	behind    atomic.Int64  // bytes that are not committed yet
	ended     chan struct{} // closed when the goroutine has ended
	wake      chan struct{} // has room for one
	stop      chan struct{} // closed by close

	mu       sync.Mutex // a leaf
	changes  []Change
	last     uint64        // position of the newest change
	moved    chan struct{} // closed when committed has moved
	waiting  map[*Conn]struct{}
	closing  bool
	closeErr error
}

var errStoreHangs = errors.New("mqttx: the Store has not come back from Commit")

// storePatience is how long Close waits for the Store's last commit.
const storePatience = 5 * time.Second

// Above journalFull bytes that are not committed whoever adds some pauses, for storePause at a time.
const (
	journalFull = 64 << 20
	storePause  = time.Second
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func newJournal(b *broker) *journal {
	j := &journal{b: b, ended: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}), moved: make(chan struct{}), waiting: make(map[*Conn]struct{})}
	go j.run()
	return j
}

// add takes changes that belong together and gives their position. It keeps the slices.
func (j *journal) add(changes ...Change) uint64 {
	j.behind.Add(sizeOf(changes))
	j.mu.Lock()
	j.changes = append(j.changes, changes...)
	j.last++
	pos := j.last
	j.mu.Unlock()
	j.signal()
	return pos
}

func sizeOf(changes []Change) (n int64) {
	for i := range changes {
		x := &changes[i]
		n += int64(len(x.Key) + len(x.Value) + len(x.To))
	}
	return n
}

// pauseForStore makes reading pause if the Store is far behind and the client has just added to that: memory must not grow
// with what a client sends faster than the Store takes it. It is called on the turn.
func (c *Conn) pauseForStore(added bool) {
	j := c.b.journal
	if j == nil || !added || j.behind.Load() <= journalFull {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c.pause = pause{until: time.Now().Add(storePause), room: j.moved}
}

func (j *journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// position is that of the newest change.
func (j *journal) position() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// notify asks for c.release when there are commits.
func (j *journal) notify(c *Conn) {
	j.mu.Lock()
	j.waiting[c] = struct{}{}
	j.mu.Unlock()
	j.signal()
}

// wait returns when pos is committed, or with ctx's error.
func (j *journal) wait(ctx context.Context, pos uint64) error {
	for j.committed.Load() < pos {
		j.mu.Lock()
		moved := j.moved
		j.mu.Unlock()
		if j.committed.Load() >= pos {
			return nil
		}
		select {
		case <-moved:
		case <-j.ended:
			if j.committed.Load() < pos {
				return ErrServerClosed
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (j *journal) run() {
	defer close(j.ended)
	for range j.wake {
		j.mu.Lock()
		batch := Batch{Changes: j.changes}
		j.changes = nil
		pos, closing := j.last, j.closing
		j.mu.Unlock()
		if len(batch.Changes) > 0 && !j.commit(&batch) {
			return
		}
		j.behind.Add(-sizeOf(batch.Changes))
		j.committed.Store(pos)
		j.mu.Lock()
		close(j.moved)
		j.moved = make(chan struct{})
		j.mu.Unlock()
		j.release(pos)
		if closing {
			return
		}
	}
}

// commit commits a batch, again and again while it fails; false: the server has closed meanwhile.
func (j *journal) commit(batch *Batch) bool {
	wait := firstRetry
	for {
		err := j.b.store.Commit(batch)
		if err == nil {
			return true
		}
		j.b.log.error("the Store does not commit, so nothing is acknowledged; trying again", "error", err, "wait", wait)
		j.mu.Lock()
		closing := j.closing
		j.closeErr = err
		j.mu.Unlock()
		if closing {
			return false
		}
		j.cutOff(err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-j.stop:
		}
		t.Stop()
		wait = min(2*wait, lastRetry)
	}
}

// cutOff closes the connections of 3.1 and 3.1.1 whose acknowledgements wait for a commit that has failed [MQTT-4.8.0-2].
// Those of MQTT 5.0, which has no such rule, are answered when a commit succeeds.
func (j *journal) cutOff(err error) {
	j.mu.Lock()
	var conns []*Conn
	for c := range j.waiting {
		if c.version != V5 {
			conns = append(conns, c)
			delete(j.waiting, c)
		}
	}
	j.mu.Unlock()
	for _, c := range conns {
		c.fail(ImplementationSpecificError, fmt.Errorf("mqttx: the Store does not commit: %w", err))
	}
}

// release sends the acknowledgements that have waited for pos.
func (j *journal) release(pos uint64) {
	j.mu.Lock()
	conns := make([]*Conn, 0, len(j.waiting))
	for c := range j.waiting {
		conns = append(conns, c)
	}
	clear(j.waiting)
	j.mu.Unlock()
	for _, c := range conns {
		if c.release(pos) {
			j.mu.Lock()
			j.waiting[c] = struct{}{}
			j.mu.Unlock()
		}
	}
}

// close commits what is left and ends the goroutine; a Store that hangs is not waited for longer than patience.
func (j *journal) close(patience time.Duration) error {
	j.mu.Lock()
	j.closing = true
	j.closeErr = nil
	j.mu.Unlock()
	close(j.stop)
	j.signal()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-j.ended:
	case <-t.C:
		return errStoreHangs
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closeErr
}
