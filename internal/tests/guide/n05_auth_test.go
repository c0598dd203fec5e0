package guide_test

import (
	"context"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n05Server knows the method m: the client says its name, then "proof" of it, and then "end".
func n05Server(t *testing.T, notes *g1Notes) *mqttx.Server {
	t.Helper()
	return g1Started(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
		Auth: func(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
			if r.AuthMethod != "m" {
				return nil, nil
			}
			notes.add("auth")
			step := 0
			return func(_ context.Context, in []byte) ([]byte, bool, error) {
				step++
				switch step {
				case 1:
					r.Client.User = string(in)
					return []byte("prove it"), false, nil
				case 2:
					if string(in) != "proof of "+r.Client.User {
						return nil, false, mqttx.NotAuthorized
					}
					return []byte("and"), false, nil
				}
				return []byte("welcome"), true, nil
			}, nil
		},
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			notes.add("connect " + r.Client.User)
			return r.Conn, nil
		},
		Publish: func(_ context.Context, _ *mqttx.Conn, m *mqttx.Message) error {
			notes.add("publish " + m.Topic)
			return nil
		},
	}})
}

// n05Auth sends AUTH.
func n05Auth(c *mqttest.Client, code mqttx.ReasonCode, method, data string) {
	c.Send(&packet.Auth{Code: code, AuthenticationMethod: method, AuthenticationData: []byte(data)})
}

// n05Asked takes an AUTH.
func n05Asked(t *testing.T, c *mqttest.Client, code mqttx.ReasonCode, data string) {
	t.Helper()
	p := mqttest.Expect[*packet.Auth](c)
	if p.Code != code || p.AuthenticationMethod != "m" || string(p.AuthenticationData) != data {
		t.Errorf("AUTH %s, want %#.2x with %q", mqttest.Format(p), byte(code), data)
	}
}

// n05Begin sends CONNECT and answers up to the last step.
func n05Begin(t *testing.T, s *mqttx.Server) *mqttest.Client {
	t.Helper()
	c := mqttest.Dial(t, s)
	p := g70Keep("c", mqttx.V5)
	p.AuthenticationMethod, p.AuthenticationData = "m", []byte("ann")
	c.Send(p)
	n05Asked(t, c, mqttx.ContinueAuthentication, "prove it")
	return c
}

// n05In lets the client in.
func n05In(t *testing.T, s *mqttx.Server) *mqttest.Client {
	t.Helper()
	c := n05Begin(t, s)
	n05Auth(c, mqttx.ContinueAuthentication, "m", "proof of ann")
	n05Asked(t, c, mqttx.ContinueAuthentication, "and")
	n05Auth(c, mqttx.ContinueAuthentication, "m", "end")
	k := mqttest.Expect[*packet.Connack](c)
	if k.Code != mqttx.Success || k.AuthenticationMethod != "m" || string(k.AuthenticationData) != "welcome" {
		t.Fatalf("CONNACK %+v", *k)
	}
	return c
}

func TestGuide_N5_Exchange(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		notes := &g1Notes{}
		s := n05Server(t, notes)
		c := n05In(t, s)
		notes.want(t, "auth", "connect ann")
		if conn, ok := s.Conn("c"); !ok || conn.Client().User != "ann" {
			t.Error("the client is not ann")
		}
		c.Publish("t", "x", 1)
		notes.want(t, "auth", "connect ann", "publish t")
	})
}

func TestGuide_N5_Refused(t *testing.T) {
	refused := func(t *testing.T, s *mqttx.Server, notes *g1Notes, c *mqttest.Client, code mqttx.ReasonCode) {
		t.Helper()
		if code != 0 {
			g1Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, code)
		}
		c.Closed()
		c.Served()
		for _, call := range notes.all() {
			if call != "auth" {
				t.Errorf("call %q", call)
			}
		}
		if st := s.Stats(); st.Connections != 0 || st.Sessions != 0 {
			t.Errorf("left over: %+v", st)
		}
	}
	for name, x := range map[string]struct {
		p    packet.Packet
		code mqttx.ReasonCode
	}{
		"wrong proof":                  {&packet.Auth{Code: 0x18, AuthenticationMethod: "m", AuthenticationData: []byte("lie")}, mqttx.NotAuthorized},
		"another method":               {&packet.Auth{Code: 0x18, AuthenticationMethod: "n", AuthenticationData: []byte("proof of ann")}, mqttx.BadAuthenticationMethod},
		"re-authentication too early":  {&packet.Auth{Code: 0x19, AuthenticationMethod: "m", AuthenticationData: []byte("ann")}, mqttx.ProtocolError},
		"success is the server's word": {&packet.Auth{Code: 0, AuthenticationMethod: "m"}, mqttx.ProtocolError},
	} {
		g1Bubble(t, name, func(t *testing.T) {
			notes := &g1Notes{}
			s := n05Server(t, notes)
			c := n05Begin(t, s)
			c.Send(x.p)
			refused(t, s, notes, c, x.code)
		})
	}
	for name, p := range map[string]packet.Packet{
		"PUBLISH":   &packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1},
		"SUBSCRIBE": &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t"}}},
		"PINGREQ":   &packet.Pingreq{},
		"CONNECT":   g70Keep("c", mqttx.V5),
	} {
		g1Bubble(t, name, func(t *testing.T) {
			notes := &g1Notes{}
			s := n05Server(t, notes)
			c := n05Begin(t, s)
			before := len(c.Raw())
			c.Send(p)
			c.Served()
			if b := c.Raw()[before:]; len(b) > 0 && b[0] != 0x20 {
				t.Errorf("before CONNACK % x", b)
			} else if len(b) > 0 {
				refused(t, s, notes, c, mqttx.ProtocolError)
				return
			}
			refused(t, s, notes, c, 0)
		})
	}
	g1Bubble(t, "unknown method", func(t *testing.T) {
		notes := &g1Notes{}
		s := n05Server(t, notes)
		p := g70Keep("c", mqttx.V5)
		p.AuthenticationMethod = "n"
		c := mqttest.Dial(t, s)
		c.Send(p)
		refused(t, s, notes, c, mqttx.BadAuthenticationMethod)
	})
	g1Bubble(t, "no handler", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		p := g70Keep("c", mqttx.V5)
		p.AuthenticationMethod = "m"
		c := mqttest.Dial(t, s)
		c.Send(p)
		refused(t, s, &g1Notes{}, c, mqttx.BadAuthenticationMethod)
	})
}

func TestGuide_N5_Again(t *testing.T) {
	g1Bubble(t, "goes on", func(t *testing.T) {
		notes := &g1Notes{}
		s := n05Server(t, notes)
		c := n05In(t, s)
		c.Subscribe("t", 1)
		n05Auth(c, mqttx.ReAuthenticate, "m", "ann")
		n05Asked(t, c, mqttx.ContinueAuthentication, "prove it")
		g1Code(t, "PUBACK", c.Publish("t", "meanwhile", 1), mqttx.Success)
		g1Got(t, c.Receive(), "t", "meanwhile", 1, false)
		n05Auth(c, mqttx.ContinueAuthentication, "m", "proof of ann")
		n05Asked(t, c, mqttx.ContinueAuthentication, "and")
		n05Auth(c, mqttx.ContinueAuthentication, "m", "end")
		n05Asked(t, c, mqttx.Success, "welcome")
		c.Publish("t", "after", 1)
		g1Got(t, c.Receive(), "t", "after", 1, false)
		notes.want(t, "auth", "connect ann", "auth", "publish t", "publish t")
	})
	for name, x := range map[string]struct {
		method, data string
		code         mqttx.ReasonCode
	}{
		"another method": {"n", "ann", mqttx.BadAuthenticationMethod},
		"wrong proof":    {"m", "lie", mqttx.NotAuthorized},
	} {
		g1Bubble(t, name, func(t *testing.T) {
			s := n05Server(t, &g1Notes{})
			c := n05In(t, s)
			n05Auth(c, mqttx.ReAuthenticate, x.method, "ann")
			if x.method == "m" {
				n05Asked(t, c, mqttx.ContinueAuthentication, "prove it")
				n05Auth(c, mqttx.ContinueAuthentication, "m", x.data)
			}
			g1Bye(t, c, x.code)
			c.Served()
			if n := s.Stats().Connections; n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
	g1Bubble(t, "no method in CONNECT", func(t *testing.T) {
		c := mqttest.Connect(t, n05Server(t, &g1Notes{}), nil)
		n05Auth(c, mqttx.ReAuthenticate, "m", "ann")
		g1Bye(t, c, mqttx.ProtocolError)
	})
}
