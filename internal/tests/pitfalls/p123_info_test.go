package pitfalls_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p123Calls notes calls in their order.
type p123Calls struct {
	mu    sync.Mutex
	calls []string
}

func (x *p123Calls) add(call string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calls = append(x.calls, call)
}

func (x *p123Calls) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.calls)
}

func (x *p123Calls) want(t *testing.T, calls ...string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Equal(x.calls, calls) {
		t.Errorf("called %q, want %q", x.calls, calls)
	}
}

// What is posted before the client is connected comes to Info after Connected, with the T that Connect has made.
func TestPitfall123_InfoAfterConnected(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		var x p123Calls
		s := p63Start(t, &mqttx.Server{Handler: mqttx.Callbacks[string]{
			Auth: func(_ context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
				r.Conn.Post("from Auth")
				return func(_ context.Context, in []byte) ([]byte, bool, error) { return nil, string(in) == "2", nil }, nil
			},
			Connect: func(_ context.Context, r *mqttx.ConnectRequest) (string, error) {
				x.add("Connect")
				r.Conn.Post("from Connect")
				return "state", nil
			},
			Connected: func(context.Context, string) error {
				x.add("Connected")
				return nil
			},
			Info: func(_ context.Context, state string, v any) error {
				x.add(state + " " + v.(string))
				return nil
			},
		}})
		c := mqttest.Dial(t, s)
		p := p63Clean("c", mqttx.V5)
		p.Version, p.AuthenticationMethod, p.AuthenticationData = mqttx.V5, "m", []byte("1")
		c.Send(p)
		mqttest.Expect[*packet.Auth](c)
		synctest.Wait()
		x.want(t)
		c.Send(&packet.Auth{Code: mqttx.ContinueAuthentication, AuthenticationMethod: "m", AuthenticationData: []byte("2")})
		p63Code(t, "CONNACK", mqttest.Expect[*packet.Connack](c).Code, mqttx.Success)
		synctest.Wait()
		x.want(t, "Connect", "Connected", "state from Auth", "state from Connect")
	})
}

// The same on an event loop while a takeover is waited for.
func TestPitfall123_InfoAfterTakeover(t *testing.T) {
	var x p123Calls
	leave := make(chan struct{})
	var first sync.Once
	s := &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			r.Conn.Post("posted")
			return r.Conn, nil
		},
		Connected: func(context.Context, *mqttx.Conn) error {
			x.add("Connected")
			return nil
		},
		Info: func(context.Context, *mqttx.Conn, any) error {
			x.add("Info")
			return nil
		},
		Disconnected: func(context.Context, *mqttx.Conn, error) {
			first.Do(func() { <-leave })
		},
		Inline: true,
	}}
	n := testnet.Loop.Start(t, p63Start(t, s))
	n.Connect(p63Clean("c", mqttx.V5)).Nothing()
	p14Settle(t, func() bool { return x.count() == 2 })
	second := n.Dial()
	p := p63Clean("c", mqttx.V5)
	p.Version = mqttx.V5
	second.Send(p)
	p14Settle(t, func() bool { _, ok := s.Conn("c"); return !ok })
	x.want(t, "Connected", "Info")
	close(leave)
	p63Code(t, "CONNACK", mqttest.Expect[*packet.Connack](second).Code, mqttx.Success)
	second.Nothing()
	p14Settle(t, func() bool { return x.count() == 4 })
	x.want(t, "Connected", "Info", "Connected", "Info")
}
