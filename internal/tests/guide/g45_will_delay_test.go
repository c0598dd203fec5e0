package guide_test

import (
	"context"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g45Will is a CONNECT of MQTT 5.0 that goes on with its session, with the will payload on topic w after delay seconds.
func g45Will(payload string, delay, expiry uint32) *packet.Connect {
	return &packet.Connect{
		ClientID: "c", SessionExpiryInterval: &expiry,
		Will: &packet.Will{Topic: "w", Payload: []byte(payload), QoS: 1, DelayInterval: delay},
	}
}

// g45At lets time pass up to d after begun.
func g45At(begun time.Time, d time.Duration) { mqttest.Advance(d - time.Since(begun)) }

// The will comes after its delay, or when the session ends if that is sooner.
func TestGuide_G45_Delay(t *testing.T) {
	for _, x := range []struct {
		name          string
		delay, expiry uint32
		at            time.Duration
	}{
		{"delay 5, expiry 60", 5, 60, 5 * time.Second},
		{"delay 60, expiry 3", 60, 3, 3 * time.Second},
		{"delay 5, expiry 5", 5, 5, 5 * time.Second},
		{"delay 5, expiry 0", 5, 0, 0},
		{"delay 5, never expires", 5, 1<<32 - 1, 5 * time.Second},
		{"longest delay, expiry 60", 1<<32 - 1, 60, time.Minute},
	} {
		g38Bubble(t, x.name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			sub := g38Subscriber(t, srv, "w")
			mqttest.Connect(t, srv, g45Will("gone", x.delay, x.expiry)).Drop()
			if x.at > 0 {
				mqttest.Advance(x.at - 100*time.Millisecond)
				sub.Nothing()
				mqttest.Advance(100 * time.Millisecond)
			}
			g38Gets(t, sub, "gone")
			mqttest.Advance(time.Hour)
			sub.Nothing()
		})
	}
}

// DISCONNECT 0x04 leads to the delayed will, and the session's new end holds for it.
func TestGuide_G45_DisconnectWithWill(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		c := mqttest.Connect(t, srv, g45Will("gone", 5, 60))
		c.Send(&packet.Disconnect{Code: mqttx.DisconnectWithWillMessage, SessionExpiryInterval: new(uint32(2))})
		c.Closed()
		mqttest.Advance(1900 * time.Millisecond)
		sub.Nothing()
		mqttest.Advance(100 * time.Millisecond)
		g38Gets(t, sub, "gone")
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}

// The will's own expiry begins when it is published.
func TestGuide_G45_MessageExpiry(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		p := g45Will("gone", 5, 60)
		p.Will.MessageExpiryInterval = new(uint32(2))
		mqttest.Connect(t, srv, p).Drop()
		mqttest.Advance(5 * time.Second)
		if m := sub.Receive(); !m.HasMessageExpiry || m.MessageExpiryInterval != 2 {
			t.Errorf("Message Expiry Interval %d, present %v; want 2", m.MessageExpiryInterval, m.HasMessageExpiry)
		}
	})
}

// g45Restart drops a client with a will of 5 s at 0 s, ends its server at 2 s, and starts another one at the time given. A
// subscriber has its session in the same Store.
func g45Restart(t *testing.T, start time.Duration) (srv *mqttx.Server, sub func(*mqttx.Server) *mqttest.Client, store *mqttest.MemStore, begun time.Time) {
	t.Helper()
	store = new(mqttest.MemStore)
	sub = func(s *mqttx.Server) *mqttest.Client {
		return mqttest.Connect(t, s, &packet.Connect{ClientID: "sub", SessionExpiryInterval: new(uint32(3600))})
	}
	first := g38Server(t, &mqttx.Server{Store: store})
	sub(first).Subscribe("w", 2)
	p := g45Will("gone", 5, 60)
	p.Will.QoS, p.Will.ContentType = 2, "text/plain"
	p.Will.User = []packet.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}}
	c := mqttest.Connect(t, first, p)
	begun = time.Now()
	c.Drop()
	g45At(begun, 2*time.Second)
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if start > 2*time.Second {
		g45At(begun, start)
	}
	return g38Server(t, &mqttx.Server{Store: store}), sub, store, begun
}

func g45WantWill(t *testing.T, c *mqttest.Client) {
	t.Helper()
	m := c.Receive()
	if string(m.Payload) != "gone" || m.QoS != 2 || string(m.ContentType) != "text/plain" || len(m.User) != 2 || m.User[0].Name != "b" {
		t.Errorf("the will came as %+v", m)
	}
}

// A pending will is in the Store: after a restart it comes at its time, once.
func TestGuide_G45_Restart(t *testing.T) {
	g38Bubble(t, "in time", func(t *testing.T) {
		srv, sub, store, begun := g45Restart(t, 2*time.Second)
		s := sub(srv)
		g45At(begun, 4900*time.Millisecond)
		s.Nothing()
		g45At(begun, 5*time.Second)
		g45WantWill(t, s)
		g45At(begun, 20*time.Second)
		s.Nothing()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = sub(g38Server(t, &mqttx.Server{Store: store}))
		mqttest.Advance(time.Hour)
		s.Nothing()
	})
}

// If its time has passed meanwhile it comes at the start.
func TestGuide_G45_RestartLate(t *testing.T) {
	g38Bubble(t, "late", func(t *testing.T) {
		srv, sub, store, _ := g45Restart(t, 20*time.Second)
		begun := time.Now()
		s := sub(srv)
		g45WantWill(t, s)
		if d := time.Since(begun); d > time.Millisecond {
			t.Errorf("the will came %v after the start", d)
		}
		s.Nothing()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = sub(g38Server(t, &mqttx.Server{Store: store}))
		mqttest.Advance(time.Hour)
		s.Nothing()
	})
}

// So it does if the whole session has ended meanwhile, which then is gone.
func TestGuide_G45_RestartAfterExpiry(t *testing.T) {
	g38Bubble(t, "expired", func(t *testing.T) {
		srv, sub, _, _ := g45Restart(t, 90*time.Second)
		g45WantWill(t, sub(srv))
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c"})
		if c.Connack.SessionPresent {
			t.Error("the session has outlived its expiry")
		}
	})
}

// The client may come back in time after a restart, too.
func TestGuide_G45_RestartAndResume(t *testing.T) {
	g38Bubble(t, "resumed", func(t *testing.T) {
		srv, sub, store, begun := g45Restart(t, 2*time.Second)
		s := sub(srv)
		g45At(begun, 3*time.Second)
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", SessionExpiryInterval: new(uint32(60))})
		if !c.Connack.SessionPresent {
			t.Error("no session present")
		}
		g45At(begun, 20*time.Second)
		s.Nothing()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = sub(g38Server(t, &mqttx.Server{Store: store}))
		mqttest.Advance(time.Hour)
		s.Nothing()
	})
}

// A will whose connection is ended by Shutdown waits in the Store, too.
func TestGuide_G45_Shutdown(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		store := new(mqttest.MemStore)
		first := g38Server(t, &mqttx.Server{Store: store})
		subscriber := &packet.Connect{ClientID: "sub", SessionExpiryInterval: new(uint32(3600))}
		mqttest.Connect(t, first, subscriber).Subscribe("w", 1)
		mqttest.Connect(t, first, g45Will("gone", 5, 60))
		if err := first.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		mqttest.Advance(2 * time.Second)
		sub := mqttest.Connect(t, g38Server(t, &mqttx.Server{Store: store}), subscriber)
		mqttest.Advance(2900 * time.Millisecond)
		sub.Nothing()
		mqttest.Advance(100 * time.Millisecond)
		g38Gets(t, sub, "gone")
	})
}

// A resume within the delay cancels the will.
func TestGuide_G46_Resume(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		p := g45Will("gone", 5, 60)
		mqttest.Connect(t, srv, p).Drop()
		mqttest.Advance(3 * time.Second)
		if c := mqttest.Connect(t, srv, p); !c.Connack.SessionPresent {
			t.Error("no session present")
		}
		mqttest.Advance(17 * time.Second)
		sub.Nothing()
	})
}

// A takeover is a resume as well.
func TestGuide_G46_Takeover(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		old := mqttest.Connect(t, srv, g45Will("gone", 5, 60))
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", SessionExpiryInterval: new(uint32(60))})
		g38Bye(t, old, mqttx.SessionTakenOver)
		mqttest.Advance(20 * time.Second)
		sub.Nothing()
		c.Nothing()
	})
}

// A CONNECT that is refused changes nothing, whichever callback refuses it.
func TestGuide_G46_RefusedConnect(t *testing.T) {
	for name, cb := range map[string]mqttx.Callbacks[string]{
		"Connect": {Connect: func(_ context.Context, r *mqttx.ConnectRequest) (string, error) {
			if string(r.Password) == "wrong" {
				return "", mqttx.BadUserNameOrPassword
			}
			return "", nil
		}},
		"Connected": {
			Connect: func(_ context.Context, r *mqttx.ConnectRequest) (string, error) { return string(r.Password), nil },
			Connected: func(_ context.Context, password string) error {
				if password == "wrong" {
					return mqttx.BadUserNameOrPassword
				}
				return nil
			},
		},
		"Publish of the new will": {Publish: func(_ context.Context, _ string, m *mqttx.Message) error {
			if string(m.Payload) == "refuse" {
				return mqttx.BadUserNameOrPassword
			}
			return nil
		}},
	} {
		for _, clean := range []bool{false, true} {
			suffix := ", Clean Start 0"
			if clean {
				suffix = ", Clean Start 1"
			}
			g38Bubble(t, name+suffix, func(t *testing.T) {
				srv := g38Server(t, &mqttx.Server{Handler: cb})
				sub := g38Subscriber(t, srv, "w")
				p := g45Will("gone", 5, 60)
				p.Username = "user"
				p.Password = []byte("right")
				mqttest.Connect(t, srv, p).Drop()
				mqttest.Advance(3 * time.Second)
				p.Password, p.Will.Payload, p.CleanStart = []byte("wrong"), []byte("refuse"), clean
				c, code := mqttest.TryConnect(t, srv, p)
				if code != mqttx.BadUserNameOrPassword {
					t.Errorf("CONNACK %v", code)
				}
				c.Closed()
				mqttest.Advance(1900 * time.Millisecond)
				sub.Nothing()
				mqttest.Advance(100 * time.Millisecond)
				g38Gets(t, sub, "gone")
				mqttest.Advance(time.Hour)
				sub.Nothing()
			})
		}
	}
}

// Clean Start 1 ends the session, so the will goes out.
func TestGuide_G46_CleanStart(t *testing.T) {
	g38Bubble(t, "asleep", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		mqttest.Connect(t, srv, g45Will("gone", 5, 60)).Drop()
		mqttest.Advance(3 * time.Second)
		sub.Nothing()
		mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true})
		g38Gets(t, sub, "gone")
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
	g38Bubble(t, "takeover", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		old := mqttest.Connect(t, srv, g45Will("gone", 5, 60))
		mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true})
		g38Bye(t, old, mqttx.SessionTakenOver)
		g38Gets(t, sub, "gone")
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}

// After a resume the will is that of the new connection.
func TestGuide_G46_SecondWill(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		mqttest.Connect(t, srv, g45Will("first", 5, 60)).Drop()
		mqttest.Advance(3 * time.Second)
		c := mqttest.Connect(t, srv, g45Will("second", 5, 60))
		mqttest.Advance(time.Second)
		c.Drop()
		mqttest.Advance(4900 * time.Millisecond)
		sub.Nothing()
		mqttest.Advance(100 * time.Millisecond)
		g38Gets(t, sub, "second")
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}
