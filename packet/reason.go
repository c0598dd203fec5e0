package packet

import "fmt"

// ReasonCode is a Reason Code of MQTT 5.0. Codes from 0x80 tell of a failure.
// A ReasonCode is an error, so that a callback may return one; code 0x00 is one too
// and not nil.
//
// In a CONNACK of 3.1 and 3.1.1 it holds that version's Return Code, 0 to 5, for
// which the names here do not stand.
type ReasonCode byte

// The Reason Codes. 0x00 has three names.
const (
	Success                             ReasonCode = 0x00 // Success
	NormalDisconnection                 ReasonCode = 0x00 // Normal disconnection
	GrantedQoS0                         ReasonCode = 0x00 // Granted QoS 0
	GrantedQoS1                         ReasonCode = 0x01 // Granted QoS 1
	GrantedQoS2                         ReasonCode = 0x02 // Granted QoS 2
	DisconnectWithWillMessage           ReasonCode = 0x04 // Disconnect with Will Message
	NoMatchingSubscribers               ReasonCode = 0x10 // No matching subscribers
	NoSubscriptionExisted               ReasonCode = 0x11 // No subscription existed
	ContinueAuthentication              ReasonCode = 0x18 // Continue authentication
	ReAuthenticate                      ReasonCode = 0x19 // Re-authenticate
	UnspecifiedError                    ReasonCode = 0x80 // Unspecified error
	MalformedPacket                     ReasonCode = 0x81 // Malformed Packet
	ProtocolError                       ReasonCode = 0x82 // Protocol Error
	ImplementationSpecificError         ReasonCode = 0x83 // Implementation specific error
	UnsupportedProtocolVersion          ReasonCode = 0x84 // Unsupported Protocol Version
	ClientIdentifierNotValid            ReasonCode = 0x85 // Client Identifier not valid
	BadUserNameOrPassword               ReasonCode = 0x86 // Bad User Name or Password
	NotAuthorized                       ReasonCode = 0x87 // Not authorized
	ServerUnavailable                   ReasonCode = 0x88 // Server unavailable
	ServerBusy                          ReasonCode = 0x89 // Server busy
	Banned                              ReasonCode = 0x8A // Banned
	ServerShuttingDown                  ReasonCode = 0x8B // Server shutting down
	BadAuthenticationMethod             ReasonCode = 0x8C // Bad authentication method
	KeepAliveTimeout                    ReasonCode = 0x8D // Keep Alive timeout
	SessionTakenOver                    ReasonCode = 0x8E // Session taken over
	TopicFilterInvalid                  ReasonCode = 0x8F // Topic Filter invalid
	TopicNameInvalid                    ReasonCode = 0x90 // Topic Name invalid
	PacketIdentifierInUse               ReasonCode = 0x91 // Packet Identifier in use
	PacketIdentifierNotFound            ReasonCode = 0x92 // Packet Identifier not found
	ReceiveMaximumExceeded              ReasonCode = 0x93 // Receive Maximum exceeded
	TopicAliasInvalid                   ReasonCode = 0x94 // Topic Alias invalid
	PacketTooLarge                      ReasonCode = 0x95 // Packet too large
	MessageRateTooHigh                  ReasonCode = 0x96 // Message rate too high
	QuotaExceeded                       ReasonCode = 0x97 // Quota exceeded
	AdministrativeAction                ReasonCode = 0x98 // Administrative action
	PayloadFormatInvalid                ReasonCode = 0x99 // Payload format invalid
	RetainNotSupported                  ReasonCode = 0x9A // Retain not supported
	QoSNotSupported                     ReasonCode = 0x9B // QoS not supported
	UseAnotherServer                    ReasonCode = 0x9C // Use another server
	ServerMoved                         ReasonCode = 0x9D // Server moved
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E // Shared Subscriptions not supported
	ConnectionRateExceeded              ReasonCode = 0x9F // Connection rate exceeded
	MaximumConnectTime                  ReasonCode = 0xA0 // Maximum connect time
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1 // Subscription Identifiers not supported
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2 // Wildcard Subscriptions not supported
)

// reason is a row of the Reason Code table of the standard.
type reason struct {
	name     string
	packets  uint16 // bit t: may stand in a packet of type t
	byServer bool   // a server may send it in DISCONNECT
}

// Sets of packet types by bit.
const (
	inConnack    = 1 << TypeConnack
	inPuback     = 1 << TypePuback
	inPubrec     = 1 << TypePubrec
	inPubrel     = 1 << TypePubrel
	inPubcomp    = 1 << TypePubcomp
	inSuback     = 1 << TypeSuback
	inUnsuback   = 1 << TypeUnsuback
	inDisconnect = 1 << TypeDisconnect
	inAuth       = 1 << TypeAuth

	inPubAcks = inPuback | inPubrec
	inAcks    = inPubAcks | inSuback | inUnsuback
)

var reasons = [...]reason{
	Success:                             {"Success", inAcks | inConnack | inPubrel | inPubcomp | inDisconnect | inAuth, true},
	GrantedQoS1:                         {"Granted QoS 1", inSuback, false},
	GrantedQoS2:                         {"Granted QoS 2", inSuback, false},
	DisconnectWithWillMessage:           {"Disconnect with Will Message", inDisconnect, false},
	NoMatchingSubscribers:               {"No matching subscribers", inPubAcks, false},
	NoSubscriptionExisted:               {"No subscription existed", inUnsuback, false},
	ContinueAuthentication:              {"Continue authentication", inAuth, false},
	ReAuthenticate:                      {"Re-authenticate", inAuth, false},
	UnspecifiedError:                    {"Unspecified error", inAcks | inConnack | inDisconnect, true},
	MalformedPacket:                     {"Malformed Packet", inConnack | inDisconnect, true},
	ProtocolError:                       {"Protocol Error", inConnack | inDisconnect, true},
	ImplementationSpecificError:         {"Implementation specific error", inAcks | inConnack | inDisconnect, true},
	UnsupportedProtocolVersion:          {"Unsupported Protocol Version", inConnack, false},
	ClientIdentifierNotValid:            {"Client Identifier not valid", inConnack, false},
	BadUserNameOrPassword:               {"Bad User Name or Password", inConnack, false},
	NotAuthorized:                       {"Not authorized", inAcks | inConnack | inDisconnect, true},
	ServerUnavailable:                   {"Server unavailable", inConnack, false},
	ServerBusy:                          {"Server busy", inConnack | inDisconnect, true},
	Banned:                              {"Banned", inConnack, false},
	ServerShuttingDown:                  {"Server shutting down", inDisconnect, true},
	BadAuthenticationMethod:             {"Bad authentication method", inConnack | inDisconnect, true},
	KeepAliveTimeout:                    {"Keep Alive timeout", inDisconnect, true},
	SessionTakenOver:                    {"Session taken over", inDisconnect, true},
	TopicFilterInvalid:                  {"Topic Filter invalid", inSuback | inUnsuback | inDisconnect, true},
	TopicNameInvalid:                    {"Topic Name invalid", inPubAcks | inConnack | inDisconnect, true},
	PacketIdentifierInUse:               {"Packet Identifier in use", inAcks, false},
	PacketIdentifierNotFound:            {"Packet Identifier not found", inPubrel | inPubcomp, false},
	ReceiveMaximumExceeded:              {"Receive Maximum exceeded", inDisconnect, true},
	TopicAliasInvalid:                   {"Topic Alias invalid", inDisconnect, true},
	PacketTooLarge:                      {"Packet too large", inConnack | inDisconnect, true},
	MessageRateTooHigh:                  {"Message rate too high", inDisconnect, true},
	QuotaExceeded:                       {"Quota exceeded", inPubAcks | inConnack | inSuback | inDisconnect, true},
	AdministrativeAction:                {"Administrative action", inDisconnect, true},
	PayloadFormatInvalid:                {"Payload format invalid", inPubAcks | inConnack | inDisconnect, true},
	RetainNotSupported:                  {"Retain not supported", inConnack | inDisconnect, true},
	QoSNotSupported:                     {"QoS not supported", inConnack | inDisconnect, true},
	UseAnotherServer:                    {"Use another server", inConnack | inDisconnect, true},
	ServerMoved:                         {"Server moved", inConnack | inDisconnect, true},
	SharedSubscriptionsNotSupported:     {"Shared Subscriptions not supported", inSuback | inDisconnect, true},
	ConnectionRateExceeded:              {"Connection rate exceeded", inConnack | inDisconnect, true},
	MaximumConnectTime:                  {"Maximum connect time", inDisconnect, true},
	SubscriptionIdentifiersNotSupported: {"Subscription Identifiers not supported", inSuback | inDisconnect, true},
	WildcardSubscriptionsNotSupported:   {"Wildcard Subscriptions not supported", inSuback | inDisconnect, true},
}

// String is the standard's name, such as "Not authorized". 0x00 is "Success".
func (c ReasonCode) String() string {
	if int(c) < len(reasons) && reasons[c].name != "" {
		return reasons[c].name
	}
	return "Unknown reason"
}

// Error is the name and the code, such as "Not authorized (0x87)".
func (c ReasonCode) Error() string { return fmt.Sprintf("%s (0x%02X)", c.String(), byte(c)) }

// In reports whether the code may stand in a packet of type t.
func (c ReasonCode) In(t Type) bool {
	return int(c) < len(reasons) && reasons[c].packets>>t&1 != 0
}

// ByServer reports whether a server may send the code in DISCONNECT. It may send
// BadAuthenticationMethod, which one of the standard's two tables lists and the
// other lacks; only DisconnectWithWillMessage is left to clients.
func (c ReasonCode) ByServer() bool { return int(c) < len(reasons) && reasons[c].byServer }

// ByClient reports whether a client may send the code in DISCONNECT: the ones that
// tell of a server's state or of what only a server judges are not for it.
func (c ReasonCode) ByClient() bool {
	switch c {
	case NotAuthorized, ServerBusy, ServerShuttingDown, BadAuthenticationMethod, KeepAliveTimeout, SessionTakenOver,
		TopicFilterInvalid, RetainNotSupported, QoSNotSupported, UseAnotherServer, ServerMoved,
		SharedSubscriptionsNotSupported, ConnectionRateExceeded, MaximumConnectTime,
		SubscriptionIdentifiersNotSupported, WildcardSubscriptionsNotSupported:
		return false
	}
	return c.In(TypeDisconnect)
}

// writable is In, and the codes outside the tables that a server may be set to
// send for the sake of older clients: 0x96 in PUBACK and PUBREC, 0x93 in PUBREC.
func (c ReasonCode) writable(t Type) bool {
	return c.In(t) ||
		c == MessageRateTooHigh && (t == TypePuback || t == TypePubrec) ||
		c == ReceiveMaximumExceeded && t == TypePubrec
}
