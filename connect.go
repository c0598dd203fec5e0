package mqttx

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/e8743928/mqttx/packet"
)

var (
	errRemote      = errors.New("mqttx: no handler decides on CONNECT, so only clients of this machine are let in: set Server.Handler, AllowAnonymous() to let in everybody")
	errOtherUser   = errors.New("mqttx: the session belongs to another user")
	errTakenOver   = errors.New("mqttx: another connection with this client id came meanwhile")
	errNoMethod    = errors.New("mqttx: no handler knows the authentication method")
	errConnackSize = errors.New("mqttx: what CONNACK has to tell is over the client's Maximum Packet Size")
	errSystemTopic = errors.New("mqttx: $SYS topics are the server's")
)

// handleConnect takes the first packet.
func (c *Conn) handleConnect(h packet.Header, body []byte) {
	var p packet.Connect
	if err := p.Parse(h, body, 0); err != nil {
		c.badConnect(body, err)
		return
	}
	c.version, c.bridge = p.Version, p.Bridge
	c.noProblem = p.NoProblemInformation
	c.maxPacket = maxPacket
	if p.MaximumPacketSize > 0 {
		c.maxPacket = int(min(p.MaximumPacketSize, maxPacket))
	}
	c.aliasMaxOut = p.TopicAliasMaximum
	c.window = int(p.ReceiveMaximum)
	switch {
	case c.version != V5:
		c.window = c.b.limits.Load().Inflight
	case c.window == 0:
		c.window = 65535
	}
	c.authMethod = p.AuthenticationMethod
	r := c.newRequest(&p)
	if c.refuse != nil {
		c.refuseConnect(CodeOf(c.refuse), &Error{Err: c.refuse})
		return
	}
	if code, err := c.checkConnect(&p, r); err != nil {
		c.refuseConnect(code, &Error{Err: err})
		return
	}
	if c.authMethod != "" {
		c.openExchange(r, p.AuthenticationData)
		return
	}
	c.letIn(r, false, nil)
}

// badConnect answers a CONNECT that cannot be read: MQTT 5.0 clients get a code, levels below 3 the return code 1, the
// others a bare close ([MQTT-3.1.4-1] of both, G57).
func (c *Conn) badConnect(body []byte, err error) {
	code := CodeOf(err)
	var pe *packet.Error
	if errors.As(err, &pe) {
		code = pe.Code
	}
	level, known := packet.PeekVersion(body)
	level &^= 0x80
	switch {
	case known && level >= byte(V5):
		c.version = V5
		c.refuseConnect(code, &Error{Err: err})
	case known && code == UnsupportedProtocolVersion:
		c.version = V311
		c.refuseConnect(code, &Error{Err: err})
	default:
		c.fail(code, err)
	}
	c.phase = phaseEnd
}

// newRequest makes what Connect and Auth are asked with.
func (c *Conn) newRequest(p *packet.Connect) *ConnectRequest {
	r := &ConnectRequest{
		Conn: c, ClientID: p.ClientID, Username: p.Username, HasUsername: p.HasUsername, Password: p.Password,
		CleanStart: p.CleanStart, KeepAlive: time.Duration(p.KeepAlive) * time.Second, AuthMethod: p.AuthenticationMethod,
	}
	r.Client.ID = p.ClientID
	if len(p.User) > 0 {
		r.Props = &Properties{User: p.User}
	}
	switch {
	case c.version == V5 && p.SessionExpiryInterval != nil:
		c.expiryAsked = true
		r.SessionExpiry = shown(expiryOf(*p.SessionExpiryInterval))
	case c.version != V5 && !p.CleanStart:
		c.expiryAsked = true
		r.SessionExpiry = -1
	}
	c.setup = &setup{asked: *r, wantsResponseInfo: p.RequestResponseInformation}
	if w := p.Will; w != nil {
		r.Will = &Message{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain, Will: true}
		r.WillDelay = time.Duration(w.DelayInterval) * time.Second
		c.setup.willExpiry = w.MessageExpiryInterval
		if w.PayloadFormat != FormatAbsent || w.ContentType != "" || w.ResponseTopic != "" || w.CorrelationData != nil || len(w.User) > 0 {
			r.Will.Props = &Properties{
				ContentType: w.ContentType, ResponseTopic: w.ResponseTopic, CorrelationData: w.CorrelationData,
				PayloadFormat: w.PayloadFormat, User: w.User,
			}
		}
	}
	return r
}

// checkConnect judges what needs no handler, and makes an id for a client that has none (N4).
func (c *Conn) checkConnect(p *packet.Connect, r *ConnectRequest) (ReasonCode, error) {
	if r.ClientID == "" {
		if c.version == V31 || c.version == V311 && !p.CleanStart {
			return ClientIdentifierNotValid, errors.New("mqttx: empty client id")
		}
		r.Client.ID = "auto-" + strings.ToLower(rand.Text())
		c.setup.assigned = true
	}
	if w := p.Will; w != nil {
		if w.Retain && c.b.disabled&FeatureRetain != 0 {
			return RetainNotSupported, errors.New("mqttx: retained will")
		}
		if w.QoS > c.b.maxQoS {
			return QoSNotSupported, errors.New("mqttx: will QoS over Maximum QoS")
		}
		if isSystemTopic(w.Topic) {
			return NotAuthorized, errSystemTopic
		}
	}
	return Success, nil
}

// openExchange begins an authentication exchange before CONNACK (N5).
func (c *Conn) openExchange(r *ConnectRequest, data []byte) {
	x, err := c.callAuth(r)
	switch {
	case err != nil:
		c.refuseWith(err)
		return
	case x == nil:
		c.refuseConnect(BadAuthenticationMethod, &Error{Err: errNoMethod})
		return
	}
	c.exchange = &exchange{x, r}
	c.phase = phaseAuth
	c.stepExchange(data)
}

// stepExchange gives the exchange before CONNACK its next data.
func (c *Conn) stepExchange(data []byte) {
	x := c.exchange
	out, done, err := c.callExchange(x, data)
	switch {
	case err != nil:
		c.refuseWith(err)
	case done:
		c.exchange = nil
		c.letIn(x.request, true, out)
	default:
		c.put(&packet.Auth{Code: ContinueAuthentication, AuthenticationMethod: c.authMethod, AuthenticationData: out})
	}
}

// letIn asks the handlers, takes the session and answers CONNACK. Up to there any error is CONNACK's code.
func (c *Conn) letIn(r *ConnectRequest, proved bool, authData []byte) {
	ctx, cancel := c.connectContext()
	defer cancel()
	if err := c.callConnect(ctx, r, proved); err != nil {
		c.refuseWith(err)
		return
	}
	if err := c.freeze(r); err != nil {
		c.refuseWith(err)
		return
	}
	if err := c.judgeWill(ctx, r); err != nil {
		c.refuseWith(err)
		return
	}
	ack := c.connack(r, authData)
	if !c.fits(ack) {
		c.refuseWith(&Error{Code: PacketTooLarge, Err: errConnackSize})
		return
	}
	prev, err := c.b.claim(c)
	if err != nil {
		c.refuseWith(err)
		return
	}
	if prev != nil {
		prev.end(&DisconnectError{By: ByServer, Code: SessionTakenOver}, &Error{Code: SessionTakenOver})
		if l, ok := c.wire.(waiter); ok && l.later(func() { c.takeOver(r.CleanStart, ack, prev) }) {
			return // nothing is read meanwhile
		}
	}
	c.settleIn(ctx, r.CleanStart, ack, prev)
}

// waiter is a driver whose goroutine must not wait.
type waiter interface{ later(f func()) bool }

// takeOver is what is left of letIn, by a goroutine that may wait for the older connection.
func (c *Conn) takeOver(clean bool, ack *packet.Connack, prev *Conn) {
	c.takeTurn()
	defer c.endTurn()
	ctx, cancel := c.connectContext()
	defer cancel()
	c.settleIn(ctx, clean, ack, prev)
}

// settleIn gives the client its session and CONNACK, once an older connection has gone.
func (c *Conn) settleIn(ctx context.Context, clean bool, ack *packet.Connack, prev *Conn) {
	s, err := c.takeSession(ctx, clean, prev)
	if err != nil {
		c.refuseWith(err)
		return
	}
	if err := c.callConnected(ctx); err != nil {
		c.refuseWith(err)
		return
	}
	if s, err = c.b.renew(c, s); err != nil {
		c.refuseWith(err)
		return
	}
	s.judge(ctx)
	if err := c.saveSession(ctx, s); err != nil {
		c.refuseWith(err)
		return
	}
	c.attach(s, ack)
}

// connectContext is the context of Connect: it ends with the time for CONNECT.
func (c *Conn) connectContext() (context.Context, context.CancelFunc) {
	if len(c.b.tables) == 0 && c.b.journal == nil {
		return c.Context(), func() {} // nobody to ask, nothing to wait for but an older connection
	}
	if t := c.b.limits.Load().ConnectTimeout; t != forever {
		return context.WithDeadline(c.Context(), c.accepted.Add(t))
	}
	return c.Context(), func() {}
}

// freeze takes over what the handlers made of the request.
func (c *Conn) freeze(r *ConnectRequest) error {
	clear(c.setup.asked.Password)
	id := r.Client.ID
	if id == "" || len(id) > 65535 || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return ClientIdentifierNotValid
	}
	client := r.Client
	c.client.Store(&client)
	c.keepAlive = c.setup.asked.KeepAlive
	if c.version == V5 && r.KeepAlive >= 0 {
		c.keepAlive = min(r.KeepAlive.Round(time.Second), 65535*time.Second)
	}
	c.expiry = min(given(r.SessionExpiry), c.b.limits.Load().SessionExpiry)
	return nil
}

// judgeWill shows the will to the handlers; they may change or refuse it (G43).
func (c *Conn) judgeWill(ctx context.Context, r *ConnectRequest) error {
	m := r.Will
	if m == nil {
		return nil
	}
	m.From = c.Client()
	m.Will = true
	if err := c.callPublish(ctx, m); err != nil {
		if errors.Is(err, Handled) {
			return nil
		}
		return err
	}
	if err := checkMessage(m); err != nil {
		return err
	}
	c.will = &will{l: newLetter(m), delay: max(r.WillDelay, 0), expires: -1}
	if x := c.setup.willExpiry; x != nil {
		c.will.expires = time.Duration(*x) * time.Second
	}
	return nil
}

// expiryOf gives a Session Expiry Interval as a duration.
func expiryOf(seconds uint32) time.Duration {
	if seconds == 1<<32-1 {
		return forever
	}
	return time.Duration(seconds) * time.Second
}

// shown and given convert a session's end between the server's form, where forever is the longest, and the program's,
// where it is negative.
func shown(d time.Duration) time.Duration {
	if d == forever {
		return -1
	}
	return d
}

func given(d time.Duration) time.Duration {
	if d < 0 {
		return forever
	}
	return d
}

// isLocal tells whether a client is on this machine: a loopback address, a unix socket, or no network at all.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case nil:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().IsLoopback()
	}
	return a.Network() == "pipe" || a.Network() == "unix"
}

func isSystemTopic(name string) bool { return name == "$SYS" || strings.HasPrefix(name, "$SYS/") }

func addrString(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
