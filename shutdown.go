package mqttx

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// shutdown ends the server: no new connections, clients told, outboxes flushed, everything stored. Whatever is left when
// ctx ends is cut.
func (b *broker) shutdown(ctx context.Context) (late, err error) {
	caller, _ := ctx.Value(connKey{}).(*Conn)
	b.mu.Lock()
	b.closing = true
	listeners := b.listeners
	b.listeners = make(map[io.Closer]struct{})
	conns := make([]*Conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	if caller != nil {
		if b.ending == nil {
			b.ending = make(map[*Conn]int)
		}
		b.ending[caller]++
		b.wakeLocked()
		defer b.ended(caller)
	}
	b.mu.Unlock()
	var errs []error
	for l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, c := range conns {
		if c != caller {
			c.shutDown()
		}
	}
	if late = b.waitConns(ctx, caller); late != nil {
		for _, c := range conns {
			c.wire.cut(c)
		}
	}
	if caller != nil {
		caller.shutDown() // last, since ctx ends with it
	}
	if err := b.finish(ctx); err != nil {
		errs = append(errs, err)
	}
	return late, errors.Join(errs...)
}

// ended takes back what a callback of caller has entered in broker.ending.
func (b *broker) ended(caller *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ending[caller]--; b.ending[caller] == 0 {
		delete(b.ending, caller)
	}
}

// waitConns waits until no connection is left. A callback that is calling waits neither for its own connection nor for those
// whose callbacks wait here too.
func (b *broker) waitConns(ctx context.Context, caller *Conn) error {
	for {
		b.mu.Lock()
		n := len(b.conns)
		if caller != nil {
			for c := range b.ending {
				if _, in := b.conns[c]; in {
					n--
				}
			}
		}
		if n == 0 {
			b.mu.Unlock()
			return nil
		}
		if b.removed == nil {
			b.removed = make(chan struct{})
		}
		removed := b.removed
		b.mu.Unlock()
		select {
		case <-removed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remove forgets a connection that has ended.
func (b *broker) remove(c *Conn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.wakeLocked()
	b.mu.Unlock()
}

// wakeLocked has waitConns count again.
func (b *broker) wakeLocked() {
	if b.removed != nil {
		close(b.removed)
		b.removed = nil
	}
}

// finish stops what is left of the server, once; other callers wait for the first.
func (b *broker) finish(ctx context.Context) error {
	b.mu.Lock()
	again := b.finished
	b.finished = true
	loops := b.loops
	b.mu.Unlock()
	if again {
		select {
		case <-b.done:
		case <-ctx.Done():
		}
		return nil
	}
	b.wheel.Close()
	if loops != nil {
		loops.stop()
	}
	patience := storePatience
	if end, bounded := ctx.Deadline(); bounded {
		patience = max(time.Until(end), 0)
	} else if ctx.Err() == nil {
		patience = forever
	}
	var err error
	if b.journal != nil {
		err = b.journal.close(patience)
	}
	close(b.done)
	return err
}

func (b *broker) isFinished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.finished
}
