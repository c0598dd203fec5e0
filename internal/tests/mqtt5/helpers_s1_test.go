package mqtt5_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// denial refuses with texts, so that packets could carry them.
func denial(code mqttx.ReasonCode) error {
	return &mqttx.Error{Code: code, Text: "this is not allowed here", User: []mqttx.UserProperty{{Name: "rule", Value: "number 17"}}}
}

// ruledServer refuses the password "wrong" and the client id "refused", and below "deny" all publishing, subscribing and
// unsubscribing, with texts. The user "strict" gets Server Keep Alive 2, "verbose" gets texts in CONNACK; all get Response
// Information if they ask for it. The authentication method "m" takes one challenge.
func ruledServer(t testing.TB) *mqttx.Server {
	judge := func(name string) error {
		if strings.HasPrefix(name, "deny") {
			return denial(mqttx.NotAuthorized)
		}
		return nil
	}
	s := &mqttx.Server{Logger: slog.New(slog.DiscardHandler)}
	s.Handler = mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			r.Reply.ResponseInfo = "answers/"
			switch {
			case string(r.Password) == "wrong":
				return nil, denial(mqttx.BadUserNameOrPassword)
			case r.ClientID == "refused":
				return nil, mqttx.ClientIdentifierNotValid
			case r.Username == "strict":
				r.KeepAlive = 2 * time.Second
			case r.Username == "verbose":
				r.Reply.Text, r.Reply.User = "welcome to this server", []mqttx.UserProperty{{Name: "node", Value: "number 17"}}
			}
			return r.Conn, nil
		},
		Publish:     func(_ context.Context, _ *mqttx.Conn, m *mqttx.Message) error { return judge(m.Topic) },
		Subscribe:   func(_ context.Context, _ *mqttx.Conn, s *mqttx.Subscription) error { return judge(s.Filter) },
		Unsubscribe: func(_ context.Context, _ *mqttx.Conn, s *mqttx.Subscription) error { return judge(s.Filter) },
		Auth: func(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
			if r.AuthMethod != "m" {
				return nil, nil
			}
			asked := false
			return func(context.Context, []byte) (out []byte, done bool, err error) {
				done, asked = asked, true
				return []byte("challenge"), done, nil
			}, nil
		},
	}
	mqttest.Start(t, s)
	return s
}

// dialogue runs the dialogues of a statement.
func dialogue(t *testing.T, statement string) {
	t.Helper()
	mqttest.RunScript(t, filepath.Join("testdata", statement+".txt"), ruledServer)
}

// dialogueWithout is dialogue on a server that does without a feature.
func dialogueWithout(t *testing.T, off mqttx.Feature, file string) {
	t.Helper()
	mqttest.RunScript(t, filepath.Join("testdata", file+".txt"), func(t testing.TB) *mqttx.Server {
		s := ruledServer(t)
		s.Disabled |= off
		return s
	})
}

// virtual runs f as a subtest in virtual time.
func virtual(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// watcher connects a client that subscribes to everything at QoS 2.
func watcher(t *testing.T, s *mqttx.Server) *mqttest.Client {
	t.Helper()
	c := mqttest.Connect(t, s, &packet.Connect{ClientID: "watcher", CleanStart: true})
	if code := c.Subscribe("#", 2); code != 2 {
		t.Fatalf("SUBSCRIBE: %v", code)
	}
	return c
}

// octets reads hex with spaces; 'text' in it stands for its bytes, "text" for its bytes behind their length.
func octets(s string) []byte {
	var b []byte
	for part := range strings.FieldsSeq(s) {
		switch part[0] {
		case '"':
			text := strings.Trim(part, `"`)
			b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
			b = append(b, text...)
		case '\'':
			b = append(b, strings.Trim(part, "'")...)
		default:
			raw, err := hex.DecodeString(part)
			if err != nil {
				panic(part + ": " + err.Error())
			}
			b = append(b, raw...)
		}
	}
	return b
}

// whole puts the Remaining Length, less than 128, behind the first of the octets.
func whole(text string) []byte {
	b := octets(text)
	return append([]byte{b[0], byte(len(b) - 1)}, b[1:]...)
}

// cases are octets by the name of their case.
type cases map[string]string

// violations sends to the server of a connected client, for each case, a packet that breaks the protocol, without its
// Remaining Length. DISCONNECT with the code and the end of the connection follow, the will is published, what stood behind
// is not read, and nothing else stays.
func violations(t *testing.T, code mqttx.ReasonCode, c cases) {
	t.Helper()
	for name, text := range c {
		virtual(t, name, func(t *testing.T) { violate(t, code, whole(text)) })
	}
}

func violate(t *testing.T, code mqttx.ReasonCode, b []byte) {
	t.Helper()
	s := ruledServer(t)
	w := watcher(t, s)
	c := mqttest.Connect(t, s, &packet.Connect{ClientID: "c", CleanStart: true, Will: &packet.Will{Topic: "w", Payload: []byte("gone")}})
	before := len(c.Raw())
	c.Write(append(b, whole(`30 "t" 00 'no'`)...))
	mqttest.Expect[*packet.Disconnect](c)
	c.Closed()
	if got, want := c.Raw()[before:], []byte{0xe0, 1, byte(code)}; !bytes.Equal(got, want) && !bytes.Equal(got, append([]byte{0xe0, 2}, byte(code), 0)) {
		t.Errorf("the client got % x, want DISCONNECT %v", got, code)
	}
	if m := w.Receive(); string(m.Topic) != "w" || string(m.Payload) != "gone" {
		t.Errorf("%s, want the will", mqttest.Format(m))
	}
	w.Nothing()
	if st := s.Stats(); st.Connections != 1 || st.Sessions != 1 || st.Subscriptions != 1 || st.Retained != 0 {
		t.Errorf("%+v stays behind", st)
	}
}

// badConnects sends for each case a CONNECT whose Connect Flags and, after the Keep Alive, properties and payload are given.
// CONNACK with the code and nothing else is the answer; it is closed and nothing stays.
func badConnects(t *testing.T, code mqttx.ReasonCode, c cases) {
	t.Helper()
	for name, text := range c {
		flags, rest, _ := strings.Cut(text, " ")
		virtual(t, name, func(t *testing.T) { badConnect(t, code, whole(`10 "MQTT" 05 `+flags+" 0000 "+rest)) })
	}
}

func badConnect(t *testing.T, code mqttx.ReasonCode, b []byte) {
	t.Helper()
	s := ruledServer(t)
	w := watcher(t, s)
	c := mqttest.Dial(t, s)
	c.Write(append(b, whole(`30 "t" 00 'no'`)...))
	if err := c.Served(); err == nil {
		t.Error("served")
	}
	synctest.Wait()
	if got := c.Raw(); !bytes.Equal(got, []byte{0x20, 3, 0, byte(code), 0}) {
		t.Errorf("the client got % x, want CONNACK %v", got, code)
	}
	w.Nothing()
	if st := s.Stats(); st.Connections != 1 || st.Sessions != 1 {
		t.Errorf("%+v stays behind", st)
	}
}
