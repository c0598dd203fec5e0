package guide_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g38Bubble runs f as a subtest in virtual time.
func g38Bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// g38Each runs f in virtual time for each version, all three if none is named.
func g38Each(t *testing.T, f func(t *testing.T, v mqttx.Version), versions ...mqttx.Version) {
	t.Helper()
	if len(versions) == 0 {
		versions = []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}
	}
	for _, v := range versions {
		g38Bubble(t, v.String(), func(t *testing.T) { f(t, v) })
	}
}

// g38Server starts s without a log.
func g38Server(t *testing.T, s *mqttx.Server) *mqttx.Server {
	t.Helper()
	s.Logger = slog.New(slog.DiscardHandler)
	mqttest.Start(t, s)
	return s
}

// g38Subscriber connects an MQTT 5.0 client that subscribes at QoS 2.
func g38Subscriber(t *testing.T, s *mqttx.Server, filters ...string) *mqttest.Client {
	t.Helper()
	c := mqttest.Connect(t, s, nil)
	for _, f := range filters {
		if code := c.Subscribe(f, 2); code != 2 {
			t.Fatalf("SUBSCRIBE %s: %v", f, code)
		}
	}
	return c
}

// g38Bye takes the end that the server has made: DISCONNECT with code in MQTT 5.0, in the others no byte.
func g38Bye(t *testing.T, c *mqttest.Client, code mqttx.ReasonCode) *packet.Disconnect {
	t.Helper()
	if c.Version != mqttx.V5 {
		c.Closed()
		return nil
	}
	p := mqttest.Expect[*packet.Disconnect](c)
	if p.Code != code {
		t.Errorf("DISCONNECT %v, want %v", p.Code, code)
	}
	c.Closed()
	return p
}

// g38Gets takes the next messages and compares their payloads in order; nothing else may come.
func g38Gets(t *testing.T, c *mqttest.Client, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		if p := c.Receive(); string(p.Payload) != want {
			t.Errorf("%q on %q, want %q", p.Payload, p.Topic, want)
		}
	}
	c.Nothing()
}

// g38Send sends a PUBLISH of QoS 1 or 2 and gives the code of its PUBACK or PUBREC; no PUBREL follows.
func g38Send(t *testing.T, c *mqttest.Client, p *packet.Publish) mqttx.ReasonCode {
	t.Helper()
	c.Send(p)
	if p.QoS == 1 {
		ack := mqttest.Expect[*packet.Puback](c)
		if ack.PacketID != p.PacketID {
			t.Errorf("PUBACK of %d, want %d", ack.PacketID, p.PacketID)
		}
		return ack.Code
	}
	ack := mqttest.Expect[*packet.Pubrec](c)
	if ack.PacketID != p.PacketID {
		t.Errorf("PUBREC of %d, want %d", ack.PacketID, p.PacketID)
	}
	return ack.Code
}

// g38Accepted tells whether code acknowledges a message, with or without subscribers.
func g38Accepted(code mqttx.ReasonCode) bool { return code < 0x80 }

// g38Release sends PUBREL and gives the code of PUBCOMP.
func g38Release(t *testing.T, c *mqttest.Client, id uint16) mqttx.ReasonCode {
	t.Helper()
	c.Send(&packet.Pubrel{PacketID: id})
	p := mqttest.Expect[*packet.Pubcomp](c)
	if p.PacketID != id {
		t.Errorf("PUBCOMP of %d, want %d", p.PacketID, id)
	}
	return p.Code
}

// g38Record notes the calls of Disconnected and SessionExpired, as "disconnected a" and "expired a" for client id a.
type g38Record struct {
	mu    sync.Mutex
	calls []string
	whys  []*mqttx.DisconnectError
	who   []mqttx.Client // that SessionExpired was called with
}

// callbacks gives callbacks that record; T is the connection, so others may be added.
func (r *g38Record) callbacks() mqttx.Callbacks[*mqttx.Conn] {
	return mqttx.Callbacks[*mqttx.Conn]{
		Disconnected: func(_ context.Context, c *mqttx.Conn, why error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			var d *mqttx.DisconnectError
			errors.As(why, &d)
			r.calls = append(r.calls, "disconnected "+c.ClientID())
			r.whys = append(r.whys, d)
		},
		SessionExpired: func(_ context.Context, c mqttx.Client) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.calls = append(r.calls, "expired "+c.ID)
			r.who = append(r.who, c)
		},
	}
}

// want compares all calls so far, in order; it waits until nothing moves, so it is for bubbles.
func (r *g38Record) want(t *testing.T, calls ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.calls, calls) {
		t.Errorf("calls %q, want %q", r.calls, calls)
	}
}

// why gives the reason of the only Disconnected call so far.
func (r *g38Record) why(t *testing.T) *mqttx.DisconnectError {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.whys) != 1 || r.whys[0] == nil {
		t.Fatalf("Disconnected with %v, want one *DisconnectError", r.whys)
	}
	return r.whys[0]
}
