package client

import (
	"context"
	"fmt"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// sendLocked encodes p into the buffer. The caller kicks.
func (c *Client) sendLocked(p packet.Packet) error {
	if c.ended.Load() {
		return c.whyLocked()
	}
	start := len(c.out)
	b, err := p.Append(c.out, c.version)
	if err != nil {
		return err
	}
	if err := c.checkSize(p.Type(), len(b)-start); err != nil {
		return err
	}
	c.out = b
	c.handed += uint64(len(b) - start)
	return nil
}

// checkSize holds a packet against the server's Maximum Packet Size [MQTT-3.2.2-15].
func (c *Client) checkSize(t packet.Type, size int) error {
	limit := c.connack.MaximumPacketSize
	if limit == 0 || uint64(size) <= uint64(limit) {
		return nil
	}
	what := fmt.Sprintf("%d bytes, over the server's Maximum Packet Size of %d", size, limit)
	return &packet.Error{Code: packet.PacketTooLarge, Packet: t, What: what, Statement: "MQTT-3.2.2-15"}
}

// putLocked puts bytes in the buffer.
func (c *Client) putLocked(b []byte) {
	c.out = append(c.out, b...)
	c.handed += uint64(len(b))
}

// ackLocked puts a four-byte acknowledgement in the buffer.
func (c *Client) ackLocked(t packet.Type, id uint16) {
	c.out = packet.AppendAck(c.out, t, id)
	c.handed += 4
}

// kick has everything in the buffer written soon.
func (c *Client) kick() {
	c.mu.Lock()
	c.kickLocked()
	c.mu.Unlock()
}

func (c *Client) kickLocked() {
	if !c.writing && len(c.out) > 0 && c.writeErr == nil {
		c.writing = true
		go c.write()
	}
}

// write writes until the buffer is empty. While the connection takes one buffer,
// the next is filled.
func (c *Client) write() {
	c.mu.Lock()
	for len(c.out) > 0 && c.writeErr == nil {
		b := c.out
		c.out, c.spare = c.spare[:0], nil
		c.progressLocked()
		c.mu.Unlock()

		n, err := c.nc.Write(b)

		c.mu.Lock()
		c.written += uint64(n)
		if c.keepAlive > 0 {
			c.lastSent = time.Now()
		}
		if cap(b) <= 2*c.writeBuffer {
			c.spare = b[:0]
		}
		if err != nil {
			c.writeErr = fmt.Errorf("connection lost: %w", err)
			c.out = nil
			c.endLocked()
		}
	}
	c.writing = false
	c.progressLocked()
	last := c.ended.Load() && c.farewell == nil
	failed := c.writeErr != nil
	c.mu.Unlock()
	if last {
		c.lastWritten(failed)
	}
}

// lastWritten tells the server that nothing more comes, and gives it a little time to
// answer. Not closing at once matters in two ways: a connection closed with unread
// bytes is reset, and the server may lose the DISCONNECT; and after a failed write,
// there may be a DISCONNECT with the reason yet to be read.
func (c *Client) lastWritten(failed bool) {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && !failed {
		_ = half.CloseWrite() // the deadline does it otherwise
	}
	c.lingerOn()
}

// lingerOn bounds how long the reader goes on.
func (c *Client) lingerOn() {
	if err := c.nc.SetReadDeadline(time.Now().Add(linger)); err != nil {
		_ = c.nc.Close()
	}
}

// progressLocked wakes those who wait for the writer.
func (c *Client) progressLocked() {
	if c.progress != nil {
		close(c.progress)
		c.progress = nil
	}
}

// awaitLocked waits, without mu, for the writer's next step.
func (c *Client) awaitLocked(ctx context.Context) error {
	if c.progress == nil {
		c.progress = make(chan struct{})
	}
	step := c.progress
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-step:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush waits until all that has been handed over before the call is written to the
// network. It is not needed for anything to be written.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for target := c.handed; c.written < target; {
		if c.writeErr != nil {
			return c.writeErr
		}
		if err := c.awaitLocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown is Disconnect and then waits for the end of the connection. When ctx ends
// first, it closes the connection and returns the error of ctx.
func (c *Client) Shutdown(ctx context.Context, p *packet.Disconnect) error {
	if err := c.Disconnect(p); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		_ = c.Close()
		return ctx.Err()
	}
}
