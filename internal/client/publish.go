package client

import (
	"context"
	"fmt"

	"github.com/e8743928/mqttx/packet"
)

// Ack is the server's answer to a message.
type Ack struct {
	// Code of PUBACK, or for QoS 2 that of PUBREC if it is not Success, else that of
	// PUBCOMP. From 0x80 the server has not taken the message. Always Success in 3.1.1.
	Code         packet.ReasonCode
	ReasonString string // 5.0 only; may be empty
}

// exchange is what is open under a Packet Identifier: a PUBLISH with done, which may
// be nil, or a SUBSCRIBE or UNSUBSCRIBE with reply.
type exchange struct {
	next    packet.Type       // what the server has to send next
	code    packet.ReasonCode // of PUBREC, while PUBCOMP is next
	filters int               // in SUBSCRIBE or UNSUBSCRIBE
	done    func(Ack, error)
	reply   chan<- reply // takes one without blocking
}

// reply is the outcome of SUBSCRIBE and UNSUBSCRIBE.
type reply struct {
	packet packet.Packet
	err    error
}

// fail ends the exchange without an answer.
func (x *exchange) fail(err error) {
	if x.done != nil {
		x.done(Ack{}, err)
	}
	if x.reply != nil {
		x.reply <- reply{err: err}
	}
}

// Publish sends p and waits for the last acknowledgement: at QoS 1 PUBACK, at QoS 2
// PUBCOMP or a PUBREC from 0x80. At QoS 0 it waits until p is written to the network.
// A refusal by the server is in Ack.Code and not an error.
//
// p is neither changed nor kept, and PacketID is not looked at: the client chooses
// the Packet Identifier. Dup must be false. Where the server says in CONNACK that it
// does not take such a message (Maximum QoS, Retain Available, Topic Alias Maximum,
// Maximum Packet Size), the error is a [*packet.Error] and nothing is sent.
//
// When ctx ends, Publish returns, but a message that is under way stays so and
// counts in the Receive Maximum until it is acknowledged. Must not be called in a
// callback.
func (c *Client) Publish(ctx context.Context, p *packet.Publish) (Ack, error) {
	if p.QoS == 0 {
		if err := c.PublishAsync(ctx, p, nil); err != nil {
			return Ack{}, err
		}
		return Ack{}, c.Flush(ctx)
	}
	type outcome struct {
		ack Ack
		err error
	}
	result := make(chan outcome, 1)
	err := c.PublishAsync(ctx, p, func(ack Ack, err error) { result <- outcome{ack, err} })
	if err != nil {
		return Ack{}, err
	}
	select {
	case r := <-result:
		return r.ack, r.err
	case <-ctx.Done():
		return Ack{}, ctx.Err()
	}
}

// PublishAsync is Publish without waiting for the acknowledgement. It waits only for
// its turn: until one more QoS 1 or 2 message may be in flight (the Receive Maximum of
// the server, Options.MaxInFlight), and until the buffer of Options.WriteBuffer has room. Messages of
// one goroutine are sent in the order of its calls.
//
// If it returns nil, done is called once: on the reader goroutine with the
// acknowledgement or, when the connection ends before, its error; at QoS 0 before
// PublishAsync returns. done may be nil. In done, TryPublish sends the next message;
// PublishAsync must not be called in a callback.
func (c *Client) PublishAsync(ctx context.Context, p *packet.Publish, done func(Ack, error)) error {
	if err := c.fits(p); err != nil {
		return err
	}
	c.mu.Lock()
	err := c.admitLocked(ctx, p.QoS)
	if err == nil {
		err = c.publishLocked(p, done)
	}
	c.mu.Unlock()
	if err == nil && p.QoS == 0 && done != nil {
		done(Ack{}, nil)
	}
	return err
}

// TryPublish is PublishAsync that never waits and may be called in a callback: it
// returns ErrBusy when as many messages are in flight as may be, or at QoS 0 when the
// buffer is full. In the done of a message its own place is free again, so a caller that sends
// one message for each done keeps a constant number in flight.
//
// At QoS 1 and 2 it does not look at the buffer: what may wait there is bounded by
// the number of messages in flight.
func (c *Client) TryPublish(p *packet.Publish, done func(Ack, error)) error {
	if err := c.fits(p); err != nil {
		return err
	}
	c.mu.Lock()
	var err error
	switch {
	case c.ended.Load():
		err = c.whyLocked()
	case p.QoS == 0 && c.fullLocked(), p.QoS > 0 && !c.quota.take():
		err = ErrBusy
	default:
		err = c.publishLocked(p, done)
	}
	c.mu.Unlock()
	if err == nil && p.QoS == 0 && done != nil {
		done(Ack{}, nil)
	}
	return err
}

// fits holds p against what the server takes [MQTT-3.2.2-11] [MQTT-3.2.2-14]
// [MQTT-3.2.2-17].
func (c *Client) fits(p *packet.Publish) error {
	ack := c.connack
	what, code, id := "", packet.ProtocolError, ""
	switch {
	case p.Dup:
		what, id = "DUP on a new message", "MQTT-4.3.2-2"
	case p.QoS > 2:
		what, id = "QoS over 2", "MQTT-3.3.1-4"
	case c.version < packet.V5:
	case ack.MaximumQoS != nil && p.QoS > *ack.MaximumQoS:
		what, code, id = fmt.Sprintf("QoS %d, the server takes at most %d", p.QoS, *ack.MaximumQoS), packet.QoSNotSupported, "MQTT-3.2.2-11"
	case p.Retain && ack.RetainAvailable != nil && !*ack.RetainAvailable:
		what, code, id = "RETAIN, the server does not keep messages", packet.RetainNotSupported, "MQTT-3.2.2-14"
	case p.TopicAlias > 0 && (ack.TopicAliasMaximum == nil || p.TopicAlias > *ack.TopicAliasMaximum):
		what, code, id = fmt.Sprintf("Topic Alias %d is over the server's Topic Alias Maximum", p.TopicAlias), packet.TopicAliasInvalid, "MQTT-3.2.2-17"
	}
	if what == "" {
		return nil
	}
	return &packet.Error{Code: code, Packet: packet.TypePublish, What: what, Statement: id}
}

// fullLocked reports whether publishers have to wait for the writer.
func (c *Client) fullLocked() bool { return len(c.out) >= c.writeBuffer }

// admitLocked waits, without mu, until a message of that QoS may go. At QoS 1 and 2 a
// place of the quota is taken when it returns nil.
func (c *Client) admitLocked(ctx context.Context, qos packet.QoS) error {
	if c.ended.Load() {
		return c.whyLocked()
	}
	if qos > 0 && !c.quota.take() {
		turn := c.quota.enter()
		c.mu.Unlock()
		var err error
		select {
		case <-turn:
		case <-ctx.Done():
			err = ctx.Err()
		case <-c.done:
			err = c.err
		}
		c.mu.Lock()
		if err != nil {
			c.quota.leave(turn)
			return err
		}
	}
	for c.fullLocked() && !c.ended.Load() {
		if err := c.awaitLocked(ctx); err != nil {
			if qos > 0 {
				c.quota.give()
			}
			return err
		}
	}
	return nil
}

// publishLocked encodes p into the buffer and opens its exchange. A place of the
// quota has been taken; on an error it is given back.
func (c *Client) publishLocked(p *packet.Publish, done func(Ack, error)) (err error) {
	if p.QoS > 0 {
		defer func() {
			if err != nil {
				c.quota.give()
			}
		}()
	}
	if c.ended.Load() {
		return c.whyLocked()
	}
	var id uint16
	if p.QoS > 0 {
		if id = c.freeIDLocked(); id == 0 {
			return ErrPacketIDs
		}
	}
	start := len(c.out)
	b, idAt, err := p.AppendHead(c.out, c.version)
	if err != nil {
		return err
	}
	if err := c.checkSize(packet.TypePublish, len(b)-start+len(p.Payload)); err != nil {
		return err
	}
	if id != 0 {
		b[idAt], b[idAt+1] = byte(id>>8), byte(id)
		x := exchange{next: packet.TypePuback, done: done}
		if p.QoS == 2 {
			x.next = packet.TypePubrec
		}
		c.open[id] = x
	}
	c.out = append(b, p.Payload...)
	c.handed += uint64(len(c.out) - start)
	c.kickLocked()
	return nil
}

// freeIDLocked takes a Packet Identifier that is not in use [MQTT-4.3.2-1]; 0: none.
func (c *Client) freeIDLocked() uint16 {
	if len(c.open) == 65535 {
		return 0
	}
	for {
		c.lastID++
		if _, used := c.open[c.lastID]; !used && c.lastID != 0 {
			return c.lastID
		}
	}
}
