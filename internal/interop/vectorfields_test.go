package interop

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// object is a packet or a part of one in mqtt-packet's terms.
type object map[string]any

// fieldsOf shows a packet in mqtt-packet's terms. Binary values are in hex; what is absent is left out.
func fieldsOf(t *testing.T, h packet.Header, p packet.Packet, v packet.Version) object {
	t.Helper()
	o := object{"retain": h.Flags&1 != 0, "qos": h.Flags >> 1 & 3, "dup": h.Flags&8 != 0, "length": h.Length}
	props := object{}
	switch p := p.(type) {
	case *packet.Connect:
		connectFields(o, props, p)
	case *packet.Connack:
		connackFields(o, props, p, v)
	case *packet.Publish:
		publishFields(o, props, p)
	case *packet.Puback:
		answerFields(o, props, "puback", p.PacketID, p.ReasonString, p.User, v, p.Code)
	case *packet.Pubrec:
		answerFields(o, props, "pubrec", p.PacketID, p.ReasonString, p.User, v, p.Code)
	case *packet.Pubrel:
		answerFields(o, props, "pubrel", p.PacketID, p.ReasonString, p.User, v, p.Code)
	case *packet.Pubcomp:
		answerFields(o, props, "pubcomp", p.PacketID, p.ReasonString, p.User, v, p.Code)
	case *packet.Subscribe:
		subscribeFields(o, props, p, v)
	case *packet.Suback:
		answerFields(o, props, "suback", p.PacketID, p.ReasonString, p.User, v)
		o["granted"] = numbers(p.Codes)
	case *packet.Unsubscribe:
		o["cmd"], o["messageId"], o["unsubscriptions"] = "unsubscribe", p.PacketID, p.Filters
		props.users(p.User)
	case *packet.Unsuback:
		answerFields(o, props, "unsuback", p.PacketID, p.ReasonString, p.User, v)
		o["granted"] = numbers(p.Codes)
	case *packet.Pingreq:
		o["cmd"] = "pingreq"
	case *packet.Pingresp:
		o["cmd"] = "pingresp"
	case *packet.Disconnect:
		o["cmd"], o["reasonCode"] = "disconnect", p.Code
		set(props, "sessionExpiryInterval", p.SessionExpiryInterval)
		props.text("reasonString", p.ReasonString)
		props.text("serverReference", p.ServerReference)
		props.users(p.User)
	case *packet.Auth:
		o["cmd"], o["reasonCode"] = "auth", p.Code
		props.text("authenticationMethod", p.AuthenticationMethod)
		props.bytes("authenticationData", p.AuthenticationData)
		props.text("reasonString", p.ReasonString)
		props.users(p.User)
	default:
		t.Fatalf("%T has no fields", p)
	}
	if len(props) > 0 {
		o["properties"] = props
	}
	return plain(t, o)
}

// plain gives an object the types that JSON gives it.
func plain(t *testing.T, o object) object {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var back object
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func (o object) text(key, value string) {
	if value != "" {
		o[key] = value
	}
}

func (o object) bytes(key string, value []byte) {
	if value != nil {
		o[key] = hex.EncodeToString(value)
	}
}

// set enters a value unless it is absent.
func set[T any](o object, key string, value *T) {
	if value != nil {
		o[key] = *value
	}
}

// number enters a number unless it is 0.
func number[T uint16 | uint32](o object, key string, value T) {
	if value != 0 {
		o[key] = value
	}
}

func numbers(codes []packet.ReasonCode) []int {
	var list []int
	for _, c := range codes {
		list = append(list, int(c))
	}
	return list
}

// users enters User Properties: a value for each name, a list of values for a name that repeats.
func (o object) users(pairs []packet.UserProperty) {
	if len(pairs) == 0 {
		return
	}
	byName := object{}
	for _, p := range pairs {
		switch old := byName[p.Name].(type) {
		case nil:
			byName[p.Name] = p.Value
		case string:
			byName[p.Name] = []string{old, p.Value}
		case []string:
			byName[p.Name] = append(old, p.Value)
		}
	}
	o["userProperties"] = byName
}

func (o object) format(f packet.PayloadFormat) {
	if f != packet.FormatAbsent {
		o["payloadFormatIndicator"] = f == packet.FormatUTF8
	}
}

func connectFields(o, props object, p *packet.Connect) {
	o["cmd"], o["protocolVersion"], o["clean"], o["keepalive"], o["clientId"] = "connect", p.Version, p.CleanStart, p.KeepAlive, p.ClientID
	o["protocolId"] = "MQTT"
	if p.Version == packet.V31 {
		o["protocolId"] = "MQIsdp"
	}
	if p.Bridge {
		o["bridgeMode"] = true
	}
	if p.HasUsername {
		o["username"] = p.Username
	}
	o.bytes("password", p.Password)
	set(props, "sessionExpiryInterval", p.SessionExpiryInterval)
	number(props, "receiveMaximum", p.ReceiveMaximum)
	number(props, "maximumPacketSize", p.MaximumPacketSize)
	number(props, "topicAliasMaximum", p.TopicAliasMaximum)
	if p.RequestResponseInformation {
		props["requestResponseInformation"] = true
	}
	if p.NoProblemInformation {
		props["requestProblemInformation"] = false
	}
	props.text("authenticationMethod", p.AuthenticationMethod)
	props.bytes("authenticationData", p.AuthenticationData)
	props.users(p.User)
	if w := p.Will; w != nil {
		will, willProps := object{"topic": w.Topic, "payload": hex.EncodeToString(w.Payload), "qos": w.QoS, "retain": w.Retain}, object{}
		number(willProps, "willDelayInterval", w.DelayInterval)
		willProps.format(w.PayloadFormat)
		set(willProps, "messageExpiryInterval", w.MessageExpiryInterval)
		willProps.text("contentType", w.ContentType)
		willProps.text("responseTopic", w.ResponseTopic)
		willProps.bytes("correlationData", w.CorrelationData)
		willProps.users(w.User)
		if len(willProps) > 0 {
			will["properties"] = willProps
		}
		o["will"] = will
	}
}

func connackFields(o, props object, p *packet.Connack, v packet.Version) {
	o["cmd"], o["sessionPresent"] = "connack", p.SessionPresent
	o["returnCode"] = p.Code
	if v == packet.V5 {
		delete(o, "returnCode")
		o["reasonCode"] = p.Code
	}
	set(props, "sessionExpiryInterval", p.SessionExpiryInterval)
	number(props, "receiveMaximum", p.ReceiveMaximum)
	set(props, "maximumQoS", p.MaximumQoS)
	set(props, "retainAvailable", p.RetainAvailable)
	number(props, "maximumPacketSize", p.MaximumPacketSize)
	props.text("assignedClientIdentifier", p.AssignedClientID)
	set(props, "topicAliasMaximum", p.TopicAliasMaximum)
	props.text("reasonString", p.ReasonString)
	set(props, "wildcardSubscriptionAvailable", p.WildcardSubscriptionAvailable)
	set(props, "subscriptionIdentifiersAvailable", p.SubscriptionIdentifierAvailable)
	set(props, "sharedSubscriptionAvailable", p.SharedSubscriptionAvailable)
	set(props, "serverKeepAlive", p.ServerKeepAlive)
	props.text("responseInformation", p.ResponseInformation)
	props.text("serverReference", p.ServerReference)
	props.text("authenticationMethod", p.AuthenticationMethod)
	props.bytes("authenticationData", p.AuthenticationData)
	props.users(p.User)
}

func publishFields(o, props object, p *packet.Publish) {
	o["cmd"], o["retain"], o["qos"], o["dup"], o["topic"] = "publish", p.Retain, p.QoS, p.Dup, string(p.Topic)
	o["payload"] = hex.EncodeToString(p.Payload)
	number(o, "messageId", p.PacketID)
	props.format(p.PayloadFormat)
	if p.HasMessageExpiry {
		props["messageExpiryInterval"] = p.MessageExpiryInterval
	}
	number(props, "topicAlias", p.TopicAlias)
	props.text("contentType", string(p.ContentType))
	props.text("responseTopic", string(p.ResponseTopic))
	props.bytes("correlationData", p.CorrelationData)
	props.users(p.User)
	switch len(p.SubscriptionIDs) {
	case 0:
	case 1:
		props["subscriptionIdentifier"] = p.SubscriptionIDs[0]
	default:
		props["subscriptionIdentifier"] = p.SubscriptionIDs
	}
}

func subscribeFields(o, props object, p *packet.Subscribe, v packet.Version) {
	o["cmd"], o["messageId"] = "subscribe", p.PacketID
	number(props, "subscriptionIdentifier", p.SubscriptionID)
	props.users(p.User)
	var list []object
	for _, f := range p.Filters {
		one := object{"topic": f.Filter, "qos": f.QoS}
		if v == packet.V5 {
			one["nl"], one["rap"], one["rh"] = f.NoLocal, f.RetainAsPublished, f.RetainHandling
		}
		list = append(list, one)
	}
	o["subscriptions"] = list
}

// answerFields enters what all answers with a Packet Identifier have, and the Reason Code of those that have one for all.
func answerFields(o, props object, cmd string, id uint16, reason string, user []packet.UserProperty, v packet.Version, code ...packet.ReasonCode) {
	o["cmd"], o["messageId"] = cmd, id
	if v == packet.V5 && len(code) > 0 {
		o["reasonCode"] = code[0]
	}
	props.text("reasonString", reason)
	props.users(user)
}
