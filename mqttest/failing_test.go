package mqttest_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func publish(s *mqttx.Server) {
	s.Publish(context.Background(), &mqttx.Message{Topic: "t", Payload: []byte("hi")})
}

// Each method fails the test when something else comes, and says what.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(t testing.TB, s *mqttx.Server, c *mqttest.Client)
		want string
	}{
		{"Next", func(_ testing.TB, _ *mqttx.Server, c *mqttest.Client) { c.Next() }, `^mqttest: want a packet, but nothing came$`},
		{"Next after the end", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			c.Send(&packet.Disconnect{})
			c.Next()
		}, `^mqttest: want a packet, but the server closed the connection$`},
		{"Next after Drop", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			c.Drop()
			c.Next()
		}, `but the client itself has closed the connection$`},
		{"Expect", func(_ testing.TB, _ *mqttx.Server, c *mqttest.Client) {
			c.Send(&packet.Pingreq{})
			mqttest.Expect[*packet.Puback](c)
		}, `^mqttest: want PUBACK, got PINGRESP$`},
		{"Receive", func(_ testing.TB, _ *mqttx.Server, c *mqttest.Client) {
			c.Send(&packet.Pingreq{})
			c.Receive()
		}, `^mqttest: want PUBLISH, but nothing came; this has come and waits:\n\tPINGRESP$`},
		{"Receive a DISCONNECT", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			s.Disconnect("c", mqttx.ServerMoved)
			c.Receive()
		}, `^mqttest: want PUBLISH, got DISCONNECT 0x9D`},
		{"Publish", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			publish(s)
			s.Disconnect("c", mqttx.ServerMoved)
			c.Publish("t", "x", 2)
		}, `^mqttest: want PUBREC 2, got DISCONNECT 0x9D; this has come and waits:\n\tPUBLISH t "hi"\n\tDISCONNECT 0x9D$`},
		{"Nothing", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			publish(s)
			c.Nothing()
		}, `^mqttest: want nothing, got PUBLISH t "hi"$`},
		{"Nothing, passed over", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			publish(s)
			c.Publish("nobody", "x", 1)
			c.Nothing()
		}, `^mqttest: want nothing; this has come and waits:\n\tPUBLISH t "hi"$`},
		{"Closed", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) { c.Closed() }, `want the end of the connection, but it is open`},
		{"Closed, passed over", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			publish(s)
			c.Publish("nobody", "x", 1)
			c.Closed()
		}, `^mqttest: want the end of the connection; this has come and waits:\n\tPUBLISH t "hi"$`},
		{"Closed, a packet before", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) {
			s.Disconnect("c", mqttx.ServerMoved)
			c.Closed()
		}, `^mqttest: want the end of the connection, got DISCONNECT 0x9D$`},
		{"Send", func(_ testing.TB, s *mqttx.Server, c *mqttest.Client) { c.Send(&packet.Subscribe{}) }, `^mqttest: cannot send SUBSCRIBE: `},
		{"Served", func(t testing.TB, s *mqttx.Server, c *mqttest.Client) {
			a, b := mqttest.Pipe()
			defer b.Close()
			mqttest.NewClient(t, a, 0).Served()
		}, `^mqttest: Served is for connections of Connect and Dial$`},
		{"Served too long", func(t testing.TB, s *mqttx.Server, c *mqttest.Client) { c.Served() }, `^mqttest: the server still serves the connection after 10s`},
		{"TryConnect", func(t testing.TB, s *mqttx.Server, c *mqttest.Client) {
			s.Close()
			mqttest.TryConnect(t, s, nil)
		}, `^mqttest: want CONNACK, but the server closed the connection$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := mqttest.NewServer(t, mqttx.AllowAnonymous())
				got := failure(t, func(t testing.TB) {
					cl := mqttest.Connect(t, s, connect("c", mqttx.V5))
					cl.Subscribe("t", 0)
					c.f(t, s, cl)
				})
				if !regexp.MustCompile(c.want).MatchString(got) {
					t.Errorf("want a failure like\n%s\ngot\n%s", c.want, got)
				}
			})
		})
	}
}

// Outside a bubble Nothing asks with PINGREQ.
func TestNothingOutside(t *testing.T) {
	s := mqttest.NewServer(t, mqttx.AllowAnonymous())
	for _, c := range []struct {
		f    func(c *mqttest.Client)
		want string
	}{
		{func(*mqttest.Client) {}, ""},
		{func(*mqttest.Client) { s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 1}) }, `want nothing, got PUBLISH t ""`},
		{func(c *mqttest.Client) { c.Publish("t", "", 1) }, "want nothing; this has come and waits:\n\tPUBLISH t"},
		{func(*mqttest.Client) { s.Disconnect("c", mqttx.ServerMoved) }, "want nothing, got DISCONNECT 0x9D"},
		{func(c *mqttest.Client) { c.Send(&packet.Disconnect{}) }, "want only PINGRESP, but the server closed the connection"},
	} {
		got := failure(t, func(t testing.TB) {
			cl := mqttest.Connect(t, s, connect("c", mqttx.V5))
			cl.Subscribe("t", 0)
			c.f(cl)
			cl.Nothing()
		})
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("want a failure like %q, got %q", c.want, got)
		}
	}
	got := failure(t, func(t testing.TB) {
		c := mqttest.Dial(t, s)
		c.Nothing()
		c.Write([]byte{0, 0})
		c.Nothing()
	})
	if got != "mqttest: want nothing, but the server closed the connection" {
		t.Errorf("before CONNACK: %q", got)
	}
}

// What comes must be packets.
func TestBrokenServer(t *testing.T) {
	for _, c := range []struct {
		bytes, want string
		closes      bool
	}{
		{"\xff\xff\xff\xff\xff", "want a packet, but what came is no packet: ff ff ff ff ff: ", false},
		{"\x20\x02\x00", "want a packet, but nothing came but the beginning of a packet: 20 02 00", false},
		{"\x20\x02\x00", "want a packet, but the connection ended in a packet: 20 02 00", true},
		{"\x20\x02\x00\x00", "want a packet, but what came is no packet of MQTT 5.0: 20 02 00 00: ", false},
		{"\x62\x02\x00\x01", "", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			got := failure(t, func(t testing.TB) {
				near, far := mqttest.Pipe()
				t.Cleanup(func() { far.Close() })
				cl := mqttest.NewClient(t, near, mqttx.V5)
				far.Write([]byte(c.bytes))
				if c.closes {
					far.Close()
				}
				cl.Next()
			})
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("% x: want a failure like %q, got %q", c.bytes, c.want, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // Nothing does not overlook the beginning of a packet
		got := failure(t, func(t testing.TB) {
			near, far := mqttest.Pipe()
			t.Cleanup(func() { far.Close() })
			cl := mqttest.NewClient(t, near, mqttx.V5)
			far.Write([]byte{0x20})
			cl.Nothing()
		})
		if !strings.Contains(got, "want nothing, but nothing came but the beginning of a packet: 20") {
			t.Errorf("got %q", got)
		}
	})
}

// A server that takes nothing fails the test instead of blocking it.
func TestSendToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := failure(t, func(t testing.TB) {
			near, far := mqttest.Pipe()
			t.Cleanup(func() { far.Close() })
			mqttest.NewClient(t, near, mqttx.V5).Write(make([]byte, 100_000))
		})
		if got != "mqttest: the server has not taken 100000 bytes in 10s" {
			t.Errorf("got %q", got)
		}
	})
}

// A callback that waits is told of, by Drop and at the end of the test.
func TestCallbackThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := mqttest.NewServer(t, mqttx.Chain(mqttx.AllowAnonymous(), mqttx.Callbacks[*mqttx.Conn]{
			Disconnected: func(context.Context, *mqttx.Conn, error) { <-release },
		}))
		began := time.Now()
		got := failure(t, func(t testing.TB) { mqttest.Connect(t, s, nil).Drop() })
		if strings.Count(got, "does a callback wait?") != 2 || time.Since(began) != 20*time.Second {
			t.Errorf("after %v: %q", time.Since(began), got)
		}
		close(release)
	})
}

func TestLeaks(t *testing.T) {
	stop := make(chan struct{})
	ended := make(chan struct{})
	if got := failure(t, func(t testing.TB) {
		mqttest.Leaks(t)
		go func() {
			defer close(ended)
			<-stop
		}()
		mqttest.Connect(t, mqttest.NewServer(t, mqttx.AllowAnonymous()), nil)
		time.AfterFunc(time.Millisecond, func() { close(stop) }) // what ends soon is no leak
	}); got != "" {
		t.Errorf("no leak, but %s", got)
	}
	<-ended
	synctest.Test(t, func(t *testing.T) { // in a bubble, for its patience
		forever := make(chan struct{})
		got := failure(t, func(t testing.TB) {
			mqttest.Leaks(t)
			go func() { <-forever }()
		})
		close(forever)
		if !strings.Contains(got, "mqttest: 1 goroutines are left:") || !strings.Contains(got, "TestLeaks") {
			t.Errorf("a leak, but %q", got)
		}
	})
}
