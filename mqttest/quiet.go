package mqttest

import (
	"errors"
	"strings"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// shortWhile is what Nothing waits where nothing can be proven.
const shortWhile = 50 * time.Millisecond

// Nothing fails the test if a packet has come that no method has taken, or comes, or if the connection is closed. In a
// synctest bubble that is certain: it waits until nothing moves any more. Elsewhere it sends PINGREQ, and only PINGRESP may
// come: what was on its way to this client when the test called comes first. So what another client has caused counts once that
// client was answered: by PUBACK, say, or at QoS 0 by a Nothing of its own. Before CONNACK it waits 50 ms.
func (c *Client) Nothing() {
	c.t.Helper()
	switch {
	case settled():
		c.none(nil)
	case c.Connack != nil && c.Connack.Code == mqttx.Success:
		if len(c.later) > 0 {
			c.t.Fatalf("mqttest: want nothing%s", c.come())
		}
		c.Send(&packet.Pingreq{})
		a := c.await("only PINGRESP", func(packet.Packet) bool { return true })
		if _, ok := a.p.(*packet.Pingresp); !ok {
			c.t.Fatalf("mqttest: want nothing, got %s", c.show(a.p))
		}
	default:
		c.none(time.After(shortWhile))
	}
}

// none fails the test unless nothing comes up to limit.
func (c *Client) none(limit <-chan time.Time) {
	c.t.Helper()
	if len(c.later) > 0 {
		c.t.Fatalf("mqttest: want nothing%s", c.come())
	}
	switch a, err := c.parse(limit); {
	case err == nil:
		c.t.Fatalf("mqttest: want nothing, got %s", c.show(a.p))
	case err != errNothing:
		c.t.Fatalf("mqttest: want nothing, but %v", err)
	}
}

// settled waits until every other goroutine of the bubble waits; false: there is no bubble.
func settled() (bubble bool) {
	defer func() {
		if r := recover(); r != nil {
			if text, ok := r.(string); ok && strings.Contains(text, "not in a bubble") {
				return
			}
			if err, ok := r.(error); ok && strings.Contains(err.Error(), "not in a bubble") {
				return
			}
			panic(r)
		}
	}()
	synctest.Wait()
	return true
}

// Closed waits until the server has closed the connection; a packet that comes before fails the test. After
// [Client.StopReading] packets that were not read do not count: over [Dial] the end shows without reading, over other
// connections the client reads again and skips them.
func (c *Client) Closed() {
	c.t.Helper()
	c.closedIn(patience)
}

func (c *Client) closedIn(limit time.Duration) {
	c.t.Helper()
	if len(c.later) > 0 {
		c.t.Fatalf("mqttest: want the end of the connection%s", c.come())
	}
	skip := c.in.stopped()
	if p, ok := c.nc.(*pipe); ok && skip && !p.waitEnd(limit) {
		c.t.Fatalf("mqttest: want the end of the connection, but it is open")
	}
	c.in.goOn()
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		a, err := c.parse(t.C)
		switch {
		case err == errEnd || skip && err != nil && !errors.Is(err, errNothing):
			return
		case errors.Is(err, errNothing):
			c.t.Fatalf("mqttest: want the end of the connection, but it is open: %v", err)
		case err != nil:
			c.t.Fatalf("mqttest: want the end of the connection, but %v", err)
		case !skip:
			c.t.Fatalf("mqttest: want the end of the connection, got %s", c.show(a.p))
		}
	}
}

// Served waits until the server has let go of the connection, Disconnected callback included, and gives what ServeConn has
// returned: a *[mqttx.DisconnectError]. It is for connections of [Connect] and [Dial].
func (c *Client) Served() error {
	c.t.Helper()
	if c.served == nil {
		c.t.Fatalf("mqttest: Served is for connections of Connect and Dial")
	}
	if !c.waitServed() {
		c.t.Fatalf("mqttest: the server still serves the connection after %v%s", patience, c.come())
	}
	return c.servedErr
}

// Drop closes the connection without DISCONNECT. If it is one of [Connect] or [Dial] it returns when the server has let go of
// it and the Disconnected callback is over.
func (c *Client) Drop() {
	c.t.Helper()
	c.in.close()
	if !c.waitServed() {
		c.t.Fatalf("mqttest: the server still serves the connection %v after it was closed: does a callback wait?", patience)
	}
}

// Disconnect sends DISCONNECT with this code, which versions before 5.0 leave out, and closes the connection, see
// [Client.Drop].
func (c *Client) Disconnect(code mqttx.ReasonCode) {
	c.t.Helper()
	c.Send(&packet.Disconnect{Code: code})
	c.Drop()
}

// StopReading makes the client leave in the connection what the server sends, until its buffers are full: 64 KiB over
// [Dial]. What has been read before can still be taken.
func (c *Client) StopReading() { c.in.stop() }

// GoOnReading undoes [Client.StopReading].
func (c *Client) GoOnReading() { c.in.goOn() }
