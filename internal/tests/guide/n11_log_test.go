package guide_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n11Log is what a logger has written.
type n11Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *n11Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *n11Log) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.b.String(), "\n"), "\n")
}

// n11Each runs f with a text and with a JSON logger at the lowest level.
func n11Each(t *testing.T, f func(t *testing.T, log *n11Log, l *slog.Logger)) {
	t.Helper()
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	g1Bubble(t, "text", func(t *testing.T) { log := &n11Log{}; f(t, log, slog.New(slog.NewTextHandler(log, o))) })
	g1Bubble(t, "JSON", func(t *testing.T) { log := &n11Log{}; f(t, log, slog.New(slog.NewJSONHandler(log, o))) })
}

// n11Refuse refuses whatever comes, with an error that quotes it.
func n11Refuse() mqttx.Handler {
	return mqttx.Callbacks[int]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (int, error) {
			if strings.HasPrefix(r.ClientID, "in") {
				return 0, nil
			}
			return 0, &mqttx.Error{Code: mqttx.BadUserNameOrPassword, Err: errors.New("no such user: " + r.Username)}
		},
		Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
			return &mqttx.Error{Code: mqttx.NotAuthorized, Err: errors.New("not " + m.Topic)}
		},
		Subscribe: func(_ context.Context, _ int, s *mqttx.Subscription) error {
			return &mqttx.Error{Code: mqttx.NotAuthorized, Err: errors.New("not " + s.Filter)}
		},
	}
}

// Text of a client cannot end a record and begin another.
func TestGuide_N11_Forged(t *testing.T) {
	const forged = "a\nlevel=ERROR msg=forged"
	n11Each(t, func(t *testing.T, log *n11Log, l *slog.Logger) {
		s := g1Started(t, &mqttx.Server{Handler: n11Refuse(), Logger: l})
		c, _ := mqttest.TryConnect(t, s, g1Connect(forged, mqttx.V5))
		c.Served()
		lines := log.lines()
		if len(lines) != 1 {
			t.Fatalf("%d records: %q", len(lines), lines)
		}
		if !strings.Contains(lines[0], `a\nlevel=ERROR msg=forged`) || strings.HasPrefix(lines[0], "level=ERROR") {
			t.Errorf("record %s", lines[0])
		}
		in := mqttest.Connect(t, s, g1Connect("in "+forged, mqttx.V5))
		in.Publish("t/"+forged, "x", 1)
		in.Subscribe("t/"+forged, 1)
		in.Send(&packet.Disconnect{Code: 0x80, ReasonString: forged})
		in.Served()
		lines = log.lines()
		if len(lines) < 3 {
			t.Errorf("records %q", lines)
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "level=ERROR") || !strings.HasPrefix(line, "time=") && !json.Valid([]byte(line)) {
				t.Errorf("record %s", line)
			}
		}
	})
}

func TestGuide_N11_Long(t *testing.T) {
	n11Each(t, func(t *testing.T, log *n11Log, l *slog.Logger) {
		s := g1Started(t, &mqttx.Server{Handler: n11Refuse(), Logger: l})
		long := strings.Repeat("é", 65534/2)
		p := g1Connect(long, mqttx.V5)
		p.Username = long
		c, _ := mqttest.TryConnect(t, s, p)
		c.Served()
		in := mqttest.Connect(t, s, g1Connect("in"+long[:65000], mqttx.V5))
		in.Publish(long, "x", 1)
		in.Subscribe(long, 1)
		in.Disconnect(0)
		in.Served()
		lines := log.lines()
		if len(lines) < 3 {
			t.Errorf("records %q", lines)
		}
		for _, line := range lines {
			if len(line) >= 1024 {
				t.Errorf("a record of %d bytes: %.200s", len(line), line)
			}
		}
	})
}

// However many clients fail in a second, the records are few, and say how many there would have been.
func TestGuide_N11_Flood(t *testing.T) {
	g1Bubble(t, "text", func(t *testing.T) {
		log := &n11Log{}
		s := g1Started(t, &mqttx.Server{Handler: n11Refuse(), Logger: slog.New(slog.NewTextHandler(log, nil))})
		const connects = 10_000
		for i := range connects {
			c, _ := mqttest.TryConnect(t, s, g1Connect(fmt.Sprint("out", i), mqttx.V5))
			c.Closed()
		}
		n := len(log.lines())
		if n == 0 || n > 100 {
			t.Errorf("%d records", n)
		}
		mqttest.Advance(time.Second)
		c, _ := mqttest.TryConnect(t, s, g1Connect("out", mqttx.V5))
		c.Served()
		lines := log.lines()
		if last := lines[len(lines)-1]; len(lines) != n+1 || !strings.Contains(last, fmt.Sprint("skipped=", connects-n)) {
			t.Errorf("%d records more, the last %s; %d were not written", len(lines)-n, last, connects-n)
		}
	})
}

// Passwords and payloads are in no record.
func TestGuide_N11_Secrets(t *testing.T) {
	n11Each(t, func(t *testing.T, log *n11Log, l *slog.Logger) {
		s := g1Started(t, &mqttx.Server{Handler: n11Refuse(), Logger: l, Limits: mqttx.Limits{PacketSize: 1000}})
		for _, v := range g1Versions() {
			for _, id := range []string{"in" + v.String(), "out"} {
				p := g1Connect(id, v)
				p.Username, p.Password = "ann", []byte("hunter2")
				p.Will = &packet.Will{Topic: "w", Payload: []byte("hunter2")}
				if id == "out" {
					p.Will = nil
				}
				c, _ := mqttest.TryConnect(t, s, p)
				c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("hunter2"), QoS: 1, PacketID: 1})
				c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte(strings.Repeat("hunter2", 200))})
				c.Served()
			}
		}
		lines := log.lines()
		if len(lines) < 3 {
			t.Errorf("records %q", lines)
		}
		for _, line := range lines {
			if strings.Contains(line, "hunter2") || strings.Contains(line, "aHVudGVyM") {
				t.Errorf("record %s", line)
			}
		}
	})
}
