package mqttx

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
	"github.com/e8743928/mqttx/packet"
)

// Conn is one client connected. Its methods may be called from any goroutine, and none waits.
type Conn struct{ link }

// link is the inside of a Conn: a state machine that is fed bytes, and an outbox. It knows no socket but what wire says.
//
// Lock order: turn, broker.retainMu, broker.mu, session.mu, the locks of topic.Router and topic.Tree, loop.mu, outbox.mu;
// postMu, ctxMu and journal.mu are leaves. turn is held over callbacks, the others over nothing that waits.
type link struct {
	// Set before serve, then fixed.
	b        *broker
	wire     wire
	base     context.Context
	refuse   error // what CONNACK is to tell: Admit has refused
	accepted time.Time
	gone     chan struct{} // closed when the last callback has returned

	// Set by CONNECT, then fixed.
	version     packet.Version
	bridge      bool   // a bridge of 3.1 or 3.1.1: Retain As Published and No Local (G57)
	noProblem   bool   // Request Problem Information 0
	maxPacket   int    // the client's Maximum Packet Size
	aliasMaxOut uint16 // its Topic Alias Maximum
	window      int    // its Receive Maximum, or Limits.Inflight
	keepAlive   time.Duration
	recvMax     int // what CONNACK told: Receive Maximum, Topic Alias Maximum, Maximum Packet Size
	aliasMax    int
	packetMax   int
	authMethod  string
	expiryAsked bool // Session Expiry Interval was not absent
	present     bool // the session was found

	// Only whoever has the turn.
	turn        sync.Mutex
	phase       phase
	tail        []byte // the beginning of a packet that is not whole
	counted     int    // bytes of tail counted in broker.n.unfinished
	states      []any  // what the handlers' Connect returned
	accepts     int    // how many of them returned nil
	claimed     bool   // broker.claim made c the owner of its client id
	counts      bool   // in broker.n.connections
	told        bool   // Trace.Refused has been
	behind      *Conn  // c gave up waiting for it
	left        bool   // c has let go of its client id; under broker.mu
	setup       *setup // nil from CONNACK on
	exchange    *exchange
	will        *will
	expiry      time.Duration // Session Expiry Interval; forever: never ends
	aliases     []string      // Topic Aliases of the client, by number less one
	way         *way          // the message under way; nil while nobody has the turn
	pause       pause
	heldPublish *packet.Publish // waits for a token of the message rate

	client      atomic.Pointer[Client]
	sess        atomic.Pointer[session] // nil until the client has it
	seen        atomic.Int64            // when the last whole packet came, by broker.now
	ended       atomic.Bool             // end was called
	held        atomic.Bool             // reading is paused: keep alive stands still
	opened      atomic.Bool             // CONNACK with Success is sent
	timer       wheel.Timer             // CONNECT deadline, then keep alive
	resend      wheel.Timer             // of QoS 2 packets, while any are under way
	resendArmed bool                    // under session.mu

	out outbox

	postMu  sync.Mutex
	posts   []any
	pumping bool // a pump is asked for on the turn
	tasks   bool // a goroutine runs posts and pumps
	early   []*Message

	ctxMu  sync.Mutex
	ctx    context.Context
	cancel context.CancelCauseFunc
	why    *DisconnectError // set once, before out.closing
}

// setup is what is needed between CONNECT and CONNACK only.
type setup struct {
	asked             ConnectRequest // as CONNECT said it, before handlers changed it
	wantsResponseInfo bool
	assigned          bool // the server made the client id
	willExpiry        *uint32
}

// exchange is an authentication exchange under way.
type exchange struct {
	step    Exchange
	request *ConnectRequest
}

// will is a will message with its Will Delay Interval and its Message Expiry Interval, which counts from publication.
type will struct {
	l       *letter
	delay   time.Duration
	expires time.Duration // negative: never
}

// phase is how far a connection has come.
type phase byte

const (
	phaseNew  phase = iota // no CONNECT yet
	phaseAuth              // an exchange before CONNACK is under way
	phaseOpen              // CONNACK with Success is sent
	phaseEnd               // nothing more is read
)

// wire is what a connection asks of its driver. All methods are called without locks and none waits.
type wire interface {
	bind(c *Conn)   // tells which connection it is, before anybody else knows it
	flush(c *Conn)  // send what the outbox holds
	hangUp(c *Conn) // stop reading, send what the outbox holds as far as that is soon done, and close
	cut(c *Conn)    // close at once
	remoteAddr() net.Addr
	localAddr() net.Addr
	tlsState() *tls.ConnectionState
}

const maxPosts = 1024 // values of Post waiting for Info

// Client gives who the client is: what Auth and Connect made of it.
func (c *Conn) Client() Client {
	if p := c.client.Load(); p != nil {
		return *p
	}
	return Client{}
}

// ClientID is the client id in force.
func (c *Conn) ClientID() string { return c.Client().ID }

// Version is the version of MQTT that the client speaks.
func (c *Conn) Version() Version { return c.version }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.remoteAddr() }

// LocalAddr is the address that the client connected to.
func (c *Conn) LocalAddr() net.Addr { return c.wire.localAddr() }

// TLS is the state of the TLS connection, client certificates included; nil if there is none.
func (c *Conn) TLS() *tls.ConnectionState { return c.wire.tlsState() }

// Context ends when the connection does; its [context.Cause] is the *[DisconnectError].
func (c *Conn) Context() context.Context { return (*connContext)(c) }

// Resumed tells whether the client found its session again.
func (c *Conn) Resumed() bool { return c.present }

// Subscriptions yields the subscriptions of the client's session.
func (c *Conn) Subscriptions() iter.Seq[Subscription] {
	return func(yield func(Subscription) bool) {
		s := c.sess.Load()
		if s == nil {
			return
		}
		for _, sub := range s.subscriptions() {
			if !yield(sub) {
				return
			}
		}
	}
}

// Send sends m to this client, subscribed or not, like any other message for it. In Connect it is kept until CONNACK. The
// message must not be changed afterwards. An error is a full queue, a closed connection, or a message that is not valid.
func (c *Conn) Send(m *Message) error {
	if err := checkMessage(m); err != nil {
		return err
	}
	s := c.sess.Load()
	if s == nil {
		return c.sendEarly(m)
	}
	if c.isEnding() {
		return errConnClosed
	}
	w := way{b: c.b}
	w.begin(newLetter(m), time.Now())
	err := s.send(&w)
	w.flush()
	return err
}

// sendEarly keeps m until the client has its session.
func (c *Conn) sendEarly(m *Message) error {
	c.postMu.Lock()
	defer c.postMu.Unlock()
	if c.isEnding() {
		return errConnClosed
	}
	if len(c.early) >= c.b.limits.Load().QueuedMessages {
		return errQueueFull
	}
	c.early = append(c.early, m)
	return nil
}

// Post hands v to the handlers' Info, in the order of the calls. An error is a full queue or, wrapping net.ErrClosed, a
// closed connection.
func (c *Conn) Post(v any) error {
	c.postMu.Lock()
	defer c.postMu.Unlock()
	if c.isEnding() {
		return errConnClosed
	}
	if len(c.posts) >= maxPosts {
		return errQueueFull
	}
	c.posts = append(c.posts, v)
	c.startTasksLocked()
	return nil
}

// Disconnect ends the connection with a ReasonCode or *Error that a server may send in DISCONNECT; MQTT 5.0 clients are
// told, others are just closed (G53-G56). An error says that the code is none of these, or that the connection has ended.
func (c *Conn) Disconnect(why error) error {
	e, err := disconnectWith(why)
	if err != nil {
		return err
	}
	if !c.end(&DisconnectError{By: ByServer, Code: e.Code, Text: e.Text, Err: e.Err}, e) {
		return errConnClosed
	}
	return nil
}

// disconnectWith checks what DISCONNECT is to tell.
func disconnectWith(why error) (*Error, error) {
	e := &Error{Code: CodeOf(why)}
	var given *Error
	if errors.As(why, &given) {
		*e = *given
		e.Code = CodeOf(given)
	} else if _, bare := why.(ReasonCode); !bare {
		e.Err = why
	}
	if !e.Code.In(packet.TypeDisconnect) || !e.Code.ByServer() || e.Code == DisconnectWithWillMessage {
		return nil, &Error{Code: e.Code, Err: errors.New("mqttx: not a code that a server may send in DISCONNECT")}
	}
	return e, nil
}

// end ends the connection, if nothing has yet. bye is what DISCONNECT tells an MQTT 5.0 client that has its CONNACK; nil:
// none is sent. It never waits.
func (c *Conn) end(why *DisconnectError, bye *Error) bool {
	c.out.mu.Lock()
	if c.out.closing {
		c.out.mu.Unlock()
		return false
	}
	c.ctxMu.Lock()
	c.why = why
	cancel := c.cancel
	c.ctxMu.Unlock()
	if bye != nil && c.out.acked && c.version == V5 {
		c.putDisconnect(bye)
	}
	c.out.closing = true
	c.ended.Store(true)
	c.out.mu.Unlock()
	if cancel != nil {
		cancel(why)
	}
	c.wire.hangUp(c)
	return true
}

// fail ends the connection for an error in what the client did.
func (c *Conn) fail(code ReasonCode, err error) {
	c.end(&DisconnectError{By: ByServer, Code: code, Err: err}, &Error{Code: code})
}

// isEnding tells whether end was called.
func (c *Conn) isEnding() bool { return c.ended.Load() }

// shutDown tells the client that the server goes.
func (c *Conn) shutDown() {
	c.end(&DisconnectError{By: ByServer, Code: ServerShuttingDown}, &Error{Code: ServerShuttingDown})
}

// connContext is a Conn as the context of its callbacks: a pointer, so that no call allocates. The real context behind it
// is made when somebody asks for its channel or a value.
type connContext Conn

// Deadline is none: a connection lives until it ends.
func (x *connContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done gives the channel that is closed when the connection ends.
func (x *connContext) Done() <-chan struct{} { return x.inner().Done() }

// Err tells whether the connection has ended.
func (x *connContext) Err() error {
	if (*Conn)(x).isEnding() {
		return context.Canceled
	}
	return nil
}

// Value gives a value of the context that the connection was served with.
func (x *connContext) Value(key any) any {
	if _, own := key.(connKey); own {
		return (*Conn)(x)
	}
	return x.inner().Value(key)
}

// connKey is the key under which a callback's context has its connection.
type connKey struct{}

func (x *connContext) inner() context.Context {
	x.ctxMu.Lock()
	defer x.ctxMu.Unlock()
	if x.ctx == nil {
		x.ctx, x.cancel = context.WithCancelCause(context.WithoutCancel(x.base))
		if x.why != nil {
			x.cancel(x.why)
		}
	}
	return x.ctx
}
