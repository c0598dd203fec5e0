package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

func TestParseFormat(t *testing.T) {
	m := &packet.Publish{Topic: []byte("a/b"), Payload: []byte("50%p"), QoS: 2, Retain: true, SubscriptionIDs: []uint32{1, 23}}
	for _, tt := range []struct{ in, want string }{
		{"payload", "50%p"},
		{"topic", "a/b 50%p"},
		{"json", `{"topic":"a/b","qos":2,"retain":true,"payload":"50%p","subscription_ids":[1,23]}`},
		{"%t", "a/b"},
		{"%%%%p", "%%p"},
		{"<%q%r %i>", "<21 1,23>"},
		{"%p\t", "50%p\t"},
	} {
		f, err := parseFormat(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
		} else if got := string(f([]byte("before "), m)); got != "before "+tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, in := range []string{"", "text", "%", "%t%", "%T", "%é"} {
		if _, err := parseFormat(in); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func FuzzParseFormat(f *testing.F) {
	f.Add("%t %p", "a/b", []byte("x"))
	f.Add("json", "a", []byte{0xFF})
	f.Fuzz(func(t *testing.T, s, topic string, payload []byte) {
		show, err := parseFormat(s)
		if err != nil {
			return
		}
		got := string(show(nil, &packet.Publish{Topic: []byte(topic), Payload: payload}))
		switch {
		case s == "json" && !json.Valid([]byte(got)):
			t.Errorf("no JSON: %q", got)
		case s == "json" && strings.Contains(got, "\n"):
			t.Errorf("more than a line: %q", got)
		case s == "%t" && got != topic, s == "%p" && got != string(payload):
			t.Errorf("%q: %q", s, got)
		}
	})
}
