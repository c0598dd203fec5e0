package packet

// The Property Identifiers.
const (
	propPayloadFormat       = 0x01
	propMessageExpiry       = 0x02
	propContentType         = 0x03
	propResponseTopic       = 0x08
	propCorrelationData     = 0x09
	propSubscriptionID      = 0x0B
	propSessionExpiry       = 0x11
	propAssignedClientID    = 0x12
	propServerKeepAlive     = 0x13
	propAuthMethod          = 0x15
	propAuthData            = 0x16
	propRequestProblem      = 0x17
	propWillDelay           = 0x18
	propRequestResponse     = 0x19
	propResponseInformation = 0x1A
	propServerReference     = 0x1C
	propReasonString        = 0x1F
	propReceiveMaximum      = 0x21
	propTopicAliasMaximum   = 0x22
	propTopicAlias          = 0x23
	propMaximumQoS          = 0x24
	propRetainAvailable     = 0x25
	propUser                = 0x26
	propMaximumPacketSize   = 0x27
	propWildcardAvailable   = 0x28
	propSubIDAvailable      = 0x29
	propSharedAvailable     = 0x2A
)

// kind is the type and range of a property's value.
type kind byte

const (
	kindFlag kind = iota + 1 // Byte, 0 or 1: all the standard's Byte properties are
	kindUint16
	kindUint32
	kindVarint
	kindString
	kindBinary
	kindPair
)

// property is a row of the property table of the standard.
type property struct {
	name    string
	kind    kind
	zero    ReasonCode // answer to the value 0; Success: 0 is allowed
	packets uint       // bit t: belongs to packets of type t
	repeats uint       // bit t: may stand there more than once
}

const (
	inWill      = 1 << 0 // the Will Properties of CONNECT take the bit of the forbidden type
	inConnect   = 1 << TypeConnect
	inPublish   = 1 << TypePublish
	inSubscribe = 1 << TypeSubscribe

	inMessage  = inPublish | inWill
	withReason = inConnack | inPuback | inPubrec | inPubrel | inPubcomp | inSuback | inUnsuback | inDisconnect | inAuth
	withUser   = withReason | inConnect | inMessage | inSubscribe | 1<<TypeUnsubscribe
)

var properties = [...]property{
	propPayloadFormat:       {"Payload Format Indicator", kindFlag, 0, inMessage, 0},
	propMessageExpiry:       {"Message Expiry Interval", kindUint32, 0, inMessage, 0},
	propContentType:         {"Content Type", kindString, 0, inMessage, 0},
	propResponseTopic:       {"Response Topic", kindString, 0, inMessage, 0},
	propCorrelationData:     {"Correlation Data", kindBinary, 0, inMessage, 0},
	propSubscriptionID:      {"Subscription Identifier", kindVarint, ProtocolError, inPublish | inSubscribe, inPublish},
	propSessionExpiry:       {"Session Expiry Interval", kindUint32, 0, inConnect | inConnack | inDisconnect, 0},
	propAssignedClientID:    {"Assigned Client Identifier", kindString, 0, inConnack, 0},
	propServerKeepAlive:     {"Server Keep Alive", kindUint16, 0, inConnack, 0},
	propAuthMethod:          {"Authentication Method", kindString, 0, inConnect | inConnack | inAuth, 0},
	propAuthData:            {"Authentication Data", kindBinary, 0, inConnect | inConnack | inAuth, 0},
	propRequestProblem:      {"Request Problem Information", kindFlag, 0, inConnect, 0},
	propWillDelay:           {"Will Delay Interval", kindUint32, 0, inWill, 0},
	propRequestResponse:     {"Request Response Information", kindFlag, 0, inConnect, 0},
	propResponseInformation: {"Response Information", kindString, 0, inConnack, 0},
	propServerReference:     {"Server Reference", kindString, 0, inConnack | inDisconnect, 0},
	propReasonString:        {"Reason String", kindString, 0, withReason, 0},
	propReceiveMaximum:      {"Receive Maximum", kindUint16, ProtocolError, inConnect | inConnack, 0},
	propTopicAliasMaximum:   {"Topic Alias Maximum", kindUint16, 0, inConnect | inConnack, 0},
	propTopicAlias:          {"Topic Alias", kindUint16, TopicAliasInvalid, inPublish, 0},
	propMaximumQoS:          {"Maximum QoS", kindFlag, 0, inConnack, 0},
	propRetainAvailable:     {"Retain Available", kindFlag, 0, inConnack, 0},
	propUser:                {"User Property", kindPair, 0, withUser, withUser},
	propMaximumPacketSize:   {"Maximum Packet Size", kindUint32, ProtocolError, inConnect | inConnack, 0},
	propWildcardAvailable:   {"Wildcard Subscription Available", kindFlag, 0, inConnack, 0},
	propSubIDAvailable:      {"Subscription Identifier Available", kindFlag, 0, inConnack, 0},
	propSharedAvailable:     {"Shared Subscription Available", kindFlag, 0, inConnack, 0},
}
