package mqttest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// patience is how long a Client waits for what is to come, in real time or in that of the bubble.
const patience = 10 * time.Second

// Client is a raw client for tests: it sends what it is told, legal or not, shows all that comes, and fails the test when
// something else was expected. Nothing is acknowledged, resent or reconnected unless a method says so.
//
// A goroutine always reads, so the server is never held up by the test, but after [Client.StopReading]. When the server
// closes the connection, so does the client. What is waited for has to come within 10 s; in a synctest bubble these are
// virtual, and what is to come later needs an [Advance] before.
//
// The methods are for the goroutine of the test, one at a time.
type Client struct {
	// Version is that of the last CONNECT sent, 5.0 before. It says how packets are read and written, and may be set.
	Version mqttx.Version
	// ClientID is that of the last CONNECT sent, or what CONNACK has assigned.
	ClientID string
	// Connack is the last CONNACK that was taken by any method; nil: none.
	Connack *packet.Connack

	t         testing.TB
	nc        net.Conn
	in        *inbox
	at        int           // what of in is parsed
	later     []arrived     // parsed, and passed over by a method that waited for something else
	lastID    uint16        // Packet Identifier used last
	served    chan struct{} // closed when ServeConn has returned; nil: somebody else called it
	servedErr error         // of ServeConn
}

// arrived is a packet with its bytes.
type arrived struct {
	p   packet.Packet
	raw []byte
}

// Send sends a packet, whatever it is, in the client's version; a CONNECT in its own, from which the client's is taken. A
// connection that the server has closed swallows it, as a socket may; it shows in what comes.
func (c *Client) Send(p packet.Packet) {
	c.t.Helper()
	v := c.Version
	if p, ok := p.(*packet.Connect); ok {
		v = p.Version
	}
	b, err := p.Append(nil, v)
	if err != nil {
		c.t.Fatalf("mqttest: cannot send %s: %v", p.Type(), err)
	}
	c.Write(b)
}

// Write sends bytes as they are. Where they begin with a CONNECT the client speaks its version from then on.
func (c *Client) Write(b []byte) {
	c.t.Helper()
	c.observe(b)
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.nc.Write(b); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("mqttest: the server has not taken %d bytes in %v%s", len(b), patience, c.come())
	}
}

// observe takes version and client id from a CONNECT at the start of b, as far as they can be read.
func (c *Client) observe(b []byte) {
	h, n, err := packet.ParseHeader(b)
	if err != nil || n == 0 || h.Type != packet.TypeConnect || len(b) < n+h.Length {
		return
	}
	body := b[n : n+h.Length]
	level, _ := packet.PeekVersion(body)
	if v := mqttx.Version(level &^ 0x80); v >= mqttx.V31 && v <= mqttx.V5 {
		c.Version = v
	}
	var p packet.Connect
	if p.Parse(h, body, 0) == nil {
		c.ClientID = p.ClientID
	}
}

// Next gives the next packet of any kind and acknowledges nothing. It may be kept.
func (c *Client) Next() packet.Packet {
	c.t.Helper()
	return c.await("a packet", func(packet.Packet) bool { return true }).p
}

// Expect gives the next packet, which has to be a T, such as *packet.Puback. It acknowledges nothing.
func Expect[T packet.Packet](c *Client) T {
	c.t.Helper()
	var zero T
	a := c.await(zero.Type().String(), func(packet.Packet) bool { return true })
	p, ok := a.p.(T)
	if !ok {
		c.t.Fatalf("mqttest: want %s, got %s", zero.Type(), c.show(a.p))
	}
	return p
}

// Receive gives the next PUBLISH and acknowledges it: QoS 1 with PUBACK, QoS 2 with PUBREC, and PUBCOMP after the server's
// PUBREL. Acknowledgements that come before it stay for [Client.Next]; a DISCONNECT fails the test. The packet may be kept.
// A Topic Alias is not resolved: without Topic Alias Maximum in CONNECT the server sends none.
func (c *Client) Receive() *packet.Publish {
	c.t.Helper()
	p := c.await("PUBLISH", is[*packet.Publish](0)).p.(*packet.Publish)
	switch p.QoS {
	case 1:
		c.Send(&packet.Puback{PacketID: p.PacketID})
	case 2:
		c.Send(&packet.Pubrec{PacketID: p.PacketID})
		c.await(fmt.Sprintf("PUBREL %d", p.PacketID), is[*packet.Pubrel](p.PacketID))
		c.Send(&packet.Pubcomp{PacketID: p.PacketID})
	}
	return p
}

// Publish publishes and waits until the server has acknowledged it in full, at QoS 2 with PUBCOMP. It gives the code of the
// answer: of PUBACK, or PUBREC, or of PUBCOMP if that is the one that failed. At QoS 0 there is none, and versions before 5.0
// have no codes: Success. Other packets that come meanwhile stay for later.
func (c *Client) Publish(topic, payload string, q mqttx.QoS) mqttx.ReasonCode {
	c.t.Helper()
	p := &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q}
	if q == 0 {
		c.Send(p)
		return mqttx.Success
	}
	p.PacketID = c.NewID()
	c.Send(p)
	if q == 1 {
		return c.await(fmt.Sprintf("PUBACK %d", p.PacketID), is[*packet.Puback](p.PacketID)).p.(*packet.Puback).Code
	}
	rec := c.await(fmt.Sprintf("PUBREC %d", p.PacketID), is[*packet.Pubrec](p.PacketID)).p.(*packet.Pubrec)
	if rec.Code >= 0x80 {
		return rec.Code
	}
	c.Send(&packet.Pubrel{PacketID: p.PacketID})
	comp := c.await(fmt.Sprintf("PUBCOMP %d", p.PacketID), is[*packet.Pubcomp](p.PacketID)).p.(*packet.Pubcomp)
	if comp.Code >= 0x80 {
		return comp.Code
	}
	return rec.Code
}

// Subscribe subscribes to one filter and gives the code of SUBACK: the QoS granted, or from 0x80 a refusal. Other packets
// that come meanwhile, retained messages for instance, stay for later.
func (c *Client) Subscribe(filter string, q mqttx.QoS) mqttx.ReasonCode {
	c.t.Helper()
	id := c.NewID()
	c.Send(&packet.Subscribe{PacketID: id, Filters: []packet.Filter{{Filter: filter, QoS: q}}})
	p := c.await(fmt.Sprintf("SUBACK %d", id), is[*packet.Suback](id)).p.(*packet.Suback)
	if len(p.Codes) != 1 {
		c.t.Fatalf("mqttest: one filter, but got %s", c.show(p))
	}
	return p.Codes[0]
}

// Unsubscribe unsubscribes from one filter and gives the code of UNSUBACK; Success before 5.0, which has none.
func (c *Client) Unsubscribe(filter string) mqttx.ReasonCode {
	c.t.Helper()
	id := c.NewID()
	c.Send(&packet.Unsubscribe{PacketID: id, Filters: []string{filter}})
	p := c.await(fmt.Sprintf("UNSUBACK %d", id), is[*packet.Unsuback](id)).p.(*packet.Unsuback)
	if c.Version < mqttx.V5 {
		return mqttx.Success
	}
	if len(p.Codes) != 1 {
		c.t.Fatalf("mqttest: one filter, but got %s", c.show(p))
	}
	return p.Codes[0]
}

// NewID gives a Packet Identifier that [Client.Publish] and its kin have not used in the last 65,534.
func (c *Client) NewID() uint16 {
	if c.lastID++; c.lastID == 0 {
		c.lastID = 1
	}
	return c.lastID
}

// Raw gives all bytes received so far, from the first one on, whether or not Next and its kin have taken them.
func (c *Client) Raw() []byte {
	b, _, _ := c.in.from(0)
	return bytes.Clone(b)
}

// is gives a function that tells whether a packet is a T with this Packet Identifier; 0: any.
func is[T packet.Packet](id uint16) func(packet.Packet) bool {
	return func(p packet.Packet) bool {
		_, ok := p.(T)
		return ok && (id == 0 || packetID(p) == id)
	}
}

func packetID(p packet.Packet) uint16 {
	switch p := p.(type) {
	case *packet.Publish:
		return p.PacketID
	case *packet.Puback:
		return p.PacketID
	case *packet.Pubrec:
		return p.PacketID
	case *packet.Pubrel:
		return p.PacketID
	case *packet.Pubcomp:
		return p.PacketID
	case *packet.Subscribe:
		return p.PacketID
	case *packet.Suback:
		return p.PacketID
	case *packet.Unsubscribe:
		return p.PacketID
	case *packet.Unsuback:
		return p.PacketID
	}
	return 0
}

// await gives the next packet that fits and lets others wait in c.later. DISCONNECT, the end and time fail the test.
func (c *Client) await(want string, fits func(packet.Packet) bool) arrived {
	c.t.Helper()
	for i, a := range c.later {
		if fits(a.p) {
			c.later = append(c.later[:i:i], c.later[i+1:]...)
			return a
		}
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		a, err := c.parse(limit.C)
		if err != nil {
			c.t.Fatalf("mqttest: want %s, but %v%s", want, err, c.come())
		}
		if fits(a.p) {
			return a
		}
		c.later = append(c.later, a)
		if _, bye := a.p.(*packet.Disconnect); bye {
			c.t.Fatalf("mqttest: want %s, got %s%s", want, c.show(a.p), c.come())
		}
	}
}

var (
	errNothing = errors.New("nothing came")
	errEnd     = errors.New("the server closed the connection")
	errOwnEnd  = errors.New("the client itself has closed the connection")
)

// parse takes the next packet from the inbox and waits for it up to limit; nil: not at all. Its error says why none comes.
func (c *Client) parse(limit <-chan time.Time) (arrived, error) {
	for {
		b, moved, err := c.in.from(c.at)
		h, n, bad := packet.ParseHeader(b)
		if bad != nil {
			return arrived{}, fmt.Errorf("what came is no packet: % x: %w", head(b), bad)
		}
		if n > 0 && len(b) >= n+h.Length {
			return c.take(h, b[:n+h.Length], n)
		}
		switch {
		case err != nil && len(b) > 0:
			return arrived{}, fmt.Errorf("the connection ended in a packet: % x", head(b))
		case err != nil && closedByServer(err):
			return arrived{}, errEnd
		case errors.Is(err, net.ErrClosed):
			return arrived{}, errOwnEnd
		case err != nil:
			return arrived{}, err
		}
		if limit != nil {
			select {
			case <-moved:
				continue
			case <-limit:
			}
		}
		if len(b) > 0 {
			return arrived{}, fmt.Errorf("%w but the beginning of a packet: % x", errNothing, head(b))
		}
		return arrived{}, errNothing
	}
}

// take parses raw, a whole packet whose body begins at n.
func (c *Client) take(h packet.Header, raw []byte, n int) (arrived, error) {
	raw = bytes.Clone(raw)
	p, err := packet.Parse(h, bytes.Clone(raw[n:]), c.Version)
	if err != nil {
		return arrived{}, fmt.Errorf("what came is no packet of MQTT %v: % x: %w", c.Version, head(raw), err)
	}
	c.at += len(raw)
	if p, ok := p.(*packet.Connack); ok {
		c.Connack = p
		if p.AssignedClientID != "" {
			c.ClientID = p.AssignedClientID
		}
	}
	return arrived{p, raw}, nil
}

func head(b []byte) []byte { return b[:min(len(b), 64)] }

// come lists what has come and was not taken, for messages.
func (c *Client) come() string {
	if len(c.later) == 0 {
		return ""
	}
	var s strings.Builder
	s.WriteString("; this has come and waits:")
	for i, a := range c.later {
		if i == 20 {
			fmt.Fprintf(&s, "\n\tand %d more", len(c.later)-i)
			break
		}
		s.WriteString("\n\t" + c.show(a.p))
	}
	return s.String()
}
