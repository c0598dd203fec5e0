// Package mqtt311_test proves the numbered statements of MQTT 3.1.1, one function for each. What holds for MQTT 3.1 too is
// run in both versions.
package mqtt311_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// newServer refuses the password "wrong" and the client id "refused", and lets nobody publish or subscribe below "deny".
func newServer(t testing.TB) *mqttx.Server {
	s := &mqttx.Server{Logger: slog.New(slog.DiscardHandler)}
	s.Handler = mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			switch {
			case string(r.Password) == "wrong":
				return nil, mqttx.BadUserNameOrPassword
			case r.ClientID == "refused":
				return nil, mqttx.ClientIdentifierNotValid
			}
			return r.Conn, nil
		},
		Allow: func(_ context.Context, a mqttx.Access) error {
			if strings.HasPrefix(a.Topic, "deny") {
				return mqttx.NotAuthorized
			}
			return nil
		},
	}
	mqttest.Start(t, s)
	return s
}

// script runs the dialogues of a statement in 3.1.1, as they are written, and in 3.1, which has no Session Present flag.
func script(t *testing.T, statement string) {
	t.Helper()
	t.Run("3.1.1", func(t *testing.T) { script311(t, statement) })
	t.Run("3.1", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join("testdata", statement+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		old := strings.NewReplacer("CONNECT v311", "CONNECT v31", "present=1", "present=0").Replace(string(text))
		path := filepath.Join(t.TempDir(), statement+".txt")
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		mqttest.RunScript(t, path, newServer)
	})
}

// script311 is script for what 3.1 has otherwise.
func script311(t *testing.T, statement string) {
	t.Helper()
	mqttest.RunScript(t, filepath.Join("testdata", statement+".txt"), newServer)
}

// each runs f in virtual time in 3.1 and 3.1.1.
func each(t *testing.T, f func(t *testing.T, v mqttx.Version)) {
	t.Helper()
	for _, v := range []mqttx.Version{mqttx.V31, mqttx.V311} {
		bubble(t, v.String(), func(t *testing.T) { f(t, v) })
	}
}

// bubble runs f as a subtest in virtual time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// join connects a client; clean is Clean Session.
func join(t *testing.T, s *mqttx.Server, v mqttx.Version, id string, clean bool) *mqttest.Client {
	t.Helper()
	return mqttest.Connect(t, s, &packet.Connect{Version: v, ClientID: id, CleanStart: clean})
}

// subscriber connects a client with Clean Session that subscribes at QoS 2.
func subscriber(t *testing.T, s *mqttx.Server, v mqttx.Version, filters ...string) *mqttest.Client {
	t.Helper()
	c := join(t, s, v, "subscriber", true)
	for _, f := range filters {
		if code := c.Subscribe(f, 2); code != 2 {
			t.Fatalf("SUBSCRIBE %s: %v", f, code)
		}
	}
	return c
}

// gets takes the next messages, written as topic=payload, and makes sure that no more come.
func gets(t *testing.T, c *mqttest.Client, want ...string) {
	t.Helper()
	for _, w := range want {
		if p := c.Receive(); string(p.Topic)+"="+string(p.Payload) != w {
			t.Errorf("%s=%s, want %s", p.Topic, p.Payload, w)
		}
	}
	c.Nothing()
}

// octets reads hex with spaces; 'text' in it stands for its bytes, "text" for its bytes behind their length. Texts have no
// spaces.
func octets(s string) []byte {
	var b []byte
	for part := range strings.FieldsSeq(s) {
		switch {
		case part[0] == '"':
			text := strings.Trim(part, `"`)
			b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
			b = append(b, text...)
		case part[0] == '\'':
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

// framed puts the fixed header before a body of less than 128 bytes.
func framed(first byte, body []byte) []byte { return append([]byte{first, byte(len(body))}, body...) }

// cases are bytes by the name of their case.
type cases map[string]string

// violations sends to a connected client's server, for each case, a packet that breaks the protocol. The connection is closed
// without an answer, as a network failure: the will is published; and others notice nothing else.
func violations(t *testing.T, c cases) {
	t.Helper()
	for name, text := range c {
		t.Run(name, func(t *testing.T) { each(t, func(t *testing.T, v mqttx.Version) { violate(t, v, octets(text)) }) })
	}
}

func violate(t *testing.T, v mqttx.Version, b []byte) {
	t.Helper()
	s := newServer(t)
	other := subscriber(t, s, v, "#")
	c := mqttest.Connect(t, s, &packet.Connect{
		Version: v, ClientID: "c", CleanStart: true, Will: &packet.Will{Topic: "w", Payload: []byte("gone")},
	})
	c.Write(append(b, octets(`30 05 "t" 'no'`)...))
	c.Closed()
	if got := c.Raw(); !bytes.Equal(got, []byte{0x20, 2, 0, 0}) {
		t.Errorf("the client got % x, want CONNACK alone", got)
	}
	gets(t, other, "w=gone")
	if st := s.Stats(); st.Connections != 1 || st.Sessions != 1 || st.Subscriptions != 1 || st.Retained != 0 {
		t.Errorf("%+v stays behind", st)
	}
}

// badConnects sends for each case a CONNECT whose Connect Flags and payload are given. It is closed without a byte and leaves
// nothing behind.
func badConnects(t *testing.T, versions []mqttx.Version, c cases) {
	t.Helper()
	for name, text := range c {
		for _, v := range versions {
			bubble(t, name+" "+v.String(), func(t *testing.T) { badConnect(t, v, framed(0x10, connectBody(v, text))) })
		}
	}
}

func badConnect(t *testing.T, v mqttx.Version, b []byte) {
	t.Helper()
	s := newServer(t)
	other := subscriber(t, s, v, "#")
	c := mqttest.Dial(t, s)
	c.Write(b)
	c.Closed()
	if got := c.Raw(); len(got) != 0 {
		t.Errorf("the client got % x", got)
	}
	other.Nothing()
	if st := s.Stats(); st.Connections != 1 || st.Sessions != 1 {
		t.Errorf("%+v stays behind", st)
	}
}

// connectBody is a CONNECT without its fixed header: flagsAndPayload is the Connect Flags and, after a space, the payload.
func connectBody(v mqttx.Version, flagsAndPayload string) []byte {
	flags, payload, _ := strings.Cut(flagsAndPayload, " ")
	name := `"MQTT" 04 `
	if v == mqttx.V31 {
		name = `"MQIsdp" 03 `
	}
	return octets(name + flags + " 0000 " + payload)
}

var (
	both    = []mqttx.Version{mqttx.V31, mqttx.V311}
	only311 = []mqttx.Version{mqttx.V311}
)
