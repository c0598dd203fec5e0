package packet_test

import (
	"strings"

	"github.com/e8743928/mqttx/packet"
)

// sample is a legal packet: its bytes and what they mean.
type sample struct {
	name string
	v    packet.Version
	wire string
	want packet.Packet

	// loose marks bytes that are not the canonical form of the packet.
	loose bool
}

func corpus() []sample {
	var all []sample
	for _, part := range [][]sample{
		connectSamples(), connackSamples(), publishSamples(), ackSamples(),
		subscribeSamples(), unsubscribeSamples(), smallSamples(),
	} {
		all = append(all, part...)
	}
	return all
}

func connectSamples() []sample {
	return []sample{
		{name: "least", v: v31, wire: `10 { "MQIsdp" 03 02 003c "id" }`, want: &packet.Connect{
			Version: v31, Level: 3, CleanStart: true, KeepAlive: 60, ClientID: "id",
		}},
		{name: "bridge", v: v31, wire: `10 { "MQIsdp" 83 00 0000 "id" }`, want: &packet.Connect{
			Version: v31, Level: 0x83, Bridge: true, ClientID: "id",
		}},
		{name: "long id", v: v31, wire: `10 { "MQIsdp" 03 02 003c "` + strings.Repeat("x", 200) + `" }`, want: &packet.Connect{
			Version: v31, Level: 3, CleanStart: true, KeepAlive: 60, ClientID: strings.Repeat("x", 200),
		}},
		{name: "will bits without a will", v: v31, wire: `10 { "MQIsdp" 03 38 003c "id" }`, loose: true, want: &packet.Connect{
			Version: v31, Level: 3, KeepAlive: 60, ClientID: "id",
		}},
		{name: "all", v: v31, wire: `10 { "MQIsdp" 03 f6 ffff "id" "w" "gone" "user" "pass" }`, want: &packet.Connect{
			Version: v31, Level: 3, CleanStart: true, KeepAlive: 65535, ClientID: "id",
			Username: "user", HasUsername: true, Password: []byte("pass"),
			Will: &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 2, Retain: true},
		}},
		{name: "least", v: v311, wire: `10 { "MQTT" 04 02 0000 "" }`, want: &packet.Connect{
			Version: v311, Level: 4, CleanStart: true,
		}},
		{name: "bridge", v: v311, wire: `10 { "MQTT" 84 02 000a "b" }`, want: &packet.Connect{
			Version: v311, Level: 0x84, Bridge: true, CleanStart: true, KeepAlive: 10, ClientID: "b",
		}},
		{name: "empty user name and password", v: v311, wire: `10 { "MQTT" 04 c0 0001 "id" "" "" }`, want: &packet.Connect{
			Version: v311, Level: 4, KeepAlive: 1, ClientID: "id", HasUsername: true, Password: []byte{},
		}},
		{name: "all", v: v311, wire: `10 { "MQTT" 04 ce 0001 "id" "w/t" "" "user" 0003 00ff80 }`, want: &packet.Connect{
			Version: v311, Level: 4, CleanStart: true, KeepAlive: 1, ClientID: "id",
			Username: "user", HasUsername: true, Password: []byte{0, 0xff, 0x80},
			Will: &packet.Will{Topic: "w/t", Payload: []byte{}, QoS: 1},
		}},
		{name: "least", v: v5, wire: `10 { "MQTT" 05 00 0000 {} "" }`, want: &packet.Connect{Version: v5, Level: 5}},
		{name: "password alone", v: v5, wire: `10 { "MQTT" 05 42 0000 {} "id" "token" }`, want: &packet.Connect{
			Version: v5, Level: 5, CleanStart: true, ClientID: "id", Password: []byte("token"),
		}},
		{name: "all", v: v5, wire: `10 { "MQTT" 05 ee 0014
			{ 11 ffffffff 15 "SCRAM" 16 "nonce" 17 00 19 01 21 000a 22 0005 26 "a" "1" 26 "a" "" 27 00010000 } "id"
			{ 01 01 02 00000e10 03 "text/x" 08 "r/1" 09 "corr" 18 0000001e 26 "b" "2" 26 "a" "3" } "w" "gone"
			"user" "pass" }`, want: &packet.Connect{
			Version: v5, Level: 5, CleanStart: true, KeepAlive: 20, ClientID: "id",
			Username: "user", HasUsername: true, Password: []byte("pass"),
			Will: &packet.Will{
				Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true, DelayInterval: 30,
				PayloadFormat: packet.FormatUTF8, MessageExpiryInterval: ptr[uint32](3600), ContentType: "text/x",
				ResponseTopic: "r/1", CorrelationData: []byte("corr"),
				User: []packet.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "3"}},
			},
			SessionExpiryInterval: ptr[uint32](0xffffffff), ReceiveMaximum: 10, MaximumPacketSize: 65536, TopicAliasMaximum: 5,
			RequestResponseInformation: true, NoProblemInformation: true,
			AuthenticationMethod: "SCRAM", AuthenticationData: []byte("nonce"),
			User: []packet.UserProperty{{Name: "a", Value: "1"}, {Name: "a"}},
		}},
		{name: "properties of default value, out of order", v: v5, loose: true, wire: `10 { "MQTT" 05 06 0014
			{ 27 ffffffff 22 0000 21 ffff 19 00 17 01 16 "" 15 "m" 11 00000000 } "id"
			{ 18 00000000 01 00 02 00000000 09 "" } "w" "" }`, want: &packet.Connect{
			Version: v5, Level: 5, CleanStart: true, KeepAlive: 20, ClientID: "id",
			Will: &packet.Will{
				Topic: "w", Payload: []byte{}, PayloadFormat: packet.FormatBytes,
				MessageExpiryInterval: ptr[uint32](0), CorrelationData: []byte{},
			},
			SessionExpiryInterval: ptr[uint32](0), ReceiveMaximum: 65535, MaximumPacketSize: 0xffffffff,
			AuthenticationMethod: "m", AuthenticationData: []byte{},
		}},
	}
}

func connackSamples() []sample {
	samples := []sample{
		{name: "first byte without meaning", v: v31, loose: true, wire: `20 02 01 00`, want: &packet.Connack{}},
		{name: "session present", v: v311, wire: `20 02 01 00`, want: &packet.Connack{SessionPresent: true}},
		{name: "least", v: v5, wire: `20 03 00 00 00`, want: &packet.Connack{}},
		{name: "refused", v: v5, wire: `20 { 00 87 { 1f "no" } }`, want: &packet.Connack{
			Code: packet.NotAuthorized, ReasonString: "no",
		}},
		{name: "all", v: v5, wire: `20 { 01 00
			{ 11 00000001 12 "auto" 13 003c 15 "SCRAM" 16 00020001 1a "resp/" 1c "other" 1f "ok" 21 0001 22 0000 24 01 25 00
			  26 "k" "v" 27 00000100 28 00 29 01 2a 00 } }`, want: &packet.Connack{
			SessionPresent: true, SessionExpiryInterval: ptr[uint32](1), AssignedClientID: "auto", ServerKeepAlive: ptr[uint16](60),
			AuthenticationMethod: "SCRAM", AuthenticationData: []byte{0, 1}, ResponseInformation: "resp/", ServerReference: "other",
			ReasonString: "ok", ReceiveMaximum: 1, TopicAliasMaximum: ptr[uint16](0), MaximumQoS: ptr[packet.QoS](1),
			RetainAvailable: ptr(false), User: []packet.UserProperty{{Name: "k", Value: "v"}}, MaximumPacketSize: 256,
			WildcardSubscriptionAvailable: ptr(false), SubscriptionIdentifierAvailable: ptr(true), SharedSubscriptionAvailable: ptr(false),
		}},
	}
	for code := range packet.ReasonCode(6) {
		b := "20 02 00 0" + string('0'+rune(code))
		samples = append(samples,
			sample{name: "return code", v: v31, wire: b, want: &packet.Connack{Code: code}},
			sample{name: "return code", v: v311, wire: b, want: &packet.Connack{Code: code}})
	}
	return samples
}

func publishSamples() []sample {
	var samples []sample
	for _, v := range versions {
		props := ""
		if v == v5 {
			props = "{}"
		}
		samples = append(
			samples,
			sample{name: "QoS 0", v: v, wire: `30 { "a/b" ` + props + ` 'hello' }`, want: &packet.Publish{
				Topic: []byte("a/b"), Payload: []byte("hello"),
			}},
			sample{name: "QoS 1 retained", v: v, wire: `33 { "a" 0001 ` + props + ` }`, want: &packet.Publish{
				QoS: 1, Retain: true, PacketID: 1, Topic: []byte("a"), Payload: []byte{},
			}},
			sample{name: "QoS 2 again", v: v, wire: `3d { "ä/€/😀" ffff ` + props + ` 00 }`, want: &packet.Publish{
				QoS: 2, Dup: true, Retain: true, PacketID: 65535, Topic: []byte("ä/€/😀"), Payload: []byte{0},
			}},
			sample{
				name: "long", v: v, wire: `30 { "` + strings.Repeat("t", 300) + `" ` + props + ` '` + strings.Repeat("p", 20000) + `' }`,
				want: &packet.Publish{Topic: []byte(strings.Repeat("t", 300)), Payload: []byte(strings.Repeat("p", 20000))},
			})
	}
	return append(
		samples,
		sample{name: "alias alone", v: v5, wire: `30 { "" { 23 0001 } 'x' }`, want: &packet.Publish{
			Topic: []byte{}, TopicAlias: 1, Payload: []byte("x"),
		}},
		sample{
			name: "all", v: v5, wire: `34 { "t" 0007
			{ 01 01 02 00000000 03 "text/x" 08 "r" 09 0002 00ff 0b 01 0b ffffff7f 23 ffff 26 "b" "1" 26 "a" "2" 26 "b" "1" 26 "" "" } 'x' }`,
			want: &packet.Publish{
				QoS: 2, PacketID: 7, Topic: []byte("t"), Payload: []byte("x"), PayloadFormat: packet.FormatUTF8, HasMessageExpiry: true,
				ContentType: []byte("text/x"), ResponseTopic: []byte("r"), CorrelationData: []byte{0, 0xff},
				SubscriptionIDs: []uint32{1, 268435455}, TopicAlias: 65535,
				User: []packet.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "1"}, {}},
			},
		},
		sample{
			name: "empty properties, out of order", v: v5, loose: true, wire: `30 { "t" { 26 "k" "v" 09 "" 03 "" 01 00 26 "l" "w" 02 00000005 } }`,
			want: &packet.Publish{
				Topic: []byte("t"), Payload: []byte{}, PayloadFormat: packet.FormatBytes, HasMessageExpiry: true, MessageExpiryInterval: 5,
				ContentType: []byte{}, CorrelationData: []byte{}, User: []packet.UserProperty{{Name: "k", Value: "v"}, {Name: "l", Value: "w"}},
			},
		},
	)
}

func ackSamples() []sample {
	type fields struct {
		PacketID     uint16
		Code         packet.ReasonCode
		ReasonString string
		User         []packet.UserProperty
	}
	makers := []struct {
		first string
		bad   packet.ReasonCode
		hex   string
		make  func(fields) packet.Packet
	}{
		{"40", packet.NotAuthorized, "87", func(f fields) packet.Packet { return ptr(packet.Puback(f)) }},
		{"50", packet.QuotaExceeded, "97", func(f fields) packet.Packet { return ptr(packet.Pubrec(f)) }},
		{"62", packet.PacketIdentifierNotFound, "92", func(f fields) packet.Packet { return ptr(packet.Pubrel(f)) }},
		{"70", packet.PacketIdentifierNotFound, "92", func(f fields) packet.Packet { return ptr(packet.Pubcomp(f)) }},
	}
	var samples []sample
	for _, m := range makers {
		for _, v := range versions {
			samples = append(samples, sample{name: "least", v: v, wire: m.first + ` 02 0102`, want: m.make(fields{PacketID: 0x102})})
		}
		samples = append(
			samples,
			sample{name: "code", v: v5, wire: m.first + ` { 0001 ` + m.hex + ` }`, want: m.make(fields{PacketID: 1, Code: m.bad})},
			sample{name: "code 0 spelt out", v: v5, loose: true, wire: m.first + ` { 0001 00 }`, want: m.make(fields{PacketID: 1})},
			sample{name: "no properties spelt out", v: v5, loose: true, wire: m.first + ` { 0001 ` + m.hex + ` 00 }`, want: m.make(fields{PacketID: 1, Code: m.bad})},
			sample{name: "all", v: v5, wire: m.first + ` { 0001 ` + m.hex + ` { 1f "why" 26 "a" "b" } }`, want: m.make(fields{
				PacketID: 1, Code: m.bad, ReasonString: "why", User: []packet.UserProperty{{Name: "a", Value: "b"}},
			})},
			sample{name: "success with properties", v: v5, wire: m.first + ` { 0001 00 { 26 "a" "b" } }`, want: m.make(fields{
				PacketID: 1, User: []packet.UserProperty{{Name: "a", Value: "b"}},
			})},
		)
	}
	return append(samples, sample{name: "DUP", v: v31, loose: true, wire: `6a 02 0001`, want: &packet.Pubrel{PacketID: 1}})
}

func subscribeSamples() []sample {
	var samples []sample
	for _, v := range []packet.Version{v31, v311} {
		samples = append(
			samples,
			sample{name: "filters", v: v, wire: `82 { 000a "a/#" 00 "+" 01 "b" 02 }`, want: &packet.Subscribe{
				PacketID: 10, Filters: []packet.Filter{{Filter: "a/#"}, {Filter: "+", QoS: 1}, {Filter: "b", QoS: 2}},
			}},
			sample{name: "codes", v: v, wire: `90 { 000a 00 01 02 80 }`, want: &packet.Suback{
				PacketID: 10, Codes: []packet.ReasonCode{packet.GrantedQoS0, packet.GrantedQoS1, packet.GrantedQoS2, packet.UnspecifiedError},
			}},
		)
	}
	return append(
		samples,
		sample{name: "DUP", v: v31, loose: true, wire: `8a { 0001 "a" 00 }`, want: &packet.Subscribe{
			PacketID: 1, Filters: []packet.Filter{{Filter: "a"}},
		}},
		sample{name: "least", v: v5, wire: `82 { 0001 {} "" 00 }`, want: &packet.Subscribe{
			PacketID: 1, Filters: []packet.Filter{{}},
		}},
		sample{name: "all", v: v5, wire: `82 { 0001 { 0b 8001 26 "a" "b" } "a" 2e "$share/g/b" 19 }`, want: &packet.Subscribe{
			PacketID: 1, SubscriptionID: 128, User: []packet.UserProperty{{Name: "a", Value: "b"}},
			Filters: []packet.Filter{
				{Filter: "a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
				{Filter: "$share/g/b", QoS: 1, RetainAsPublished: true, RetainHandling: 1},
			},
		}},
		sample{name: "codes", v: v5, wire: `90 { 0001 {} 02 8f }`, want: &packet.Suback{
			PacketID: 1, Codes: []packet.ReasonCode{packet.GrantedQoS2, packet.TopicFilterInvalid},
		}},
		sample{name: "all", v: v5, wire: `90 { 0001 { 1f "why" 26 "a" "b" } 87 }`, want: &packet.Suback{
			PacketID: 1, Codes: []packet.ReasonCode{packet.NotAuthorized}, ReasonString: "why",
			User: []packet.UserProperty{{Name: "a", Value: "b"}},
		}},
	)
}

func unsubscribeSamples() []sample {
	var samples []sample
	for _, v := range []packet.Version{v31, v311} {
		samples = append(
			samples,
			sample{name: "filters", v: v, wire: `a2 { 000a "a/#" "b" }`, want: &packet.Unsubscribe{PacketID: 10, Filters: []string{"a/#", "b"}}},
			sample{name: "unsuback", v: v, wire: `b0 02 000a`, want: &packet.Unsuback{PacketID: 10}},
		)
	}
	return append(
		samples,
		sample{name: "DUP", v: v31, loose: true, wire: `aa { 0001 "a" }`, want: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}},
		sample{name: "least", v: v5, wire: `a2 { 0001 {} "a" }`, want: &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}},
		sample{name: "all", v: v5, wire: `a2 { 0001 { 26 "a" "b" } "a" "b" }`, want: &packet.Unsubscribe{
			PacketID: 1, Filters: []string{"a", "b"}, User: []packet.UserProperty{{Name: "a", Value: "b"}},
		}},
		sample{name: "codes", v: v5, wire: `b0 { 0001 {} 00 11 }`, want: &packet.Unsuback{
			PacketID: 1, Codes: []packet.ReasonCode{packet.Success, packet.NoSubscriptionExisted},
		}},
		sample{name: "all", v: v5, wire: `b0 { 0001 { 1f "why" 26 "a" "b" } 87 }`, want: &packet.Unsuback{
			PacketID: 1, Codes: []packet.ReasonCode{packet.NotAuthorized}, ReasonString: "why",
			User: []packet.UserProperty{{Name: "a", Value: "b"}},
		}},
	)
}

func smallSamples() []sample {
	var samples []sample
	for _, v := range versions {
		samples = append(
			samples,
			sample{name: "ping", v: v, wire: `c0 00`, want: &packet.Pingreq{}},
			sample{name: "ping", v: v, wire: `d0 00`, want: &packet.Pingresp{}},
			sample{name: "least", v: v, wire: `e0 00`, want: &packet.Disconnect{}},
		)
	}
	return append(
		samples,
		sample{name: "code", v: v5, wire: `e0 { 04 }`, want: &packet.Disconnect{Code: packet.DisconnectWithWillMessage}},
		sample{name: "code 0 spelt out", v: v5, loose: true, wire: `e0 { 00 }`, want: &packet.Disconnect{}},
		sample{name: "no properties spelt out", v: v5, loose: true, wire: `e0 { 00 {} }`, want: &packet.Disconnect{}},
		sample{name: "expiry 0", v: v5, wire: `e0 { 00 { 11 00000000 } }`, want: &packet.Disconnect{SessionExpiryInterval: ptr[uint32](0)}},
		sample{name: "all", v: v5, wire: `e0 { 9d { 11 0000000a 1c "b:1883" 1f "moved" 26 "a" "b" } }`, want: &packet.Disconnect{
			Code: packet.ServerMoved, SessionExpiryInterval: ptr[uint32](10), ServerReference: "b:1883", ReasonString: "moved",
			User: []packet.UserProperty{{Name: "a", Value: "b"}},
		}},
		sample{name: "least", v: v5, wire: `f0 00`, want: &packet.Auth{}},
		sample{name: "success spelt out", v: v5, loose: true, wire: `f0 { 00 {} }`, want: &packet.Auth{}},
		sample{name: "method", v: v5, wire: `f0 { 19 { 15 "m" } }`, want: &packet.Auth{
			Code: packet.ReAuthenticate, AuthenticationMethod: "m",
		}},
		sample{name: "all", v: v5, wire: `f0 { 18 { 15 "m" 16 0003 00ff00 1f "more" 26 "a" "b" } }`, want: &packet.Auth{
			Code: packet.ContinueAuthentication, AuthenticationMethod: "m", AuthenticationData: []byte{0, 0xff, 0}, ReasonString: "more",
			User: []packet.UserProperty{{Name: "a", Value: "b"}},
		}},
	)
}
