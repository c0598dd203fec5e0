package mqttest_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

var versions = []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}

// inAndOut runs f in a bubble and outside, for each version.
func inAndOut(t *testing.T, f func(t *testing.T, v mqttx.Version)) {
	for _, v := range versions {
		t.Run("bubble/"+v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
		t.Run("real/"+v.String(), func(t *testing.T) { f(t, v) })
	}
}

func connect(id string, v mqttx.Version) *packet.Connect {
	return &packet.Connect{ClientID: id, Version: v, CleanStart: true}
}

func TestRoundTrip(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.AllowAnonymous())
		a := mqttest.Connect(t, s, connect("a", v))
		b := mqttest.Connect(t, s, connect("b", v))
		if a.Version != v || a.ClientID != "a" || a.Connack == nil {
			t.Errorf("client is %v %q %v", a.Version, a.ClientID, a.Connack)
		}
		for q := range mqttx.QoS(3) {
			if code := a.Subscribe("t/+", q); code != mqttx.ReasonCode(q) {
				t.Errorf("SUBACK %v", code)
			}
			for r := range mqttx.QoS(3) {
				if code := b.Publish("t/x", "hello", r); code != mqttx.Success {
					t.Errorf("publish at %d: %v", r, code)
				}
				b.Nothing()
				m := a.Receive()
				if string(m.Topic) != "t/x" || string(m.Payload) != "hello" || m.QoS != min(q, r) {
					t.Errorf("got %+v", m)
				}
			}
			a.Nothing()
		}
		if code := a.Unsubscribe("t/+"); code != mqttx.Success {
			t.Errorf("UNSUBACK %v", code)
		}
		b.Publish("t/x", "nobody", 1)
		a.Nothing()
		a.Disconnect(mqttx.Success)
		var why *mqttx.DisconnectError
		if !errors.As(a.Served(), &why) || why.By != mqttx.ByClient {
			t.Errorf("ended with %v", why)
		}
		b.Drop()
		if !errors.As(b.Served(), &why) || why.By != mqttx.ByNetwork {
			t.Errorf("ended with %v", why)
		}
	})
}

func TestTryConnect(t *testing.T) {
	refuse := mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
		if r.ClientID == "bad" {
			return mqttx.NotAuthorized
		}
		return nil
	})
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, refuse)
		want := map[mqttx.Version]mqttx.ReasonCode{mqttx.V31: 5, mqttx.V311: 5, mqttx.V5: mqttx.NotAuthorized}[v]
		c, code := mqttest.TryConnect(t, s, connect("bad", v))
		if code != want || c.Connack.Code != want {
			t.Errorf("CONNACK %d, Connack %+v; want %d", code, c.Connack, want)
		}
		c.Closed()
		if c, code := mqttest.TryConnect(t, s, connect("good", v)); code != 0 || c.Connack == nil {
			t.Errorf("CONNACK %d", code)
		}
		if msg := failure(t, func(t testing.TB) { mqttest.Connect(t, s, connect("bad", v)) }); !strings.Contains(msg, "want CONNACK 0, got CONNACK") {
			t.Errorf("Connect of a refused client: %q", msg)
		}
	})
}

func TestConnectWithNil(t *testing.T) {
	s := mqttest.NewServer(t, mqttx.AllowAnonymous())
	a, b := mqttest.Connect(t, s, nil), mqttest.Connect(t, s, nil)
	if a.ClientID == "" || a.ClientID == b.ClientID || a.Version != mqttx.V5 {
		t.Errorf("client ids %q, %q, version %v", a.ClientID, b.ClientID, a.Version)
	}
	if conn, ok := s.Conn(a.ClientID); !ok || conn.Version() != mqttx.V5 {
		t.Errorf("the server does not know %q", a.ClientID)
	}
	p := &packet.Connect{}
	c := mqttest.Connect(t, s, p)
	if c.ClientID != c.Connack.AssignedClientID || c.ClientID == "" || p.Version != 0 || p.ClientID != "" {
		t.Errorf("client id %q, assigned %q; the packet is now %+v", c.ClientID, c.Connack.AssignedClientID, p)
	}
}

// The raw parts: bytes out, packets and bytes in.
func TestRaw(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.AllowAnonymous())
		c := mqttest.Dial(t, s)
		if c.Version != mqttx.V5 {
			t.Errorf("version %v before CONNECT", c.Version)
		}
		b, err := connect("raw", v).Append(nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(b)
		if c.Version != v || c.ClientID != "raw" {
			t.Errorf("after CONNECT version %v, id %q", c.Version, c.ClientID)
		}
		ack := mqttest.Expect[*packet.Connack](c)
		if c.Connack != ack {
			t.Error("Connack is not the CONNACK that came")
		}
		c.Write([]byte{0xC0})
		c.Write([]byte{0})
		if _, ok := c.Next().(*packet.Pingresp); !ok {
			t.Error("no PINGRESP")
		}
		want, _ := ack.Append(nil, v)
		want = append(want, 0xD0, 0)
		if got := c.Raw(); !bytes.Equal(got, want) {
			t.Errorf("Raw is % x, want % x", got, want)
		}
	})
}

func TestClosedSwallowsWhatIsSent(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.AllowAnonymous())
		c := mqttest.Connect(t, s, connect("a", v))
		c.Send(&packet.Disconnect{})
		c.Closed()
		c.Send(&packet.Pingreq{})
		c.Closed() // again
		var why *mqttx.DisconnectError
		if err := c.Served(); !errors.As(err, &why) || why.By != mqttx.ByClient {
			t.Errorf("Served: %v", err)
		}
	})
}

// What one method passes over, others find.
func TestPassedOver(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.AllowAnonymous())
		c := mqttest.Connect(t, s, connect("a", v))
		c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("kept"), Retain: true})
		c.Subscribe("t", 1)
		if code := c.Publish("t", "own", 1); code != mqttx.Success {
			t.Errorf("PUBACK %v", code)
		}
		c.Send(&packet.Pingreq{})
		for _, want := range []string{"kept", "own"} {
			if m := c.Receive(); string(m.Payload) != want {
				t.Errorf("got %q, want %q", m.Payload, want)
			}
		}
		mqttest.Expect[*packet.Pingresp](c)
		c.Nothing()
	})
}

func TestStopReading(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := &mqttx.Server{Handler: mqttx.AllowAnonymous()}
		mqttest.Start(t, s)
		c := mqttest.Connect(t, s, connect("slow", v))
		c.Subscribe("t", 0)
		pub := mqttest.Connect(t, s, connect("pub", v))
		c.StopReading()
		c.StopReading() // again
		before := len(c.Raw())
		for range 20 {
			pub.Publish("t", strings.Repeat("x", 10_000), 0)
		}
		pub.Publish("t", "last", 1)
		if n := len(c.Raw()); n != before {
			t.Errorf("%d bytes were read", n-before)
		}
		c.GoOnReading()
		c.GoOnReading()
		for range 20 {
			if m := c.Receive(); len(m.Payload) != 10_000 {
				t.Errorf("got %d bytes", len(m.Payload))
			}
		}
		if m := c.Receive(); string(m.Payload) != "last" {
			t.Errorf("got %q", m.Payload)
		}
	})
}

// The server lets go of a client that reads nothing: the end shows all the same.
func TestClosedWithoutReading(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.AllowAnonymous())
		c := mqttest.Connect(t, s, connect("a", v))
		c.Subscribe("t", 0)
		c.StopReading()
		pub := mqttest.Connect(t, s, connect("pub", v))
		pub.Publish("t", "never read", 1)
		if msg := failure(t, func(t testing.TB) {
			n := mqttest.Connect(t, s, connect("other", v))
			n.StopReading()
			n.ClosedIn(0)
		}); !strings.Contains(msg, "it is open") {
			t.Errorf("an open connection was taken as closed: %q", msg)
		}
		if err := s.Disconnect("a", mqttx.AdministrativeAction); err != nil {
			t.Fatal(err)
		}
		c.Closed()
		if err := c.Served(); mqttx.CodeOf(err) != mqttx.AdministrativeAction {
			t.Errorf("Served: %v", err)
		}
	})
}

// A Client works on any connection.
func TestNewClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mqttest.Leaks(t)
	s := mqttest.NewServer(t, mqttx.AllowAnonymous())
	go s.Serve(l)
	for _, v := range versions {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := mqttest.NewClient(t, nc, v)
		if code := c.Connect(nil); code != 0 || c.Version != v {
			t.Errorf("CONNACK %v, version %v", code, c.Version)
		}
		c.Subscribe("t", 2)
		c.Nothing()
		c.StopReading()
		c.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 99})
		c.GoOnReading()
		if m := c.Receive(); string(m.Payload) != "x" {
			t.Errorf("got %q", m.Payload)
		}
		mqttest.Expect[*packet.Puback](c)
		if v != mqttx.V5 {
			c.Disconnect(0)
			continue
		}
		c.StopReading()
		c.Send(&packet.Pingreq{})
		s.Disconnect(c.ClientID, mqttx.AdministrativeAction)
		c.Closed() // PINGRESP and DISCONNECT were not read and do not count
	}
}

func TestNewID(t *testing.T) {
	c := mqttest.Dial(t, mqttest.NewServer(t, mqttx.AllowAnonymous()))
	for n := 1; n <= 65535; n++ {
		if id := c.NewID(); int(id) != n {
			t.Fatalf("got %d, want %d", id, n)
		}
	}
	if id := c.NewID(); id != 1 {
		t.Errorf("got %d, want 1: 0 is no Packet Identifier", id)
	}
}

// A list of what has come is not without end.
func TestManyPassedOver(t *testing.T) {
	got := failure(t, func(t testing.TB) {
		c := mqttest.Connect(t, mqttest.NewServer(t, mqttx.AllowAnonymous()), nil)
		c.Subscribe("t", 0)
		for range 100 {
			c.Publish("t", strings.Repeat("x", 5000), 0)
		}
		c.Publish("nobody", "", 1)
		c.Nothing()
	})
	if n := strings.Count(got, "PUBLISH t"); n != 20 || !strings.Contains(got, "and 80 more") || !strings.Contains(got, "x... (") {
		t.Errorf("%d are listed: %.3000s", n, got)
	}
}
