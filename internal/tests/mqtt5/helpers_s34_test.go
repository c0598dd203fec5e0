// Package mqtt5_test proves the numbered statements of MQTT 5.0, one function for each.
package mqtt5_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// judging gives a server that refuses what the topic or filter asks it to refuse, see verdict, and that knows the
// Authentication Method "two", see twoSteps.
func judging(t testing.TB) *mqttx.Server {
	s := &mqttx.Server{Logger: slog.New(slog.DiscardHandler)}
	s.Handler = mqttx.Callbacks[*mqttx.Conn]{
		Connect:   func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) { return r.Conn, nil },
		Publish:   func(_ context.Context, _ *mqttx.Conn, m *mqttx.Message) error { return verdict(m.Topic) },
		Subscribe: func(_ context.Context, _ *mqttx.Conn, s *mqttx.Subscription) error { return verdict(s.Filter) },
		Unsubscribe: func(_ context.Context, _ *mqttx.Conn, s *mqttx.Subscription) error {
			return verdict(strings.TrimPrefix(s.Filter, "keep/"))
		},
		Auth: twoSteps,
	}
	mqttest.Start(t, s)
	return s
}

// verdict reads code/87 as a refusal with this code, and text/3/2 as one with NotAuthorized, a Reason String of three bytes
// and a User Property whose value has two; 0 means none. Everything else is allowed.
func verdict(topic string) error {
	part := strings.Split(topic, "/")
	switch {
	case part[0] == "code" && len(part) == 2:
		if n, err := strconv.ParseUint(part[1], 16, 8); err == nil {
			return mqttx.ReasonCode(n)
		}
	case part[0] == "text" && len(part) == 3:
		text, err1 := strconv.Atoi(part[1])
		value, err2 := strconv.Atoi(part[2])
		if err1 == nil && err2 == nil {
			return refusal(text, value)
		}
	}
	return nil
}

// refusal is NotAuthorized with texts of these lengths.
func refusal(text, value int) *mqttx.Error {
	e := &mqttx.Error{Code: mqttx.NotAuthorized, Text: strings.Repeat("t", text)}
	if value > 0 {
		e.User = []mqttx.UserProperty{{Name: "k", Value: strings.Repeat("v", value)}}
	}
	return e
}

// twoSteps answers "hello" with a question; "right" is the answer to it, "other" that of another user. "enough" needs no
// question.
func twoSteps(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
	if r.AuthMethod != "two" {
		return nil, nil
	}
	asked := false
	return func(_ context.Context, in []byte) ([]byte, bool, error) {
		switch {
		case !asked && string(in) == "hello":
			asked = true
			return []byte("question"), false, nil
		case asked && (string(in) == "right" || string(in) == "other"):
			r.Client.User = map[string]string{"right": "u", "other": "v"}[string(in)]
			return []byte("bye"), true, nil
		case string(in) == "enough":
			r.Client.User = "u"
			return nil, true, nil
		}
		return nil, false, mqttx.NotAuthorized
	}, nil
}

// play runs the dialogues of a statement.
func play(t *testing.T, statement string) {
	t.Helper()
	mqttest.RunScript(t, filepath.Join("testdata", statement+".txt"), judging)
}

// virtually runs f as a subtest in virtual time with a judging server.
func virtually(t *testing.T, name string, f func(t *testing.T, s *mqttx.Server)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, judging(t)) }) })
}

// enter connects a client with Clean Start and subscribes it at QoS 2.
func enter(t *testing.T, s *mqttx.Server, id string, filters ...string) *mqttest.Client {
	t.Helper()
	c := mqttest.Connect(t, s, &packet.Connect{ClientID: id, CleanStart: true})
	for _, f := range filters {
		if code := c.Subscribe(f, 2); code != 2 {
			t.Fatalf("SUBSCRIBE %s: %v", f, code)
		}
	}
	return c
}

// resume connects a client without Clean Start whose session lives for an hour.
func resume(t *testing.T, s *mqttx.Server, id string) *mqttest.Client {
	t.Helper()
	expiry := uint32(3600)
	return mqttest.Connect(t, s, &packet.Connect{ClientID: id, SessionExpiryInterval: &expiry})
}

// takes takes the next messages, written as topic=payload, and makes sure that no more come.
func takes(t *testing.T, c *mqttest.Client, want ...string) {
	t.Helper()
	for _, w := range want {
		if p := c.Receive(); string(p.Topic)+"="+string(p.Payload) != w {
			t.Errorf("%s=%s, want %s", p.Topic, p.Payload, w)
		}
	}
	c.Nothing()
}

// raw makes a packet of its first byte and its body, written in hex with spaces; "text" in it is a string with its length
// before it.
func raw(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	for _, part := range strings.Fields(s) {
		if text, ok := strings.CutPrefix(part, `"`); ok {
			text = strings.TrimSuffix(text, `"`)
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
			continue
		}
		bits, err := hex.DecodeString(part)
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		b = append(b, bits...)
	}
	return append(binary.AppendUvarint(b[:1:1], uint64(len(b)-1)), b[1:]...)
}

// offence is a packet that ends the connection, and the code of the DISCONNECT that says so.
type offence struct {
	name, packet string
	code         mqttx.ReasonCode
}

// offend commits each offence on an open connection, with a PUBLISH behind it in the same write. The client gets DISCONNECT
// and nothing else, its will is published, the PUBLISH is not, and nothing of it stays behind.
func offend(t *testing.T, offences ...offence) {
	t.Helper()
	for _, o := range offences {
		virtually(t, o.name, func(t *testing.T, s *mqttx.Server) {
			other := enter(t, s, "other", "#")
			c := mqttest.Connect(t, s, &packet.Connect{
				ClientID: "c", CleanStart: true, Will: &packet.Will{Topic: "w", Payload: []byte("gone")},
			})
			c.Write(append(raw(t, o.packet), raw(t, `30 "t" 00`)...))
			if d := mqttest.Expect[*packet.Disconnect](c); d.Code != o.code {
				t.Errorf("DISCONNECT with %v, want %v", d.Code, o.code)
			}
			c.Closed()
			takes(t, other, "w=gone")
			if st := s.Stats(); st.Connections != 1 || st.Sessions != 1 || st.Subscriptions != 1 || st.Retained != 0 || st.Queued != 0 {
				t.Errorf("%+v stays behind", st)
			}
		})
	}
}
