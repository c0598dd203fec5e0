package client

import (
	"time"

	"github.com/e8743928/mqttx/packet"
)

// The keep alive is one timer that ticks when three quarters of the Keep Alive have
// passed since the last write, so that a PINGREQ is on time even on a slow network
// [MQTT-3.1.2-20].
//
// The server is taken for dead when a PINGREQ has been without an answer that long
// and the reader has waited for that long without getting a byte. A server that has
// a backlog to send before the PINGRESP is not, nor one whose PINGRESP has not been
// read because OnMessage takes its time.

// patience is the time between a packet and the PINGREQ that follows it.
func (c *Client) patience() time.Duration { return c.keepAlive / 4 * 3 }

// startKeepAlive starts the timer; CONNECT has just been sent.
func (c *Client) startKeepAlive() {
	if c.keepAlive == 0 {
		return
	}
	c.mu.Lock()
	c.lastSent = time.Now()
	c.timer = time.AfterFunc(c.patience(), c.tick)
	c.mu.Unlock()
}

// tick runs on a goroutine of its own when the timer fires.
func (c *Client) tick() {
	c.mu.Lock()
	if c.ended.Load() {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	if c.deadLocked(now) {
		c.mu.Unlock()
		c.fail(ErrKeepAlive)
		return
	}
	if now.Sub(c.lastSent) >= c.patience() {
		c.lastSent = now // as good as; a write that hangs must not make one tick follow the other
		if c.sendLocked(&packet.Pingreq{}) == nil {
			c.pings = append(c.pings, nil)
			if c.pingSince.IsZero() {
				c.pingSince = now
			}
			c.kickLocked()
		}
	}
	c.timer.Reset(c.patience() - now.Sub(c.lastSent))
	c.mu.Unlock()
}

func (c *Client) deadLocked(now time.Time) bool {
	waiting := c.waiting.Load()
	return !c.pingSince.IsZero() && now.Sub(c.pingSince) >= c.patience() &&
		waiting != 0 && now.UnixNano()-waiting >= int64(c.patience())
}

// ponged takes a PINGRESP. One too many is ignored.
func (c *Client) ponged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pings) == 0 {
		return
	}
	if answer := c.pings[0]; answer != nil {
		close(answer)
		c.pings[0] = nil
	}
	c.pings = c.pings[1:]
	if len(c.pings) == 0 {
		c.pings, c.pingSince = nil, time.Time{}
	}
}
