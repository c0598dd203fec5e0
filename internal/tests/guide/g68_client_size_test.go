package guide_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g68Connect is a CONNECT of client c with a session, a Maximum Packet Size and a Receive Maximum of 1.
func g68Connect(size uint32) *packet.Connect {
	p := g47Connect(60)
	p.MaximumPacketSize, p.ReceiveMaximum = size, 1
	return p
}

// g68Drops counts the drops that Trace is told of.
type g68Drops struct {
	mu  sync.Mutex
	who []string
}

func (d *g68Drops) trace() *mqttx.Trace {
	return &mqttx.Trace{Dropped: func(c mqttx.Client, m *mqttx.Message, why mqttx.DropReason) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if why == mqttx.DropTooLarge {
			d.who = append(d.who, c.ID+" "+m.Topic)
		}
	}}
}

func (d *g68Drops) want(t *testing.T, srv *mqttx.Server, who ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if fmt.Sprint(d.who) != fmt.Sprint(who) {
		t.Errorf("dropped for their size: %q, want %q", d.who, who)
	}
	if n := srv.Stats().Dropped[mqttx.DropTooLarge]; n != int64(len(who)) {
		t.Errorf("%d drops counted, want %d", n, len(who))
	}
}

// g68Publish publishes size bytes on topic large or small.
func g68Publish(t *testing.T, srv *mqttx.Server, topic string, size int, qos mqttx.QoS) {
	t.Helper()
	m := &mqttx.Message{Topic: topic, Payload: bytes.Repeat([]byte{'x'}, size), QoS: qos}
	if err := srv.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// What is too large for a client is dropped for it alone, and taken as delivered: what comes behind it comes at once.
func TestGuide_G68_Dropped(t *testing.T) {
	for qos := range mqttx.QoS(3) {
		for _, deliver := range []bool{false, true} {
			g38Bubble(t, fmt.Sprintf("QoS %d, Deliver %v", qos, deliver), func(t *testing.T) {
				var drops g68Drops
				store := new(mqttest.MemStore)
				srv := &mqttx.Server{Trace: drops.trace(), Store: store}
				if deliver {
					srv.Handler = mqttx.Callbacks[int]{Deliver: func(_ int, m *mqttx.Message) *mqttx.Message { return m }}
				}
				g38Server(t, srv)
				other := g38Subscriber(t, srv, "+")
				c := mqttest.Connect(t, srv, g68Connect(64))
				c.Subscribe("+", 2)
				g68Publish(t, srv, "large", 200, qos)
				g68Publish(t, srv, "small", 10, qos)
				for _, topic := range []string{"large", "small"} {
					if p := other.Receive(); string(p.Topic) != topic {
						t.Errorf("the other got %q, want %q", p.Topic, topic)
					}
				}
				if p := c.Receive(); string(p.Topic) != "small" {
					t.Errorf("%q came", p.Topic)
				}
				c.Nothing()
				drops.want(t, srv, "c large")
				if n := srv.Stats().Queued; n != 0 {
					t.Errorf("%d messages are queued", n)
				}
				c.Drop()
				c = mqttest.Connect(t, srv, g68Connect(1000))
				if !c.Connack.SessionPresent {
					t.Error("no session present")
				}
				c.Nothing()
				if n := store.Len(); n != 2 { // the session and its subscription
					t.Errorf("%d records, want 2", n)
				}
			})
		}
	}
}

// The limit is that of the connection: what has waited, or was sent in vain to a connection with a larger one, is judged anew.
func TestGuide_G68_OfTheConnection(t *testing.T) {
	for _, sent := range []bool{false, true} {
		g38Bubble(t, fmt.Sprintf("sent before %v", sent), func(t *testing.T) {
			var drops g68Drops
			srv := g38Server(t, &mqttx.Server{Trace: drops.trace()})
			c := mqttest.Connect(t, srv, g68Connect(1000))
			c.Subscribe("+", 2)
			if sent {
				g68Publish(t, srv, "large", 200, 1)
				mqttest.Expect[*packet.Publish](c)
			}
			c.Drop()
			if !sent {
				g68Publish(t, srv, "large", 200, 1)
			}
			g68Publish(t, srv, "small", 10, 1)
			c = mqttest.Connect(t, srv, g68Connect(64))
			if p := c.Receive(); string(p.Topic) != "small" {
				t.Errorf("%q came", p.Topic)
			}
			c.Nothing()
			drops.want(t, srv, "c large")
		})
	}
}

// A retained message may be too large as well; a Will, and a message of Conn.Send.
func TestGuide_G68_OtherMessages(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var drops g68Drops
		srv := g38Server(t, &mqttx.Server{Trace: drops.trace()})
		pub := mqttest.Connect(t, srv, nil)
		for topic, size := range map[string]int{"r/large": 200, "r/small": 10} {
			p := &packet.Publish{Topic: []byte(topic), Payload: make([]byte, size), Retain: true, QoS: 1, PacketID: 1}
			if code := g38Send(t, pub, p); !g38Accepted(code) {
				t.Errorf("PUBACK %v", code)
			}
		}
		c := mqttest.Connect(t, srv, g68Connect(64))
		c.Subscribe("r/#", 1)
		if p := c.Receive(); string(p.Topic) != "r/small" {
			t.Errorf("%q came", p.Topic)
		}
		c.Nothing()
		c.Subscribe("w", 1)
		will := g43Will(mqttx.V311)
		will.ClientID, will.Will.Payload = "willing", make([]byte, 200)
		mqttest.Connect(t, srv, will).Drop()
		conn, _ := srv.Conn("c")
		if err := conn.Send(&mqttx.Message{Topic: "sent", Payload: make([]byte, 200), QoS: 1}); err != nil {
			t.Error(err)
		}
		g68Publish(t, srv, "w", 10, 1)
		if p := c.Receive(); len(p.Payload) != 10 {
			t.Errorf("%q came with %d bytes", p.Topic, len(p.Payload))
		}
		c.Nothing()
		drops.want(t, srv, "c r/large", "c w", "c sent")
	})
}

// Exactly the limit is sent, in each form of a PUBLISH.
func TestGuide_G68_ExactLimit(t *testing.T) {
	for name, x := range map[string]struct {
		id    uint32
		alias uint16
		extra int // bytes of properties
	}{"plain": {0, 0, 0}, "with identifier": {7, 0, 2}, "alias left out": {0, 10, 0}} {
		g38Bubble(t, name, func(t *testing.T) {
			var drops g68Drops
			srv := g38Server(t, &mqttx.Server{Trace: drops.trace()})
			p := g68Connect(64)
			p.TopicAliasMaximum = x.alias
			c := mqttest.Connect(t, srv, p)
			c.Send(&packet.Subscribe{PacketID: 1, SubscriptionID: x.id, Filters: []packet.Filter{{Filter: "t", QoS: 1}}})
			mqttest.Expect[*packet.Suback](c)
			before := len(c.Raw())
			room := 64 - 2 - 3 - 2 - 1 - x.extra // less fixed header, topic, packet id and the length of the properties
			g68Publish(t, srv, "t", room+1, 1)
			g68Publish(t, srv, "t", room, 1)
			if p := c.Receive(); len(p.Payload) != room {
				t.Errorf("%d bytes came, want %d", len(p.Payload), room)
			}
			if n := len(c.Raw()) - before; n != 64 {
				t.Errorf("PUBLISH of %d bytes, want 64", n)
			}
			c.Nothing()
			drops.want(t, srv, "c t")
		})
	}
}

// A Topic Alias is used as long as there is room for it: a message is not dropped for what its alias takes, and the client
// then knows no alias that it was not told.
func TestGuide_G68_AliasNeedsRoom(t *testing.T) {
	g38Bubble(t, "", func(t *testing.T) {
		var drops g68Drops
		srv := g38Server(t, &mqttx.Server{Trace: drops.trace()})
		p := g68Connect(64)
		p.TopicAliasMaximum = 10
		c := mqttest.Connect(t, srv, p)
		c.Subscribe("t", 0)
		const room = 64 - 2 - 3 - 1 // less fixed header, topic, and the length of the properties
		for _, x := range []struct {
			payload int
			alias   uint16
			topic   string
		}{
			{room, 0, "t"}, {room - 2, 0, "t"}, {room - 3, 1, "t"}, {room - 2, 1, ""}, {room, 0, "t"}, {1, 1, ""},
		} {
			before := len(c.Raw())
			g68Publish(t, srv, "t", x.payload, 0)
			p := mqttest.Expect[*packet.Publish](c)
			if len(p.Payload) != x.payload || p.TopicAlias != x.alias || string(p.Topic) != x.topic {
				t.Errorf("%d bytes came with topic %q and alias %d, want %+v", len(p.Payload), p.Topic, p.TopicAlias, x)
			}
			if n := len(c.Raw()) - before; n > 64 {
				t.Errorf("PUBLISH of %d bytes, want 64 at most", n)
			}
		}
		c.Nothing()
		drops.want(t, srv)
	})
}

// Texts and user properties of a refusal are left out of packets that would be too large with them.
func TestGuide_G68_Texts(t *testing.T) {
	why := &mqttx.Error{
		Code: mqttx.NotAuthorized, Text: strings.Repeat("t", 100),
		User: []mqttx.UserProperty{{Name: "n", Value: strings.Repeat("v", 100)}},
	}
	cb := mqttx.Callbacks[int]{
		Publish:     func(context.Context, int, *mqttx.Message) error { return why },
		Subscribe:   func(context.Context, int, *mqttx.Subscription) error { return why },
		Unsubscribe: func(context.Context, int, *mqttx.Subscription) error { return why },
	}
	for _, x := range []struct {
		max   uint32
		text  bool
		user  bool
		named string
	}{{20, false, false, "neither"}, {150, true, false, "text"}, {1000, true, true, "both"}} {
		g38Bubble(t, x.named, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Handler: cb})
			c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true, MaximumPacketSize: x.max})
			for _, p := range []packet.Packet{
				&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a"}}},
				&packet.Unsubscribe{PacketID: 2, Filters: []string{"a"}},
				&packet.Publish{Topic: []byte("a"), QoS: 1, PacketID: 3},
				&packet.Publish{Topic: []byte("a"), QoS: 2, PacketID: 4},
			} {
				before := len(c.Raw())
				c.Send(p)
				text, user, codes := "", []packet.UserProperty(nil), []mqttx.ReasonCode(nil)
				switch p := c.Next().(type) {
				case *packet.Suback:
					text, user, codes = p.ReasonString, p.User, p.Codes
				case *packet.Unsuback:
					text, user, codes = p.ReasonString, p.User, p.Codes
				case *packet.Puback:
					text, user, codes = p.ReasonString, p.User, []mqttx.ReasonCode{p.Code}
				case *packet.Pubrec:
					text, user, codes = p.ReasonString, p.User, []mqttx.ReasonCode{p.Code}
				}
				if n := len(c.Raw()) - before; n > int(x.max) {
					t.Errorf("answer to %s of %d bytes, limit %d", p.Type(), n, x.max)
				}
				if len(codes) != 1 || codes[0] != mqttx.NotAuthorized || (text == why.Text) != x.text || (len(user) == 1) != x.user {
					t.Errorf("answer to %s: %v, text %q, user %v", p.Type(), codes, text, user)
				}
			}
			c.Nothing()
		})
	}
}

// So they are left out of CONNACK, accepting or refusing.
func TestGuide_G68_Connack(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		for max, text := range map[uint32]bool{30: false, 1000: true} {
			g38Bubble(t, fmt.Sprintf("refused %v, limit %d", refuse, max), func(t *testing.T) {
				long := strings.Repeat("t", 100)
				srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
					Connect: func(_ context.Context, r *mqttx.ConnectRequest) (int, error) {
						r.Reply.Text = long
						if refuse {
							return 0, &mqttx.Error{Code: mqttx.NotAuthorized, Text: long}
						}
						return 0, nil
					},
				}})
				c, code := mqttest.TryConnect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true, MaximumPacketSize: max})
				if (code == mqttx.NotAuthorized) != refuse {
					t.Errorf("CONNACK %v", code)
				}
				if got := c.Connack.ReasonString; (got == long) != text {
					t.Errorf("Reason String %q", got)
				}
				if n := len(c.Raw()); n > int(max) {
					t.Errorf("CONNACK of %d bytes, limit %d", n, max)
				}
			})
		}
	}
}

// CONNACK tells the limit in force, unless there is none.
func TestGuide_G69_Told(t *testing.T) {
	for limit, told := range map[int]uint32{5000: 5000, 0: 1 << 20, -1: 0, 268_435_459: 268_435_459, 268_435_460: 0} {
		g38Bubble(t, fmt.Sprint(limit), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: limit}})
			c := mqttest.Connect(t, srv, nil)
			if got := c.Connack.MaximumPacketSize; got != told {
				t.Errorf("Maximum Packet Size %d, want %d", got, told)
			}
			if told == 0 && bytes.IndexByte(c.Raw()[5:], 0x27) >= 0 {
				t.Errorf("the property is there: % x", c.Raw())
			}
		})
	}
}

// What was told holds for the connection; the next one is told the new limit.
func TestGuide_G69_SetLimits(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 5000}})
		c := mqttest.Connect(t, srv, nil)
		old := mqttest.Connect(t, srv, &packet.Connect{Version: mqttx.V311, ClientID: "old", CleanStart: true})
		if err := srv.SetLimits(mqttx.Limits{PacketSize: 1000}); err != nil {
			t.Fatal(err)
		}
		if code := g38Send(t, c, g66Publish(t, mqttx.V5, 5000)); !g38Accepted(code) {
			t.Errorf("PUBACK %v", code)
		}
		c.Send(g66Publish(t, mqttx.V5, 5001))
		g38Bye(t, c, mqttx.PacketTooLarge)
		d := mqttest.Connect(t, srv, nil)
		if got := d.Connack.MaximumPacketSize; got != 1000 {
			t.Errorf("Maximum Packet Size %d, want 1000", got)
		}
		d.Send(g66Publish(t, mqttx.V5, 1001))
		g38Bye(t, d, mqttx.PacketTooLarge)
		old.Send(g66Publish(t, mqttx.V311, 1001)) // was told nothing
		g38Bye(t, old, mqttx.PacketTooLarge)
	})
}

// A client that has no room for what CONNACK must tell is refused, if there is room for that.
func TestGuide_G69_NoRoom(t *testing.T) {
	for _, max := range []uint32{1, 4, 5, 9, 10} {
		g38Bubble(t, fmt.Sprint(max), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			c := mqttest.Dial(t, srv)
			c.Send(&packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true, MaximumPacketSize: max})
			switch {
			case max < 5:
				c.Closed()
				if b := c.Raw(); len(b) > 0 {
					t.Errorf("% x came", b)
				}
			case max < 10:
				if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.PacketTooLarge {
					t.Errorf("CONNACK %v", p.Code)
				}
				c.Closed()
			default:
				if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.Success || p.MaximumPacketSize != 1<<20 || p.TopicAliasMaximum != nil {
					t.Errorf("CONNACK %+v", p)
				}
				c.Send(g58Publish("a", 1, "x")) // Topic Aliases were given up
				g38Bye(t, c, mqttx.TopicAliasInvalid)
			}
			c.Served()
			g47Sessions(t, srv, 0)
			if n := len(c.Raw()); n > 2*int(max) {
				t.Errorf("%d bytes came, limit %d", n, max)
			}
		})
	}
}
