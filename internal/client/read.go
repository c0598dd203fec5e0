package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// read is the reader goroutine.
func (c *Client) read() {
	err := c.readPackets()
	var fault *packet.Error
	if errors.As(err, &fault) {
		c.reject(err, fault.Code)
	}
	c.finish(err)
}

// readPackets handles packets until the connection ends. What they give rise to is
// written together, when no whole packet is left.
func (c *Client) readPackets() error {
	for {
		h, body, ok, err := c.in.next(c.version)
		if err != nil {
			return err
		}
		if ok {
			if err := c.handle(h, body); err != nil {
				return err
			}
			continue
		}
		c.kick()
		if err := c.fill(); err != nil {
			return err
		}
	}
}

func (c *Client) fill() error {
	if c.keepAlive == 0 {
		return c.in.fill(c.nc)
	}
	c.waiting.Store(time.Now().UnixNano())
	err := c.in.fill(c.nc)
	c.waiting.Store(0)
	return err
}

// reject answers a fault of the server: in 5.0 with DISCONNECT, and then it reads on
// for a moment without looking at what comes, see lastWritten.
func (c *Client) reject(err error, code packet.ReasonCode) {
	if !code.In(packet.TypeDisconnect) {
		code = packet.ProtocolError
	}
	c.mu.Lock()
	polite := c.version >= packet.V5 && !c.ended.Load()
	if polite {
		polite = c.sendLocked(&packet.Disconnect{Code: code}) == nil
		c.err = err
		c.endLocked()
		c.kickLocked()
	}
	c.mu.Unlock()
	if !polite {
		return
	}
	c.lingerOn()
	for err := error(nil); err == nil; {
		c.in.r = c.in.w
		err = c.in.fill(c.nc)
	}
}

// handle handles one packet.
func (c *Client) handle(h packet.Header, body []byte) error {
	switch h.Type {
	case packet.TypePublish:
		return c.takePublish(h, body)
	case packet.TypePuback:
		var p packet.Puback
		if err := p.Parse(h, body, c.version); err != nil {
			return err
		}
		return c.acknowledged(h.Type, p.PacketID, Ack{p.Code, p.ReasonString})
	case packet.TypePubrec:
		return c.takePubrec(h, body)
	case packet.TypePubrel:
		return c.takePubrel(h, body)
	case packet.TypePubcomp:
		var p packet.Pubcomp
		if err := p.Parse(h, body, c.version); err != nil {
			return err
		}
		return c.acknowledged(h.Type, p.PacketID, Ack{p.Code, p.ReasonString})
	case packet.TypeSuback:
		p := new(packet.Suback)
		if err := p.Parse(h, body, c.version); err != nil {
			return err
		}
		return c.answered(h.Type, p.PacketID, len(p.Codes), p)
	case packet.TypeUnsuback:
		p := new(packet.Unsuback)
		if err := p.Parse(h, body, c.version); err != nil {
			return err
		}
		return c.answered(h.Type, p.PacketID, len(p.Codes), p)
	case packet.TypePingresp:
		var p packet.Pingresp
		if err := p.Parse(h, body, c.version); err != nil {
			return err
		}
		c.ponged()
		return nil
	case packet.TypeDisconnect:
		return c.takeDisconnect(h, body)
	}
	return protocolError(h.Type, "not for a server to send here", "")
}

func (c *Client) takeDisconnect(h packet.Header, body []byte) error {
	if c.version < packet.V5 {
		return protocolError(h.Type, "only clients send it in "+c.version.String(), "")
	}
	var p packet.Disconnect
	if err := p.Parse(h, body, c.version); err != nil {
		return err
	}
	if !p.Code.ByServer() {
		return protocolError(h.Type, "Reason Code not for a server: "+p.Code.Error(), "MQTT-3.14.2-1")
	}
	if p.SessionExpiryInterval != nil {
		return protocolError(h.Type, "Session Expiry Interval from a server", "MQTT-3.14.2-2")
	}
	return &DisconnectError{Code: p.Code, ReasonString: p.ReasonString, ServerReference: p.ServerReference}
}

// takePublish delivers a message and acknowledges it.
func (c *Client) takePublish(h packet.Header, body []byte) error {
	p := &c.message
	if err := p.Parse(h, body, c.version); err != nil {
		return err
	}
	if p.TopicAlias != 0 {
		if err := c.resolve(p); err != nil {
			return err
		}
	}
	if p.QoS == 0 {
		if c.onMessage != nil && !c.ended.Load() {
			c.onMessage(p)
		}
		return nil
	}
	id, ack := p.PacketID, packet.TypePuback
	_, repeated := c.unreleased[id]
	if p.QoS == 2 {
		ack = packet.TypePubrec
		if !repeated && len(c.unreleased) >= c.window {
			what := fmt.Sprintf("more than %d QoS 2 messages open", c.window)
			return &packet.Error{Code: packet.ReceiveMaximumExceeded, Packet: h.Type, What: what, Statement: "MQTT-3.3.4-9"}
		}
	} else if repeated {
		return protocolError(h.Type, "QoS 1 with the Packet Identifier of an open QoS 2 message", "MQTT-4.3.2-1")
	}
	c.mu.Lock()
	if c.ended.Load() {
		c.mu.Unlock()
		return nil // not acknowledged either, so that the session keeps it
	}
	c.delivering = true
	c.mu.Unlock()

	if c.onMessage != nil && !repeated {
		c.onMessage(p)
	}
	if ack == packet.TypePubrec && !repeated {
		if c.unreleased == nil {
			c.unreleased = make(map[uint16]struct{})
		}
		c.unreleased[id] = struct{}{}
	}

	c.mu.Lock()
	c.delivering = false
	if !c.ended.Load() || c.farewell != nil {
		c.ackLocked(ack, id)
	}
	c.sayFarewellLocked()
	c.mu.Unlock()
	return nil
}

// resolve puts the Topic Name in the place of a Topic Alias, or remembers a new one
// [MQTT-3.1.2-26] [MQTT-3.3.2-11].
func (c *Client) resolve(p *packet.Publish) error {
	invalid := func(what, id string) error {
		return &packet.Error{Code: packet.TopicAliasInvalid, Packet: packet.TypePublish, What: what, Statement: id}
	}
	if p.TopicAlias > c.aliasMax {
		return invalid(fmt.Sprintf("Topic Alias %d, the Topic Alias Maximum is %d", p.TopicAlias, c.aliasMax), "MQTT-3.1.2-26")
	}
	if len(p.Topic) == 0 {
		topic, ok := c.aliases[p.TopicAlias]
		if !ok {
			return invalid(fmt.Sprintf("Topic Alias %d is not set", p.TopicAlias), "")
		}
		p.Topic = topic
		return nil
	}
	if c.aliases == nil {
		c.aliases = make(map[uint16][]byte)
	}
	c.aliases[p.TopicAlias] = append(c.aliases[p.TopicAlias][:0], p.Topic...)
	return nil
}

// takePubrel releases a QoS 2 message. One that is not open, such as one of a
// session's earlier connection, is released all the same [MQTT-4.3.3-11].
func (c *Client) takePubrel(h packet.Header, body []byte) error {
	var p packet.Pubrel
	if err := p.Parse(h, body, c.version); err != nil {
		return err
	}
	_, open := c.unreleased[p.PacketID]
	delete(c.unreleased, p.PacketID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Load() {
		return nil
	}
	if open || c.version < packet.V5 {
		c.ackLocked(packet.TypePubcomp, p.PacketID)
		return nil
	}
	return c.sendLocked(&packet.Pubcomp{PacketID: p.PacketID, Code: packet.PacketIdentifierNotFound})
}

// takePubrec goes on with a QoS 2 message of ours, or ends it.
func (c *Client) takePubrec(h packet.Header, body []byte) error {
	var p packet.Pubrec
	if err := p.Parse(h, body, c.version); err != nil {
		return err
	}
	if p.Code >= packet.UnspecifiedError {
		return c.acknowledged(h.Type, p.PacketID, Ack{p.Code, p.ReasonString})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.open[p.PacketID]
	switch {
	case !ok && c.version >= packet.V5 && !c.ended.Load():
		return c.sendLocked(&packet.Pubrel{PacketID: p.PacketID, Code: packet.PacketIdentifierNotFound})
	case !ok:
		// An earlier connection's, or nothing can be sent any more.
	case x.next == packet.TypePubrec || x.next == packet.TypePubcomp:
		x.next, x.code = packet.TypePubcomp, p.Code
		c.open[p.PacketID] = x
	default:
		return outOfTurn(h.Type, x.next)
	}
	if !c.ended.Load() {
		c.ackLocked(packet.TypePubrel, p.PacketID)
	}
	return nil
}

// acknowledged ends the exchange of a message. Packets for an exchange that is not
// open are ignored: they may belong to an earlier connection of the session.
func (c *Client) acknowledged(t packet.Type, id uint16, ack Ack) error {
	c.mu.Lock()
	x, ok := c.open[id]
	if !ok || x.next != t {
		c.mu.Unlock()
		if ok {
			return outOfTurn(t, x.next)
		}
		return nil
	}
	delete(c.open, id)
	c.quota.give()
	c.mu.Unlock()
	if ack.Code == packet.Success {
		ack.Code = x.code
	}
	if x.done != nil {
		x.done(ack, nil)
	}
	return nil
}

// answered ends the exchange of a SUBSCRIBE or UNSUBSCRIBE.
func (c *Client) answered(t packet.Type, id uint16, codes int, p packet.Packet) error {
	c.mu.Lock()
	x, ok := c.open[id]
	if ok && x.next == t {
		delete(c.open, id)
	}
	c.mu.Unlock()
	switch {
	case !ok:
		return protocolError(t, fmt.Sprintf("Packet Identifier %d is not in use", id), "")
	case x.next != t:
		return outOfTurn(t, x.next)
	case codes != x.filters && (t == packet.TypeSuback || c.version >= packet.V5):
		id := ""
		if t == packet.TypeSuback && c.version >= packet.V5 {
			id = "MQTT-3.8.4-6"
		}
		err := protocolError(t, fmt.Sprintf("%d Reason Codes for %d Topic Filters", codes, x.filters), id)
		x.fail(err)
		return err
	}
	x.reply <- reply{packet: p}
	return nil
}

func outOfTurn(got, want packet.Type) error {
	return protocolError(got, "the exchange of its Packet Identifier waits for "+want.String(), "")
}
