package mqttx

import (
	"net"
	"strings"
	"sync"

	"github.com/e8743928/mqttx/packet"
)

// Bounds of an outbox in bytes. Above full, publishers pause and QoS 1 and 2 stay in the session's queue; above the hard
// bound QoS 0 is dropped; a client whose acknowledgements alone reach the last bound is cut off.
const (
	outboxFull = 256 << 10
	outboxHard = 1 << 20
	outboxLast = 4 << 20
	outboxLow  = outboxFull / 2 // when it has sunk so far, waiting publishers and messages go on

	refSize = 16 << 10 // payloads from this size on are referenced instead of copied

	aliasedBytes = 1 << 20 // of topics with a Topic Alias: the client alone decides how many there may be
)

// outbox holds what is to be written to one client. Whoever fills it flushes it later.
type outbox struct {
	mu      sync.Mutex
	buf     []byte  // what is not yet handed to the writer
	sent    int     // how much of the front of buf the socket has taken already; event loops only
	refs    []ref   // large payloads that belong between bytes of buf
	size    int     // bytes of buf and refs, and of what the writer has in hand
	moved   uint64  // bytes that the client's socket has taken in all
	stalled uint64  // moved+1 when a publisher last paused in vain; while they are equal nobody pauses again
	dirty   bool    // somebody is going to flush
	writing bool    // a writer is at work
	acked   bool    // CONNACK with Success is in it or sent
	closing bool    // nothing more is taken
	starved bool    // the session waits for room
	acks    []reply // wait for the journal
	room    chan struct{}
	aliases map[string]uint16 // Topic Aliases towards the client
	aliased int               // bytes of their topics
}

// ref is a payload in its place: before buf[at].
type ref struct {
	at   int
	data []byte
}

// touch says whether the caller has to flush; it is called with mu held after bytes were added.
func (o *outbox) touch() bool {
	first := !o.dirty
	o.dirty = true
	return first
}

// letGo gives a buffer that has been emptied back, under mu: an idle connection holds none.
func (o *outbox) letGo() {
	if cap(o.buf) > 0 {
		putBuffer(o.buf)
		o.buf = nil
	}
}

// grow makes sure that there is a buffer to append to, under mu.
func (o *outbox) grow() {
	if o.buf == nil {
		o.buf = getBuffer()
	}
}

// buffers are outbox buffers that nobody uses.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const (
	firstBuffer = 2 << 10
	keptBuffer  = 64 << 10 // larger ones are left to the collector
)

func getBuffer() []byte {
	p := buffers.Get().(*[]byte)
	b := *p
	*p = nil
	headers.Put(p)
	if b == nil {
		b = make([]byte, 0, firstBuffer)
	}
	return b[:0]
}

func putBuffer(b []byte) {
	if cap(b) > keptBuffer {
		return
	}
	p := headers.Get().(*[]byte)
	*p = b
	buffers.Put(p)
}

// headers are empty slice headers for buffers, so that putting one back does not allocate.
var headers = sync.Pool{New: func() any { return new([]byte) }}

// takeLocked hands all bytes to the writer, as buffers in their order; spare is for reuse.
func (o *outbox) takeLocked(spare []byte) (whole []byte, bufs net.Buffers) {
	whole = o.buf
	if len(o.refs) == 0 {
		bufs = net.Buffers{whole}
	} else {
		at := 0
		for _, r := range o.refs {
			if r.at > at {
				bufs = append(bufs, whole[at:r.at])
			}
			bufs = append(bufs, r.data)
			at = r.at
		}
		if at < len(whole) {
			bufs = append(bufs, whole[at:])
		}
	}
	o.buf, o.refs = spare[:0], nil
	return whole, bufs
}

// wroteLocked accounts n bytes that the socket took; it tells whether what waited for room goes on.
func (o *outbox) wroteLocked(n int) (wake bool) {
	o.size -= n
	o.moved += uint64(n)
	if o.size > outboxLow {
		return false
	}
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
	wake = o.starved
	o.starved = false
	return wake
}

// roomLocked gives a channel that is closed when there is room again; nil if nobody should wait: there is room, or
// waiting was in vain before and nothing has moved since.
func (o *outbox) roomLocked() chan struct{} {
	if o.size <= outboxFull || o.closing || o.stalled == o.moved+1 {
		return nil
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// aliasFor gives the Topic Alias of a topic towards the client, 0: it has none and gets none; fresh: the client does not
// know it yet. It is called under mu.
func (o *outbox) aliasFor(topic string, most int) (alias uint16, fresh bool) {
	if alias = o.aliases[topic]; alias != 0 {
		return alias, false
	}
	if len(o.aliases) >= most || o.aliased+len(topic) > aliasedBytes {
		return 0, false
	}
	return uint16(len(o.aliases) + 1), true
}

// bind notes an alias that the client is told, under mu.
func (o *outbox) bind(topic string, alias uint16) {
	if o.aliases == nil {
		o.aliases = make(map[string]uint16)
	}
	o.aliases[strings.Clone(topic)] = alias
	o.aliased += len(topic)
}

// put appends a control packet to the connection's own outbox and marks the connection for flushing. A packet that the
// client's Maximum Packet Size forbids is not sent. It is called on the turn.
func (c *Conn) put(p packet.Packet) {
	c.out.mu.Lock()
	full := c.putLocked(p)
	c.way.touchLocked(c)
	c.out.mu.Unlock()
	if full {
		c.cutOff()
	}
}

// putLocked does put's work under out.mu; it tells whether the outbox is beyond its last bound.
func (c *Conn) putLocked(p packet.Packet) (full bool) {
	o := &c.out
	if o.closing {
		return false
	}
	o.grow()
	before := len(o.buf)
	b, err := p.Append(o.buf, c.version)
	if err != nil || len(b)-before > c.maxPacket {
		o.buf = b[:before]
		return false
	}
	o.buf = b
	o.size += len(b) - before
	return o.size > outboxLast
}

// cutOff ends a connection whose client sends and does not read.
func (c *Conn) cutOff() { c.fail(QuotaExceeded, errNotReading) }

// fits tells whether p is within the client's Maximum Packet Size.
func (c *Conn) fits(p packet.Packet) bool {
	if c.maxPacket >= maxPacket {
		return true
	}
	b, err := p.Append(nil, c.version)
	return err == nil && len(b) <= c.maxPacket
}

// putDisconnect appends DISCONNECT, under out.mu; texts are left out if they do not fit [MQTT-3.14.2-3], [MQTT-3.14.2-4].
func (c *Conn) putDisconnect(e *Error) {
	p := &packet.Disconnect{Code: e.Code, ReasonString: e.Text, ServerReference: e.ServerReference, User: e.User}
	if !c.fits(p) {
		p.User = nil
	}
	if !c.fits(p) {
		p.ReasonString = ""
	}
	if !c.fits(p) {
		p.ServerReference = ""
	}
	c.putLocked(p)
}
