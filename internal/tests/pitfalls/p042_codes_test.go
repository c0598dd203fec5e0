package pitfalls_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p42Asks gives, for each callback, what makes a client's packet come to it, and the type of packet that answers.
func p42Asks() map[string]struct {
	send   packet.Packet
	answer packet.Type
} {
	return map[string]struct {
		send   packet.Packet
		answer packet.Type
	}{
		"connect":     {nil, packet.TypeConnack},
		"subscribe":   {&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "a"}}}, packet.TypeSuback},
		"unsubscribe": {&packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}, packet.TypeUnsuback},
		"publish 1":   {p1Publish("a", "1", 1, 1), packet.TypePuback},
		"publish 2":   {p1Publish("a", "2", 2, 1), packet.TypePubrec},
	}
}

// p42Code gives the one code of a packet.
func p42Code(t *testing.T, p packet.Packet) mqttx.ReasonCode {
	t.Helper()
	switch p := p.(type) {
	case *packet.Connack:
		return p.Code
	case *packet.Suback:
		return p.Codes[0]
	case *packet.Unsuback:
		return p.Codes[0]
	case *packet.Puback:
		return p.Code
	case *packet.Pubrec:
		return p.Code
	case *packet.Disconnect:
		return p.Code
	}
	t.Fatalf("unexpected %s", mqttest.Format(p))
	return 0
}

// p42Server refuses with *code in the callback called *at.
func p42Server(t *testing.T, at *string, code *mqttx.ReasonCode) *mqttx.Server {
	t.Helper()
	answer := func(where string) error {
		if where != *at {
			return nil
		}
		return *code
	}
	return p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
		Connect:     func(context.Context, *mqttx.ConnectRequest) (int, error) { return 0, answer("connect") },
		Publish:     func(_ context.Context, _ int, m *mqttx.Message) error { return answer("publish " + string(m.Payload)) },
		Subscribe:   func(context.Context, int, *mqttx.Subscription) error { return answer("subscribe") },
		Unsubscribe: func(context.Context, int, *mqttx.Subscription) error { return answer("unsubscribe") },
	}})
}

// p42Ask has the callback called and gives the connection, and all bytes that came.
func p42Ask(t *testing.T, srv *mqttx.Server, v mqttx.Version, at *string, place string, p packet.Packet) (*mqttest.Client, []byte) {
	t.Helper()
	*at = ""
	if p == nil {
		c := mqttest.Dial(t, srv)
		*at = place
		c.Send(p1New("c", v))
		synctest.Wait()
		return c, c.Raw()
	}
	c := mqttest.Connect(t, srv, p1New("c", v))
	before := len(c.Raw())
	*at = place
	c.Send(p)
	synctest.Wait()
	return c, c.Raw()[before:]
}

// Whatever code a callback returns, what goes out is a packet that may carry its code.
func TestPitfall042_CallbackCodes(t *testing.T) {
	for place, x := range p42Asks() {
		p1Bubble(t, place, func(t *testing.T) {
			var code mqttx.ReasonCode
			var at string
			srv := p42Server(t, &at, &code)
			for i := range 256 {
				code = mqttx.ReasonCode(i)
				c, _ := p42Ask(t, srv, mqttx.V5, &at, place, x.send)
				answer, want := x.answer, code
				switch {
				case code >= 0x80 && code.In(x.answer):
				case code >= 0x80 && x.answer != packet.TypeConnack && code.In(packet.TypeDisconnect) && code.ByServer():
					answer = packet.TypeDisconnect
				default:
					want = mqttx.UnspecifiedError
				}
				p := c.Next() // fails for a code that is not the packet's
				if got := p42Code(t, p); p.Type() != answer || got != want {
					t.Errorf("%v: %s", code, mqttest.Format(p))
				}
				if answer == packet.TypeDisconnect || answer == packet.TypeConnack {
					c.Closed()
				}
				c.Drop()
			}
		})
	}
}

// MQTT 3.1 and 3.1.1 see their own codes, or the end.
func TestPitfall042_OldVersions(t *testing.T) {
	allowed := map[string][]string{
		"connect":     {"", "\x20\x02\x00\x01", "\x20\x02\x00\x02", "\x20\x02\x00\x03", "\x20\x02\x00\x04", "\x20\x02\x00\x05"},
		"subscribe":   {"", "\x90\x03\x00\x01\x80"},
		"unsubscribe": {"", "\xb0\x02\x00\x01"},
		"publish 1":   {"", "\x40\x02\x00\x01"},
		"publish 2":   {"", "\x50\x02\x00\x01"},
	}
	for place, x := range p42Asks() {
		t.Run(place, func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				var code mqttx.ReasonCode
				var at string
				srv := p42Server(t, &at, &code)
				for i := range 256 {
					code = mqttx.ReasonCode(i)
					c, got := p42Ask(t, srv, v, &at, place, x.send)
					if !slices.Contains(allowed[place], string(got)) {
						t.Errorf("%v: % x", code, got)
					}
					if len(got) == 0 {
						c.Closed()
					}
					c.Drop()
				}
			}, mqttx.V31, mqttx.V311)
		})
	}
}

// Disconnect takes just the codes that a server may send in DISCONNECT.
func TestPitfall042_Disconnect(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		for i := range 256 {
			code := mqttx.ReasonCode(i)
			c := mqttest.Connect(t, srv, p1New("c", v))
			err := srv.Disconnect("c", code)
			if legal := code.In(packet.TypeDisconnect) && code.ByServer(); legal != (err == nil) {
				t.Errorf("Disconnect(%v): %v", code, err)
			}
			if err != nil {
				c.Nothing()
				c.Drop()
				continue
			}
			p1Bye(t, c, code)
		}
	})
}

// The codes of the server guide that the standard forbids in their packets come only where they are asked for.
func TestPitfall042_CompatCodes(t *testing.T) {
	for _, compat := range []mqttx.Compat{0, mqttx.WindowRefusal93, mqttx.RateRefusal96} {
		p1Bubble(t, compat.String(), func(t *testing.T) {
			srv := p1Server(t, &mqttx.Server{Compat: compat, Limits: mqttx.Limits{ReceiveMaximum: 1, MessageRate: 5}})
			c := mqttest.Connect(t, srv, nil)
			p1Send(t, c, p1Publish("a", "x", 2, 1))
			c.Send(p1Publish("a", "x", 2, 2))
			synctest.Wait()
			want := []byte{0xE0, 1, 0x93}
			if compat == mqttx.WindowRefusal93 {
				want = []byte{0x50, 3, 0, 2, 0x93}
			}
			if !bytes.HasSuffix(c.Raw(), want) {
				t.Errorf("PUBREC: % x, want % x", c.Raw(), want)
			}
			c = mqttest.Connect(t, srv, nil)
			for range 5 {
				c.Publish("a", "x", 1)
			}
			c.Send(p1Publish("a", "x", 1, 99))
			synctest.Wait()
			want = []byte{0x40, 3, 0, 99, 0x97}
			if compat == mqttx.RateRefusal96 {
				want[4] = 0x96
			}
			if !bytes.HasSuffix(c.Raw(), want) {
				t.Errorf("PUBACK: % x, want % x", c.Raw(), want)
			}
		})
	}
}

// SUBACK and UNSUBACK have one code per filter in order, whatever was granted and what not.
func TestPitfall043_MixedCodes(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		refuse := func(_ context.Context, _ int, s *mqttx.Subscription) error {
			switch s.Filter {
			case "no":
				return mqttx.NotAuthorized
			case "low":
				s.QoS = 1
			}
			return nil
		}
		srv := p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{Subscribe: refuse, Unsubscribe: refuse}})
		c := mqttest.Connect(t, srv, p1New("c", v))
		codes := func(v5 ...mqttx.ReasonCode) []mqttx.ReasonCode {
			for i := range v5 {
				if v != mqttx.V5 && v5[i] >= 0x80 {
					v5[i] = 0x80
				}
			}
			return v5
		}
		got := p1Subscribe(c, 0, packet.Filter{Filter: "a", QoS: 2}, packet.Filter{Filter: "no", QoS: 2}, packet.Filter{Filter: "low", QoS: 2},
			packet.Filter{Filter: "b#", QoS: 1}, packet.Filter{Filter: "c"})
		if want := codes(2, mqttx.NotAuthorized, 1, mqttx.TopicFilterInvalid, 0); !slices.Equal(got, want) {
			t.Errorf("SUBACK %v, want %v", got, want)
		}
		for _, topic := range []string{"a", "no", "low", "c"} {
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: topic, Payload: []byte(topic), QoS: 2}); err != nil {
				t.Fatal(err)
			}
		}
		for i, topic := range []string{"a", "low", "c"} {
			if p := c.Receive(); string(p.Topic) != topic || p.QoS != mqttx.QoS(2-i) {
				t.Errorf("%s", mqttest.Format(p))
			}
		}
		c.Nothing()
		c.Send(&packet.Unsubscribe{PacketID: 9, Filters: []string{"a", "never", "no", "low", "b#"}})
		p := mqttest.Expect[*packet.Unsuback](c)
		want := []mqttx.ReasonCode{0, mqttx.NoSubscriptionExisted, mqttx.NotAuthorized, 0, mqttx.TopicFilterInvalid}
		if v != mqttx.V5 {
			want = nil
		}
		if p.PacketID != 9 || !slices.Equal(p.Codes, want) {
			t.Errorf("UNSUBACK %v, want %v", p.Codes, want)
		}
		if n := srv.Stats().Subscriptions; n != 1 {
			t.Errorf("%d subscriptions are left, want that to c", n)
		}
	})
}

// An empty client id gets one of its own, or none at all, by version.
func TestPitfall044_EmptyClientID(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		seen := make(map[string]bool)
		for i := range 20 {
			clean := i%2 == 0
			c, code := mqttest.TryConnect(t, srv, &packet.Connect{Version: v, CleanStart: clean})
			if v == mqttx.V31 || v == mqttx.V311 && !clean {
				p1Code(t, fmt.Sprint("CONNACK, clean ", clean), code, 2)
				c.Closed()
				continue
			}
			if v == mqttx.V5 {
				id := c.Connack.AssignedClientID
				if _, found := srv.Conn(id); id == "" || seen[id] || !found {
					t.Errorf("Assigned Client Identifier %q", id)
				}
				seen[id] = true
			}
			c.Nothing()
		}
		want := map[mqttx.Version]int64{mqttx.V31: 0, mqttx.V311: 10, mqttx.V5: 20}[v]
		if st := srv.Stats(); st.Connections != want || st.Sessions != want {
			t.Errorf("%d connections, %d sessions, want %d", st.Connections, st.Sessions, want)
		}
		if _, found := srv.Conn(""); found {
			t.Error("a client without an id")
		}
	})
}
