package pitfalls_test

import (
	"context"
	"slices"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p40Server knows the method M, whose exchange takes a, then b; other data is refused.
func p40Server(t *testing.T) *mqttx.Server {
	t.Helper()
	return p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
		Auth: func(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
			if r.AuthMethod != "M" {
				return nil, nil
			}
			step := 0
			return func(_ context.Context, in []byte) ([]byte, bool, error) {
				step++
				switch {
				case step == 1 && string(in) == "a":
					return []byte("A"), false, nil
				case step == 2 && string(in) == "b":
					return []byte("B"), true, nil
				}
				return nil, false, mqttx.NotAuthorized
			}, nil
		},
	}})
}

// p40Connect is a CONNECT that opens the exchange.
func p40Connect() *packet.Connect {
	p := p1Kept("c", mqttx.V5)
	p.AuthenticationMethod, p.AuthenticationData = "M", []byte("a")
	return p
}

func p40Auth(code mqttx.ReasonCode, method, data string) *packet.Auth {
	return &packet.Auth{Code: code, AuthenticationMethod: method, AuthenticationData: []byte(data)}
}

// p40Step sends one packet and takes the AUTH that answers it.
func p40Step(t *testing.T, c *mqttest.Client, p packet.Packet, code mqttx.ReasonCode, data string) {
	t.Helper()
	c.Send(p)
	a := mqttest.Expect[*packet.Auth](c)
	if a.Code != code || a.AuthenticationMethod != "M" || string(a.AuthenticationData) != data {
		t.Errorf("%s, want code %v, data %q", mqttest.Format(a), code, data)
	}
}

// p40Connected goes through the exchange.
func p40Connected(t *testing.T, srv *mqttx.Server) *mqttest.Client {
	t.Helper()
	c := mqttest.Dial(t, srv)
	p40Step(t, c, p40Connect(), mqttx.ContinueAuthentication, "A")
	c.Nothing()
	c.Send(p40Auth(mqttx.ContinueAuthentication, "M", "b"))
	if a := mqttest.Expect[*packet.Connack](c); a.Code != mqttx.Success || a.AuthenticationMethod != "M" || string(a.AuthenticationData) != "B" {
		t.Fatalf("%s", mqttest.Format(a))
	}
	return c
}

// Re-authentication goes by the method of CONNECT, whatever the data, and by no other.
func TestPitfall040_ReauthenticationMethod(t *testing.T) {
	p1Bubble(t, "same method", func(t *testing.T) {
		c := p40Connected(t, p40Server(t))
		for range 2 {
			p40Step(t, c, p40Auth(mqttx.ReAuthenticate, "M", "a"), mqttx.ContinueAuthentication, "A")
			p1Code(t, "PUBLISH meanwhile", c.Publish("x", "x", 1), mqttx.NoMatchingSubscribers)
			p40Step(t, c, p40Auth(mqttx.ContinueAuthentication, "M", "b"), mqttx.Success, "B")
			c.Nothing()
		}
	})
	for name, x := range map[string]struct {
		steps []*packet.Auth
		raw   []byte
		code  mqttx.ReasonCode
	}{
		"another method":        {[]*packet.Auth{p40Auth(mqttx.ReAuthenticate, "N", "a")}, nil, mqttx.ProtocolError},
		"method equal to data":  {[]*packet.Auth{p40Auth(mqttx.ReAuthenticate, "a", "a")}, nil, mqttx.ProtocolError},
		"no method":             {nil, []byte{0xF0, 2, 0x19, 0}, mqttx.ProtocolError},
		"another in the middle": {[]*packet.Auth{p40Auth(mqttx.ReAuthenticate, "M", "a"), p40Auth(mqttx.ContinueAuthentication, "N", "b")}, nil, mqttx.ProtocolError},
		"wrong data":            {[]*packet.Auth{p40Auth(mqttx.ReAuthenticate, "M", "x")}, nil, mqttx.NotAuthorized},
	} {
		p1Bubble(t, name, func(t *testing.T) {
			c := p40Connected(t, p40Server(t))
			if len(x.steps) == 2 {
				p40Step(t, c, x.steps[0], mqttx.ContinueAuthentication, "A")
				x.steps = x.steps[1:]
			}
			for _, p := range x.steps {
				c.Send(p)
			}
			c.Write(x.raw)
			p := mqttest.Expect[*packet.Disconnect](c)
			if p.Code != x.code && (x.code != mqttx.ProtocolError || p.Code != mqttx.BadAuthenticationMethod) {
				t.Errorf("DISCONNECT %v, want %v", p.Code, x.code)
			}
			c.Closed()
		})
	}
	p1Bubble(t, "CONNECT had none", func(t *testing.T) {
		c := mqttest.Connect(t, p40Server(t), p1New("c", mqttx.V5))
		c.Send(p40Auth(mqttx.ReAuthenticate, "M", "a"))
		p1Bye(t, c, mqttx.ProtocolError)
	})
}

// Until the last AUTH nothing happens: no CONNACK, no takeover, no end of a session, no other packet.
func TestPitfall046_NothingBeforeAuth(t *testing.T) {
	for name, x := range map[string]struct {
		p    packet.Packet
		code mqttx.ReasonCode // of CONNACK; 0: the connection is just closed
	}{
		"wrong proof": {p40Auth(mqttx.ContinueAuthentication, "M", "x"), mqttx.NotAuthorized},
		"PUBLISH":     {&packet.Publish{Topic: []byte("t"), Retain: true}, 0},
		"SUBSCRIBE":   {&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t"}}}, 0},
		"PINGREQ":     {&packet.Pingreq{}, 0},
		"CONNECT":     {p40Connect(), 0},
		"end":         {nil, 0},
	} {
		for _, clean := range []bool{false, true} {
			p1Bubble(t, name+map[bool]string{true: ", Clean Start 1", false: ", Clean Start 0"}[clean], func(t *testing.T) {
				srv := p40Server(t)
				old := p1Subscriber(t, srv, p1Kept("c", mqttx.V5), 1, "t")
				c := mqttest.Dial(t, srv)
				p := p40Connect()
				p.CleanStart = clean
				p.Will = &packet.Will{Topic: "t", Payload: []byte("will")}
				p40Step(t, c, p, mqttx.ContinueAuthentication, "A")
				old.Nothing()
				if x.p == nil {
					c.Drop()
				} else {
					c.Send(x.p)
					p46End(t, c, x.code)
				}
				old.Nothing()
				if st := srv.Stats(); st.Connections != 1 || st.Subscriptions != 1 || st.Retained != 0 || st.Published != 0 {
					t.Errorf("%+v", st)
				}
				p1Code(t, "PUBLISH of the old connection", old.Publish("t", "x", 1), mqttx.Success)
				p1Gets(t, old, "x")
			})
		}
	}
	p1Bubble(t, "success", func(t *testing.T) {
		srv := p40Server(t)
		old := p1Subscriber(t, srv, p1Kept("c", mqttx.V5), 1, "t")
		c := p40Connected(t, srv)
		if !c.Connack.SessionPresent {
			t.Error("no session present")
		}
		p1Bye(t, old, mqttx.SessionTakenOver)
	})
	p1Bubble(t, "unknown method", func(t *testing.T) {
		p := p40Connect()
		p.AuthenticationMethod = "N"
		c, code := mqttest.TryConnect(t, p40Server(t), p)
		p1Code(t, "CONNACK", code, mqttx.BadAuthenticationMethod)
		c.Closed()
	})
}

// p46End takes the end of a connection that has had no CONNACK: none with Success may come.
func p46End(t *testing.T, c *mqttest.Client, code mqttx.ReasonCode) {
	t.Helper()
	if code != 0 {
		p1Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, code)
		c.Closed()
		return
	}
	c.Served()
	if b := c.Raw(); slices.Equal(b[:min(2, len(b))], []byte{0x20, 0}) || c.Connack != nil && c.Connack.Code == 0 {
		t.Errorf("% x", b)
	}
}
