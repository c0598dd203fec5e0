package mqttx

import (
	"errors"
	"time"

	"github.com/e8743928/mqttx/packet"
)

var (
	errNotReading   = errors.New("mqttx: the client does not read")
	errFirstPacket  = errors.New("mqttx: the first packet is not CONNECT")
	errSecond       = errors.New("mqttx: a second CONNECT")
	errConnectTime  = errors.New("mqttx: no CONNECT in time")
	errServerPacket = errors.New("mqttx: a packet that only a server may send")
	errTooLarge     = errors.New("mqttx: packet over the limit")
	errUnfinished   = errors.New("mqttx: too many unfinished CONNECTs")
)

// pause says why reading stops for a while.
type pause struct {
	until time.Time // when it ends at the latest; zero: there is none
	room  chan struct{}
	full  *Conn // whose outbox is waited for; nil: a rate, or the Store
}

// consume handles the whole packets at the beginning of b, on the turn, and tells how many bytes it used. It stops early
// for a pause and at the connection's end.
func (c *Conn) consume(b []byte) (used int) {
	c.way.now = time.Now()
	for used < len(b) && c.phase != phaseEnd && c.pause.until.IsZero() {
		h, n, err := packet.ParseHeader(b[used:])
		if err != nil {
			c.malformed(err)
			return len(b)
		}
		if n == 0 {
			return used
		}
		rest := b[used+n:]
		if !c.judgeHeader(h, n, rest) {
			return len(b)
		}
		if len(rest) < h.Length {
			return used
		}
		used += n + h.Length
		c.seen.Store(c.b.since(c.way.now))
		c.handle(h, rest[:h.Length])
	}
	if c.phase == phaseEnd {
		return len(b)
	}
	return used
}

// judgeHeader refuses a packet by what its fixed header says, before its body is there or memory is taken (G67).
func (c *Conn) judgeHeader(h packet.Header, n int, body []byte) bool {
	if c.phase == phaseNew {
		return c.judgeFirst(h, n, body)
	}
	if err := h.Check(c.version); err != nil {
		c.malformed(err)
		return false
	}
	switch lim := c.b.limits.Load(); {
	case c.phase == phaseAuth && n+h.Length > lim.ConnectSize:
		c.refuseConnect(PacketTooLarge, &Error{Err: errTooLarge})
	case c.phase == phaseOpen && n+h.Length > max(lim.PacketSize, c.packetMax):
		c.fail(PacketTooLarge, errTooLarge)
	default:
		return true
	}
	c.phase = phaseEnd
	return false
}

// judgeFirst is judgeHeader before CONNECT: anything else is closed without a byte (N3).
func (c *Conn) judgeFirst(h packet.Header, n int, body []byte) bool {
	if h.Type != packet.TypeConnect || h.Flags != 0 {
		c.fail(ProtocolError, errFirstPacket)
		c.phase = phaseEnd
		return false
	}
	if n+h.Length <= c.b.limits.Load().ConnectSize {
		return true
	}
	level, known := packet.PeekVersion(body)
	if !known && len(body) < 7 {
		return true // a few bytes more tell the version to answer in
	}
	if known && level == byte(V5) {
		c.version = V5
		c.refuseConnect(PacketTooLarge, &Error{Err: errTooLarge})
	} else {
		c.fail(PacketTooLarge, errTooLarge)
	}
	c.phase = phaseEnd
	return false
}

// malformed ends the connection for bytes that are no packet.
func (c *Conn) malformed(err error) {
	code := MalformedPacket
	var pe *packet.Error
	if errors.As(err, &pe) {
		code = pe.Code
	}
	if !code.In(packet.TypeDisconnect) {
		code = ProtocolError
	}
	if c.phase == phaseAuth {
		c.refuseConnect(code, &Error{Err: err})
	} else {
		c.fail(code, err)
	}
	c.phase = phaseEnd
}

// handle does what one packet asks for.
func (c *Conn) handle(h packet.Header, body []byte) {
	if c.phase == phaseNew {
		c.handleConnect(h, body)
		return
	}
	if c.phase == phaseAuth && h.Type != packet.TypeAuth && h.Type != packet.TypeDisconnect {
		c.refuseConnect(ProtocolError, &Error{Err: errors.New("mqttx: packet within an authentication exchange")})
		c.phase = phaseEnd
		return
	}
	switch h.Type {
	case packet.TypePublish:
		if err := c.way.pub.Parse(h, body, c.version); err != nil {
			c.malformed(err)
			return
		}
		c.handlePublish(&c.way.pub)
	case packet.TypePuback, packet.TypePubrec, packet.TypePubcomp:
		c.handleAck(h, body)
	case packet.TypePubrel:
		c.handlePubrel(h, body)
	case packet.TypePingreq:
		c.handlePing(h, body)
	case packet.TypeSubscribe:
		c.handleSubscribe(h, body)
	case packet.TypeUnsubscribe:
		c.handleUnsubscribe(h, body)
	case packet.TypeDisconnect:
		c.handleDisconnect(h, body)
	case packet.TypeAuth:
		c.handleAuth(h, body)
	case packet.TypeConnect:
		c.violate(errSecond)
	default:
		c.violate(errServerPacket)
	}
	if c.ended.Load() {
		c.phase = phaseEnd
	}
}

// violate ends the connection for a packet at the wrong time.
func (c *Conn) violate(err error) {
	c.fail(ProtocolError, err)
	c.phase = phaseEnd
}

func (c *Conn) handlePing(h packet.Header, body []byte) {
	var p packet.Pingreq
	if err := p.Parse(h, body, c.version); err != nil {
		c.malformed(err)
		return
	}
	o := &c.out
	o.mu.Lock()
	if !o.closing {
		o.grow()
		o.buf = append(o.buf, byte(packet.TypePingresp)<<4, 0)
		o.size += 2
		c.way.touchLocked(c)
	}
	full := o.size > outboxLast
	o.mu.Unlock()
	if full {
		c.cutOff()
	}
}

func (c *Conn) handleDisconnect(h packet.Header, body []byte) {
	var p packet.Disconnect
	if err := p.Parse(h, body, c.version); err != nil {
		c.malformed(err)
		return
	}
	if x := p.SessionExpiryInterval; x != nil {
		asked := expiryOf(*x)
		if c.expiry == 0 && asked != 0 {
			c.violate(errors.New("mqttx: Session Expiry Interval in DISCONNECT after 0 in CONNECT"))
			return
		}
		c.setExpiry(min(asked, c.b.limits.Load().SessionExpiry))
	}
	if p.ServerReference != "" || !p.Code.ByClient() {
		c.violate(errors.New("mqttx: DISCONNECT with what only a server may say"))
		return
	}
	if p.Code == NormalDisconnection {
		c.will = nil
	}
	c.phase = phaseEnd
	c.end(&DisconnectError{By: ByClient, Code: p.Code, Text: p.ReasonString}, nil)
}

// feed takes bytes as they come from the wire: with the beginning of a packet that is kept from before, if there is one.
// It returns how many bytes of b it has done with, fewer than all only for a pause.
func (c *Conn) feed(b []byte) (used int) {
	c.takeTurn()
	defer c.endTurn()
	return c.consumeAll(b)
}

// consumeAll is feed for whoever has the turn.
func (c *Conn) consumeAll(b []byte) (used int) {
	for len(c.tail) > 0 && used < len(b) {
		n := c.wanted(b[used:])
		c.keepTail(b[used : used+n])
		used += n
		if c.phase == phaseEnd {
			return len(b)
		}
		done := c.consume(c.tail)
		if done > 0 {
			c.dropTail()
		}
		if c.phase == phaseEnd {
			return len(b)
		}
		if !c.pause.until.IsZero() {
			return used
		}
	}
	if used == len(b) {
		return used
	}
	done := c.consume(b[used:])
	if !c.pause.until.IsZero() || c.phase == phaseEnd {
		return used + done
	}
	c.keepTail(b[used+done:])
	return len(b)
}

// wanted tells how many bytes of b the packet begun in tail still needs, or one if that is not known yet.
func (c *Conn) wanted(b []byte) int {
	h, n, err := packet.ParseHeader(c.tail)
	if err != nil || n == 0 {
		return 1
	}
	return min(max(n+h.Length-len(c.tail), 0), len(b))
}

// keepTail keeps the beginning of a packet. Bytes that come before CONNACK are counted over all connections, so that
// strangers cannot fill memory.
func (c *Conn) keepTail(b []byte) {
	if len(b) == 0 {
		return
	}
	c.tail = append(c.tail, b...)
	if c.phase == phaseNew || c.phase == phaseAuth {
		c.counted += len(b)
		if c.b.n.unfinished.Add(int64(len(b))) > connectsInTotal {
			c.fail(ServerBusy, errUnfinished)
			c.phase = phaseEnd
		}
	}
}

// dropTail frees the kept bytes.
func (c *Conn) dropTail() {
	if cap(c.tail) > 4096 {
		c.tail = nil
	}
	c.tail = c.tail[:0]
	c.uncount()
}

func (c *Conn) uncount() {
	if c.counted > 0 {
		c.b.n.unfinished.Add(-int64(c.counted))
		c.counted = 0
	}
}
