package mqttx

import (
	"errors"
	"fmt"
	"net"

	"github.com/e8743928/mqttx/packet"
)

// ReasonCode is the code of an answer as MQTT 5.0 numbers them. It is an error, so a callback can return one:
// return mqttx.NotAuthorized. Codes below 0x80 mean success and refuse nothing when returned as an error: they are sent
// as [UnspecifiedError] and logged.
type ReasonCode = packet.ReasonCode

// QoS is a quality of service: 0 at most once, 1 at least once, 2 exactly once.
type QoS = packet.QoS

// Version is a version of the protocol: [V31], [V311] or [V5].
type Version = packet.Version

// UserProperty is a name with a value; order and repetition are kept.
type UserProperty = packet.UserProperty

// The versions of MQTT that a Server speaks, by their protocol level.
const (
	V31  = packet.V31
	V311 = packet.V311
	V5   = packet.V5
)

// The reason codes of MQTT 5.0, named as in the standard.
const (
	Success                             = packet.Success
	NormalDisconnection                 = packet.NormalDisconnection
	DisconnectWithWillMessage           = packet.DisconnectWithWillMessage
	NoMatchingSubscribers               = packet.NoMatchingSubscribers
	NoSubscriptionExisted               = packet.NoSubscriptionExisted
	ContinueAuthentication              = packet.ContinueAuthentication
	ReAuthenticate                      = packet.ReAuthenticate
	UnspecifiedError                    = packet.UnspecifiedError
	MalformedPacket                     = packet.MalformedPacket
	ProtocolError                       = packet.ProtocolError
	ImplementationSpecificError         = packet.ImplementationSpecificError
	UnsupportedProtocolVersion          = packet.UnsupportedProtocolVersion
	ClientIdentifierNotValid            = packet.ClientIdentifierNotValid
	BadUserNameOrPassword               = packet.BadUserNameOrPassword
	NotAuthorized                       = packet.NotAuthorized
	ServerUnavailable                   = packet.ServerUnavailable
	ServerBusy                          = packet.ServerBusy
	Banned                              = packet.Banned
	ServerShuttingDown                  = packet.ServerShuttingDown
	BadAuthenticationMethod             = packet.BadAuthenticationMethod
	KeepAliveTimeout                    = packet.KeepAliveTimeout
	SessionTakenOver                    = packet.SessionTakenOver
	TopicFilterInvalid                  = packet.TopicFilterInvalid
	TopicNameInvalid                    = packet.TopicNameInvalid
	PacketIdentifierInUse               = packet.PacketIdentifierInUse
	PacketIdentifierNotFound            = packet.PacketIdentifierNotFound
	ReceiveMaximumExceeded              = packet.ReceiveMaximumExceeded
	TopicAliasInvalid                   = packet.TopicAliasInvalid
	PacketTooLarge                      = packet.PacketTooLarge
	MessageRateTooHigh                  = packet.MessageRateTooHigh
	QuotaExceeded                       = packet.QuotaExceeded
	AdministrativeAction                = packet.AdministrativeAction
	PayloadFormatInvalid                = packet.PayloadFormatInvalid
	RetainNotSupported                  = packet.RetainNotSupported
	QoSNotSupported                     = packet.QoSNotSupported
	UseAnotherServer                    = packet.UseAnotherServer
	ServerMoved                         = packet.ServerMoved
	SharedSubscriptionsNotSupported     = packet.SharedSubscriptionsNotSupported
	ConnectionRateExceeded              = packet.ConnectionRateExceeded
	MaximumConnectTime                  = packet.MaximumConnectTime
	SubscriptionIdentifiersNotSupported = packet.SubscriptionIdentifiersNotSupported
	WildcardSubscriptionsNotSupported   = packet.WildcardSubscriptionsNotSupported
)

// Errors of a Server's life and of callbacks.
var (
	// ErrServerClosed is returned by Serve and its kin once Shutdown or Close is done. It wraps [net.ErrClosed].
	ErrServerClosed error = closedError("mqttx: server closed")
	// ErrNoClient says that no client with that id is connected or remembered.
	ErrNoClient = errors.New("mqttx: no such client")
	// Handled, returned by Publish, acknowledges the message as accepted without routing it.
	//
	//lint:ignore ST1012 it is an answer, not a failure
	Handled = errors.New("mqttx: handled, not to be routed")

	errConnClosed error = closedError("mqttx: connection closed")
	errQueueFull        = errors.New("mqttx: queue full")
)

// closedError is an error that wraps net.ErrClosed.
type closedError string

func (e closedError) Error() string { return string(e) }
func (e closedError) Unwrap() error { return net.ErrClosed }

// Error is a refusal with more than a code. What is sent to an MQTT 5.0 client stands in the first fields, as far as its
// Maximum Packet Size allows; Err is only logged. A *Error is an error; it unwraps to Code and Err.
type Error struct {
	Code            ReasonCode     // below 0x80: UnspecifiedError
	Text            string         // Reason String
	ServerReference string         // with UseAnotherServer and ServerMoved
	User            []UserProperty // user properties
	Err             error          // logged, never sent
}

// Error gives the code, the text and the error below.
func (e *Error) Error() string {
	s := e.Code.Error()
	if e.Text != "" {
		s += ": " + e.Text
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the code and the error below.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// Side tells who ended a connection.
type Side byte

// The sides that can end a connection.
const (
	ByClient  Side = iota + 1 // the client sent DISCONNECT
	ByServer                  // the server closed: a kick, a limit, an error in what the client sent, a timeout
	ByNetwork                 // the connection broke, or the client closed it without DISCONNECT
)

// String gives "client", "server" or "network".
func (s Side) String() string {
	switch s {
	case ByClient:
		return "client"
	case ByServer:
		return "server"
	case ByNetwork:
		return "network"
	}
	return fmt.Sprintf("Side(%d)", byte(s))
}

// DisconnectError tells how a connection ended. It is what [Callbacks].Disconnected gets, and the cause of the
// connection's context. A *DisconnectError is an error; it unwraps to Code, unless that is Success, and Err.
type DisconnectError struct {
	By   Side
	Code ReasonCode // of the DISCONNECT that was received or would be sent; Success if the network ended it
	Text string     // Reason String
	Err  error      // what happened below, nil if nothing did
}

// Error gives one line.
func (e *DisconnectError) Error() string {
	s := "mqttx: disconnected by " + e.By.String()
	switch {
	case e.Code != 0:
		s += ": " + e.Code.Error()
	case e.By == ByClient:
		s += ": Normal disconnection (0x00)"
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	if err := e.news(); err != nil {
		s += ": " + err.Error()
	}
	return s
}

// news is what Err says beyond the code and the text, which callbacks' errors repeat: nil if that is nothing.
func (e *DisconnectError) news() error {
	err := e.Err
	for {
		switch v := err.(type) {
		case *disconnect:
			err = v.why
		case *Error:
			if CodeOf(v) != e.Code || v.Text != e.Text {
				return err
			}
			err = v.Err
		case ReasonCode:
			if v == e.Code {
				return nil
			}
			return err
		default:
			return err
		}
	}
}

// Unwrap gives the code and the error below.
func (e *DisconnectError) Unwrap() []error {
	var errs []error
	if e.Code != 0 {
		errs = append(errs, e.Code)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// disconnect marks an error that ends the connection.
type disconnect struct{ why error }

func (d *disconnect) Error() string { return "disconnect: " + d.why.Error() }
func (d *disconnect) Unwrap() error { return d.why }

// Disconnect makes an error that any callback may return to end the connection: MQTT 5.0 clients get DISCONNECT with the
// code and texts of why, a [ReasonCode] or an *[Error]; others are just closed (G14, G55). From Connect, and from Auth
// before CONNACK, it is the same as returning why.
func Disconnect(why error) error {
	if why == nil {
		why = UnspecifiedError
	}
	return &disconnect{why}
}

// CodeOf finds the reason code in err: Success for nil, UnspecifiedError if there is none in it.
func CodeOf(err error) ReasonCode {
	if err == nil {
		return Success
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Code < 0x80 {
			return UnspecifiedError
		}
		return e.Code
	}
	var c ReasonCode
	if errors.As(err, &c) {
		return c
	}
	return UnspecifiedError
}

// refusal is an error of a callback, made ready to be answered with.
type refusal struct {
	code ReasonCode
	Error
	ends bool // the connection is to be ended with DISCONNECT
}

// refuse judges an error that a callback returned instead of an answer of type t. A code that t may not carry but
// DISCONNECT may ends the connection; any other code that does not fit is UnspecifiedError (guide, "Names").
func refuse(err error, t packet.Type) *refusal {
	r := &refusal{}
	var d *disconnect
	r.ends = errors.As(err, &d)
	var e *Error
	if errors.As(err, &e) {
		r.Error = *e
	}
	r.code = CodeOf(err)
	if r.code < 0x80 {
		r.code = UnspecifiedError
	}
	if r.ends && t != packet.TypeConnack {
		t = packet.TypeDisconnect
	}
	switch {
	case t == packet.TypeDisconnect:
		r.ends = true
		if !r.code.In(t) || !r.code.ByServer() {
			r.code = UnspecifiedError
		}
	case r.code.In(t):
	case t != packet.TypeConnack && r.code.In(packet.TypeDisconnect) && r.code.ByServer():
		r.ends = true
	default:
		r.code = UnspecifiedError
	}
	r.Err = err
	return r
}

// connack3 gives the return code of a CONNACK in MQTT 3.1 and 3.1.1 for a reason code; ok is false where none fits and
// the connection is closed without one [MQTT-3.2.2-6].
func connack3(c ReasonCode) (code ReasonCode, ok bool) {
	switch c {
	case Success:
		return 0, true
	case UnsupportedProtocolVersion:
		return 1, true
	case ClientIdentifierNotValid:
		return 2, true
	case UnspecifiedError, ImplementationSpecificError, ServerUnavailable, ServerBusy, QuotaExceeded, UseAnotherServer,
		ServerMoved, ConnectionRateExceeded:
		return 3, true
	case BadUserNameOrPassword:
		return 4, true
	case NotAuthorized, Banned, BadAuthenticationMethod:
		return 5, true
	}
	return 0, false
}

// ackable3 tells whether a message refused with c is acknowledged all the same in MQTT 3.1 and 3.1.1, where an
// acknowledgement has no code. Other refusals close the connection, so that nothing is acknowledged and lost
// ([MQTT-3.3.5-2], G6).
func ackable3(c ReasonCode) bool {
	return c == NotAuthorized || c == TopicNameInvalid || c == PayloadFormatInvalid
}
