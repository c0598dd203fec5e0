package mqttx

import (
	"context"
	"errors"

	"github.com/e8743928/mqttx/packet"
)

var errAuthPacket = errors.New("mqttx: AUTH at the wrong time, or with another method")

// handleAuth takes an AUTH: the next step of an exchange before CONNACK, or of a re-authentication (N5).
func (c *Conn) handleAuth(h packet.Header, body []byte) {
	var p packet.Auth
	if err := p.Parse(h, body, c.version); err != nil {
		c.malformed(err)
		return
	}
	bad := func(code ReasonCode) {
		if c.phase == phaseAuth {
			c.refuseConnect(code, &Error{Err: errAuthPacket})
		} else {
			c.fail(code, errAuthPacket)
		}
		c.phase = phaseEnd
	}
	switch {
	case c.authMethod == "":
		bad(ProtocolError)
	case p.AuthenticationMethod != c.authMethod:
		bad(BadAuthenticationMethod)
	case c.phase == phaseAuth:
		if p.Code != ContinueAuthentication {
			bad(ProtocolError)
			return
		}
		c.stepExchange(p.AuthenticationData)
	case p.Code == ReAuthenticate && c.exchange == nil:
		c.reauthenticate(p.AuthenticationData)
	case p.Code == ContinueAuthentication && c.exchange != nil:
		c.stepReauth(p.AuthenticationData)
	default:
		bad(ProtocolError)
	}
}

// reauthenticate opens an exchange on a connection that is open.
func (c *Conn) reauthenticate(data []byte) {
	r := &ConnectRequest{Conn: c, Client: Client{ID: c.ClientID()}, ClientID: c.ClientID(), AuthMethod: c.authMethod}
	x, err := c.callAuth(r)
	if err == nil && x == nil {
		err = BadAuthenticationMethod
	}
	if err != nil {
		c.endWith(Disconnect(err))
		return
	}
	c.exchange = &exchange{x, r}
	c.stepReauth(data)
}

// stepReauth gives a re-authentication its next data. When it is done the client's identity is swapped for the new one; a
// session stays with its user, so another user ends the connection.
func (c *Conn) stepReauth(data []byte) {
	x := c.exchange
	out, done, err := c.callExchange(x, data)
	if err == nil && done && x.request.Client.User != c.Client().User {
		err = &Error{Code: NotAuthorized, Err: errOtherUser}
	}
	if err != nil {
		c.endWith(Disconnect(err))
		return
	}
	code := ContinueAuthentication
	if done {
		code = Success
		c.exchange = nil
		c.swapClient(x.request.Client)
	}
	c.put(&packet.Auth{Code: code, AuthenticationMethod: c.authMethod, AuthenticationData: out})
}

// swapClient makes the re-authenticated identity the one in force; rules are asked again.
func (c *Conn) swapClient(now Client) {
	now.ID = c.ClientID()
	c.client.Store(&now)
	s := c.sess.Load()
	s.client.Store(&now)
	s.mu.Lock()
	s.verdicts = verdicts{}
	s.mu.Unlock()
	s.judge(context.WithoutCancel(c.Context()))
}
