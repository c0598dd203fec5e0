package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// inbound is a message to a client, with its Packet Identifier.
func inbound(qos packet.QoS, id uint16, payload string) *packet.Publish {
	m := message(qos, payload)
	m.PacketID = id
	return m
}

// collect is an OnMessage that keeps topic and payload.
func collect(got *[]string) func(*packet.Publish) {
	return func(p *packet.Publish) { *got = append(*got, string(p.Topic)+" "+string(p.Payload)) }
}

// [MQTT-3.3.4-1] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-4.6.0-2]
func TestReceive(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		var got []string
		_, p := start(t, client.Options{Version: v, OnMessage: collect(&got)}, nil)
		p.send(inbound(0, 0, "zero"), inbound(1, 7, "one"), inbound(2, 8, "two"), inbound(1, 9, "three"))
		p.want(&packet.Puback{PacketID: 7}, &packet.Pubrec{PacketID: 8}, &packet.Puback{PacketID: 9})
		again := inbound(2, 8, "two")
		again.Dup = true
		p.send(again)
		p.want(&packet.Pubrec{PacketID: 8})
		p.send(&packet.Pubrel{PacketID: 8})
		p.want(&packet.Pubcomp{PacketID: 8})
		p.send(&packet.Pubrel{PacketID: 8})
		p.want(&packet.Pubcomp{PacketID: 8, Code: packet.PacketIdentifierNotFound})
		p.send(inbound(2, 8, "new"), inbound(1, 9, "new"))
		p.want(&packet.Pubrec{PacketID: 8}, &packet.Puback{PacketID: 9})
		p.quiet()
		want := []string{"a/b zero", "a/b one", "a/b two", "a/b three", "a/b new", "a/b new"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAcknowledgedAfterOnMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan bool)
		_, p := start(t, client.Options{OnMessage: func(*packet.Publish) { <-goOn }}, nil)
		for qos, ack := range map[packet.QoS]packet.Packet{1: &packet.Puback{PacketID: 1}, 2: &packet.Pubrec{PacketID: 2}} {
			p.send(inbound(qos, uint16(qos), ""))
			p.quiet()
			goOn <- true
			p.want(ack)
		}
	})
}

func TestReceiveWithoutOnMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := start(t, client.Options{}, nil)
		p.send(inbound(0, 0, ""), inbound(1, 1, ""), inbound(2, 2, ""))
		p.want(&packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 2})
	})
}

// Packets larger than the buffer, cut anywhere.
func TestReceiveLargeAndCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		o := client.Options{ReadBuffer: 64, OnMessage: func(m *packet.Publish) {
			if strings.Trim(string(m.Payload), "x") != "" {
				t.Error("payload damaged")
			}
			got = append(got, len(m.Payload))
		}}
		_, p := start(t, o, nil)
		var b []byte
		want := []int{0, 100, 70000, 3, 5000, 1, 0, 64}
		for _, n := range want {
			b = append(b, encode(t, message(0, strings.Repeat("x", n)), packet.V5)...)
		}
		for size := 1; len(b) > 0; size = size*5 + 1 {
			n := min(size, len(b))
			p.sendRaw(b[:n])
			b = b[n:]
		}
		p.quiet()
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// [MQTT-3.3.2-12] [MQTT-3.3.2-7]
func TestTopicAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		_, p := start(t, client.Options{TopicAliasMaximum: 2, OnMessage: collect(&got)}, nil)
		for _, m := range []packet.Publish{
			{Topic: []byte("one"), TopicAlias: 1},
			{Topic: []byte("two"), TopicAlias: 2},
			{TopicAlias: 1},
			{Topic: []byte("three, longer"), TopicAlias: 1},
			{TopicAlias: 2},
			{TopicAlias: 1},
		} {
			p.send(&m)
		}
		p.quiet()
		want := []string{"one ", "two ", "one ", "three, longer ", "two ", "three, longer "}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What a server must not send ends the connection, in 5.0 with a DISCONNECT that
// tells why.
func TestServerFaults(t *testing.T) {
	raw := func(s string) packet.Packet { return rawPacket(s) }
	for name, test := range map[string]struct {
		send []packet.Packet
		want packet.ReasonCode
		only packet.Version // 0: all
	}{
		"unknown type":              {[]packet.Packet{raw("\x00\x00")}, packet.MalformedPacket, 0},
		"reserved flags":            {[]packet.Packet{raw("\xd1\x00")}, packet.MalformedPacket, 0},
		"length of five bytes":      {[]packet.Packet{raw("\xd0\xff\xff\xff\xff\x01")}, packet.MalformedPacket, 0},
		"length of a PINGRESP":      {[]packet.Packet{raw("\xd0\x01x")}, packet.MalformedPacket, 0},
		"PUBLISH of QoS 3":          {[]packet.Packet{raw("\x36\x00")}, packet.MalformedPacket, 0},
		"PUBLISH cut off":           {[]packet.Packet{raw("\x30\x02\x00\x05")}, packet.MalformedPacket, 0},
		"topic with a wildcard":     {[]packet.Packet{&packet.Publish{Topic: []byte("a/#")}}, packet.TopicNameInvalid, 0},
		"PUBACK of id 0":            {[]packet.Packet{raw("\x40\x02\x00\x00")}, packet.ProtocolError, 0},
		"PUBREC of id 0":            {[]packet.Packet{raw("\x50\x02\x00\x00")}, packet.ProtocolError, 0},
		"PUBREL of id 0":            {[]packet.Packet{raw("\x62\x02\x00\x00")}, packet.ProtocolError, 0},
		"PUBCOMP cut off":           {[]packet.Packet{raw("\x70\x01\x00")}, packet.MalformedPacket, 0},
		"SUBACK cut off":            {[]packet.Packet{raw("\x90\x01\x00")}, packet.MalformedPacket, 0},
		"UNSUBACK cut off":          {[]packet.Packet{raw("\xb0\x01\x00")}, packet.MalformedPacket, 0},
		"DISCONNECT cut off":        {[]packet.Packet{raw("\xe0\x03\x00\x05\x00")}, packet.MalformedPacket, packet.V5},
		"PINGREQ":                   {[]packet.Packet{&packet.Pingreq{}}, packet.ProtocolError, 0},
		"CONNACK":                   {[]packet.Packet{&packet.Connack{}}, packet.ProtocolError, 0},
		"SUBACK not asked for":      {[]packet.Packet{&packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{0}}}, packet.ProtocolError, 0},
		"id in two uses":            {[]packet.Packet{inbound(2, 1, ""), inbound(1, 1, "")}, packet.ProtocolError, 0},
		"packet too large":          {[]packet.Packet{message(0, strings.Repeat("x", 1000))}, packet.PacketTooLarge, 0},
		"AUTH":                      {[]packet.Packet{&packet.Auth{AuthenticationMethod: "x"}}, packet.ProtocolError, packet.V5},
		"alias over maximum":        {[]packet.Packet{&packet.Publish{Topic: []byte("a"), TopicAlias: 3}}, packet.TopicAliasInvalid, packet.V5},
		"alias not set":             {[]packet.Packet{&packet.Publish{TopicAlias: 2}}, packet.TopicAliasInvalid, packet.V5},
		"over Receive Maximum":      {[]packet.Packet{inbound(2, 1, ""), inbound(2, 2, ""), inbound(2, 3, "")}, packet.ReceiveMaximumExceeded, packet.V5},
		"DISCONNECT with a will":    {[]packet.Packet{&packet.Disconnect{Code: packet.DisconnectWithWillMessage}}, packet.ProtocolError, packet.V5},
		"DISCONNECT with an expiry": {[]packet.Packet{&packet.Disconnect{SessionExpiryInterval: ptr(uint32(1))}}, packet.ProtocolError, packet.V5},
		"DISCONNECT before 5.0":     {[]packet.Packet{&packet.Disconnect{}}, packet.ProtocolError, packet.V311},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, v packet.Version) {
				if test.only != 0 && v != test.only {
					return
				}
				o := client.Options{Version: v, ReceiveMaximum: 2, TopicAliasMaximum: 2, MaximumPacketSize: 500}
				c, p := start(t, o, nil)
				p.send(test.send...)
				var last packet.Packet
				for pk := p.next(); pk != nil; pk = p.next() {
					last = pk
					if pk.Type() == packet.TypeDisconnect {
						p.nc.Close()
					}
				}
				if d, ok := last.(*packet.Disconnect); v == packet.V5 && (!ok || d.Code != test.want) {
					t.Errorf("last packet %T %+v, want DISCONNECT %v", last, last, test.want)
				} else if v < packet.V5 && ok {
					t.Error("DISCONNECT for an error before 5.0")
				}
				wantEnd(t, c, test.want)
				var fault *packet.Error
				if !errors.As(c.Err(), &fault) {
					t.Errorf("Err: %T", c.Err())
				}
			})
		})
	}
}

// rawPacket is bytes in the place of a packet.
type rawPacket string

func (rawPacket) Type() packet.Type                                 { return 0 }
func (rawPacket) Parse(packet.Header, []byte, packet.Version) error { return errors.ErrUnsupported }

func (r rawPacket) Append(b []byte, _ packet.Version) ([]byte, error) { return append(b, r...), nil }

// An acknowledgement of the wrong kind is a fault, one for nothing that is open is
// not: it may be an earlier connection's.
func TestStrayAcknowledgements(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		p.send(&packet.Puback{PacketID: 50}, &packet.Pubcomp{PacketID: 51}, &packet.Pingresp{})
		p.send(&packet.Pubrec{PacketID: 52})
		p.want(&packet.Pubrel{PacketID: 52, Code: packet.PacketIdentifierNotFound})
		if v == packet.V5 {
			p.send(&packet.Pubrec{PacketID: 52, Code: packet.QuotaExceeded})
		}
		p.quiet()

		done := publish(t, c, message(1, ""))
		id := p.wantPublish(message(1, ""))
		p.send(&packet.Pubrec{PacketID: id})
		wantEnd(t, c, packet.ProtocolError)
		(<-done).want(t, client.Ack{}, packet.ProtocolError)
	})
}

func TestAcknowledgementOutOfTurn(t *testing.T) {
	for name, answer := range map[string]func(id uint16) packet.Packet{
		"PUBACK":  func(id uint16) packet.Packet { return &packet.Puback{PacketID: id} },
		"PUBCOMP": func(id uint16) packet.Packet { return &packet.Pubcomp{PacketID: id} },
		"SUBACK":  func(id uint16) packet.Packet { return &packet.Suback{PacketID: id, Codes: []packet.ReasonCode{0}} },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, v packet.Version) {
				c, p := start(t, client.Options{Version: v}, nil)
				done := publish(t, c, message(2, ""))
				p.send(answer(p.wantPublish(message(2, ""))))
				wantEnd(t, c, packet.ProtocolError)
				(<-done).want(t, client.Ack{}, packet.ProtocolError)
			})
		})
	}
}

func TestSubscribe(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		s := &packet.Subscribe{Filters: []packet.Filter{{Filter: "a/#", QoS: 2}, {Filter: "b", QoS: 1}}}
		type subscribed struct {
			ack *packet.Suback
			err error
		}
		done := later(func() subscribed { ack, err := c.Subscribe(t.Context(), s); return subscribed{ack, err} })
		got, ok := p.next().(*packet.Subscribe)
		if !ok || got.PacketID == 0 || fmt.Sprint(got.Filters) != fmt.Sprint(s.Filters) || s.PacketID != 0 {
			t.Fatalf("got %+v", got)
		}
		codes := []packet.ReasonCode{packet.GrantedQoS2, packet.UnspecifiedError}
		p.send(&packet.Suback{PacketID: got.PacketID, Codes: codes})
		if r := <-done; r.err != nil || !slices.Equal(r.ack.Codes, codes) {
			t.Fatalf("Subscribe: %+v, %v", r.ack, r.err)
		}

		// One Reason Code for two filters [MQTT-3.8.4-6].
		done = later(func() subscribed { ack, err := c.Subscribe(t.Context(), s); return subscribed{ack, err} })
		got = p.next().(*packet.Subscribe)
		p.send(&packet.Suback{PacketID: got.PacketID, Codes: codes[:1]})
		if r := <-done; !errors.Is(r.err, packet.ProtocolError) {
			t.Fatalf("Subscribe: %+v, %v", r.ack, r.err)
		}
		wantEnd(t, c, packet.ProtocolError)
	})
}

func TestUnsubscribe(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		u := &packet.Unsubscribe{Filters: []string{"a/#", "b"}}
		type unsubscribed struct {
			ack *packet.Unsuback
			err error
		}
		done := later(func() unsubscribed { ack, err := c.Unsubscribe(t.Context(), u); return unsubscribed{ack, err} })
		got, ok := p.next().(*packet.Unsubscribe)
		if !ok || got.PacketID == 0 || !slices.Equal(got.Filters, u.Filters) {
			t.Fatalf("got %+v", got)
		}
		codes := []packet.ReasonCode{packet.Success, packet.NoSubscriptionExisted}
		p.send(&packet.Unsuback{PacketID: got.PacketID, Codes: codes})
		r := <-done
		if v < packet.V5 {
			codes = nil
		}
		if r.err != nil || !slices.Equal(r.ack.Codes, codes) {
			t.Fatalf("Unsubscribe: %+v, %v", r.ack, r.err)
		}
	})
}

// Whoever gives up waiting for an answer does not get another's, and the answer that
// comes late is no fault.
func TestRequestsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		s := &packet.Subscribe{Filters: []packet.Filter{{Filter: "a"}}}
		sub := later(func() error { _, err := c.Subscribe(ctx, s); return err })
		late := p.next().(*packet.Subscribe)
		ping := later(func() error { return c.Ping(ctx) })
		p.want(&packet.Pingreq{})
		cancel()
		for _, ch := range []<-chan error{sub, ping} {
			if err := <-ch; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		second := later(func() error { return c.Ping(t.Context()) })
		p.want(&packet.Pingreq{})
		p.send(&packet.Suback{PacketID: late.PacketID, Codes: []packet.ReasonCode{0}}, &packet.Pingresp{})
		synctest.Wait()
		if len(second) > 0 {
			t.Fatal("the second Ping has got the first one's answer")
		}
		p.send(&packet.Pingresp{})
		if err := <-second; err != nil {
			t.Error(err)
		}
	})
}
