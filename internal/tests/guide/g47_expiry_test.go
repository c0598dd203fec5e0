package guide_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g47Connect is a CONNECT of client c in MQTT 5.0 that resumes and keeps its session for that many seconds.
func g47Connect(expiry uint32) *packet.Connect {
	return &packet.Connect{ClientID: "c", SessionExpiryInterval: &expiry}
}

// g47Sessions fails unless there are that many sessions.
func g47Sessions(t *testing.T, srv *mqttx.Server, want int64) {
	t.Helper()
	if n := srv.Stats().Sessions; n != want {
		t.Errorf("%d sessions, want %d", n, want)
	}
}

// A session lives for its interval after the drop; then it is gone and SessionExpired is called once.
func TestGuide_G47_Expires(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		cb := r.callbacks()
		cb.Connect = func(_ context.Context, q *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			q.Client.User = "ann"
			q.Client.Set("floor", "3")
			return q.Conn, nil
		}
		srv := g38Server(t, &mqttx.Server{Handler: cb})
		c := mqttest.Connect(t, srv, g47Connect(30))
		c.Subscribe("a", 1)
		c.Drop()
		mqttest.Advance(29 * time.Second)
		r.want(t, "disconnected c")
		g47Sessions(t, srv, 1)
		mqttest.Advance(time.Second)
		r.want(t, "disconnected c", "expired c")
		g47Sessions(t, srv, 0)
		if w := r.who[0]; w.ID != "c" || w.User != "ann" || w.Attr("floor") != "3" {
			t.Errorf("SessionExpired of %+v", w)
		}
		if c := mqttest.Connect(t, srv, g47Connect(30)); c.Connack.SessionPresent {
			t.Error("session present after its end")
		}
		r.want(t, "disconnected c", "expired c")
	})
}

// A resume in time cancels the end, and the interval counts anew from the next one.
func TestGuide_G47_Resume(t *testing.T) {
	for _, at := range []time.Duration{20 * time.Second, 29 * time.Second} {
		g38Bubble(t, at.String(), func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
			c := mqttest.Connect(t, srv, g47Connect(30))
			c.Subscribe("a", 1)
			c.Drop()
			mqttest.Advance(at)
			c = mqttest.Connect(t, srv, g47Connect(30))
			if !c.Connack.SessionPresent {
				t.Error("no session present")
			}
			mqttest.Advance(time.Hour)
			r.want(t, "disconnected c")
			c.Drop()
			mqttest.Advance(29 * time.Second)
			r.want(t, "disconnected c", "disconnected c")
			mqttest.Advance(time.Second)
			r.want(t, "disconnected c", "disconnected c", "expired c")
		})
	}
}

// A CONNECT that is refused does not prolong the session.
func TestGuide_G47_RefusedConnect(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		cb := r.callbacks()
		cb.Connect = func(_ context.Context, q *mqttx.ConnectRequest) (*mqttx.Conn, error) { return q.Conn, nil }
		refuse := false
		cb.Connected = func(context.Context, *mqttx.Conn) error {
			if refuse {
				return mqttx.NotAuthorized
			}
			return nil
		}
		srv := g38Server(t, &mqttx.Server{Handler: cb})
		mqttest.Connect(t, srv, g47Connect(30)).Drop()
		refuse = true
		mqttest.Advance(20 * time.Second)
		if _, code := mqttest.TryConnect(t, srv, g47Connect(30)); code != mqttx.NotAuthorized {
			t.Errorf("CONNACK %v", code)
		}
		mqttest.Advance(9900 * time.Millisecond)
		r.want(t, "disconnected c", "disconnected c")
		g47Sessions(t, srv, 1)
		mqttest.Advance(100 * time.Millisecond)
		r.want(t, "disconnected c", "disconnected c", "expired c")
		g47Sessions(t, srv, 0)
	})
}

// DISCONNECT may change the interval, to none as well.
func TestGuide_G47_Disconnect(t *testing.T) {
	for _, x := range []struct {
		name        string
		first, then uint32
		at          time.Duration
	}{
		{"shorter", 30, 5, 5 * time.Second},
		{"longer", 30, 60, time.Minute},
		{"zero", 30, 0, 0},
		{"zero again", 0, 0, 0},
		{"from never", math.MaxUint32, 5, 5 * time.Second},
	} {
		g38Bubble(t, x.name, func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
			c := mqttest.Connect(t, srv, g47Connect(x.first))
			c.Send(&packet.Disconnect{SessionExpiryInterval: &x.then})
			c.Closed()
			if x.at > 0 {
				mqttest.Advance(x.at - 100*time.Millisecond)
				r.want(t, "disconnected c")
				mqttest.Advance(100 * time.Millisecond)
			}
			r.want(t, "disconnected c", "expired c")
			g47Sessions(t, srv, 0)
		})
	}
}

// From none to some is a protocol error, and the session ends with the connection.
func TestGuide_G47_DisconnectFromZero(t *testing.T) {
	for name, p := range map[string]*packet.Connect{"zero": g47Connect(0), "absent": {ClientID: "c"}} {
		g38Bubble(t, name, func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
			c := mqttest.Connect(t, srv, p)
			c.Send(&packet.Disconnect{SessionExpiryInterval: new(uint32(5))})
			g38Bye(t, c, mqttx.ProtocolError)
			r.want(t, "disconnected c", "expired c")
			g47Sessions(t, srv, 0)
		})
	}
}

// A client that the server disconnects keeps its session for its interval.
func TestGuide_G47_Kicked(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, g47Connect(30))
		if err := srv.Disconnect("c", mqttx.AdministrativeAction); err != nil {
			t.Fatal(err)
		}
		g38Bye(t, c, mqttx.AdministrativeAction)
		mqttest.Advance(29900 * time.Millisecond)
		r.want(t, "disconnected c")
		g47Sessions(t, srv, 1)
		mqttest.Advance(100 * time.Millisecond)
		r.want(t, "disconnected c", "expired c")
		g47Sessions(t, srv, 0)
	})
}

// The interval goes on over a restart, and a session whose time has passed meanwhile ends at the start.
func TestGuide_G47_Restart(t *testing.T) {
	for _, x := range []struct {
		name    string
		start   time.Duration
		expires time.Duration
	}{{"in time", 10 * time.Second, 30 * time.Second}, {"late", 40 * time.Second, 40 * time.Second}} {
		g38Bubble(t, x.name, func(t *testing.T) {
			store := new(mqttest.MemStore)
			srv := g38Server(t, &mqttx.Server{Store: store})
			mqttest.Connect(t, srv, g47Connect(30)).Drop()
			begun := time.Now()
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			g45At(begun, x.start)
			var r g38Record
			srv = g38Server(t, &mqttx.Server{Store: store, Handler: r.callbacks()})
			if x.expires > x.start {
				g47Sessions(t, srv, 1)
				g45At(begun, x.expires-100*time.Millisecond)
				r.want(t)
			}
			srv.Stats() // the first call opens the Store
			g45At(begun, x.expires+time.Millisecond)
			r.want(t, "expired c")
			g47Sessions(t, srv, 0)
			if n := store.Len(); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// When SessionExpired is called nothing of the session is left, in memory and in the Store, and any method may be called.
func TestGuide_G48_CleanedUpBefore(t *testing.T) {
	for _, stored := range []bool{false, true} {
		name := "memory"
		if stored {
			name = "store"
		}
		g38Bubble(t, name, func(t *testing.T) {
			store := new(mqttest.MemStore)
			srv := &mqttx.Server{}
			if stored {
				srv.Store = store
			}
			calls := 0
			srv.Handler = mqttx.Callbacks[int]{SessionExpired: func(ctx context.Context, c mqttx.Client) {
				if c.ID != "c" { // a session that ends with the test
					return
				}
				calls++
				if st := srv.Stats(); st.Subscriptions != 1 || st.Queued != 0 || st.QueuedBytes != 0 || st.Sessions != 1 {
					t.Errorf("left: subscriptions %d less 1, queued %d, bytes %d, sessions %d less 1",
						st.Subscriptions, st.Queued, st.QueuedBytes, st.Sessions)
				}
				for rec := range store.Scan(nil, []byte{0xFF}) {
					t.Errorf("left in the Store: %q", rec.Key)
				}
				if err := srv.Disconnect("c", mqttx.AdministrativeAction); err != mqttx.ErrNoClient {
					t.Errorf("Disconnect: %v", err)
				}
				if err := srv.Publish(ctx, &mqttx.Message{Topic: "told", Payload: []byte("c has gone"), QoS: 1}); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}}
			g38Server(t, srv)
			c := mqttest.Connect(t, srv, g47Connect(5))
			for _, f := range strings.Fields("a/+ b/# told") {
				c.Subscribe(f, 2)
			}
			c.Send(&packet.Publish{Topic: []byte("x"), QoS: 2, PacketID: 77})
			mqttest.Expect[*packet.Pubrec](c)
			c.Drop()
			for i := range 10 {
				topic := "a/" + string('0'+rune(i))
				if err := srv.Publish(t.Context(), &mqttx.Message{Topic: topic, QoS: mqttx.QoS(1 + i%2), Payload: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			other := g38Subscriber(t, srv, "told")
			if st := srv.Stats(); st.Queued != 10 || st.Subscriptions != 4 || st.Sessions != 2 {
				t.Errorf("before: %+v", st)
			}
			if stored && store.Len() < 14 {
				t.Errorf("before: %d records", store.Len())
			}
			mqttest.Advance(5 * time.Second)
			g38Gets(t, other, "c has gone")
			if calls != 1 {
				t.Errorf("%d calls", calls)
			}
			if n := srv.Stats().Dropped[mqttx.DropSessionEnded]; n != 10 {
				t.Errorf("%d messages are counted as dropped with the session, want 10", n)
			}
			c = mqttest.Connect(t, srv, g47Connect(5))
			if c.Connack.SessionPresent {
				t.Error("session present")
			}
			c.Nothing()
			if code := g38Release(t, c, 77); code != mqttx.PacketIdentifierNotFound {
				t.Errorf("PUBCOMP %v: the packet id has outlived the session", code)
			}
		})
	}
}

// A slow Store holds the call up until nothing of the session is left there.
func TestGuide_G48_SlowStore(t *testing.T) {
	for name, end := range map[string]func(c *mqttest.Client){
		"by time":       func(c *mqttest.Client) { c.Drop(); mqttest.Advance(5 * time.Second) },
		"by DISCONNECT": func(c *mqttest.Client) { c.Send(&packet.Disconnect{SessionExpiryInterval: new(uint32(0))}); c.Closed() },
	} {
		g38Bubble(t, name, func(t *testing.T) {
			var r g38Record
			store := new(mqttest.MemStore)
			srv := g38Server(t, &mqttx.Server{Store: store, Handler: r.callbacks()})
			c := mqttest.Connect(t, srv, g47Connect(5))
			c.Subscribe("a", 1)
			store.Block()
			end(c)
			mqttest.Advance(time.Second)
			r.want(t, "disconnected c")
			store.Unblock()
			r.want(t, "disconnected c", "expired c")
			if n := store.Len(); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}
