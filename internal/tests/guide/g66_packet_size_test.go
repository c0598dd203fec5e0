package guide_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g66Publish is a PUBLISH of QoS 1 on topic a that is size bytes long in all.
func g66Publish(t *testing.T, v mqttx.Version, size int) *packet.Publish {
	t.Helper()
	p := &packet.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1}
	for range 3 { // the length of the Remaining Length may change with the payload's
		b, err := p.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == size {
			return p
		}
		p.Payload = bytes.Repeat([]byte{'x'}, len(p.Payload)+size-len(b))
	}
	t.Fatalf("no PUBLISH has %d bytes", size)
	return nil
}

// g66Limit shows that PUBLISH of size bytes is the longest that is taken.
func g66Limit(t *testing.T, sub, c *mqttest.Client, size int) {
	t.Helper()
	p := g66Publish(t, c.Version, size)
	if code := g38Send(t, c, p); code != mqttx.Success {
		t.Errorf("%v, %d bytes: PUBACK %v", c.Version, size, code)
	}
	if got := sub.Receive(); !bytes.Equal(got.Payload, p.Payload) {
		t.Errorf("%v: payload of %d bytes, want %d", c.Version, len(got.Payload), len(p.Payload))
	}
	c.Send(g66Publish(t, c.Version, size+1))
	g38Bye(t, c, mqttx.PacketTooLarge)
	sub.Nothing()
}

// A packet of exactly the limit is taken, one byte more is not: on every transport.
func TestGuide_G66_ExactLimit(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		for limit, v := range map[int]mqttx.Version{1 << 20: mqttx.V5, 100: mqttx.V311} {
			n := on.Start(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: limit}})
			sub := n.Connect(nil)
			sub.Subscribe("a", 1)
			g66Limit(t, sub, n.Connect(&packet.Connect{Version: v, ClientID: "c", CleanStart: true}), limit)
		}
	})
}

// So it is in every version, and 1 MiB is the default.
func TestGuide_G66_Default(t *testing.T) {
	for limit, size := range map[int]int{0: 1 << 20, 100: 100, 5000: 5000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: limit}})
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
				g66Limit(t, g38Subscriber(t, srv, "a"), c, size)
			})
		})
	}
}

// A negative limit is none but the protocol's.
func TestGuide_G66_Unlimited(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: -1}})
		sub := g38Subscriber(t, srv, "a")
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		p := g66Publish(t, v, 1<<20+1)
		if code := g38Send(t, c, p); code != mqttx.Success {
			t.Errorf("PUBACK %v", code)
		}
		if got := sub.Receive(); len(got.Payload) != len(p.Payload) {
			t.Errorf("payload of %d bytes, want %d", len(got.Payload), len(p.Payload))
		}
	})
}

// A limit that no packet can tell is an error of the first call.
func TestGuide_G66_Impossible(t *testing.T) {
	g38Bubble(t, "limits", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 268_435_461}})
		near, far := mqttest.Pipe()
		if err := srv.ServeConn(t.Context(), far); err == nil {
			t.Error("served")
		}
		near.Close()
		good := g38Server(t, &mqttx.Server{})
		if err := good.SetLimits(mqttx.Limits{PacketSize: 268_435_461}); err == nil {
			t.Error("SetLimits took it")
		}
		if c := mqttest.Connect(t, good, nil); c.Connack.MaximumPacketSize != 1<<20 {
			t.Errorf("Maximum Packet Size %d after an error", c.Connack.MaximumPacketSize)
		}
	})
}

// The fixed header alone decides, on every transport.
func TestGuide_G67_FixedHeader(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		n := on.Start(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 1000}})
		for _, v := range g57Versions() {
			c := n.Connect(&packet.Connect{Version: v, ClientID: "c", CleanStart: true})
			c.Write([]byte{0x30, 0xE6, 0x07}) // 998 bytes would follow
			g38Bye(t, c, mqttx.PacketTooLarge)
		}
	})
}

// It does so for whatever packet, and if it comes in pieces.
func TestGuide_G67_AnyPacket(t *testing.T) {
	for _, first := range []byte{0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0} {
		t.Run(fmt.Sprintf("%#x", first), func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 1000}})
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
				c.Write([]byte{first})
				c.Nothing()
				c.Write([]byte{0xE6})
				c.Nothing()
				c.Write([]byte{0x07})
				g38Bye(t, c, mqttx.PacketTooLarge)
			})
		})
	}
}

// A packet that is announced within the limit is waited for.
func TestGuide_G67_Within(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{PacketSize: 1000}})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		c.Write([]byte{0x30, 0xE5, 0x07})
		mqttest.Advance(time.Hour)
		c.Nothing()
	})
}

// g67First is the beginning of a CONNECT that announces length bytes: fixed header, name and level.
func g67First(length int, level byte) []byte {
	b := []byte{0x10}
	for ; length >= 128; length >>= 7 {
		b = append(b, byte(length)|0x80)
	}
	return append(b, byte(length), 0, 4, 'M', 'Q', 'T', 'T', level)
}

// An oversized CONNECT is refused as soon as its version is known, with CONNACK in MQTT 5.0 and without a byte else.
func TestGuide_G67_Connect(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		srv := &mqttx.Server{Limits: mqttx.Limits{ConnectSize: 1000}}
		n := on.Start(t, srv)
		for _, size := range []int{998, 200 << 20} {
			c := n.Dial()
			c.Write(g67First(size, 5))
			if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.PacketTooLarge {
				t.Errorf("CONNACK %v", p.Code)
			}
			c.Closed()
			c = n.Dial()
			c.Write(g67First(size, 4))
			c.Closed()
			if b := c.Raw(); len(b) > 0 {
				t.Errorf("% x before the close", b)
			}
		}
		if st := srv.Stats(); st.Sessions != 0 {
			t.Errorf("%d sessions", st.Sessions)
		}
	})
}

// The size of a CONNECT is limited by ConnectSize, 512 KiB by default, and not by PacketSize.
func TestGuide_G67_ConnectSize(t *testing.T) {
	for _, x := range []struct {
		limit, size int
		fits        bool
	}{{0, 512 << 10, true}, {0, 512<<10 + 1, false}, {200, 200, true}, {200, 201, false}, {-1, 600 << 10, true}} {
		g38Bubble(t, fmt.Sprintf("limit %d, %d bytes", x.limit, x.size), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{ConnectSize: x.limit, PacketSize: 150}})
			p := &packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true}
			for len(g67Bytes(t, p)) < x.size {
				rest := x.size - len(g67Bytes(t, p))
				u := packet.UserProperty{Value: string(bytes.Repeat([]byte{'v'}, min(max(rest-5, 0), 60000)))}
				p.User = append(p.User, u)
				for len(g67Bytes(t, p)) > x.size && len(u.Value) > 0 {
					u.Value = u.Value[:len(u.Value)-1]
					p.User[len(p.User)-1] = u
				}
			}
			if n := len(g67Bytes(t, p)); n != x.size {
				t.Fatalf("CONNECT of %d bytes, want %d", n, x.size)
			}
			c, code := mqttest.TryConnect(t, srv, p)
			if x.fits {
				if code != mqttx.Success {
					t.Errorf("CONNACK %v", code)
				}
				return
			}
			if code != mqttx.PacketTooLarge {
				t.Errorf("CONNACK %v", code)
			}
			c.Closed()
			g47Sessions(t, srv, 0)
		})
	}
}

func g67Bytes(t *testing.T, p packet.Packet) []byte {
	t.Helper()
	b, err := p.Append(nil, mqttx.V5)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ConnectSize holds until CONNECT is accepted: within an authentication exchange too, whose answer is CONNACK.
func TestGuide_G67_Exchange(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{Handler: g56Exchange(), Limits: mqttx.Limits{ConnectSize: 200}})
		c := mqttest.Dial(t, srv)
		c.Send(&packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true, AuthenticationMethod: "X"})
		mqttest.Expect[*packet.Auth](c)
		c.Write([]byte{0xF0, 0xC6, 0x01}) // 198 bytes follow
		if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.PacketTooLarge {
			t.Errorf("CONNACK %v", p.Code)
		}
		c.Closed()
		g47Sessions(t, srv, 0)

		c = mqttest.Dial(t, srv)
		c.Send(&packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true, AuthenticationMethod: "X"})
		mqttest.Expect[*packet.Auth](c)
		auth := &packet.Auth{Code: mqttx.ContinueAuthentication, AuthenticationMethod: "X"}
		auth.AuthenticationData = make([]byte, 200-len(g67Bytes(t, auth))-5)
		if n := len(g67Bytes(t, auth)); n != 200 {
			t.Fatalf("AUTH of %d bytes", n)
		}
		c.Send(auth)
		if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.Success {
			t.Errorf("CONNACK %v after AUTH of 200 bytes", p.Code)
		}
	})
}

// Sockets that announce much and send little cost little, and go at the CONNECT deadline.
func TestGuide_G67_Memory(t *testing.T) {
	const sockets = 1000
	for name, x := range map[string]struct {
		first  []byte
		atOnce bool
	}{
		"200 MB, level 4":            {g67First(200<<20, 4), true},
		"200 MB, fixed header alone": {g67First(200<<20, 4)[:5], false},
		"400 KB":                     {g67First(400<<10, 4), false},
		"400 KB of MQTT 5.0":         {g67First(400<<10, 5), false},
	} {
		g38Bubble(t, name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
				Connect: func(context.Context, *mqttx.ConnectRequest) (int, error) {
					t.Error("Connect was called")
					return 0, nil
				},
			}})
			srv.Stats()
			near := make([]net.Conn, sockets)
			served := make(chan error, sockets)
			before := g63Heap()
			for i := range near {
				var far net.Conn
				near[i], far = mqttest.Pipe()
				go func() { served <- srv.ServeConn(context.Background(), far) }()
				if _, err := near[i].Write(x.first); err != nil {
					t.Fatal(err)
				}
			}
			mqttest.Advance(9900 * time.Millisecond)
			if grown := g63Heap() - before; grown >= 10<<20 {
				t.Errorf("%d sockets take %d bytes, want less than 10 MiB", sockets, grown)
			} else {
				t.Logf("%d sockets take %d bytes", sockets, grown)
			}
			if n := len(served); x.atOnce != (n == sockets) || !x.atOnce && n > 0 {
				t.Errorf("%d of %d sockets are closed before the deadline", n, sockets)
			}
			mqttest.Advance(200 * time.Millisecond)
			for _, nc := range near {
				if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
					t.Fatalf("% x came, %v", b, err)
				}
				nc.Close()
			}
			for range near {
				<-served
			}
		})
	}
}
