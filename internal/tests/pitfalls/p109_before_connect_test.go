package pitfalls_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Sockets that announce 256 MB, or whose first packet is another one, are closed at once and without a byte; the length takes
// no memory.
func TestPitfall109_AnnouncedLength(t *testing.T) {
	for _, on := range []testnet.Transport{testnet.Loop, testnet.TCP} {
		for name, first := range map[string]string{
			"CONNECT": "\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x02\x00\x00", "PUBLISH": "\x30\xff\xff\xff\x7f\x00\x01t", "AUTH": "\xf0\xff\xff\xff\x7f",
		} {
			t.Run(on.String()+" "+name, func(t *testing.T) {
				const sockets = 200
				n := on.Start(t, &mqttx.Server{})
				served := n.Connect(nil)
				before := p63Heap()
				var open []net.Conn
				for range sockets {
					nc, err := n.Open()
					if err != nil {
						t.Fatal(err)
					}
					open = append(open, nc)
					if _, err = nc.Write([]byte(first)); err != nil {
						t.Fatal(err)
					}
				}
				for _, nc := range open {
					nc.SetReadDeadline(time.Now().Add(20 * time.Second))
					if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
						t.Fatalf("% x, %v", b, err)
					}
					nc.Close()
				}
				if grown := p63Heap() - before; grown > sockets*2<<10 {
					t.Errorf("%d sockets take %d bytes", sockets, grown)
				}
				served.Nothing()
			})
		}
	}
}

// Those that announce less than is allowed and stall take no more than they have sent, until the deadline.
func TestPitfall109_Stalled(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		const sockets, announced = 300, 400_000
		s := p63Start(t, &mqttx.Server{})
		served := mqttest.Connect(t, s, nil)
		before := p63Heap()
		var open []net.Conn
		for range sockets {
			near, far := mqttest.Pipe()
			go s.ServeConn(t.Context(), far)
			near.Write([]byte{0x10, announced&0x7f | 0x80, announced>>7&0x7f | 0x80, announced >> 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2})
			open = append(open, near)
		}
		synctest.Wait()
		grown := p63Heap() - before
		t.Logf("%d bytes each", grown/sockets)
		if grown > sockets*8<<10 {
			t.Errorf("%d sockets take %d bytes", sockets, grown)
		}
		mqttest.Advance(10 * time.Second)
		for _, nc := range open {
			if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
				t.Fatalf("answered % x, %v", b, err)
			}
			nc.Close()
		}
		served.Nothing()
	})
}

// One deadline is for the whole CONNECT, however slowly it drips; then its place is free again.
func TestPitfall111_OneDeadline(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{Connections: 2}})
		whole := p63Bytes(t, v, p63Clean("a client id that is long enough to drip", v))
		slow := []*mqttest.Client{mqttest.Dial(t, s), mqttest.Dial(t, s)}
		synctest.Wait()
		third := mqttest.Dial(t, s)
		third.Write(whole)
		third.Closed()
		for i := range 9 {
			for _, c := range slow {
				c.Write(whole[2*i : 2*i+2])
			}
			mqttest.Advance(time.Second)
			for _, c := range slow {
				if raw := c.Raw(); len(raw) > 0 {
					t.Errorf("answered % x", raw)
				}
			}
		}
		mqttest.Advance(time.Second)
		for _, c := range slow {
			c.Closed()
		}
		mqttest.Connect(t, s, p63Clean("in their place", v)).Nothing()
	})
}

// An application can lower Keep Alive for MQTT 5.0, and Limits.Idle bounds a Keep Alive of 0: no place is held for ever.
func TestPitfall111_KeepAliveCeiling(t *testing.T) {
	for _, asked := range []uint16{0, 65535} {
		p63Each(t, func(t *testing.T, v mqttx.Version) {
			s := p63Start(t, &mqttx.Server{
				Limits: mqttx.Limits{Idle: 100 * time.Second},
				Handler: mqttx.Callbacks[*mqttx.Conn]{Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
					if r.KeepAlive == 0 || r.KeepAlive > 60*time.Second {
						r.KeepAlive = 60 * time.Second
					}
					return r.Conn, nil
				}},
			})
			p := p63Clean("c", v)
			p.KeepAlive = asked
			c := mqttest.Connect(t, s, p)
			held := 98303 * time.Second // 1.5 times 65,535 s: older versions cannot be told another
			switch {
			case v == mqttx.V5:
				held = 90 * time.Second
				if k := c.Connack.ServerKeepAlive; k == nil || *k != 60 {
					t.Errorf("Server Keep Alive %v, want 60", k)
				}
			case asked == 0:
				held = 100 * time.Second
			}
			mqttest.Advance(held - 2*time.Second)
			c.Nothing()
			mqttest.Advance(4 * time.Second)
			p63Bye(t, c, mqttx.KeepAliveTimeout)
		})
	}
}

// TLS handshakes that do not go on disturb nobody who is served or comes.
func TestPitfall112_HalfOpenTLS(t *testing.T) {
	for _, on := range []testnet.Transport{testnet.TLS, testnet.SecureWebSocket} {
		t.Run(on.String(), func(t *testing.T) {
			n := on.Start(t, &mqttx.Server{})
			served := n.Connect(nil)
			served.Subscribe("t", 1)
			for i := range 200 {
				nc, err := net.Dial("tcp", n.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				if i%2 == 0 {
					nc.Write([]byte{0x16, 3, 1, 2, 0, 1}) // the beginning of a ClientHello
				}
			}
			for i := range 5 {
				c := n.Connect(nil)
				c.Publish("t", fmt.Sprint(i), 1)
				if m := served.Receive(); string(m.Payload) != fmt.Sprint(i) {
					t.Errorf("got %q", m.Payload)
				}
			}
			served.Nothing()
		})
	}
}

// Over the rate of connections a socket is closed before anything of TLS is done for it.
func TestPitfall112_RateBeforeTLS(t *testing.T) {
	n := testnet.TLS.Start(t, &mqttx.Server{Limits: mqttx.Limits{ConnectRate: 1, RateInterval: time.Hour}})
	served := n.Connect(nil)
	for range 20 {
		nc, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetReadDeadline(time.Now().Add(20 * time.Second))
		if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		nc.Close()
	}
	served.Nothing()
}

// No callback is called, and no state made, before CONNECT is whole.
func TestPitfall113_NoCallbackBeforeConnect(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		var calls atomic.Int32
		s := p63Start(t, &mqttx.Server{Handler: mqttx.Callbacks[*int32]{
			Connect: func(context.Context, *mqttx.ConnectRequest) (*int32, error) { calls.Add(1); return new(int32), nil },
			Connected: func(context.Context, *int32) error {
				calls.Add(1)
				return nil
			},
			Auth: func(context.Context, *mqttx.ConnectRequest) (mqttx.Exchange, error) {
				calls.Add(1)
				return nil, nil
			},
			Allow:        func(context.Context, mqttx.Access) error { calls.Add(1); return nil },
			Info:         func(context.Context, *int32, any) error { calls.Add(1); return nil },
			Disconnected: func(context.Context, *int32, error) { calls.Add(1) },
		}})
		p := p63Clean("c", v)
		p.Username, p.Password = "user", []byte("secret")
		p.Will = &packet.Will{Topic: "t", Payload: []byte("x")}
		whole := p63Bytes(t, v, p)
		for n := range len(whole) {
			c := mqttest.Dial(t, s)
			c.Write(whole[:n])
			synctest.Wait()
			if n%2 == 0 {
				c.Drop()
			} else {
				mqttest.Advance(10 * time.Second)
				c.Closed()
			}
		}
		if n := calls.Load(); n != 0 {
			t.Errorf("%d calls without a CONNECT", n)
		}
		if st := s.Stats(); st.Sessions != 0 || st.Published != 0 {
			t.Errorf("%+v", st)
		}
		mqttest.Connect(t, s, p)
		if calls.Load() == 0 {
			t.Error("no call for a CONNECT")
		}
	})
}
