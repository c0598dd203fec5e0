package mqttx

import (
	"errors"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// connack makes the CONNACK that lets the client in, but for Session Present (G76).
func (c *Conn) connack(r *ConnectRequest, authData []byte) *packet.Connack {
	p := &packet.Connack{}
	if c.version != V5 {
		return p
	}
	lim := c.b.limits.Load()
	off := func(f Feature) *bool { return new(c.b.disabled&f == 0) }
	c.recvMax, c.aliasMax, c.packetMax = lim.ReceiveMaximum, lim.TopicAliasMaximum, lim.PacketSize
	if c.b.disabled&FeatureTopicAlias != 0 {
		c.aliasMax = 0
	}
	p.SharedSubscriptionAvailable = off(FeatureShared)
	p.RetainAvailable = off(FeatureRetain)
	p.WildcardSubscriptionAvailable = off(FeatureWildcard)
	p.SubscriptionIdentifierAvailable = new(c.b.compat&NoSubscriptionIDs == 0)
	if c.b.maxQoS < 2 {
		p.MaximumQoS = new(c.b.maxQoS)
	}
	p.TopicAliasMaximum = new(uint16(c.aliasMax))
	p.ReceiveMaximum = uint16(c.recvMax)
	if lim.PacketSize < maxPacket {
		p.MaximumPacketSize = uint32(lim.PacketSize)
	}
	if c.setup.assigned || r.Client.ID != r.ClientID {
		p.AssignedClientID = r.Client.ID
	}
	if c.keepAlive != c.setup.asked.KeepAlive {
		p.ServerKeepAlive = new(uint16(c.keepAlive / time.Second))
	}
	told := c.expiry
	if c.b.compat&CleanSessionsOnly != 0 {
		told = 0
	}
	if told != given(c.setup.asked.SessionExpiry) {
		p.SessionExpiryInterval = new(expirySeconds(told))
	}
	if c.setup.wantsResponseInfo {
		p.ResponseInformation = r.Reply.ResponseInfo
	}
	p.ReasonString, p.User = r.Reply.Text, r.Reply.User
	p.AuthenticationMethod, p.AuthenticationData = c.authMethod, authData
	c.shrinkConnack(p)
	return p
}

// shrinkConnack leaves out what is not needed while the client's Maximum Packet Size is too small [MQTT-3.2.2-19],
// [MQTT-3.2.2-20].
func (c *Conn) shrinkConnack(p *packet.Connack) {
	yes := func(b *bool) bool { return b != nil && *b }
	for _, leave := range []func(){
		func() { p.User = nil },
		func() { p.ReasonString = "" },
		func() { p.ResponseInformation = "" },
		func() {
			if yes(p.SharedSubscriptionAvailable) {
				p.SharedSubscriptionAvailable = nil
			}
			if yes(p.RetainAvailable) {
				p.RetainAvailable = nil
			}
			if yes(p.WildcardSubscriptionAvailable) {
				p.WildcardSubscriptionAvailable = nil
			}
			if yes(p.SubscriptionIdentifierAvailable) {
				p.SubscriptionIdentifierAvailable = nil
			}
			if p.ReceiveMaximum == 65535 {
				p.ReceiveMaximum = 0
			}
		},
		func() { p.ServerReference = "" },
		func() { p.TopicAliasMaximum, c.aliasMax = nil, 0 }, // it can do without
	} {
		if c.fits(p) {
			return
		}
		leave()
	}
}

// refuseWith refuses CONNECT with a handler's error.
func (c *Conn) refuseWith(err error) {
	r := refuse(err, packet.TypeConnack)
	c.refuseConnect(r.code, &r.Error)
}

// refuseConnect answers CONNECT with an error, as far as the version has a code for it, and ends the connection.
func (c *Conn) refuseConnect(code ReasonCode, e *Error) {
	c.phase = phaseEnd
	c.told = true
	who := c.Client()
	if c.setup != nil {
		clear(c.setup.asked.Password)
		if who.ID == "" {
			who.ID = c.setup.asked.ClientID
		}
	}
	c.logRefusal(who, code, e)
	if t := c.b.trace; t != nil && t.Refused != nil {
		c.b.watch("Refused", func() { t.Refused(who, &Error{Code: code, Text: e.Text, Err: e.Err}) })
	}
	if c.maxPacket == 0 {
		c.maxPacket = maxPacket
	}
	send := true
	p := &packet.Connack{Code: code}
	if c.version == V5 {
		if !code.In(packet.TypeConnack) {
			p.Code = UnspecifiedError
		}
		p.ReasonString, p.ServerReference, p.User = e.Text, e.ServerReference, e.User
		c.shrinkConnack(p)
	} else {
		p.Code, send = connack3(code)
	}
	if send && !c.ended.Load() {
		c.put(p)
	}
	why := &DisconnectError{By: ByServer, Code: code, Text: e.Text, Err: e.Err}
	c.end(why, nil)
}

// logRefusal says why a client was not let in: wrong clients are told of at level info, errors of handlers as warnings.
func (c *Conn) logRefusal(who Client, code ReasonCode, e *Error) {
	if errors.Is(e.Err, errRemote) {
		c.b.saidLocal.Do(func() {
			c.b.log.warn("clients of other machines are refused: no handler decides on CONNECT; set Server.Handler, or mqttx.AllowAnonymous() to let in everybody",
				"remote", addrString(c.RemoteAddr()))
		})
		return
	}
	c.b.log.info("client refused", "client", who.ID, "remote", addrString(c.RemoteAddr()), "code", code.String(), "error", e.Err)
}

// expirySeconds gives a duration as a Session Expiry Interval.
func expirySeconds(d time.Duration) uint32 {
	if d == forever {
		return 1<<32 - 1
	}
	return uint32(min(int64((d+time.Second-1)/time.Second), 1<<32-2))
}
