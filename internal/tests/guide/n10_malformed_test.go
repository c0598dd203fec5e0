package guide_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n10Case is a packet, in hexadecimal, that ends the connection it comes on.
type n10Case struct {
	name string
	v3   string // of 3.1 and 3.1.1; empty: no such case
	v5   string
	code mqttx.ReasonCode // of DISCONNECT in 5.0
}

const (
	n10Bad      = mqttx.MalformedPacket
	n10Protocol = mqttx.ProtocolError
)

// n10Cases are what comes after CONNACK. The lengths, the second byte, are right where it is not said.
func n10Cases() []n10Case {
	return []n10Case{
		{"type 0", "0000", "0000", n10Bad},
		{"type 15 in v3", "f000", "", 0},
		{"length of five bytes", "30ffffffff01", "30ffffffff01", n10Bad},
		{"length not in its shortest form", "c08000", "c08000", n10Bad},
		{"over the packet limit", "30a4c340", "30a4c340", mqttx.PacketTooLarge},

		{"PUBLISH at QoS 3", "3605 0001 61 0001", "3606 0001 61 0001 00", n10Bad},
		{"PUBLISH with DUP at QoS 0", "3803 0001 61", "3804 0001 61 00", n10Bad},
		{"PUBLISH of one byte", "3001 00", "3001 00", n10Bad},
		{"PUBLISH with a topic that is too long", "3003 0009 61", "3003 0009 61", n10Bad},
		{"PUBLISH without a packet id", "3203 0001 61", "3203 0001 61", n10Bad},
		{"PUBLISH with packet id 0", "3205 0001 61 0000", "3206 0001 61 0000 00", n10Protocol},
		{"PUBLISH to no topic", "3002 0000", "3003 0000 00", n10Protocol},
		{"PUBLISH to +", "3003 0001 2b", "3004 0001 2b 00", mqttx.TopicNameInvalid},
		{"PUBLISH to #", "3003 0001 23", "3004 0001 23 00", mqttx.TopicNameInvalid},
		{"PUBLISH to a topic with U+0000", "3003 0001 00", "3004 0001 00 00", n10Bad},
		{"PUBLISH to a topic that is not UTF-8", "3003 0001 ff", "3004 0001 ff 00", n10Bad},
		{"PUBLISH to a topic with a surrogate", "3005 0003 eda080", "3006 0003 eda080 00", n10Bad},
		{"PUBLISH to a topic in more bytes than needed", "3004 0002 c0af", "3005 0002 c0af 00", n10Bad},
		{"PUBLISH without properties", "", "3003 0001 61", n10Bad},
		{"PUBLISH with properties that are too long", "", "3004 0001 61 05", n10Bad},
		{"PUBLISH with a property that is cut", "", "3006 0001 61 02 0200", n10Bad},
		{"PUBLISH with an unknown property", "", "3006 0001 61 02 7f00", n10Bad},
		{"PUBLISH with a property of CONNECT", "", "3009 0001 61 05 1100000001", n10Protocol},
		{"PUBLISH with Payload Format 2", "", "3006 0001 61 02 0102", n10Protocol},
		{"PUBLISH with Payload Format twice", "", "3008 0001 61 04 01000100", n10Protocol},
		{"PUBLISH with Topic Alias 0", "", "3007 0001 61 03 230000", mqttx.TopicAliasInvalid},
		{"PUBLISH with Topic Alias 101", "", "3007 0001 61 03 230065", mqttx.TopicAliasInvalid},
		{"PUBLISH with a Topic Alias of nothing", "", "3006 0000 03 230001", n10Protocol},
		{"PUBLISH with a Subscription Identifier", "", "3006 0001 61 02 0b01", n10Protocol},
		{"PUBLISH with a Response Topic with #", "", "3008 0001 61 04 08000123", n10Protocol},
		{"PUBLISH to $share of too few bytes", "3001 24", "3001 24", n10Bad},

		{"PUBACK of one byte", "4001 00", "4001 00", n10Bad},
		{"PUBACK with flags", "4102 0001", "4102 0001", n10Bad},
		{"PUBACK with packet id 0", "4002 0000", "4002 0000", n10Protocol},
		{"PUBACK with too much", "4003 000100", "4005 0001000000", n10Bad},
		{"PUBACK with an unknown code", "", "4003 0001 42", n10Protocol},
		{"PUBREC with flags", "5102 0001", "5102 0001", n10Bad},
		{"PUBREC with an unknown code", "", "5003 0001 92", n10Protocol},
		{"PUBREL without its flags", "6002 0001", "6002 0001", n10Bad},
		{"PUBREL with packet id 0", "6202 0000", "6202 0000", n10Protocol},
		{"PUBREL with an unknown code", "", "6203 0001 80", n10Protocol},
		{"PUBCOMP with flags", "7102 0001", "7102 0001", n10Bad},
		{"PUBCOMP of nothing", "7000", "7000", n10Bad},

		{"SUBSCRIBE without its flags", "8006 0001 0001 61 00", "8007 0001 00 0001 61 00", n10Bad},
		{"SUBSCRIBE without filters", "8202 0001", "8203 0001 00", n10Protocol},
		{"SUBSCRIBE with packet id 0", "8206 0000 0001 61 00", "8207 0000 00 0001 61 00", n10Protocol},
		{"SUBSCRIBE without options", "8205 0001 0001 61", "8206 0001 00 0001 61", n10Bad},
		{"SUBSCRIBE at QoS 3", "8206 0001 0001 61 03", "8207 0001 00 0001 61 03", n10Protocol},
		{"SUBSCRIBE with reserved options", "8206 0001 0001 61 41", "8207 0001 00 0001 61 41", n10Bad},
		{"SUBSCRIBE with Retain Handling 3", "", "8207 0001 00 0001 61 30", n10Protocol},
		{"SUBSCRIBE to a filter that is not UTF-8", "8206 0001 0001 ff 00", "8207 0001 00 0001 ff 00", n10Bad},
		{"SUBSCRIBE with Subscription Identifier 0", "", "8209 0001 02 0b00 0001 61 00", n10Protocol},
		{"SUBSCRIBE with two Subscription Identifiers", "", "820b 0001 04 0b010b02 0001 61 00", n10Protocol},
		{"SUBSCRIBE with No Local on $share", "", "8210 0001 00 000a 2473686172652f672f61 04", n10Protocol},
		{"UNSUBSCRIBE without its flags", "a005 0001 0001 61", "a006 0001 00 0001 61", n10Bad},
		{"UNSUBSCRIBE without filters", "a202 0001", "a203 0001 00", n10Protocol},
		{"UNSUBSCRIBE with packet id 0", "a205 0000 0001 61", "a206 0000 00 0001 61", n10Protocol},

		{"PINGREQ with flags", "c100", "c100", n10Bad},
		{"PINGREQ with a body", "c001 00", "c001 00", n10Bad},
		{"DISCONNECT with flags", "e100", "e100", n10Bad},
		{"DISCONNECT with a body in v3", "e001 00", "", 0},
		{"DISCONNECT with an unknown code", "", "e001 42", n10Protocol},
		{"DISCONNECT with a server's property", "", "e006 00 04 1c000161", n10Protocol},
		{"AUTH without a method in CONNECT", "", "f008 18 06 15000361 6263", n10Protocol},
		{"AUTH with an unknown code", "", "f002 42 00", n10Protocol},
		{"AUTH with flags", "", "f100", n10Bad},
		{"CONNACK", "2002 0000", "2003 0000 00", n10Protocol},
		{"SUBACK", "9003 0001 00", "9004 0001 00 00", n10Protocol},
		{"UNSUBACK", "b002 0001", "b004 0001 00 00", n10Protocol},
		{"PINGRESP", "d000", "d000", n10Protocol},
		{"second CONNECT", "100d 0004 4d515454 04 02 0000 0001 61", "100e 0004 4d515454 05 02 0000 00 0001 61", n10Protocol},
	}
}

func n10Bytes(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each of them ends its own connection, in the way the version has, and no other.
func TestGuide_N10_AfterConnack(t *testing.T) {
	for _, x := range n10Cases() {
		t.Run(x.name, func(t *testing.T) {
			for _, v := range g1Versions() {
				text := x.v3
				if v == mqttx.V5 {
					text = x.v5
				}
				if text == "" {
					continue
				}
				g1Bubble(t, v.String(), func(t *testing.T) {
					s := g1Started(t, &mqttx.Server{})
					watch := g38Subscriber(t, s, "#")
					c := mqttest.Connect(t, s, g73Will(v))
					c.Write(n10Bytes(t, text))
					g1Bye(t, c, x.code)
					c.Served()
					g38Gets(t, watch, "gone") // and no other message
					watch.Send(&packet.Pingreq{})
					mqttest.Expect[*packet.Pingresp](watch)
					if n := s.Stats().Subscriptions; n != 1 {
						t.Errorf("%d subscriptions", n)
					}
				})
			}
		})
	}
}

// Before CONNACK there is a CONNACK, or nothing.
func TestGuide_N10_Connect(t *testing.T) {
	for _, x := range []struct{ name, b, answer string }{
		{"flags", "110d 0004 4d515454 05 02 0000 00 0000", ""},
		{"no protocol name", "1002 0000", ""},
		{"another protocol name", "100d 0004 48545450 04 02 0000 0001 61", ""},
		{"level 6", "100d 0004 4d515454 06 02 0000 00 0000", "84"},
		{"level 2 of 3.1.1", "100c 0004 4d515454 02 02 0000 0000", "01"},
		{"reserved flag in 5.0", "100d 0004 4d515454 05 03 0000 00 0000", "81"},
		{"reserved flag in 3.1.1", "100d 0004 4d515454 04 03 0000 0001 61", ""},
		{"will QoS without will", "100d 0004 4d515454 05 0a 0000 00 0000", "81"},
		{"will retain without will", "100d 0004 4d515454 05 22 0000 00 0000", "81"},
		{"will QoS 3", "1014 0004 4d515454 05 1e 0000 00 0000 00 0001 77 0001 78", "81"},
		{"password without user name in 3.1.1", "1010 0004 4d515454 04 42 0000 0001 61 0001 62", ""},
		{"client id that is too long", "100e 0004 4d515454 05 02 0000 00 0009 61", "81"},
		{"client id with U+0000", "100e 0004 4d515454 05 02 0000 00 0001 00", "81"},
		{"client id that is not UTF-8", "100e 0004 4d515454 05 02 0000 00 0001 ff", "81"},
		{"client id that is not UTF-8 in 3.1.1", "100d 0004 4d515454 04 02 0000 0001 ff", ""},
		{"too much at the end", "100f 0004 4d515454 05 02 0000 00 0001 61 00", "81"},
		{"will without a topic", "1010 0004 4d515454 05 06 0000 00 0000 00 0000", "82"},
		{"Receive Maximum 0", "1010 0004 4d515454 05 02 0000 03 210000 0000", "82"},
		{"Maximum Packet Size 0", "1012 0004 4d515454 05 02 0000 05 2700000000 0000", "82"},
		{"the same property twice", "1013 0004 4d515454 05 02 0000 06 210001210001 0000", "82"},
		{"a property of PUBLISH", "100f 0004 4d515454 05 02 0000 02 0100 0000", "82"},
		{"an unknown property", "100f 0004 4d515454 05 02 0000 02 7f00 0000", "81"},
		{"data without a method", "1011 0004 4d515454 05 02 0000 04 16000161 0000", "82"},
		{"Request Problem Information 2", "100f 0004 4d515454 05 02 0000 02 1702 0000", "82"},
	} {
		g1Bubble(t, x.name, func(t *testing.T) {
			var calls atomic.Int32
			s := g1Started(t, &mqttx.Server{Handler: n03Counting(&calls)})
			c := mqttest.Dial(t, s)
			c.Write(n10Bytes(t, x.b))
			c.Served()
			got := c.Raw()
			want := n10Bytes(t, x.answer)
			switch {
			case len(want) == 0 && len(got) > 0, len(want) > 0 && (len(got) < 4 || got[0] != 0x20 || got[2] != 0 || got[3] != want[0]):
				t.Errorf("the server says % x, want %q as the code of CONNACK", got, x.answer)
			}
			if n := calls.Load(); n != 0 || s.Stats().Sessions != 0 {
				t.Errorf("%d calls, %d sessions", n, s.Stats().Sessions)
			}
		})
	}
}

// n10Whole are valid packets, some with all they may hold.
func n10Whole() []packet.Packet {
	return []packet.Packet{
		g80Publish(0), g80Publish(1), g80Publish(2),
		&packet.Subscribe{PacketID: 1, SubscriptionID: 5, User: g80User(), Filters: []packet.Filter{{Filter: "a/#", QoS: 1}, {Filter: "b"}}},
		&packet.Unsubscribe{PacketID: 1, User: g80User(), Filters: []string{"a", "b"}},
		&packet.Puback{PacketID: 1, ReasonString: "no", User: g80User()}, &packet.Pubrec{PacketID: 1}, &packet.Pubrel{PacketID: 1},
		&packet.Pubcomp{PacketID: 1}, &packet.Pingreq{}, &packet.Disconnect{Code: 4, ReasonString: "bye"},
	}
}

// What is not whole when the client hangs up has no effect, at whatever byte it ends.
func TestGuide_N10_Prefixes(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var calls atomic.Int32
		h := n03Counting(&calls)
		h.Connect, h.Disconnected = nil, nil
		s := g1Started(t, &mqttx.Server{Handler: h})
		watch := g38Subscriber(t, s, "#")
		calls.Store(0)
		for _, p := range n10Whole() {
			b, err := p.Append(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; n < len(b); n++ {
				c := mqttest.Connect(t, s, g73Will(v))
				before := len(c.Raw())
				c.Write(b[:n])
				c.Drop()
				if k := len(c.Raw()); k != before {
					t.Errorf("%d of % x: the server says % x", n, b, c.Raw()[before:])
				}
				g38Gets(t, watch, "gone")
				if k := calls.Swap(0); k != 1 { // the will, when it was handed in
					t.Fatalf("%d of % x: %d calls", n, b, k-1)
				}
			}
		}
		if n := s.Stats().Subscriptions; n != 1 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

func TestGuide_N10_PrefixesOfConnect(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var calls atomic.Int32
		s := g1Started(t, &mqttx.Server{Handler: n03Counting(&calls)})
		p := g73Will(v)
		p.Username, p.Password = "ann", []byte("secret")
		b, err := p.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(b) {
			c := mqttest.Dial(t, s)
			c.Write(b[:n])
			c.Drop()
			if len(c.Raw()) > 0 {
				t.Errorf("%d of % x: the server says % x", n, b, c.Raw())
			}
		}
		if k := calls.Load(); k != 0 || s.Stats().Sessions != 0 {
			t.Errorf("%d calls, %d sessions", k, s.Stats().Sessions)
		}
	})
}

// While some send rubbish the others are served, and memory is not asked for what a header promises.
func TestGuide_N10_OthersGoOn(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: -1}})
		other := mqttest.Connect(t, s, nil)
		before := n07Heap()
		var open []*mqttest.Client
		for i := range 50 {
			c := mqttest.Connect(t, s, g1Connect(fmt.Sprint(i), mqttx.V5))
			c.Write([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 'a', 0}) // 256 MiB to come
			open = append(open, c)
			other.Send(&packet.Pingreq{})
			mqttest.Expect[*packet.Pingresp](other)
		}
		mqttest.Advance(time.Second)
		if more := n07Heap() - before; more > 32<<20 {
			t.Errorf("%d bytes more in use", more)
		}
		for _, c := range open {
			c.Drop()
		}
		other.Nothing()
	})
}
