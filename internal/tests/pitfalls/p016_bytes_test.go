package pitfalls_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p16Corpus gives one packet of each kind that a client sends, with all that it can have.
func p16Corpus(t *testing.T, v mqttx.Version) [][]byte {
	t.Helper()
	user := []packet.UserProperty{{Name: "n", Value: "v"}}
	ps := []packet.Packet{
		&packet.Connect{
			Version: v, ClientID: "bad", CleanStart: true, Username: "u", Password: []byte("p"), KeepAlive: 60,
			Will:                  &packet.Will{Topic: "w", Payload: []byte("x"), QoS: 1, DelayInterval: 5, ContentType: "t", User: user},
			SessionExpiryInterval: new(uint32(5)), ReceiveMaximum: 9, TopicAliasMaximum: 9, User: user,
		},
		&packet.Publish{Topic: []byte("a/b"), Payload: []byte("x")},
		&packet.Publish{
			Topic: []byte("a/b"), Payload: []byte("x"), QoS: 2, PacketID: 7, ContentType: []byte("t"), TopicAlias: 2,
			HasMessageExpiry: true, MessageExpiryInterval: 9, ResponseTopic: []byte("r"), CorrelationData: []byte("c"), User: user,
		},
		&packet.Puback{PacketID: 7}, &packet.Pubrec{PacketID: 7}, &packet.Pubrel{PacketID: 7}, &packet.Pubcomp{PacketID: 7},
		&packet.Subscribe{PacketID: 8, SubscriptionID: 300, User: user, Filters: []packet.Filter{{Filter: "a/+"}, {Filter: "b/#", QoS: 2}}},
		&packet.Unsubscribe{PacketID: 9, User: user, Filters: []string{"a/+", "b/#"}},
		&packet.Pingreq{},
		&packet.Disconnect{Code: 0, User: user},
	}
	if v == mqttx.V5 {
		ps = append(ps, &packet.Auth{Code: mqttx.ReAuthenticate, AuthenticationMethod: "m", AuthenticationData: []byte("d"), User: user})
	}
	var all [][]byte
	for _, p := range ps {
		b, err := p.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 127 {
			t.Fatalf("%s has %d bytes", mqttest.Format(p), len(b))
		}
		all = append(all, b)
	}
	return all
}

// Broken packets end at most their own connection: another client goes on, and the broken ones leave nothing.
func TestPitfall016_PrefixesAndFlips(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		other := mqttest.Connect(t, srv, p1New("other", v))
		hello, err := p1New("bad", v).Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		try := func(name string, first bool, b []byte, ends bool) {
			t.Helper()
			ours, theirs := mqttest.Pipe()
			served := make(chan error, 1)
			go func() { served <- srv.ServeConn(t.Context(), theirs) }()
			if !first {
				ours.Write(hello)
			}
			ours.Write(b)
			if ends {
				ours.SetReadDeadline(time.Now().Add(5 * time.Second))
				if _, err := io.Copy(io.Discard, ours); err != nil {
					t.Errorf("%s: %x did not end the connection: %v", name, b, err)
				}
			}
			ours.Close()
			<-served
		}
		for i, b := range p16Corpus(t, v) {
			for n := range len(b) {
				name := fmt.Sprintf("packet %d, byte %d", i, n)
				try(name+", cut off", i == 0, b[:n], false)
				for _, bits := range []byte{0xFF, 0x80, 0x01} {
					flipped := append([]byte(nil), b...)
					flipped[n] ^= bits
					try(name+", flipped", i == 0, flipped, false)
				}
				if n < 2 {
					continue
				}
				short := append([]byte(nil), b[:n]...)
				short[1] = byte(n - 2)
				try(name+", short", i == 0, short, false)
			}
			other.Send(&packet.Pingreq{})
			mqttest.Expect[*packet.Pingresp](other)
		}
		for _, b := range [][]byte{{0x82, 2, 0, 8}, {0x82, 0}, {0x30, 0}, {0x30, 1, 0}, {0x32, 3, 0, 1, 'a'}, {0xA2, 2, 0, 9}} {
			try("truncated", false, b, true)
		}
		other.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](other)
		if st := srv.Stats(); st.Connections != 1 || st.Subscriptions != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
}

// A length is judged before memory is taken for it, before CONNECT as after.
func TestPitfall017_AnnouncedLength(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		measure := func(what string, f func()) {
			t.Helper()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f()
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%s took %d bytes", what, n)
			}
		}
		measure("CONNECT", func() {
			c := mqttest.Dial(t, srv)
			c.Version = v
			c.Write([]byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F})
			c.Nothing() // until the version is known there is no answer
			hello, err := p1New("c", v).Append(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			c.Write(hello[2:10])
			if v == mqttx.V5 {
				p1Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, mqttx.PacketTooLarge)
			}
			c.Closed()
		})
		measure("PUBLISH", func() {
			c := mqttest.Connect(t, srv, p1New("c", v))
			c.Write([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F})
			p1Bye(t, c, mqttx.PacketTooLarge)
		})
	})
}

// Wildcards within a level are refused wherever a filter is given, and nothing is stored.
func TestPitfall018_WildcardsInLevel(t *testing.T) {
	bad := []string{"a#", "a+/b", "+a", "a/#/b", "#/a", "$share/g/a#", "$share/g/a+/b"}
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		c := mqttest.Connect(t, srv, p1New("c", v))
		for _, f := range bad {
			want := mqttx.TopicFilterInvalid
			if v != mqttx.V5 {
				want = 0x80
			}
			p1Code(t, "SUBACK of "+f, c.Subscribe(f, 1), want)
			if v != mqttx.V5 {
				want = mqttx.Success // there is no code in UNSUBACK
			}
			p1Code(t, "UNSUBACK of "+f, c.Unsubscribe(f), want)
			if seq, err := srv.Subscribe(t.Context(), f); err == nil || seq != nil || mqttx.CodeOf(err) != mqttx.TopicFilterInvalid {
				t.Errorf("in process %q: %v", f, err)
			}
			if n := p1Retained(srv, f); n != 0 {
				t.Errorf("Retained(%q): %d", f, n)
			}
		}
		if n := srv.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions", n)
		}
		for _, topic := range []string{"a", "ab", "ab/b", "a/b", "a/b/b"} {
			c.Publish(topic, "x", 0)
		}
		c.Nothing()
	})
}

// Maximum QoS is absent at 2, never written as 2, and enforced below.
func TestPitfall019_MaximumQoSOnWire(t *testing.T) {
	for disabled, maximum := range map[mqttx.Feature]mqttx.QoS{0: 2, mqttx.FeatureQoS2: 1, mqttx.FeatureQoS1: 0, mqttx.FeatureQoS1 | mqttx.FeatureQoS2: 0} {
		t.Run(fmt.Sprintf("maximum %d, %d", maximum, disabled), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{Disabled: disabled})
				sub := mqttest.Connect(t, srv, p1New("sub", v))
				p1Code(t, "SUBACK", sub.Subscribe("#", 2), mqttx.ReasonCode(maximum))
				if got := sub.Connack.MaximumQoS; v == mqttx.V5 && (maximum == 2) != (got == nil) || got != nil && *got != maximum {
					t.Errorf("Maximum QoS %v, want %d", got, maximum)
				}
				for q := range mqttx.QoS(3) {
					p := p1New("c", v)
					p.Will = &packet.Will{Topic: "w", Payload: []byte("will"), QoS: q, Retain: true}
					if q > maximum {
						refused := mqttest.Dial(t, srv)
						refused.Send(p)
						if v == mqttx.V5 {
							p1Code(t, "CONNACK with will", mqttest.Expect[*packet.Connack](refused).Code, mqttx.QoSNotSupported)
						}
						refused.Closed()
						p.Will = nil
					}
					c := mqttest.Connect(t, srv, p)
					if q <= maximum {
						p1Code(t, "PUBLISH", c.Publish("a", "x", q), mqttx.Success)
						p1Gets(t, sub, "x")
						c.Disconnect(0)
						continue
					}
					m := p1Publish("a", "x", q, 7)
					m.Retain = true
					c.Send(m)
					p1Bye(t, c, mqttx.QoSNotSupported)
				}
				sub.Nothing()
				if n := srv.Stats().Retained; n != 0 {
					t.Errorf("%d retained messages", n)
				}
			})
		})
	}
}
