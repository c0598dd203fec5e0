package guide_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

const g49Year = 365 * 24 * time.Hour

// g49Ended fails unless the session of c is gone; it connects to see.
func g49Ended(t *testing.T, srv *mqttx.Server, v mqttx.Version) {
	t.Helper()
	st := srv.Stats()
	if st.Sessions != 0 || st.Subscriptions != 0 {
		t.Errorf("%d sessions and %d subscriptions are left", st.Sessions, st.Subscriptions)
	}
	c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c"})
	if c.Connack.SessionPresent {
		t.Error("session present")
	}
}

// A session of 3.1 and 3.1.1 with Clean Session 0 lasts, without a call, as long as no limit says otherwise.
func TestGuide_G49_CleanSession0(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c"})
		c.Subscribe("a", 1)
		c.Drop()
		mqttest.Advance(g49Year)
		r.want(t, "disconnected c")
		if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte("kept"), QoS: 1}); err != nil {
			t.Fatal(err)
		}
		c = mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c"})
		if v == mqttx.V311 && !c.Connack.SessionPresent {
			t.Error("no session present")
		}
		g38Gets(t, c, "kept")
		r.want(t, "disconnected c")
	}, mqttx.V31, mqttx.V311)
}

// Limits.SessionExpiry ends it, with one call.
func TestGuide_G49_Capped(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks(), Limits: mqttx.Limits{SessionExpiry: time.Minute}})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c"})
		c.Subscribe("a", 1)
		c.Drop()
		mqttest.Advance(time.Minute - 100*time.Millisecond)
		r.want(t, "disconnected c")
		g47Sessions(t, srv, 1)
		mqttest.Advance(100 * time.Millisecond)
		r.want(t, "disconnected c", "expired c")
		g49Ended(t, srv, v)
	}, mqttx.V31, mqttx.V311)
}

// With Clean Session 1 the session ends with the connection, without a call.
func TestGuide_G49_CleanSession1(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		c.Subscribe("a", 1)
		c.Drop()
		mqttest.Advance(g49Year)
		r.want(t, "disconnected c")
		g49Ended(t, srv, v)
	}, mqttx.V31, mqttx.V311)
}

// In MQTT 5.0 no interval means 0: one call at once.
func TestGuide_G49_Absent(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c"})
		if x := c.Connack.SessionExpiryInterval; x != nil {
			t.Errorf("CONNACK tells Session Expiry Interval %d", *x)
		}
		c.Subscribe("a", 1)
		c.Drop()
		r.want(t, "disconnected c", "expired c")
		mqttest.Advance(g49Year)
		r.want(t, "disconnected c", "expired c")
		g49Ended(t, srv, mqttx.V5)
	})
}

// The option leaves the call out, and only where no interval was named.
func TestGuide_G49_GuideCompat(t *testing.T) {
	for _, compat := range []mqttx.Compat{mqttx.NoExpiryIfAbsent, mqttx.GuideCompat} {
		g38Bubble(t, compat.String()+" absent", func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks(), Compat: compat})
			c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c"})
			c.Subscribe("a", 1)
			c.Drop()
			mqttest.Advance(g49Year)
			r.want(t, "disconnected c")
			g49Ended(t, srv, mqttx.V5)
		})
		g38Bubble(t, compat.String()+" zero", func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks(), Compat: compat})
			mqttest.Connect(t, srv, g47Connect(0)).Drop()
			r.want(t, "disconnected c", "expired c")
		})
	}
}

// Interval 0: the session ends with the connection, and the call comes after Disconnected.
func TestGuide_G50_Zero(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, g47Connect(0))
		if x := c.Connack.SessionExpiryInterval; x != nil {
			t.Errorf("CONNACK tells Session Expiry Interval %d", *x)
		}
		c.Subscribe("a", 1)
		c.Drop()
		r.want(t, "disconnected c", "expired c")
		g49Ended(t, srv, mqttx.V5)
	})
}

// The same over a Store: interval 0 leaves nothing in it.
func TestGuide_G50_Store(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		store := new(mqttest.MemStore)
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks(), Store: store})
		c := mqttest.Connect(t, srv, g47Connect(0))
		c.Subscribe("a", 1)
		c.Drop()
		r.want(t, "disconnected c", "expired c")
		if n := store.Len(); n != 0 {
			t.Errorf("%d records", n)
		}
	})
}

// The client's interval holds to the second.
func TestGuide_G51_OneSecond(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		mqttest.Connect(t, srv, g47Connect(1)).Drop()
		mqttest.Advance(900 * time.Millisecond)
		r.want(t, "disconnected c")
		g47Sessions(t, srv, 1)
		mqttest.Advance(100 * time.Millisecond)
		r.want(t, "disconnected c", "expired c")
		g49Ended(t, srv, mqttx.V5)
	})
}

// The longest interval does not overflow: it lasts its 136 years, and no longer.
func TestGuide_G51_Longest(t *testing.T) {
	for _, stored := range []bool{false, true} {
		g38Bubble(t, fmt.Sprintf("store %v", stored), func(t *testing.T) {
			var r g38Record
			srv := &mqttx.Server{Handler: r.callbacks()}
			if stored {
				srv.Store = new(mqttest.MemStore)
			}
			g38Server(t, srv)
			c := mqttest.Connect(t, srv, g47Connect(math.MaxUint32-1))
			if x := c.Connack.SessionExpiryInterval; x != nil {
				t.Errorf("CONNACK tells Session Expiry Interval %d", *x)
			}
			c.Drop()
			begun := time.Now()
			g45At(begun, 100*g49Year)
			r.want(t, "disconnected c")
			g47Sessions(t, srv, 1)
			if stored { // it is as far ahead for a server that finds it in the Store
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				srv = g38Server(t, &mqttx.Server{Handler: r.callbacks(), Store: srv.Store})
			}
			g45At(begun, (math.MaxUint32-1)*time.Second-100*time.Millisecond)
			r.want(t, "disconnected c")
			g47Sessions(t, srv, 1)
			mqttest.Advance(100 * time.Millisecond)
			r.want(t, "disconnected c", "expired c")
			g49Ended(t, srv, mqttx.V5)
		})
	}
}

// A resume after a hundred years finds the session.
func TestGuide_G51_Resume(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		mqttest.Connect(t, srv, g47Connect(math.MaxUint32-1)).Drop()
		mqttest.Advance(100 * g49Year)
		if c := mqttest.Connect(t, srv, g47Connect(1)); !c.Connack.SessionPresent {
			t.Error("no session present")
		}
	})
}

// A limit lowers what is asked for, and CONNACK tells; what is within the limit stays and is not told.
func TestGuide_G51_Capped(t *testing.T) {
	for _, x := range []struct {
		name       string
		asked      uint32
		disconnect *uint32
		told       *uint32
		at         time.Duration
	}{
		{"more", 3600, nil, new(uint32(60)), time.Minute},
		{"as much", 60, nil, nil, time.Minute},
		{"less", 30, nil, nil, 30 * time.Second},
		{"more by DISCONNECT", 30, new(uint32(3600)), nil, time.Minute},
	} {
		g38Bubble(t, x.name, func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks(), Limits: mqttx.Limits{SessionExpiry: time.Minute}})
			c := mqttest.Connect(t, srv, g47Connect(x.asked))
			g49Told(t, c, x.told)
			if x.disconnect != nil {
				c.Send(&packet.Disconnect{SessionExpiryInterval: x.disconnect})
				c.Closed()
			}
			c.Drop()
			mqttest.Advance(x.at - 100*time.Millisecond)
			r.want(t, "disconnected c")
			g47Sessions(t, srv, 1)
			mqttest.Advance(100 * time.Millisecond)
			r.want(t, "disconnected c", "expired c")
			g49Ended(t, srv, mqttx.V5)
		})
	}
}

// g49Told compares the Session Expiry Interval of CONNACK.
func g49Told(t *testing.T, c *mqttest.Client, want *uint32) {
	t.Helper()
	switch got := c.Connack.SessionExpiryInterval; {
	case got == nil && want != nil:
		t.Errorf("no Session Expiry Interval in CONNACK, want %d", *want)
	case got != nil && want == nil:
		t.Errorf("Session Expiry Interval %d in CONNACK, want none", *got)
	case got != nil && *got != *want:
		t.Errorf("Session Expiry Interval %d in CONNACK, want %d", *got, *want)
	}
}

// Connect may lower it too.
func TestGuide_G51_LoweredByConnect(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		cb := r.callbacks()
		cb.Connect = func(_ context.Context, q *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			if q.SessionExpiry != time.Hour {
				t.Errorf("SessionExpiry %v", q.SessionExpiry)
			}
			q.SessionExpiry = 7 * time.Second
			return q.Conn, nil
		}
		srv := g38Server(t, &mqttx.Server{Handler: cb})
		c := mqttest.Connect(t, srv, g47Connect(3600))
		g49Told(t, c, new(uint32(7)))
		c.Drop()
		mqttest.Advance(6900 * time.Millisecond)
		r.want(t, "disconnected c")
		mqttest.Advance(100 * time.Millisecond)
		r.want(t, "disconnected c", "expired c")
	})
}

// 0xFFFFFFFF never ends.
func TestGuide_G52_Never(t *testing.T) {
	for _, stored := range []bool{false, true} {
		g38Bubble(t, fmt.Sprintf("store %v", stored), func(t *testing.T) {
			var r g38Record
			srv := &mqttx.Server{Handler: r.callbacks()}
			if stored {
				srv.Store = new(mqttest.MemStore)
			}
			g38Server(t, srv)
			c := mqttest.Connect(t, srv, g47Connect(math.MaxUint32))
			g49Told(t, c, nil)
			c.Drop()
			mqttest.Advance(100 * g49Year)
			if stored {
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				srv = g38Server(t, &mqttx.Server{Handler: r.callbacks(), Store: srv.Store})
			}
			mqttest.Advance(100 * g49Year)
			r.want(t, "disconnected c")
			if c := mqttest.Connect(t, srv, g47Connect(math.MaxUint32)); !c.Connack.SessionPresent {
				t.Error("no session present")
			}
		})
	}
}

// The limit holds for it as well.
func TestGuide_G52_Capped(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks(), Limits: mqttx.Limits{SessionExpiry: time.Minute}})
		c := mqttest.Connect(t, srv, g47Connect(math.MaxUint32))
		g49Told(t, c, new(uint32(60)))
		c.Drop()
		mqttest.Advance(time.Minute - 100*time.Millisecond)
		r.want(t, "disconnected c")
		mqttest.Advance(100 * time.Millisecond)
		r.want(t, "disconnected c", "expired c")
		g49Ended(t, srv, mqttx.V5)
	})
}
