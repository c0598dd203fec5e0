package pitfalls_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p97Lengths are fixed headers of a PUBLISH, without their first byte, that no transport may take.
var p97Lengths = map[string]string{
	"fifth byte": "\x80\x80\x80\x80\x01", "all bits": "\xff\xff\xff\xff\x7f", "zero in two bytes": "\x80\x00", "seven in four bytes": "\x87\x80\x80\x00",
}

// A length of five bytes or in a longer form than it needs ends the connection, on every transport; what stands behind it is
// not taken for a packet.
func TestPitfall097_Lengths(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		s := &mqttx.Server{}
		n := on.Start(t, s)
		watch := n.Connect(nil)
		watch.Subscribe("#", 0)
		for name, length := range p97Lengths {
			for _, v := range p63Versions {
				smuggled := p63Bytes(t, v, &packet.Publish{Topic: []byte("t"), Payload: []byte(name)}, &packet.Publish{Topic: []byte("t"), Payload: []byte(name)})
				c := n.Connect(p63Clean(name, v))
				c.Write(append([]byte("\x30"+length), smuggled...))
				p63Bye(t, c, mqttx.MalformedPacket)
				first := n.Dial()
				first.Write(append([]byte("\x10"+length), p63Bytes(t, v, p63Clean("smuggled", v))...))
				first.Closed()
				if got := first.Raw(); len(got) != 0 {
					t.Errorf("%s before CONNECT is answered % x", name, got)
				}
			}
		}
		watch.Nothing()
	})
}

// p99Property is a CONNECT of MQTT 5.0 with these properties, and with a will that has those.
func p99Property(properties, will string) []byte {
	body := "\x00\x04MQTT\x05\x06\x00\x00" + string(rune(len(properties))) + properties + "\x00\x03bad" +
		string(rune(len(will))) + will + "\x00\x04will\x00\x01x"
	return []byte("\x10" + string(rune(len(body))) + body)
}

// Bad properties of CONNECT and its will are refused with the right code, and leave nothing behind.
func TestPitfall099_BadConnects(t *testing.T) {
	bad := map[string][]byte{
		"unknown":                   p99Property("\x7f\x00", ""),
		"repeated":                  p99Property("\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", ""),
		"of another packet":         p99Property("\x23\x00\x01", ""),
		"Receive Maximum 0":         p99Property("\x21\x00\x00", ""),
		"Maximum Packet Size 0":     p99Property("\x27\x00\x00\x00\x00", ""),
		"Request Problem 2":         p99Property("\x17\x02", ""),
		"cut":                       p99Property("\x11\x00\x00", ""),
		"data without method":       p99Property("\x16\x00\x01x", ""),
		"of the will, unknown":      p99Property("", "\x7f\x00"),
		"of the will, repeated":     p99Property("", "\x01\x01\x01\x01"),
		"of the will, misplaced":    p99Property("", "\x21\x00\x01"),
		"of the will, format 2":     p99Property("", "\x01\x02"),
		"of the will, wildcard":     p99Property("", "\x08\x00\x01#"),
		"of the will, not UTF-8":    p99Property("", "\x03\x00\x01\xff"),
		"longer than the packet is": p99Property("\x26\x00\x7fa", ""),
	}
	p63Bubble(t, "", func(t *testing.T) {
		s := p63Start(t, &mqttx.Server{})
		watch := mqttest.Connect(t, s, nil)
		watch.Subscribe("#", 0)
		for name, b := range bad {
			c := mqttest.Dial(t, s)
			c.Write(b)
			code := mqttest.Expect[*packet.Connack](c).Code
			if code != mqttx.MalformedPacket && code != mqttx.ProtocolError && code != mqttx.TopicNameInvalid {
				t.Errorf("%s: CONNACK %v", name, code)
			}
			c.Closed()
		}
		good := mqttest.Dial(t, s)
		good.Write(p99Property("", ""))
		p63Code(t, "without properties", mqttest.Expect[*packet.Connack](good).Code, mqttx.Success)
		good.Disconnect(0)
		watch.Nothing()
		if st := s.Stats(); st.Sessions != 1 || st.Connections != 1 {
			t.Errorf("%d sessions, %d connections, want the watcher's", st.Sessions, st.Connections)
		}
	})
	s := p63Start(t, &mqttx.Server{})
	round := func() {
		for _, b := range bad {
			near, far := mqttest.Pipe()
			served := make(chan error, 1)
			go func() { served <- s.ServeConn(t.Context(), far) }()
			near.Write(b)
			io.Copy(io.Discard, near)
			near.Close()
			p63Await(t, "the end of the connection", served)
		}
	}
	round()
	before := p63Heap()
	const rounds = 200
	for range rounds {
		round()
	}
	if grown := p63Heap() - before; grown > int64(rounds*len(bad)*20) {
		t.Errorf("%d bad CONNECTs leave %d bytes", rounds*len(bad), grown)
	}
}

// Ten thousand user properties go through in order, within the size of packets; over it they are refused.
func TestPitfall100_ManyUserProperties(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		const count = 10000
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 120000, ConnectSize: 120000}})
		p := p63Clean("c", mqttx.V5)
		for i := range count {
			p.User = append(p.User, packet.UserProperty{Name: "k", Value: fmt.Sprintf("%05d", i)})
		}
		c := mqttest.Connect(t, s, p)
		sub := mqttest.Connect(t, s, nil)
		sub.Subscribe("t", 0)
		c.Send(&packet.Publish{Topic: []byte("t"), User: p.User})
		m := sub.Receive()
		if len(m.User) != count || m.User[count-1].Value != "09999" {
			t.Errorf("%d user properties have come", len(m.User))
		}
		p.User = append(p.User, p.User...)
		c.Send(&packet.Publish{Topic: []byte("t"), User: p.User})
		p63Bye(t, c, mqttx.PacketTooLarge)
		_, code := mqttest.TryConnect(t, s, p)
		p63Code(t, "CONNECT", code, mqttx.PacketTooLarge)
		sub.Nothing()
	})
}

// Odd and very deep topics are stored, matched and given back, or refused, and harm nobody.
func TestPitfall101_OddTopics(t *testing.T) {
	deep := strings.Repeat("/", 65535)
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 1 << 20}})
		watch := mqttest.Connect(t, s, p63Clean("watch", v))
		for _, topic := range []string{"/", "//", "$", "$x", "$share", "$sharex/g", " ", strings.Repeat("a", 65535), deep, strings.Repeat("a/", 32767)} {
			name := topic[:min(len(topic), 9)]
			c := mqttest.Connect(t, s, p63Clean("c", v))
			p63Code(t, name, c.Subscribe(topic, 1), 1)
			c.Send(&packet.Publish{Topic: []byte(topic), Payload: []byte("x"), QoS: 1, PacketID: 5, Retain: true})
			var got []string
			for range 2 { // PUBACK and the message
				switch p := c.Next().(type) {
				case *packet.Publish:
					got = append(got, string(p.Topic))
				case *packet.Puback:
				default:
					t.Fatalf("%s: %s", name, mqttest.Format(p))
				}
			}
			if len(got) != 1 || got[0] != topic {
				t.Errorf("%s: not given back", name)
			}
			late := mqttest.Connect(t, s, p63Clean("late", v))
			p63Code(t, name, late.Subscribe(topic, 0), 0)
			if m := late.Receive(); string(m.Topic) != topic {
				t.Errorf("%s: retained %q", name, m.Topic)
			}
			c.Send(&packet.Publish{Topic: []byte(topic), Retain: true})
			mqttest.Expect[*packet.Publish](c)
			p63Code(t, name, c.Unsubscribe(topic), mqttx.Success)
			late.Drop()
			c.Drop()
		}
		for _, filter := range []string{"+" + strings.Repeat("/+", 32767), strings.Repeat("+/", 32767) + "#", deep} {
			p63Code(t, filter[:9], watch.Subscribe(filter, 0), 0)
		}
		pub := mqttest.Connect(t, s, p63Clean("pub", v))
		pub.Send(&packet.Publish{Topic: []byte(strings.Repeat("a/", 32767)), Payload: []byte("y")})
		watch.Receive() // one copy for two filters
		watch.Nothing()
		pub.Drop()
		empty := mqttest.Connect(t, s, p63Clean("empty", v))
		empty.Send(&packet.Subscribe{PacketID: 3, Filters: []packet.Filter{{Filter: ""}}})
		if v == mqttx.V5 {
			empty.Write([]byte{0x30, 0x03, 0, 0, 0}) // an empty topic without an alias
		} else {
			empty.Write([]byte{0x30, 0x02, 0, 0})
		}
		if p, refused := empty.Next().(*packet.Suback); refused {
			p63Code(t, "empty filter", p.Codes[0], p63Wire(v, mqttx.TopicFilterInvalid))
			p63Bye(t, empty, mqttx.ProtocolError)
		} else {
			t.Error("no SUBACK")
		}
		empty.Served()
		watch.Drop()
		p63Empty(t, s)
	})
}

// p108Corpus is one packet of each kind that clients send after CONNECT.
func p108Corpus(t *testing.T) (list [][]byte) {
	for _, p := range []packet.Packet{
		&packet.Publish{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 2, PacketID: 3, ContentType: []byte("c"), TopicAlias: 2},
		&packet.Subscribe{PacketID: 4, SubscriptionID: 7, Filters: []packet.Filter{{Filter: "a/+", QoS: 1}}},
		&packet.Unsubscribe{PacketID: 5, Filters: []string{"a/+"}},
		&packet.Pubrel{PacketID: 3, Code: 0x92, ReasonString: "r"},
		&packet.Puback{PacketID: 3, Code: 0x80},
		&packet.Disconnect{Code: 4, SessionExpiryInterval: new(uint32(0))},
		&packet.Pingreq{},
	} {
		list = append(list, p63Bytes(t, mqttx.V5, p))
	}
	return list
}

// A packet with a bit flipped is obeyed, or the connection ends with a code that says why; nobody else feels it.
func TestPitfall108_BitFlips(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		s := p63Start(t, &mqttx.Server{})
		other := mqttest.Connect(t, s, nil)
		legal := []byte{0x81, 0x82, 0x90, 0x93, 0x94, 0x95, 0x9B}
		ends := map[byte]int{}
		for _, whole := range p108Corpus(t) {
			for bit := range len(whole) * 8 {
				b := bytes.Clone(whole)
				b[bit/8] ^= 1 << (bit % 8)
				c := mqttest.Connect(t, s, p63Clean("flipped", mqttx.V5))
				c.Write(b)
				synctest.Wait()
				if raw := c.Raw(); len(raw) > 2 && raw[len(raw)-3] == 0xE0 && raw[len(raw)-2] == 1 {
					code := raw[len(raw)-1]
					if ends[code]++; !bytes.Contains(legal, []byte{code}) {
						t.Errorf("% x ends with %v", b, mqttx.ReasonCode(code))
					}
				}
				c.Drop()
			}
			other.Send(&packet.Pingreq{})
			mqttest.Expect[*packet.Pingresp](other)
		}
		if ends[0x81] == 0 || ends[0x82] == 0 {
			t.Errorf("ends %v", ends)
		}
		other.Drop()
		for m := range s.Retained("#") { // RETAIN is a bit too
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: m.Topic, Retain: true}); err != nil {
				t.Error(err)
			}
		}
		p63Empty(t, s)
	})
}
