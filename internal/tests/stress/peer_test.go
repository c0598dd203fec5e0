package stress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// peer is a client that keeps its half of the session, as the standard wants it, over connections that it breaks itself.
type peer struct {
	id     string
	addr   string
	v      packet.Version
	rnd    *rand.Rand
	breaks bool // breaks its connections at random

	nc        net.Conn
	in        *bufio.Reader
	out       []byte
	connected int

	// As a publisher.
	topic  string
	qos    packet.QoS
	total  int // messages to send
	next   int
	acked  int
	flight []flying

	// As a subscriber.
	filter   string
	expect   int // messages to come
	released map[uint16]bool
	got      []string
}

// flying is a message under way: sent, or with its PUBREC there.
type flying struct {
	id       uint16
	payload  string
	released bool
}

const window = 8

var errBroken = errors.New("broken on purpose")

// run goes on until everything is sent, acknowledged and received.
func (p *peer) run(end time.Time) error {
	p.released = make(map[uint16]bool)
	for {
		err := p.session(end)
		if p.nc != nil {
			p.nc.Close()
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, errBroken) {
			return fmt.Errorf("%s: after %d connections, %d acknowledged, %d received: %w", p.id, p.connected, p.acked, len(p.got), err)
		}
	}
}

// session is the life of one connection.
func (p *peer) session(end time.Time) error {
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		return err
	}
	p.nc, p.in = nc, bufio.NewReader(nc)
	nc.SetDeadline(end)
	expiry := uint32(600)
	p.send(&packet.Connect{Version: p.v, ClientID: p.id, SessionExpiryInterval: &expiry, KeepAlive: 60})
	if err := p.flush(); err != nil {
		return err
	}
	first, err := p.read()
	if err != nil {
		return err
	}
	ack, ok := first.(*packet.Connack)
	if !ok || ack.Code != 0 {
		return fmt.Errorf("CONNECT was answered with %+v", first)
	}
	if ack.SessionPresent != (p.connected > 0) {
		return fmt.Errorf("connection %d: session present %t", p.connected+1, ack.SessionPresent)
	}
	p.connected++
	if !ack.SessionPresent && p.filter != "" {
		p.send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: p.filter, QoS: p.qos}}})
	}
	p.resend()
	lives := -1
	if p.breaks {
		lives = 1 + p.rnd.IntN(60)
	}
	for {
		p.publish()
		if err := p.flush(); err != nil {
			return err
		}
		if p.acked == p.total && len(p.got) >= p.expect && p.allSeen() {
			p.send(&packet.Disconnect{})
			return p.flush()
		}
		x, err := p.read()
		if err != nil {
			return err
		}
		if lives--; lives == 0 {
			return errBroken // what was read last is not acknowledged
		}
		if err := p.take(x); err != nil {
			return err
		}
	}
}

// allSeen tells whether every expected message has come, repeated ones aside.
func (p *peer) allSeen() bool {
	return len(p.released) == 0 && len(slices.Compact(slices.Sorted(slices.Values(p.got)))) >= p.expect
}

// resend repeats what was under way, in its order.
func (p *peer) resend() {
	for _, f := range p.flight {
		if f.released {
			p.out = packet.AppendAck(p.out, packet.TypePubrel, f.id)
		} else {
			p.send(&packet.Publish{Topic: []byte(p.topic), Payload: []byte(f.payload), QoS: p.qos, PacketID: f.id, Dup: true})
		}
	}
}

// publish fills the window.
func (p *peer) publish() {
	for p.next < p.total && len(p.flight) < window {
		f := flying{id: uint16(p.next%60000 + 1), payload: fmt.Sprintf("%s %06d", p.id, p.next)}
		p.next++
		p.flight = append(p.flight, f)
		p.send(&packet.Publish{Topic: []byte(p.topic), Payload: []byte(f.payload), QoS: p.qos, PacketID: f.id})
	}
}

// take handles one packet of the server.
func (p *peer) take(x packet.Packet) error {
	switch x := x.(type) {
	case *packet.Suback:
		if x.Codes[0] != packet.ReasonCode(p.qos) {
			return fmt.Errorf("SUBACK %v", x.Codes)
		}
	case *packet.Puback:
		return p.done(x.PacketID, x.Code)
	case *packet.Pubrec:
		if x.Code >= 0x80 {
			return fmt.Errorf("PUBREC %v", x.Code)
		}
		for i := range p.flight {
			if p.flight[i].id == x.PacketID {
				p.flight[i].released = true
			}
		}
		p.out = packet.AppendAck(p.out, packet.TypePubrel, x.PacketID)
	case *packet.Pubcomp:
		return p.done(x.PacketID, 0)
	case *packet.Publish:
		if x.QoS != p.qos {
			return fmt.Errorf("a message at QoS %d", x.QoS)
		}
		switch x.QoS {
		case 1:
			p.got = append(p.got, string(x.Payload))
			p.out = packet.AppendAck(p.out, packet.TypePuback, x.PacketID)
		case 2:
			if !p.released[x.PacketID] {
				p.released[x.PacketID] = true
				p.got = append(p.got, string(x.Payload))
			}
			p.out = packet.AppendAck(p.out, packet.TypePubrec, x.PacketID)
		}
	case *packet.Pubrel:
		delete(p.released, x.PacketID)
		p.out = packet.AppendAck(p.out, packet.TypePubcomp, x.PacketID)
	default:
		return fmt.Errorf("unexpected %+v", x)
	}
	return nil
}

func (p *peer) done(id uint16, code packet.ReasonCode) error {
	if code >= 0x80 {
		return fmt.Errorf("PUBACK %v", code)
	}
	for i := range p.flight {
		if p.flight[i].id == id {
			p.flight = append(p.flight[:i], p.flight[i+1:]...)
			p.acked++
			return nil
		}
	}
	return nil // repeated
}

func (p *peer) send(x packet.Packet) {
	var err error
	if p.out, err = x.Append(p.out, p.v); err != nil {
		panic(err)
	}
}

func (p *peer) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := p.nc.Write(p.out)
	p.out = p.out[:0]
	return err
}

func (p *peer) read() (packet.Packet, error) {
	for n := 2; ; n++ {
		head, err := p.in.Peek(n)
		if err != nil {
			return nil, err
		}
		h, size, err := packet.ParseHeader(head)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			continue
		}
		whole := make([]byte, size+h.Length)
		if _, err := io.ReadFull(p.in, whole); err != nil {
			return nil, err
		}
		return packet.Parse(h, whole[size:], p.v)
	}
}
