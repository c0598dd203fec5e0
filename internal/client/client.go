package client

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// linger is how long the reader goes on after the last write, so that the server's
// last words are not lost to a reset of the connection, and its close is seen.
const linger = 2 * time.Second

// Client is one connection, made by [Dial] or [New]. The package comment says what
// may be called where.
type Client struct {
	// Fixed before the reader starts.
	nc          net.Conn
	version     packet.Version
	connack     *packet.Connack
	onMessage   func(*packet.Publish)
	keepAlive   time.Duration // 0: none
	window      int           // our Receive Maximum
	aliasMax    uint16        // our Topic Alias Maximum
	writeBuffer int
	done        chan struct{} // closed when the reader has ended

	// Only the reader.
	in         inbox
	message    packet.Publish
	aliases    map[uint16][]byte   // Topic Alias to Topic Name
	unreleased map[uint16]struct{} // QoS 2 messages delivered and waiting for PUBREL

	// Written by the reader. Nanoseconds of the Unix time since when it waits for the
	// server to send something; 0 while it does not wait. Kept with a Keep Alive only.
	waiting atomic.Int64

	// Written under mu.
	ended atomic.Bool // nothing more may be sent, but farewell

	// Any goroutine, under mu.
	mu         sync.Mutex
	err        error  // why the connection ended or is about to
	farewell   []byte // DISCONNECT, to be sent after the acknowledgement of the message being delivered
	delivering bool   // a QoS 1 or 2 message is in OnMessage
	quota      gate
	open       map[uint16]exchange
	lastID     uint16          // Packet Identifier taken last
	pings      []chan struct{} // PINGREQs without an answer, oldest first; nil: of the keep alive
	pingSince  time.Time       // the keep alive's oldest PINGREQ without an answer; zero: none
	timer      *time.Timer     // of the keep alive; nil: none

	// The writer's, under mu; see write.go.
	out      []byte        // what the next write takes
	spare    []byte        // what the write after that will be collected in
	writing  bool          // a goroutine runs write
	writeErr error         // nothing will be written any more
	handed   uint64        // bytes put in out since the beginning
	written  uint64        // bytes taken by the connection
	lastSent time.Time     // end of the last write; kept with a Keep Alive only
	progress chan struct{} // closed when out, written, writeErr or ended change; nil: nobody waits
}

// Connack is the server's CONNACK. It must not be changed.
func (c *Client) Connack() *packet.Connack { return c.connack }

// Done is closed when the connection has ended for whatever reason and all
// callbacks have been made.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection ended: a [*DisconnectError], [ErrServerClosed], [ErrClosed],
// [ErrKeepAlive], a [*packet.Error] for what the server did wrong, or the error of
// the network. Before Done is closed it is nil.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err // not written any more
	default:
		return nil
	}
}

// Disconnect sends p, or a plain DISCONNECT for nil, after all that has been handed
// over for sending, and lets the connection end: it is closed when the server has
// closed it, at most 2 s after the DISCONNECT was written. Disconnect does not wait
// for any of this; Done tells, and Close cuts it short. Nothing can be sent after
// it, and no further message is delivered. Within OnMessage it is good too: the
// message that is being delivered is still acknowledged.
//
// Only in 5.0 anything of p is sent. The error is that of p, or why the connection
// has ended before.
func (c *Client) Disconnect(p *packet.Disconnect) error {
	if p == nil {
		p = &packet.Disconnect{}
	}
	b, err := p.Append(nil, c.version)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Load() {
		return c.whyLocked()
	}
	c.err = ErrClosed
	c.endLocked()
	c.farewell = b
	if !c.delivering {
		c.sayFarewellLocked()
	}
	return nil
}

// sayFarewellLocked puts the DISCONNECT that waits, if any, behind all else.
func (c *Client) sayFarewellLocked() {
	if c.farewell == nil {
		return
	}
	c.putLocked(c.farewell)
	c.farewell = nil
	c.kickLocked()
}

// Close closes the connection at once, without a DISCONNECT, so that the server
// sends the will. It does not wait; Done tells when the reader has ended. It always
// returns nil, and may be called again and after the end.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	return nil
}

// fail ends the connection at once.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.endLocked()
	c.mu.Unlock()
	_ = c.nc.Close() // nothing is left that could tell
}

// endLocked lets nobody send any more and wakes those who wait to.
func (c *Client) endLocked() {
	c.ended.Store(true)
	c.progressLocked()
}

// whyLocked is why nothing can be sent any more.
func (c *Client) whyLocked() error {
	if c.err != nil {
		return c.err
	}
	return c.writeErr
}

// finish is the reader's last act.
func (c *Client) finish(err error) {
	c.mu.Lock()
	if c.err == nil && c.writeErr != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = c.writeErr // after which the server had nothing to say
	}
	if c.err == nil {
		c.err = err
	}
	if c.writeErr == nil {
		c.writeErr = c.err
	}
	c.endLocked()
	open, timer := c.open, c.timer
	c.open, c.out, c.spare, c.farewell = nil, nil, nil, nil
	err = c.err
	c.mu.Unlock()

	_ = c.nc.Close()
	if timer != nil {
		timer.Stop()
	}
	for _, x := range open {
		x.fail(err)
	}
	close(c.done)
}
