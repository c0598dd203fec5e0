package guide_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n03Counting counts all calls of callbacks.
func n03Counting(calls *atomic.Int32) mqttx.Callbacks[int] {
	return mqttx.Callbacks[int]{
		Connect:      func(context.Context, *mqttx.ConnectRequest) (int, error) { calls.Add(1); return 0, nil },
		Publish:      func(context.Context, int, *mqttx.Message) error { calls.Add(1); return nil },
		Subscribe:    func(context.Context, int, *mqttx.Subscription) error { calls.Add(1); return nil },
		Auth:         func(context.Context, *mqttx.ConnectRequest) (mqttx.Exchange, error) { calls.Add(1); return nil, nil },
		Disconnected: func(context.Context, int, error) { calls.Add(1) },
	}
}

// n03Refused takes the end of a connection that never got a byte.
func n03Refused(t *testing.T, c *mqttest.Client) {
	t.Helper()
	c.Closed()
	if b := c.Raw(); len(b) > 0 {
		t.Errorf("the server says % x", b)
	}
}

func TestGuide_N3_FirstPacket(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		var calls atomic.Int32
		n := on.Start(t, g1Quiet(n03Counting(&calls)))
		for first := range 256 {
			if packet.Type(first>>4) == packet.TypeConnect {
				continue
			}
			if first&0x0F > 2 && first&0x0F < 15 { // some flags of each type will do
				continue
			}
			c := n.Dial()
			c.Write([]byte{byte(first), 2, 0, 1}) // more than the first byte, so that no end waits for it
			n03Refused(t, c)
		}
		if k := calls.Load(); k != 0 {
			t.Errorf("%d calls", k)
		}
	})
}

// One byte is enough.
func TestGuide_N3_FirstByte(t *testing.T) {
	for first := range 256 {
		if packet.Type(first>>4) == packet.TypeConnect {
			continue
		}
		g1Bubble(t, fmt.Sprintf("%02x", first), func(t *testing.T) {
			var calls atomic.Int32
			s := g1Started(t, &mqttx.Server{Handler: n03Counting(&calls)})
			c := mqttest.Dial(t, s)
			c.Write([]byte{byte(first)})
			mqttest.Advance(11 * time.Second)
			n03Refused(t, c)
			c.Served()
			if k := calls.Load(); k != 0 {
				t.Errorf("%d calls", k)
			}
		})
	}
}

func TestGuide_N3_Timeout(t *testing.T) {
	for _, x := range []struct {
		name   string
		limits mqttx.Limits
		at     time.Duration
	}{{"default", mqttx.Limits{}, 10 * time.Second}, {"3 s", mqttx.Limits{ConnectTimeout: 3 * time.Second}, 3 * time.Second}} {
		for _, trickle := range []bool{false, true} {
			g1Bubble(t, fmt.Sprintf("%s, trickle %v", x.name, trickle), func(t *testing.T) {
				var calls atomic.Int32
				s := g1Started(t, &mqttx.Server{Limits: x.limits, Handler: n03Counting(&calls)})
				begin := time.Now()
				c := mqttest.Dial(t, s)
				b, err := g1Connect("a client id that takes a while", mqttx.V5).Append(nil, mqttx.V5)
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; trickle && time.Duration(i)*time.Second < x.at; i++ {
					g70At(begin, time.Duration(i)*time.Second)
					c.Write(b[i : i+1])
				}
				g70At(begin, x.at-g70Near)
				c.Send(&packet.Pingreq{}) // swallowed by the CONNECT that is not whole, or refused
				if trickle {
					if n := s.Stats().Connections; n != 0 {
						t.Errorf("%d connections", n)
					}
				}
				g70At(begin, x.at+g70Near)
				n03Refused(t, c)
				c.Served()
				if k := calls.Load(); k != 0 {
					t.Errorf("%d calls", k)
				}
			})
		}
	}
}

// The handshake of TLS counts: it has to be over, and CONNECT to be there, in the same time.
func TestGuide_N3_TLS(t *testing.T) {
	a := testnet.NewAuthority(t)
	cert := a.Issue("server")
	for _, finish := range []bool{false, true} {
		g1Bubble(t, fmt.Sprint("handshake finished ", finish), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			l := newG1Listener()
			go s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}))
			begin := time.Now()
			nc := l.dial(t)
			t.Cleanup(func() { nc.Close() })
			var r io.Reader = nc
			if finish {
				c := tls.Client(nc, &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1", Time: func() time.Time { return time.Time{} }, InsecureSkipVerify: true})
				mqttest.Advance(6 * time.Second)
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				r = c
			} else if _, err := nc.Write([]byte{22, 3, 1, 0, 200, 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(r); err != nil && finish {
				t.Log(err) // closed in whatever way
			}
			if d := time.Since(begin); d < 10*time.Second-g70Near || d > 10*time.Second+g70Near {
				t.Errorf("closed after %v", d)
			}
		})
	}
}

func TestGuide_N4_Assigned(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		ids := map[string]*mqttest.Client{}
		for range 1000 {
			c := mqttest.Connect(t, s, &packet.Connect{CleanStart: true})
			id := c.Connack.AssignedClientID
			if id == "" || ids[id] != nil {
				t.Fatalf("assigned %q", id)
			}
			ids[id] = c
			if _, ok := s.Conn(id); !ok {
				t.Fatalf("the server does not know %q", id)
			}
			g1Code(t, "SUBACK", c.Subscribe("own/"+id, 1), 1)
		}
		p := mqttest.Connect(t, s, nil)
		for id := range ids {
			p.Publish("own/"+id, id, 1)
		}
		for id, c := range ids {
			g1Got(t, c.Receive(), "own/"+id, id, 1, false)
			c.Nothing()
		}
	})
}

// The assigned id is the session's, so it can be resumed.
func TestGuide_N4_Resume(t *testing.T) {
	g1Bubble(t, "5.0", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		c := mqttest.Connect(t, s, g70Keep("", mqttx.V5))
		id := c.Connack.AssignedClientID
		c.Drop()
		c = g70Resume(t, s, id, mqttx.V5)
		if got := c.Connack.AssignedClientID; got != "" {
			t.Errorf("assigned %q to a client that has an id", got)
		}
	})
}

func TestGuide_N4_V3(t *testing.T) {
	g1Bubble(t, "all", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{})
		for range 2 {
			c := mqttest.Connect(t, s, g1Connect("", mqttx.V311))
			if b := c.Raw(); string(b) != "\x20\x02\x00\x00" {
				t.Errorf("CONNACK % x", b)
			}
			g1Code(t, "SUBACK", c.Subscribe("t", 1), 1)
			c.Publish("t", "x", 1)
			g1Got(t, c.Receive(), "t", "x", 1, false)
			c.Unsubscribe("t")
		}
		if n := s.Stats().Connections; n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		for _, p := range []*packet.Connect{{Version: mqttx.V311}, {Version: mqttx.V31}, {Version: mqttx.V31, CleanStart: true}} {
			c, code := mqttest.TryConnect(t, s, p)
			g1Code(t, "CONNACK", code, 2)
			if b := c.Raw(); string(b) != "\x20\x02\x00\x02" {
				t.Errorf("CONNACK % x", b)
			}
			c.Closed()
			c.Served()
		}
		if n := s.Stats().Sessions; n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

// Connect may name the client or turn it away.
func TestGuide_N4_Connect(t *testing.T) {
	g1Bubble(t, "named", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{Handler: mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			if r.ClientID == "" {
				r.Client.ID = "given"
			}
			return nil
		})})
		c := mqttest.Connect(t, s, &packet.Connect{CleanStart: true})
		if id := c.Connack.AssignedClientID; id != "given" {
			t.Errorf("assigned %q", id)
		}
		if _, ok := s.Conn("given"); !ok {
			t.Error("the server does not know it")
		}
	})
	g1Bubble(t, "refused", func(t *testing.T) {
		s := g1Started(t, &mqttx.Server{Handler: mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			if r.ClientID == "" {
				return mqttx.ClientIdentifierNotValid
			}
			return nil
		})})
		for v, want := range map[mqttx.Version]mqttx.ReasonCode{mqttx.V5: mqttx.ClientIdentifierNotValid, mqttx.V311: 2} {
			c, code := mqttest.TryConnect(t, s, g1Connect("", v))
			g1Code(t, "CONNACK", code, want)
			c.Closed()
			c.Served()
		}
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}
