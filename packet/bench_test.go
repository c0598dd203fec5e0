package packet_test

import (
	"bytes"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

var benchPublish = packet.Publish{
	Topic: []byte("building/7/floor/3/temperature"), Payload: bytes.Repeat([]byte("x"), 100),
}

func benchmarkParse(b *testing.B, p packet.Packet, v packet.Version) {
	b.Helper()
	out, err := p.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	got := packet.New(p.Type())
	b.ReportAllocs()
	b.SetBytes(int64(len(out)))
	for b.Loop() {
		h, n, err := packet.ParseHeader(out)
		if err != nil {
			b.Fatal(err)
		}
		if err := got.Parse(h, out[n:], v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkAppend(b *testing.B, p packet.Packet, v packet.Version) {
	b.Helper()
	out, err := p.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(out)))
	for b.Loop() {
		if _, err := p.Append(out[:0], v); err != nil {
			b.Fatal(err)
		}
	}
}

// publishForms are a PUBLISH with a payload of 100 bytes.
func publishForms(b *testing.B, run func(*testing.B, packet.Packet, packet.Version)) {
	b.Helper()
	qos1, full := benchPublish, benchPublish
	qos1.QoS, qos1.PacketID = 1, 7
	full.QoS, full.PacketID = 1, 7
	full.PayloadFormat, full.HasMessageExpiry, full.MessageExpiryInterval = packet.FormatUTF8, true, 60
	full.ContentType, full.ResponseTopic, full.CorrelationData = []byte("application/json"), []byte("reply/to/me"), []byte("12345678")
	user := full
	user.User = []packet.UserProperty{{Name: "trace", Value: "0123456789abcdef"}, {Name: "site", Value: "north"}}
	for _, c := range []struct {
		name string
		p    packet.Publish
		v    packet.Version
	}{
		{"v311/qos0", benchPublish, packet.V311},
		{"v5/qos0", benchPublish, packet.V5},
		{"v5/qos1", qos1, packet.V5},
		{"v5/properties", full, packet.V5},
		{"v5/user", user, packet.V5},
	} {
		b.Run(c.name, func(b *testing.B) { run(b, &c.p, c.v) })
	}
}

func BenchmarkPublishParse(b *testing.B)  { publishForms(b, benchmarkParse) }
func BenchmarkPublishAppend(b *testing.B) { publishForms(b, benchmarkAppend) }

func BenchmarkPublishAppendHead(b *testing.B) {
	out := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := benchPublish.AppendHead(out, packet.V5); err != nil {
			b.Fatal(err)
		}
	}
}

// others are the packets of 5.0 but PUBLISH, as a quiet client and server send them.
func others(b *testing.B, run func(*testing.B, packet.Packet, packet.Version)) {
	b.Helper()
	for _, p := range []packet.Packet{
		&packet.Connect{CleanStart: true, KeepAlive: 60, ClientID: "sensor-0001", Username: "user", Password: []byte("password")},
		&packet.Connack{TopicAliasMaximum: ptr[uint16](10)},
		&packet.Puback{PacketID: 1},
		&packet.Pubrec{PacketID: 1},
		&packet.Pubrel{PacketID: 1},
		&packet.Pubcomp{PacketID: 1, Code: packet.PacketIdentifierNotFound},
		&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "building/+/floor/#", QoS: 1}}},
		&packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{packet.GrantedQoS1}},
		&packet.Unsubscribe{PacketID: 1, Filters: []string{"building/+/floor/#"}},
		&packet.Unsuback{PacketID: 1, Codes: []packet.ReasonCode{packet.Success}},
		&packet.Pingreq{},
		&packet.Pingresp{},
		&packet.Disconnect{Code: packet.DisconnectWithWillMessage},
		&packet.Auth{Code: packet.ContinueAuthentication, AuthenticationMethod: "SCRAM-SHA-256", AuthenticationData: make([]byte, 32)},
	} {
		b.Run(p.Type().String(), func(b *testing.B) { run(b, p, packet.V5) })
	}
}

func BenchmarkParse(b *testing.B)  { others(b, benchmarkParse) }
func BenchmarkAppend(b *testing.B) { others(b, benchmarkAppend) }
