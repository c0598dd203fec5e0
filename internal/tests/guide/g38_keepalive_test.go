package guide_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A client that says nothing is closed at 1.5 times its keep alive and not before.
func TestGuide_G38_Silence(t *testing.T) {
	for _, k := range []uint16{1, 2, 10, 65535} {
		t.Run("K="+strconv.Itoa(int(k)), func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{})
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: k})
				mqttest.Advance(time.Duration(k)*1500*time.Millisecond - 100*time.Millisecond)
				c.Nothing()
				mqttest.Advance(200 * time.Millisecond)
				g38Bye(t, c, mqttx.KeepAliveTimeout)
				if n := srv.Stats().Connections; n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}

// Time counts from the last complete packet.
func TestGuide_G38_LastPacket(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10})
		mqttest.Advance(7 * time.Second)
		c.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](c)
		mqttest.Advance(14900 * time.Millisecond)
		c.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		g38Bye(t, c, mqttx.KeepAliveTimeout)
	})
}

// Bytes of a packet that is not whole do not prolong.
func TestGuide_G38_HalfPacket(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "#")
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10})
		b, err := (&packet.Publish{Topic: []byte("a"), Payload: make([]byte, 100)}).Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 14 {
			c.Write(b[i : i+1])
			mqttest.Advance(time.Second)
			c.Nothing()
		}
		mqttest.Advance(900 * time.Millisecond)
		c.Write(b[14:15])
		c.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		g38Bye(t, c, mqttx.KeepAliveTimeout)
		sub.Nothing()
	})
}

// Connect may set another keep alive for MQTT 5.0 clients, which are told; the others cannot be and keep their own.
func TestGuide_G38_ServerKeepAlive(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
			Connect: func(_ context.Context, r *mqttx.ConnectRequest) (int, error) {
				if r.KeepAlive != time.Minute {
					t.Errorf("KeepAlive %v", r.KeepAlive)
				}
				r.KeepAlive = 4 * time.Second
				return 0, nil
			},
		}})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 60})
		ends := 90 * time.Second
		if v == mqttx.V5 {
			ends = 6 * time.Second
			if k := c.Connack.ServerKeepAlive; k == nil || *k != 4 {
				t.Errorf("Server Keep Alive %v, want 4", k)
			}
		}
		mqttest.Advance(ends - 100*time.Millisecond)
		c.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		g38Bye(t, c, mqttx.KeepAliveTimeout)
	})
}

// A keep alive that was not changed is not told.
func TestGuide_G38_OwnKeepAlive(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true, KeepAlive: 60})
		if k := c.Connack.ServerKeepAlive; k != nil {
			t.Errorf("Server Keep Alive %d without need", *k)
		}
	})
}

// The timeout publishes the will, once.
func TestGuide_G39_WillAtTimeout(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		mqttest.Connect(t, srv, &packet.Connect{
			Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10,
			Will: &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1},
		})
		mqttest.Advance(15*time.Second - time.Millisecond)
		sub.Nothing()
		mqttest.Advance(time.Millisecond)
		g38Gets(t, sub, "gone")
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}

// The will delay counts from the timeout.
func TestGuide_G39_DelayedWill(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "w")
		c := mqttest.Connect(t, srv, &packet.Connect{
			ClientID: "c", CleanStart: true, KeepAlive: 10, SessionExpiryInterval: new(uint32(60)),
			Will: &packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 2, DelayInterval: 5},
		})
		mqttest.Advance(15 * time.Second)
		g38Bye(t, c, mqttx.KeepAliveTimeout)
		mqttest.Advance(5*time.Second - time.Millisecond)
		sub.Nothing()
		mqttest.Advance(time.Millisecond)
		g38Gets(t, sub, "gone")
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}

// g38Restarters are packets that a client sends, with what has to come before and what the answers are.
func g38Restarters() map[string]struct {
	before func(t *testing.T, srv *mqttx.Server, c *mqttest.Client)
	send   packet.Packet
	after  func(c *mqttest.Client)
} {
	type row = struct {
		before func(t *testing.T, srv *mqttx.Server, c *mqttest.Client)
		send   packet.Packet
		after  func(c *mqttest.Client)
	}
	message := func(qos mqttx.QoS) func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
		return func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
			c.Subscribe("m", 2)
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "m", QoS: qos}); err != nil {
				t.Fatal(err)
			}
			if p := mqttest.Expect[*packet.Publish](c); p.PacketID != 1 {
				t.Fatalf("packet id %d, want 1", p.PacketID)
			}
		}
	}
	return map[string]row{
		"PINGREQ": {send: &packet.Pingreq{}, after: func(c *mqttest.Client) { mqttest.Expect[*packet.Pingresp](c) }},
		"PUBLISH 0": {
			send: &packet.Publish{Topic: []byte("a")},
		},
		"PUBLISH 1": {
			send:  &packet.Publish{Topic: []byte("a"), QoS: 1, PacketID: 7},
			after: func(c *mqttest.Client) { mqttest.Expect[*packet.Puback](c) },
		},
		"SUBSCRIBE": {
			send:  &packet.Subscribe{PacketID: 8, Filters: []packet.Filter{{Filter: "a"}}},
			after: func(c *mqttest.Client) { mqttest.Expect[*packet.Suback](c) },
		},
		"UNSUBSCRIBE": {
			send:  &packet.Unsubscribe{PacketID: 9, Filters: []string{"a"}},
			after: func(c *mqttest.Client) { mqttest.Expect[*packet.Unsuback](c) },
		},
		"PUBACK": {before: message(1), send: &packet.Puback{PacketID: 1}},
		"PUBREC": {
			before: message(2), send: &packet.Pubrec{PacketID: 1},
			after: func(c *mqttest.Client) { mqttest.Expect[*packet.Pubrel](c) },
		},
		"PUBCOMP": {
			before: func(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
				message(2)(t, srv, c)
				c.Send(&packet.Pubrec{PacketID: 1})
				mqttest.Expect[*packet.Pubrel](c)
			},
			send: &packet.Pubcomp{PacketID: 1},
		},
		"PUBREL": {
			before: func(t *testing.T, _ *mqttx.Server, c *mqttest.Client) {
				g38Send(t, c, &packet.Publish{Topic: []byte("a"), QoS: 2, PacketID: 3})
			},
			send:  &packet.Pubrel{PacketID: 3},
			after: func(c *mqttest.Client) { mqttest.Expect[*packet.Pubcomp](c) },
		},
	}
}

// Every packet of the client begins the time anew. Timed resends are off, so that nothing but the end comes meanwhile.
func TestGuide_G40_AnyPacket(t *testing.T) {
	for name, x := range g38Restarters() {
		t.Run(name, func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{ResendInterval: -1}})
				c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10})
				if x.before != nil {
					x.before(t, srv, c)
				}
				mqttest.Advance(14 * time.Second)
				c.Send(x.send)
				if x.after != nil {
					x.after(c)
				}
				mqttest.Advance(14900 * time.Millisecond)
				c.Nothing()
				mqttest.Advance(200 * time.Millisecond)
				g38Bye(t, c, mqttx.KeepAliveTimeout)
			})
		})
	}
}

// One packet after the other keeps the connection open.
func TestGuide_G40_InTurn(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{ResendInterval: -1}})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10})
		c.Subscribe("m", 1)
		mqttest.Advance(14 * time.Second)
		c.Send(&packet.Publish{Topic: []byte("m"), QoS: 1, PacketID: 1})
		for range 2 { // its PUBACK, and the message itself
			c.Next()
		}
		mqttest.Advance(14 * time.Second)
		c.Send(&packet.Puback{PacketID: 1})
		mqttest.Advance(14 * time.Second)
		c.Subscribe("n", 1)
		mqttest.Advance(14 * time.Second)
		c.Send(&packet.Pubrel{PacketID: 99})
		mqttest.Expect[*packet.Pubcomp](c)
		mqttest.Advance(14 * time.Second)
		c.Nothing()
	})
}

// What the server sends does not count.
func TestGuide_G40_ServerPackets(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 10})
		c.Subscribe("m", 0)
		for range 14 {
			mqttest.Advance(time.Second)
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "m"}); err != nil {
				t.Fatal(err)
			}
			c.Receive()
		}
		mqttest.Advance(900 * time.Millisecond)
		c.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		g38Bye(t, c, mqttx.KeepAliveTimeout)
	})
}

// Keep alive 0 is no limit.
func TestGuide_G41_NoKeepAlive(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		mqttest.Advance(24 * time.Hour)
		c.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](c)
		c.Nothing()
	})
}

// Limits.Idle closes clients without a keep alive, and no others.
func TestGuide_G41_Idle(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{Idle: time.Minute}})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		other := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "other", CleanStart: true, KeepAlive: 600})
		mqttest.Advance(30 * time.Second)
		c.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](c)
		mqttest.Advance(59900 * time.Millisecond)
		c.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		g38Bye(t, c, mqttx.KeepAliveTimeout)
		mqttest.Advance(800 * time.Second)
		other.Nothing()
	})
}

// Disconnected is told why, once.
func TestGuide_G42_Reason(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true, KeepAlive: 2})
		mqttest.Advance(2900 * time.Millisecond)
		r.want(t)
		mqttest.Advance(200 * time.Millisecond)
		why := r.why(t)
		if !errors.Is(why, mqttx.KeepAliveTimeout) || why.By != mqttx.ByServer || why.Code != mqttx.KeepAliveTimeout {
			t.Errorf("ended with %v by %v", why, why.By)
		}
		if err := c.Served(); !errors.Is(err, mqttx.KeepAliveTimeout) {
			t.Errorf("ServeConn gave %v", err)
		}
		mqttest.Advance(time.Hour)
		r.why(t)
	})
}
