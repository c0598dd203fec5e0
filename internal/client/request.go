package client

import (
	"context"

	"github.com/e8743928/mqttx/packet"
)

// Subscribe sends p and waits for the SUBACK, which has one Reason Code for each
// filter; a refusal by the server is there and not an error. Messages may arrive
// before it returns.
//
// p is neither changed nor kept; the client chooses the Packet Identifier. When ctx
// ends, Subscribe returns, but what was sent stays sent. Must not be called in a
// callback.
func (c *Client) Subscribe(ctx context.Context, p *packet.Subscribe) (*packet.Suback, error) {
	q := *p
	answer, err := c.request(ctx, &q, &q.PacketID, packet.TypeSuback, len(q.Filters))
	if err != nil {
		return nil, err
	}
	return answer.(*packet.Suback), nil
}

// Unsubscribe sends p and waits for the UNSUBACK, like Subscribe. In 3.1.1 it holds no
// Reason Codes.
func (c *Client) Unsubscribe(ctx context.Context, p *packet.Unsubscribe) (*packet.Unsuback, error) {
	q := *p
	answer, err := c.request(ctx, &q, &q.PacketID, packet.TypeUnsuback, len(q.Filters))
	if err != nil {
		return nil, err
	}
	return answer.(*packet.Unsuback), nil
}

// request sends p under a Packet Identifier, which it puts at id, and waits for the
// answer.
func (c *Client) request(ctx context.Context, p packet.Packet, id *uint16, next packet.Type, filters int) (packet.Packet, error) {
	answer := make(chan reply, 1)
	c.mu.Lock()
	*id = c.freeIDLocked()
	err := error(ErrPacketIDs)
	if *id != 0 {
		err = c.sendLocked(p)
	}
	if err == nil {
		c.open[*id] = exchange{next: next, filters: filters, reply: answer}
		c.kickLocked()
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r.packet, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ping sends PINGREQ and waits for the PINGRESP. The keep alive goes on by itself and
// needs no Ping. Must not be called in a callback.
func (c *Client) Ping(ctx context.Context) error {
	answer := make(chan struct{})
	c.mu.Lock()
	err := c.sendLocked(&packet.Pingreq{})
	if err == nil {
		c.pings = append(c.pings, answer)
		c.kickLocked()
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.err
	}
}
