package guide_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g28Serve serves a listener in memory.
func g28Serve(t *testing.T, s *mqttx.Server, wrap func(net.Listener) net.Listener) *g1Listener {
	t.Helper()
	g1Started(t, s)
	l := newG1Listener()
	go s.Serve(wrap(l))
	return l
}

func g28Plain(l net.Listener) net.Listener { return l }

// Sockets over the rate are closed without a byte, those of the next interval are served.
func TestGuide_G28_ThirdSocket(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		var asked atomic.Int32
		s := &mqttx.Server{Limits: mqttx.Limits{ConnectRate: 2}, Handler: mqttx.Authenticate(
			func(context.Context, *mqttx.ConnectRequest) error { asked.Add(1); return nil })}
		l := g28Serve(t, s, g28Plain)
		first := mqttest.NewClient(t, l.dial(t), v)
		first.Connect(g1Connect("first", v))
		mqttest.NewClient(t, l.dial(t), v) // it says nothing, and counts
		third := mqttest.NewClient(t, l.dial(t), v)
		third.Send(g1Connect("third", v))
		third.Closed()
		if got := third.Raw(); len(got) > 0 {
			t.Errorf("the third socket was sent % x", got)
		}
		mqttest.Advance(time.Second)
		fourth := mqttest.NewClient(t, l.dial(t), v)
		g1Code(t, "CONNACK a second later", fourth.Connect(g1Connect("fourth", v)), mqttx.Success)
		first.Nothing()
		if n := asked.Load(); n != 2 {
			t.Errorf("Connect ran %d times, want 2", n)
		}
	})
}

// It is judged before TLS.
func TestGuide_G28_BeforeTLS(t *testing.T) {
	g1Bubble(t, "tls", func(t *testing.T) {
		a := testnet.NewAuthority(t)
		cert := a.Issue("server")
		conf := &tls.Config{Certificates: []tls.Certificate{cert}}
		l := g28Serve(t, &mqttx.Server{Limits: mqttx.Limits{ConnectRate: 1}}, func(l net.Listener) net.Listener { return tls.NewListener(l, conf) })
		client := &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1"}
		first := mqttest.NewClient(t, tls.Client(l.dial(t), client), mqttx.V5)
		g1Code(t, "CONNACK", first.Connect(nil), mqttx.Success)
		raw := l.dial(t)
		defer raw.Close()
		go tls.Client(g28WriteOnly{raw}, client).Handshake()
		if b, err := io.ReadAll(raw); len(b) > 0 || err != nil {
			t.Errorf("the second socket was sent % x, %v", b, err)
		}
		first.Nothing()
	})
}

// g28WriteOnly is a connection whose reading is left to another.
type g28WriteOnly struct{ net.Conn }

func (c g28WriteOnly) Read([]byte) (int, error) { return 0, io.EOF }

// One count is for all listeners of the Server.
func TestGuide_G28_AllListeners(t *testing.T) {
	for _, x := range [][2]testnet.Transport{
		{testnet.TCP, testnet.WebSocket}, {testnet.WebSocket, testnet.TCP}, {testnet.Loop, testnet.Unix}, {testnet.Pipe, testnet.UnixLoop},
	} {
		t.Run(x[0].String()+" and "+x[1].String(), func(t *testing.T) {
			s := g1Quiet(nil)
			s.Limits = mqttx.Limits{ConnectRate: 2, RateInterval: time.Hour}
			one, two := x[0].Start(t, s), x[1].Start(t, s)
			first, second := one.Connect(nil), two.Connect(nil)
			for _, n := range []*testnet.Net{one, two} {
				if nc, err := n.Open(); err == nil {
					if b, _ := io.ReadAll(nc); len(b) > 0 {
						t.Errorf("a third socket was sent % x", b)
					}
					nc.Close()
				}
			}
			first.Nothing()
			second.Nothing()
		})
	}
}

// No limit is the default.
func TestGuide_G28_Unlimited(t *testing.T) {
	for _, x := range []struct{ rate, sockets int }{{0, 1000}, {-1, 10}} {
		g1Bubble(t, fmt.Sprint(x.rate), func(t *testing.T) {
			s := &mqttx.Server{Limits: mqttx.Limits{ConnectRate: x.rate}}
			l := g28Serve(t, s, g28Plain)
			for range x.sockets {
				c := mqttest.NewClient(t, l.dial(t), mqttx.V311)
				g1Code(t, "CONNACK", c.Connect(&packet.Connect{CleanStart: true}), mqttx.Success)
			}
			if n := s.Stats().Connections; n != int64(x.sockets) {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// Over the rate a socket is closed at once, and nobody else feels it.
func TestGuide_G33_ClosedAtOnce(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		var asked atomic.Int32
		s := g1Quiet(mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error { asked.Add(1); return nil }))
		s.Limits = mqttx.Limits{ConnectRate: 1, RateInterval: time.Hour}
		n := on.Start(t, s)
		first := n.Connect(nil)
		nc, err := n.Open()
		if err == nil {
			if on == testnet.WebSocket || on == testnet.SecureWebSocket {
				t.Error("the WebSocket was upgraded")
			}
			connect, _ := g1Connect("second", mqttx.V5).Append(nil, mqttx.V5)
			nc.Write(connect)
			nc.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, err := io.ReadAll(nc)
			if e, timeout := err.(net.Error); len(b) > 0 || timeout && e.Timeout() {
				t.Errorf("the second socket was sent % x, %v", b, err)
			}
			nc.Close()
		} else if on == testnet.TCP || on == testnet.Pipe {
			t.Errorf("Open: %v", err)
		}
		first.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](first)
		if n := asked.Load(); n != 1 {
			t.Errorf("Connect ran %d times", n)
		}
	})
}

// A WebSocket gets 503 in place of an upgrade.
func TestGuide_G33_WebSocket(t *testing.T) {
	s := g1Quiet(nil)
	s.Limits = mqttx.Limits{ConnectRate: 1, RateInterval: time.Hour}
	n := testnet.WebSocket.Start(t, s)
	first := n.Connect(nil)
	for range 3 {
		_, answer := g17Upgrade(t, n.Addr(), http.Header{"Sec-Websocket-Protocol": {"mqtt"}})
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Upgrade") != "" {
			t.Errorf("%s, Upgrade %q", answer.Status, answer.Header.Get("Upgrade"))
		}
	}
	first.Nothing()
}

// By option the CONNECT is read and answered, in the client's version.
func TestGuide_G33_Reply(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		var asked atomic.Int32
		s := g1Quiet(mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error { asked.Add(1); return nil }))
		s.Limits = mqttx.Limits{ConnectRate: 1, RateInterval: time.Hour, ConnectRateReply: true}
		n := on.Start(t, s)
		first := n.Connect(g1Connect("first", v))
		second, code := n.TryConnect(g1Connect("second", v))
		g1Code(t, "CONNACK", code, g1Wire(v, mqttx.ConnectionRateExceeded, 3))
		second.Closed()
		if got := second.Raw(); v != mqttx.V5 && !bytes.Equal(got, []byte{0x20, 2, 0, 3}) {
			t.Errorf("the second client was sent % x", got)
		}
		first.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](first)
		if n := asked.Load(); n != 1 {
			t.Errorf("Connect ran %d times", n)
		}
		if n := s.Stats().Sessions; n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// Many connections that count at once get exactly as many tokens as there are.
func TestGuide_G34_Exact(t *testing.T) {
	g1Bubble(t, "admit", func(t *testing.T) {
		const rate, goroutines, each = 1000, 64, 400
		s := g1Started(t, g1Quiet(nil))
		s.Limits = mqttx.Limits{ConnectRate: rate}
		for interval := range 4 {
			var granted atomic.Int32
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for range each {
						if _, err := s.Admit(context.Background(), nil); err == nil {
							granted.Add(1)
						}
					}
				})
			}
			all.Wait()
			if n := granted.Load(); n != rate {
				t.Errorf("interval %d: %d tokens granted of %d asked for, want %d", interval, n, goroutines*each, rate)
			}
			mqttest.Advance(time.Second)
		}
	})
}

// The same with messages, and refills while they count.
func TestGuide_G34_Messages(t *testing.T) {
	g1Bubble(t, "publish", func(t *testing.T) {
		const rate, clients, seconds = 20, 16, 5
		s := g1Started(t, &mqttx.Server{Limits: mqttx.Limits{MessageRate: rate}})
		var all sync.WaitGroup
		for range clients {
			c := mqttest.Connect(t, s, nil)
			all.Go(func() {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for range seconds * 100 {
					c.Publish("t", "", 0)
					<-tick.C
				}
			})
		}
		all.Wait()
		const asked = clients * seconds * 100
		st := s.Stats()
		most := int64(clients * (rate + rate*seconds))
		if st.Published > most || st.Published < most-clients || st.Published+st.Dropped[mqttx.DropRate] != asked {
			t.Errorf("%d published and %d dropped of %d; at most %d may pass", st.Published, st.Dropped[mqttx.DropRate], asked, most)
		}
	})
}
