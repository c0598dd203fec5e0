package client

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// New makes a client on a connection that is already there, of any kind: it sends
// CONNECT and waits for CONNACK, until ctx ends or Options.Timeout has passed. On
// an error it closes nc; a refusal is a [*ConnackError]. The client owns nc from now on.
func New(ctx context.Context, nc net.Conn, o Options) (*Client, error) {
	o = o.withDefaults()
	ctx, cancel := o.withTimeout(ctx)
	defer cancel()
	return connect(ctx, nc, &o)
}

// withTimeout bounds ctx by Timeout.
func (o *Options) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Timeout < 0 {
		return context.WithCancel(ctx)
	}
	cause := fmt.Errorf("no answer within %v: %w", o.Timeout, context.DeadlineExceeded)
	return context.WithTimeoutCause(ctx, o.Timeout, cause)
}

// connect does the handshake and starts the reader; o has its defaults.
func connect(ctx context.Context, nc net.Conn, o *Options) (*Client, error) {
	c := &Client{
		nc:          nc,
		version:     o.Version,
		onMessage:   o.OnMessage,
		window:      int(o.ReceiveMaximum),
		aliasMax:    o.TopicAliasMaximum,
		writeBuffer: o.WriteBuffer,
		done:        make(chan struct{}),
		in:          inbox{size: o.ReadBuffer, limit: int(min(o.MaximumPacketSize, math.MaxInt32))},
		open:        make(map[uint16]exchange),
	}
	if c.window == 0 || c.version < packet.V5 {
		c.window = math.MaxUint16
	}
	err := within(ctx, nc, "waiting for CONNACK", func() error { return c.handshake(o) })
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	c.quota.free = o.places(c.connack)
	if c.connack.SessionPresent {
		c.lastID = uint16(rand.Uint32())
	}
	c.keepAlive = o.agreed(c.connack)
	c.startKeepAlive()
	go c.read()
	return c, nil
}

// within runs f, which uses nc, and makes its reads and writes fail when ctx ends;
// the error is then that of ctx, and step says at what.
func within(ctx context.Context, nc net.Conn, step string, f func() error) error {
	stop := context.AfterFunc(ctx, func() {
		_ = nc.SetDeadline(time.Unix(1, 0)) // the past; if it is closed, all the better
	})
	err := f()
	if !stop() {
		return fmt.Errorf("%s: %w", step, context.Cause(ctx))
	}
	return err
}

// handshake sends CONNECT and reads the CONNACK.
func (c *Client) handshake(o *Options) error {
	b, err := o.connect()
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(b); err != nil {
		return fmt.Errorf("sending CONNECT: %w", err)
	}
	if c.connack, err = c.readConnack(); err != nil {
		return fmt.Errorf("waiting for CONNACK: %w", err)
	}
	if err := refusal(c.connack, c.version); err != nil {
		return err
	}
	if c.connack.SessionPresent && o.CleanStart {
		return protocolError(packet.TypeConnack, "Session Present after Clean Start", "MQTT-3.2.2-2")
	}
	return nil
}

// readConnack reads the first packet. More may follow it in the inbox.
func (c *Client) readConnack() (*packet.Connack, error) {
	for {
		h, body, ok, err := c.in.next(c.version)
		if err != nil {
			return nil, err
		}
		if ok && h.Type != packet.TypeConnack {
			return nil, protocolError(h.Type, "before CONNACK", "MQTT-3.2.0-1")
		}
		if ok {
			p := new(packet.Connack)
			return p, p.Parse(h, body, c.version)
		}
		if err := c.in.fill(c.nc); err != nil {
			return nil, err
		}
	}
}

// causeOf is err, or why ctx has ended before.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
