package ws

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	gobwas "github.com/gobwas/ws"
)

const (
	maxFrame    = 256 << 10              // bytes of data in a frame to the client: below what client libraries take by default
	firstPart   = 16 << 10               // bytes of a frame that go out together with its header: a TLS record
	maxPongs    = 2 << 10                // bytes of pongs that wait; RFC 6455, 5.5.3: the latest one is enough
	lingerTime  = 500 * time.Millisecond // for the client to send its close frame before the socket goes
	lingerBytes = 1 << 20                // that it may send meanwhile
)

var errNoConnect = errors.New("ws: no CONNECT in time")

// frameBuffers hold the beginning of a frame while it is written.
var frameBuffers = sync.Pool{New: func() any { return new([firstPart]byte) }}

// conn is a WebSocket as a net.Conn: the data of the client's frames as one stream of bytes, and each Write a frame.
//
// Lock order: reading; writing, then mu. reading and writing are held over calls of raw, mu is a leaf.
type conn struct {
	// Set before it is served, then fixed.
	raw   net.Conn
	state *tls.ConnectionState // of the request; nil: no TLS
	going func() bool          // the Server is shutting down

	// Under reading.
	reading sync.Mutex
	early   []byte // what came behind the request
	in      frames

	// Under writing.
	writing  sync.Mutex
	writeErr error // part of a frame may be sent: nothing can follow
	said     bool  // the close frame is sent

	answered atomic.Bool // something was written
	over     atomic.Bool // nothing more comes from the client
	closed   atomic.Bool
	lastWord atomic.Int64 // when the close frame was sent, in ns since 1970; 0: it is not

	mu        sync.Mutex
	connectBy bool        // raw's read deadline is the one for CONNECT
	why       *frameError // why reading ended
	pongs     []byte      // frames that wait
	ponging   bool        // a goroutine sends them
}

// newConn takes raw over after the upgrade; CONNECT is to come until by, if that is not zero.
func newConn(raw net.Conn, early []byte, state *tls.ConnectionState, by time.Time, going func() bool) *conn {
	c := &conn{raw: raw, state: state, early: early, going: going, connectBy: !by.IsZero()}
	c.in.ping = c.pong
	if c.connectBy {
		raw.SetReadDeadline(by)
	}
	return c
}

// Read reads data of binary frames, as much as comes at once. It is io.EOF when the client has closed in good order.
func (c *conn) Read(b []byte) (int, error) {
	if !c.reading.TryLock() {
		if c.closed.Load() {
			return 0, net.ErrClosed // linger reads
		}
		c.reading.Lock()
	}
	defer c.reading.Unlock()
	for len(b) > 0 {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		if n, err := c.readData(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// readData reads once; 0, nil: what came is no data.
func (c *conn) readData(b []byte) (int, error) {
	if c.in.end != nil {
		return 0, c.readEnd()
	}
	n, err := c.readRaw(b)
	n = c.in.decode(b[:n])
	switch {
	case c.in.end != nil:
		return n, c.readEnd()
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = c.deadlinePassed(err)
	default:
		c.over.Store(true)
	}
	return n, err
}

func (c *conn) readRaw(b []byte) (int, error) {
	if len(c.early) == 0 {
		return c.raw.Read(b)
	}
	n := copy(b, c.early)
	if c.early = c.early[n:]; len(c.early) == 0 {
		c.early = nil
	}
	return n, nil
}

// readEnd gives c.in's end as an error, and notes it for the close frame.
func (c *conn) readEnd() error {
	why := c.in.end
	c.mu.Lock()
	c.why = why
	c.mu.Unlock()
	if !why.byPeer {
		return why
	}
	c.over.Store(true)
	if why.code == 0 || why.code == gobwas.StatusNormalClosure || why.code == gobwas.StatusGoingAway {
		return io.EOF
	}
	return why
}

// deadlinePassed judges a read deadline that has passed. The one for CONNECT is done with once the Server has answered.
func (c *conn) deadlinePassed(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.connectBy {
		return err
	}
	if !c.answered.Load() {
		return errNoConnect
	}
	c.connectBy = false
	return c.raw.SetReadDeadline(time.Time{})
}

// Write sends b as a binary frame, or several if it is long [MQTT-6.0.0-1].
func (c *conn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.answered.Store(true)
	for n < len(b) {
		if err := c.writableLocked(); err != nil {
			return n, err
		}
		k, err := c.writeFrameLocked(b[n:min(len(b), n+maxFrame)])
		n += k
		if err != nil {
			c.writeErr = err
			return n, err
		}
	}
	return n, nil
}

func (c *conn) writableLocked() error {
	if c.said || c.closed.Load() {
		return net.ErrClosed
	}
	return c.writeErr
}

// writeFrameLocked sends one frame, header and data together, and tells how many bytes of data went.
func (c *conn) writeFrameLocked(data []byte) (int, error) {
	buf := frameBuffers.Get().(*[firstPart]byte)
	defer frameBuffers.Put(buf)
	b := appendHeader(buf[:0], gobwas.OpBinary, len(data))
	header := len(b)
	part := min(len(data), firstPart-header)
	b = append(b, data[:part]...)
	var sent int64
	var err error
	if part == len(data) {
		var n int
		n, err = c.raw.Write(b)
		sent = int64(n)
	} else {
		sent, err = (&net.Buffers{b, data[part:]}).WriteTo(c.raw)
	}
	return max(int(sent)-header, 0), err
}

// pong lets a pong be sent, without waiting: the client may not be reading. It is called by the reader.
func (c *conn) pong(payload []byte) {
	c.mu.Lock()
	if len(c.pongs)+2+len(payload) > maxPongs {
		c.pongs = c.pongs[:0]
	}
	c.pongs = append(appendHeader(c.pongs, gobwas.OpPong, len(payload)), payload...)
	start := !c.ponging
	c.ponging = true
	c.mu.Unlock()
	if start {
		go c.sendPongs()
	}
}

// sendPongs sends pongs, between data frames, until none waits.
func (c *conn) sendPongs() {
	for c.sendSomePongs() {
	}
}

func (c *conn) sendSomePongs() bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	pongs := c.pongs
	c.pongs = nil
	c.ponging = len(pongs) > 0
	c.mu.Unlock()
	if len(pongs) == 0 {
		return false
	}
	if c.writableLocked() == nil {
		if _, err := c.raw.Write(pongs); err != nil {
			c.writeErr = err
		}
	}
	return true
}

// CloseWrite sends the close frame, after all that was written.
func (c *conn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.said {
		return nil
	}
	if err := c.writableLocked(); err != nil {
		return err
	}
	return c.sayGoodbyeLocked(c.closeCode())
}

// closeCode is the code for the close frame; 0: none, as the client's had none.
func (c *conn) closeCode() gobwas.StatusCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.why != nil:
		return c.why.code
	case c.going():
		return gobwas.StatusGoingAway
	}
	return gobwas.StatusNormalClosure
}

// sayGoodbyeLocked sends the close frame and ends the sending side, for clients that wait for that.
func (c *conn) sayGoodbyeLocked(code gobwas.StatusCode) error {
	c.said = true
	b := appendHeader(nil, gobwas.OpClose, 0)
	if code != 0 {
		b = binary.BigEndian.AppendUint16(appendHeader(nil, gobwas.OpClose, 2), uint16(code))
	}
	if _, err := c.raw.Write(b); err != nil {
		c.writeErr = err
		return err
	}
	c.lastWord.Store(time.Now().UnixNano())
	if half, can := c.raw.(interface{ CloseWrite() error }); can {
		return half.CloseWrite()
	}
	return nil
}

// Close closes without waiting. If the client has been sent a close frame and has sent none, its own is waited for in the
// background: closing a socket with bytes unread would take back what was written last.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if !c.answered.Load() && c.writing.TryLock() {
		// Nothing was written, so there is room for a close frame, unless a client sends nothing but pings and reads nothing.
		if !c.said {
			c.raw.SetWriteDeadline(time.Now().Add(lingerTime))
			c.sayGoodbyeLocked(gobwas.StatusGoingAway)
		}
		c.writing.Unlock()
	}
	if c.over.Load() || c.lastWord.Load() == 0 {
		return c.raw.Close()
	}
	c.raw.SetReadDeadline(time.Unix(1, 0))
	go c.linger()
	return nil
}

// linger takes what still comes, until the client's close frame or its end, and closes.
func (c *conn) linger() {
	c.reading.Lock()
	defer c.reading.Unlock()
	defer c.raw.Close()
	c.raw.SetReadDeadline(time.Unix(0, c.lastWord.Load()).Add(lingerTime))
	b := make([]byte, 512)
	for total := 0; total < lingerBytes && !c.over.Load(); {
		n, err := c.readRaw(b)
		if err != nil {
			return
		}
		total += n
		c.in.decode(b[:n])
		if c.in.end != nil && c.in.end.byPeer {
			return
		}
	}
}

// TLS is where [mqttx.Conn.TLS] finds the state of the TLS connection.
func (c *conn) TLS() *tls.ConnectionState { return c.state }

// LocalAddr is that of the connection below.
func (c *conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr is that of the connection below.
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline for what reads; the one for CONNECT is given up.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connectBy = false
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.raw.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline for what writes.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }
