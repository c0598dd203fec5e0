package guide_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1Refusals are the errors of Connect with what each version answers; v3 below 0: closed without CONNACK.
func g1Refusals() []g1Refusal {
	list := []g1Refusal{
		{mqttx.UnspecifiedError, 0x80, 3},
		{mqttx.MalformedPacket, 0x81, -1},
		{mqttx.ProtocolError, 0x82, -1},
		{mqttx.ImplementationSpecificError, 0x83, 3},
		{mqttx.UnsupportedProtocolVersion, 0x84, 1},
		{mqttx.ClientIdentifierNotValid, 0x85, 2},
		{mqttx.BadUserNameOrPassword, 0x86, 4},
		{mqttx.NotAuthorized, 0x87, 5},
		{mqttx.ServerUnavailable, 0x88, 3},
		{mqttx.ServerBusy, 0x89, 3},
		{mqttx.Banned, 0x8A, 5},
		{mqttx.BadAuthenticationMethod, 0x8C, 5},
		{mqttx.TopicNameInvalid, 0x90, -1},
		{mqttx.PacketTooLarge, 0x95, -1},
		{mqttx.QuotaExceeded, 0x97, 3},
		{mqttx.PayloadFormatInvalid, 0x99, -1},
		{mqttx.RetainNotSupported, 0x9A, -1},
		{mqttx.QoSNotSupported, 0x9B, -1},
		{mqttx.UseAnotherServer, 0x9C, 3},
		{mqttx.ServerMoved, 0x9D, 3},
		{mqttx.ConnectionRateExceeded, 0x9F, 3},
		{errors.New("no code"), 0x80, 3},
		{mqttx.Success, 0x80, 3}, // no refusal: a mistake
		{mqttx.Disconnect(mqttx.ServerBusy), 0x89, 3},
	}
	for _, c := range []mqttx.ReasonCode{0x8B, 0x8D, 0x8E, 0x8F, 0x91, 0x92, 0x93, 0x94, 0x96, 0x98, 0x9E, 0xA0, 0xA1, 0xA2} {
		list = append(list, g1Refusal{c, 0x80, 3}) // not for CONNACK
	}
	return list
}

type g1Refusal struct {
	err error
	v5  mqttx.ReasonCode
	v3  int
}

// Each code of a refusal is answered as the version can say it, and nothing of the client stays.
func TestGuide_G4_Codes(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		answers := make(chan error, 1)
		s := g1Started(t, g1Quiet(g1Answering(t, answers)))
		g1AllRefused(t, s, v, g1Refusals(), answers, func() *mqttest.Client { return mqttest.Dial(t, s) })
	})
}

func TestGuide_G4_Transports(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		answers := make(chan error, 1)
		s := g1Quiet(g1Answering(t, answers))
		n := on.Start(t, s)
		g1AllRefused(t, s, v, []g1Refusal{
			{mqttx.BadUserNameOrPassword, 0x86, 4},
			{mqttx.Banned, 0x8A, 5},
			{mqttx.QoSNotSupported, 0x9B, -1},
			{mqttx.SessionTakenOver, 0x80, 3},
		}, answers, n.Dial)
	})
}

// g1Answering gives back as T, and as the error of Connect, what comes by a channel.
func g1Answering(t *testing.T, answers <-chan error) mqttx.Handler {
	return mqttx.Callbacks[error]{
		Connect: func(context.Context, *mqttx.ConnectRequest) (error, error) {
			err := <-answers
			return err, err
		},
		Disconnected: func(_ context.Context, refused, _ error) {
			if refused != nil {
				t.Errorf("%v: Disconnected of a client that was refused", refused)
			}
		},
	}
}

func g1AllRefused(t *testing.T, s *mqttx.Server, v mqttx.Version, list []g1Refusal, answers chan<- error, dial func() *mqttest.Client) {
	t.Helper()
	for _, r := range list {
		answers <- r.err
		c := dial()
		c.Send(g1Connect("c", v))
		switch {
		case v == mqttx.V5:
			p := mqttest.Expect[*packet.Connack](c)
			if p.Code != r.v5 || p.SessionPresent || p.ReasonString != "" {
				t.Errorf("%v: CONNACK %v, session present %v, %q", r.err, p.Code, p.SessionPresent, p.ReasonString)
			}
			c.Closed()
		case r.v3 < 0:
			c.Closed()
			if got := c.Raw(); len(got) > 0 {
				t.Errorf("%v: % x, want nothing", r.err, got)
			}
		default:
			c.Next()
			c.Closed()
			if got, want := c.Raw(), []byte{0x20, 2, 0, byte(r.v3)}; !bytes.Equal(got, want) {
				t.Errorf("%v: % x, want % x", r.err, got, want)
			}
		}
		if st := s.Stats(); st.Sessions != 0 || st.Connections != 0 {
			t.Errorf("%v: %d sessions and %d connections left", r.err, st.Sessions, st.Connections)
		}
	}
	answers <- nil
	c := dial()
	g1Code(t, "CONNACK", c.Connect(&packet.Connect{Version: v, ClientID: "c"}), mqttx.Success)
	if c.Connack.SessionPresent {
		t.Error("a refused CONNECT has left a session")
	}
	c.Nothing()
}

// What an *Error says besides the code is for MQTT 5.0.
func TestGuide_G4_Text(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		user := []mqttx.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		s := g1Quiet(mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			if r.ClientID == "moved" {
				return &mqttx.Error{Code: mqttx.ServerMoved, ServerReference: "elsewhere"}
			}
			return &mqttx.Error{Code: mqttx.NotAuthorized, Text: "no", User: user, Err: errors.New("secret")}
		}))
		n := on.Start(t, s)
		c, code := n.TryConnect(g1Connect("c", v))
		g1Code(t, "CONNACK", code, g1Wire(v, 0x87, 5))
		c.Closed()
		if v != mqttx.V5 {
			return
		}
		if c.Connack.ReasonString != "no" || !cmp.Equal(c.Connack.User, user) || bytes.Contains(c.Raw(), []byte("secret")) {
			t.Errorf("CONNACK says %q, %v", c.Connack.ReasonString, c.Connack.User)
		}
		c, code = n.TryConnect(g1Connect("moved", v))
		g1Code(t, "CONNACK", code, mqttx.ServerMoved)
		if c.Connack.ServerReference != "elsewhere" {
			t.Errorf("Server Reference %q", c.Connack.ServerReference)
		}
	})
}

// Connect is shown what CONNECT says.
func TestGuide_G4_Request(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		asked := make(chan *mqttx.ConnectRequest, 1)
		s := g1Quiet(mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			n := *r
			n.Password = bytes.Clone(r.Password)
			n.Will = r.Will.Clone()
			asked <- &n
			return nil
		}))
		n := on.Start(t, s)
		p := &packet.Connect{
			Version: v, ClientID: "c", CleanStart: v == mqttx.V5, KeepAlive: 77, HasUsername: true, Username: "u", Password: []byte("p"),
			Will: &packet.Will{Topic: "w/t", Payload: []byte("gone"), QoS: 1, Retain: true},
		}
		want := mqttx.ConnectRequest{
			ClientID: "c", Client: mqttx.Client{ID: "c"}, Username: "u", HasUsername: true, CleanStart: v == mqttx.V5,
			Password: []byte("p"), KeepAlive: 77 * time.Second, SessionExpiry: -1,
			Will: &mqttx.Message{Topic: "w/t", Payload: []byte("gone"), QoS: 1, Retain: true, Will: true},
		}
		if v == mqttx.V5 {
			p.SessionExpiryInterval = new(uint32(300))
			p.User = []mqttx.UserProperty{{Name: "k", Value: "2"}, {Name: "k", Value: "1"}}
			p.Will.DelayInterval = 9
			p.Will.ContentType, p.Will.ResponseTopic, p.Will.CorrelationData = "text/plain", "r/t", []byte{0, 1}
			p.Will.PayloadFormat = mqttx.FormatUTF8
			p.Will.User = []mqttx.UserProperty{{Name: "w", Value: "x"}}
			want.SessionExpiry, want.WillDelay = 300*time.Second, 9*time.Second
			want.Props = &mqttx.Properties{User: p.User}
			want.Will.Props = &mqttx.Properties{
				ContentType: "text/plain", ResponseTopic: "r/t", CorrelationData: []byte{0, 1},
				PayloadFormat: mqttx.FormatUTF8, User: p.Will.User,
			}
		}
		c := n.Connect(p)
		got := g1Await(t, "Connect", asked)
		conn := got.Conn
		got.Conn = nil
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(mqttx.Client{})); diff != "" {
			t.Errorf("the request (-want +got):\n%s", diff)
		}
		if conn.Version() != v || conn.ClientID() != "c" {
			t.Errorf("Conn of MQTT %v, client id %q", conn.Version(), conn.ClientID())
		}
		if state := conn.TLS(); (state != nil) != on.Secure() || state != nil && !state.HandshakeComplete {
			t.Errorf("TLS state %v", state)
		}
		g1Addresses(t, n, on, conn)
		c.Nothing()
	})
}

// g1Addresses judges the addresses of a connection over a transport.
func g1Addresses(t *testing.T, n *testnet.Net, on testnet.Transport, conn *mqttx.Conn) {
	t.Helper()
	switch on {
	case testnet.Pipe:
		return
	case testnet.Unix, testnet.UnixLoop:
		if conn.RemoteAddr().Network() != "unix" || conn.LocalAddr().String() != n.Addr() {
			t.Errorf("addresses %v, %v", conn.RemoteAddr(), conn.LocalAddr())
		}
		return
	}
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !remote.IP.IsLoopback() || remote.Port == 0 || conn.LocalAddr().String() != n.Addr() {
		t.Errorf("addresses %v, %v; the server is at %s", conn.RemoteAddr(), conn.LocalAddr(), n.Addr())
	}
}

// The password is shown as it was sent, absent or empty, and wiped afterwards, whatever Connect answers.
func TestGuide_G5_Password(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		for _, c := range []struct {
			name     string
			password []byte
			answer   error
		}{
			{"bytes", []byte{0x00, 0xFF, 0x80}, nil},
			{"refused", []byte{0x00, 0xFF, 0x80}, mqttx.BadUserNameOrPassword},
			{"none", nil, nil},
			{"empty", []byte{}, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				var seen, kept []byte
				s := g1Quiet(mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
					seen, kept = bytes.Clone(r.Password), r.Password
					if r.Username != "u\u00e9" || !r.HasUsername {
						t.Errorf("Connect saw user name %q (%v)", r.Username, r.HasUsername)
					}
					return c.answer
				}))
				n := on.Start(t, s)
				client, code := n.TryConnect(&packet.Connect{
					Version: v, ClientID: "c", CleanStart: true, HasUsername: true, Username: "u\u00e9", Password: c.password,
				})
				if (code == mqttx.Success) != (c.answer == nil) {
					t.Errorf("CONNACK %v", code)
				}
				client.Drop()
				if err := s.Shutdown(t.Context()); err != nil { // so that nobody is at work with it
					t.Errorf("Shutdown: %v", err)
				}
				if !bytes.Equal(seen, c.password) || (seen == nil) != (c.password == nil) {
					t.Errorf("Connect saw % x (nil: %v)", seen, seen == nil)
				}
				if !bytes.Equal(kept, make([]byte, len(c.password))) {
					t.Errorf("a kept password reads % x", kept)
				}
			})
		}
	})
}

// An absent user name and an empty one can be told apart, and a password alone is one of MQTT 5.0.
func TestGuide_G5_Username(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		asked := make(chan mqttx.ConnectRequest, 1)
		s := g1Quiet(mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			n := *r
			n.Password = bytes.Clone(r.Password)
			asked <- n
			return nil
		}))
		n := on.Start(t, s)
		for _, has := range []bool{false, true} {
			n.Connect(&packet.Connect{Version: v, ClientID: "c", CleanStart: true, HasUsername: has}).Drop()
			if r := g1Await(t, "Connect", asked); r.HasUsername != has || r.Username != "" || r.Password != nil {
				t.Errorf("user name %v: Connect saw %v, %q, %v", has, r.HasUsername, r.Username, r.Password)
			}
		}
		if v == mqttx.V5 {
			n.Connect(&packet.Connect{Version: v, ClientID: "c", CleanStart: true, Password: []byte("p")}).Drop()
			if r := g1Await(t, "Connect", asked); r.HasUsername || string(r.Password) != "p" {
				t.Errorf("Connect saw %v, %q", r.HasUsername, r.Password)
			}
		}
	})
}

// A password is wiped after the last Connect of a chain, not before.
func TestGuide_G5_Chain(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var kept [][]byte
		check := mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			if string(r.Password) != "secret" {
				return mqttx.BadUserNameOrPassword
			}
			kept = append(kept, r.Password)
			return nil
		})
		replace := mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			r.Password = nil
			return nil
		})
		s := mqttest.NewServer(t, mqttx.Chain(check, check, replace))
		mqttest.Connect(t, s, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, HasUsername: true, Password: []byte("secret")})
		for _, k := range kept {
			if !bytes.Equal(k, make([]byte, len("secret"))) {
				t.Errorf("a kept password reads %q", k)
			}
		}
		if len(kept) != 2 {
			t.Errorf("%d handlers have seen the password", len(kept))
		}
	})
}
