package pitfalls_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p124Callbacks panics in the callback of this name.
func p124Callbacks(in string) mqttx.Callbacks[*mqttx.Conn] {
	hit := func(name string, c *mqttx.Conn) {
		if name == in && c.ClientID() == "victim" {
			panic("planted in " + name)
		}
	}
	return mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			if in == "Connect" && r.ClientID == "victim" {
				panic("planted in Connect")
			}
			return r.Conn, nil
		},
		Connected: func(_ context.Context, c *mqttx.Conn) error { hit("Connected", c); return nil },
		Publish: func(_ context.Context, c *mqttx.Conn, m *mqttx.Message) error {
			if !m.Will {
				hit("Publish", c)
			}
			return nil
		},
		Subscribe:   func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error { hit("Subscribe", c); return nil },
		Unsubscribe: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error { hit("Unsubscribe", c); return nil },
		Info:        func(_ context.Context, c *mqttx.Conn, _ any) error { hit("Info", c); return nil },
		Deliver:     func(c *mqttx.Conn, m *mqttx.Message) *mqttx.Message { hit("Deliver", c); return m },
		Delivered: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Message, _ mqttx.ReasonCode) error {
			hit("Delivered", c)
			return nil
		},
		Disconnected: func(_ context.Context, c *mqttx.Conn, _ error) { hit("Disconnected", c) },
		Allow: func(_ context.Context, a mqttx.Access) error {
			if in == "Allow" && a.Client.ID == "victim" && a.Op == mqttx.OpSubscribe {
				panic("planted in Allow")
			}
			return nil
		},
	}
}

// A panic in a callback ends its connection alone, with 0x80; the stack is logged, the will is sent, and no lock is held on.
func TestPitfall124_Panics(t *testing.T) {
	for _, in := range []string{
		"Connect", "Connected", "Publish", "Subscribe", "Unsubscribe", "Info", "Deliver", "Delivered", "Disconnected", "Allow",
	} {
		p63Bubble(t, in, func(t *testing.T) {
			var log bytes.Buffer
			s := p63Start(t, &mqttx.Server{Handler: p124Callbacks(in), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			other := mqttest.Connect(t, s, nil)
			other.Subscribe("will/#", 1)
			other.Subscribe("t", 1)
			p := p63Clean("victim", mqttx.V5)
			p.Will = &packet.Will{Topic: "will/victim", Payload: []byte("dead")}
			c, code := mqttest.TryConnect(t, s, p)
			if in == "Connect" || in == "Connected" {
				p63Code(t, "CONNACK", code, mqttx.UnspecifiedError)
				c.Closed()
			} else {
				p63Code(t, "CONNACK", code, mqttx.Success)
				conn, _ := s.Conn("victim")
				switch in {
				case "Publish":
					c.Send(&packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1})
				case "Subscribe", "Allow":
					c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t"}}})
				case "Unsubscribe":
					c.Subscribe("t", 0)
					c.Send(&packet.Unsubscribe{PacketID: 1, Filters: []string{"t"}})
				case "Info":
					conn.Post(1)
				case "Deliver", "Delivered":
					conn.Send(&mqttx.Message{Topic: "t", QoS: 1})
					if in == "Delivered" {
						c.Receive()
					}
				case "Disconnected":
					c.Drop()
				}
				if in != "Disconnected" {
					p63Bye(t, c, mqttx.UnspecifiedError)
				}
				p63Gets(t, other, "dead")
			}
			if text := log.String(); !strings.Contains(text, "planted in "+in) || !strings.Contains(text, "p124_callbacks_test.go") {
				t.Errorf("no stack in the log: %.500s", text)
			}
			other.Publish("t", "still here", 1)
			p63Gets(t, other, "still here")
			if n := s.Stats().Sessions; n != 1 {
				t.Errorf("%d sessions, want the other one's", n)
			}
			if in != "Connect" && in != "Connected" {
				again := mqttest.Connect(t, s, p63Clean("victim2", mqttx.V5))
				again.Nothing()
			}
		})
	}
}

// A panic in a function of Trace is logged and changes nothing.
func TestPitfall124_PanicInTrace(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		var log bytes.Buffer
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{ConnectSize: 1000}, Logger: slog.New(slog.NewTextHandler(&log, nil)), Trace: &mqttx.Trace{
			Connected:    func(*mqttx.Conn) { panic("planted 1") },
			Refused:      func(mqttx.Client, error) { panic("planted 2") },
			Disconnected: func(*mqttx.Conn, error) { panic("planted 3") },
			Published:    func(*mqttx.Message) { panic("planted 4") },
			Delivered:    func(mqttx.Client, *mqttx.Message) { panic("planted 5") },
			Dropped:      func(mqttx.Client, *mqttx.Message, mqttx.DropReason) { panic("planted 6") },
		}})
		c := mqttest.Connect(t, s, nil)
		c.Subscribe("t", 1)
		c.Publish("t", "x", 1)
		p63Gets(t, c, "x")
		c.Publish("t", "x", 0)
		p63Gets(t, c, "x")
		sleeper := mqttest.Connect(t, s, p63Keeps("sleeper", mqttx.V5))
		sleeper.Subscribe("zero", 0)
		sleeper.Drop()
		c.Publish("zero", "x", 0)
		c.Nothing()
		_, code := mqttest.TryConnect(t, s, p63Clean(strings.Repeat("x", 2000), mqttx.V5))
		p63Code(t, "CONNACK", code, mqttx.PacketTooLarge)
		synctest.Wait()
		for i := 1; i <= 6; i++ {
			if !strings.Contains(log.String(), fmt.Sprint("planted ", i)) {
				t.Errorf("panic %d is not in the log", i)
			}
		}
	})
}

// A callback that does not return holds up its own client only, and Shutdown returns when its context ends.
func TestPitfall125_CallbackHangs(t *testing.T) {
	for _, where := range []string{"Publish", "Disconnected"} {
		p63Bubble(t, where, func(t *testing.T) {
			release := make(chan struct{})
			hang := func(c *mqttx.Conn) {
				if c.ClientID() == "hangs" {
					<-release
				}
			}
			s := p63Start(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
				Publish: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Message) error {
					if where == "Publish" {
						hang(c)
					}
					return nil
				},
				Disconnected: func(_ context.Context, c *mqttx.Conn, _ error) {
					if where == "Disconnected" {
						hang(c)
					}
				},
			}})
			near, far := mqttest.Pipe()
			go s.ServeConn(t.Context(), far)
			near.Write(p63Bytes(t, mqttx.V5, p63Clean("hangs", mqttx.V5), &packet.Publish{Topic: []byte("t")}))
			if where == "Disconnected" {
				near.Close()
			}
			other := mqttest.Connect(t, s, nil)
			other.Subscribe("t", 1)
			begun := time.Now()
			for range 10 {
				other.Publish("t", "x", 1)
				other.Receive()
			}
			quick := mqttest.Connect(t, s, nil)
			quick.Drop()
			if took := time.Since(begun); took > time.Millisecond {
				t.Errorf("the others have waited %v", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
			if took := time.Since(begun); took > 3100*time.Millisecond {
				t.Errorf("Shutdown took %v", took)
			}
			close(release)
			near.Close()
		})
	}
}
