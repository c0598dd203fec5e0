package mqttx

import (
	"context"
	"fmt"
	"time"
)

// Handler is what the application has to say: a [Callbacks], what [Authenticate], [AllowAnonymous] and [Chain] return,
// or a struct that embeds a Handler. It has no exported method, so callbacks can be added without breaking anybody.
type Handler interface{ table() []*table }

// Callbacks are the functions that a Server calls; nil fields are not called.
//
// Calls for one connection come one at a time and in packet order, so T needs no lock, but is for these calls alone:
// other goroutines reach it by [Conn.Post] and Info. Calls for different connections run in parallel, so what they share
// needs one. No lock of the server is held: any method of Server and Conn may be called. A slow call holds up its own
// client only, and a panic ends its own connection only, with [UnspecifiedError].
//
// Every error refuses: a [ReasonCode] or *[Error] is the answer's code, anything else is logged and sent as
// [UnspecifiedError]. [Disconnect] also ends the connection.
type Callbacks[T any] struct {
	// Connect decides on CONNECT and makes the T of the connection. It runs once per CONNECT, after an exchange by Auth
	// if there was one. If nil, T is the zero value, or the connection itself if T is *Conn, and the handler decides
	// nothing: while no handler does, only clients of this machine are let in (G2-G5).
	Connect func(ctx context.Context, r *ConnectRequest) (T, error)
	// Connected comes when the client has its session and the Disconnected of an older connection with its id is over,
	// just before CONNACK; an error is CONNACK's code.
	Connected func(ctx context.Context, t T) error
	// Publish judges a message and may change it, for QoS 2 when the PUBLISH arrives. A will comes when CONNECT hands it
	// in, with m.Will set (G6, G43). [Handled] accepts without routing.
	Publish func(ctx context.Context, t T, m *Message) error
	// Subscribe is asked for each filter of a SUBSCRIBE in turn; it may change it, lower its QoS or refuse it (G8).
	Subscribe func(ctx context.Context, t T, s *Subscription) error
	// Unsubscribe is asked for each filter of an UNSUBSCRIBE in turn; an error keeps the subscription (G9).
	Unsubscribe func(ctx context.Context, t T, s *Subscription) error
	// Info gets what [Conn.Post] sent, in that order. A code or Disconnect error disconnects with it, any other error
	// with UnspecifiedError (G11).
	Info func(ctx context.Context, t T, v any) error
	// Deliver sees each message on its way to the client: it returns m, a changed copy, or nil to drop it. It must not
	// change m, which other receivers share, and must not wait.
	Deliver func(t T, m *Message) *Message
	// Delivered comes once for each QoS 1 or 2 message that the client has acknowledged, with its code (N6).
	Delivered func(ctx context.Context, t T, m *Message, code ReasonCode) error
	// Disconnected is the last call, once per Connect that returned nil; why is a *[DisconnectError] (G10). Its ctx lives
	// on, so a last write to a database works.
	Disconnected func(ctx context.Context, t T, why error)
	// Auth opens an exchange for a client that named an authentication method, before Connect, and again when the client
	// re-authenticates. nil, nil says that the method is not this handler's; if it is nobody's the client gets
	// BadAuthenticationMethod (N5).
	Auth func(ctx context.Context, r *ConnectRequest) (x Exchange, err error)
	// Allow judges each access by identity, whether or not there is a connection: publish, will, subscribe, resumed
	// session, retained and queued message. Its answer is remembered until [Server.Recheck], so it must depend on nothing
	// but the Access. It may be called from any goroutine, several at once.
	Allow func(ctx context.Context, a Access) error
	// SessionExpired comes when a session has ended by time, after the server has removed everything of it (G12, G48).
	SessionExpired func(ctx context.Context, c Client)
	// Inline promises that no call waits or keeps an argument, so that calls may run on an event loop and borrow the
	// message from its buffer. A call over 10 ms is logged once, by name.
	Inline bool
}

// Exchange answers one packet of an authentication exchange: the Authentication Data of CONNECT first, then that of each
// AUTH. Its out goes back to the client; done ends the exchange with success. An error refuses like that of any callback, in
// CONNACK, or in DISCONNECT when the client re-authenticates. Its calls are as those of the other callbacks (N5).
type Exchange func(ctx context.Context, in []byte) (out []byte, done bool, err error)

// ConnectRequest is what a CONNECT says, and where Auth and Connect put who the client is.
type ConnectRequest struct {
	Conn               *Conn         // address, TLS state, version
	Client             Client        // to be filled in; ID is the client id in force and may be changed
	ClientID, Username string        // as sent, unverified
	HasUsername        bool          // a user name was sent, if only an empty one
	CleanStart         bool          // Clean Start; Clean Session in 3.1 and 3.1.1
	Password           []byte        // nil: none was sent; wiped after the last Connect
	Will               *Message      // nil: none; Publish and Allow judge it after Connect
	WillDelay          time.Duration // Will Delay Interval
	KeepAlive          time.Duration // may be changed for MQTT 5.0 clients, which are told (G38); 0: none
	SessionExpiry      time.Duration // may be changed; negative: never ends
	AuthMethod         string        // Authentication Method; empty: none
	Props              *Properties   // user properties of CONNECT; nil: none
	Reply              ConnectReply  // what CONNACK adds
}

// ConnectReply is what the application adds to a CONNACK of MQTT 5.0.
type ConnectReply struct {
	Text         string // Reason String
	ResponseInfo string // Response Information, sent if the client asked for it [MQTT-3.1.2-28]
	User         []UserProperty
}

// Access is one thing done in a client's name, for [Callbacks].Allow to judge.
type Access struct {
	Client Client
	Op     Op
	Topic  string // or filter, without $share/group
	QoS    QoS
	Retain bool
}

// Op is a kind of access.
type Op byte

// The kinds of access; there will be no others.
const (
	OpPublish   Op = iota + 1 // publish to a topic, a will included
	OpSubscribe               // subscribe to a filter
	OpReceive                 // receive a message of a topic
)

// String gives "publish", "subscribe" or "receive".
func (o Op) String() string {
	switch o {
	case OpPublish:
		return "publish"
	case OpSubscribe:
		return "subscribe"
	case OpReceive:
		return "receive"
	}
	return fmt.Sprintf("Op(%d)", byte(o))
}

// table is a handler with T taken out. Its functions get the state that connect returned.
type table struct {
	name           string // for the log
	inline         bool
	decides        bool // has a say on CONNECT
	stateful       bool // connect's value must be kept
	connect        func(ctx context.Context, r *ConnectRequest) (any, error)
	connected      func(ctx context.Context, t any) error
	publish        func(ctx context.Context, t any, m *Message) error
	subscribe      func(ctx context.Context, t any, s *Subscription) error
	unsubscribe    func(ctx context.Context, t any, s *Subscription) error
	info           func(ctx context.Context, t any, v any) error
	deliver        func(t any, m *Message) *Message
	delivered      func(ctx context.Context, t any, m *Message, code ReasonCode) error
	disconnected   func(ctx context.Context, t any, why error)
	auth           func(ctx context.Context, r *ConnectRequest) (Exchange, error)
	allow          func(ctx context.Context, a Access) error
	sessionExpired func(ctx context.Context, c Client)
}

// blocks tells whether there is anything to call while a client is connected, but for its end.
func (t *table) blocks() bool {
	return t.publish != nil || t.subscribe != nil || t.unsubscribe != nil || t.delivered != nil || t.auth != nil || t.allow != nil
}

func (cb Callbacks[T]) table() []*table {
	t := &table{
		name: fmt.Sprintf("%T", cb), inline: cb.Inline, decides: cb.Connect != nil,
		auth: cb.Auth, allow: cb.Allow, sessionExpired: cb.SessionExpired,
	}
	var zero T
	_, ownConn := any(zero).(*Conn)
	t.stateful = cb.Connect != nil || ownConn
	if f := cb.Connect; f != nil {
		t.connect = func(ctx context.Context, r *ConnectRequest) (any, error) { return f(ctx, r) }
	} else if ownConn {
		t.connect = func(_ context.Context, r *ConnectRequest) (any, error) { return r.Conn, nil }
	}
	if f := cb.Connected; f != nil {
		t.connected = func(ctx context.Context, s any) error { return f(ctx, stateOf[T](s)) }
	}
	if f := cb.Publish; f != nil {
		t.publish = func(ctx context.Context, s any, m *Message) error { return f(ctx, stateOf[T](s), m) }
	}
	t.subscribe = subscriptionCall(cb.Subscribe)
	t.unsubscribe = subscriptionCall(cb.Unsubscribe)
	if f := cb.Info; f != nil {
		t.info = func(ctx context.Context, s, v any) error { return f(ctx, stateOf[T](s), v) }
	}
	if f := cb.Deliver; f != nil {
		t.deliver = func(s any, m *Message) *Message { return f(stateOf[T](s), m) }
	}
	if f := cb.Delivered; f != nil {
		t.delivered = func(ctx context.Context, s any, m *Message, c ReasonCode) error { return f(ctx, stateOf[T](s), m, c) }
	}
	if f := cb.Disconnected; f != nil {
		t.disconnected = func(ctx context.Context, s any, why error) { f(ctx, stateOf[T](s), why) }
	}
	return []*table{t}
}

// stateOf gives back the T of a state; the zero T if there is none.
func stateOf[T any](s any) T {
	t, _ := s.(T)
	return t
}

func subscriptionCall[T any](f func(context.Context, T, *Subscription) error) func(context.Context, any, *Subscription) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, s any, sub *Subscription) error { return f(ctx, stateOf[T](s), sub) }
}

// handlerList is a Handler made of finished tables.
type handlerList []*table

func (l handlerList) table() []*table { return l }

// Authenticate makes a handler of a function that checks who a client is. If it returns nil the client is let in, and the
// user name that was sent is the verified one unless f has set r.Client.User to another.
func Authenticate(f func(ctx context.Context, r *ConnectRequest) error) Handler {
	return handlerList{{
		name: "mqttx.Authenticate", decides: true,
		connect: func(ctx context.Context, r *ConnectRequest) (any, error) {
			if err := f(ctx, r); err != nil {
				return nil, err
			}
			if r.Client.User == "" {
				r.Client.User = r.Username
			}
			return nil, nil
		},
	}}
}

// AllowAnonymous makes a handler that lets in everybody, from everywhere.
func AllowAnonymous() Handler {
	return handlerList{{
		name: "mqttx.AllowAnonymous", decides: true, inline: true,
		connect: func(context.Context, *ConnectRequest) (any, error) { return nil, nil },
	}}
}

// Chain makes one handler of several. They are asked in turn and the first error is the answer; Deliver and Disconnected
// are called in reverse. Handlers that rewrite topics stand first, so that rules see the real ones in both directions.
func Chain(hs ...Handler) Handler {
	var l handlerList
	for _, h := range hs {
		if h != nil {
			l = append(l, h.table()...)
		}
	}
	return l
}
