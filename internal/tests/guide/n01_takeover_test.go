package guide_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n01Notes are callbacks that note their calls with the number of the connection.
func n01Notes(notes *g1Notes) mqttx.Callbacks[int] {
	var mu sync.Mutex
	n := 0
	return mqttx.Callbacks[int]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (int, error) {
			if r.Client.ID != "c" {
				return 0, nil
			}
			mu.Lock()
			defer mu.Unlock()
			n++
			notes.add(fmt.Sprint("connect ", n))
			return n, nil
		},
		Connected: func(_ context.Context, n int) error {
			if n > 0 {
				notes.add(fmt.Sprint("connected ", n))
			}
			return nil
		},
		Disconnected: func(_ context.Context, n int, why error) {
			if n > 0 {
				notes.add(fmt.Sprint("disconnected ", n, " ", mqttx.CodeOf(why) == mqttx.SessionTakenOver))
			}
		},
	}
}

// The newer connection takes the session over whole, whatever listener either came by.
func TestGuide_N1_AcrossListeners(t *testing.T) {
	for _, x := range [][2]testnet.Transport{
		{testnet.TCP, testnet.WebSocket},
		{testnet.WebSocket, testnet.TCP},
		{testnet.Loop, testnet.WebSocket},
		{testnet.TLS, testnet.Loop},
		{testnet.Loop, testnet.Loop},
		{testnet.Pipe, testnet.Unix},
	} {
		for _, v := range g1Versions() {
			t.Run(fmt.Sprintf("%v to %v, %v", x[0], x[1], v), func(t *testing.T) { n01TakeOver(t, x[0], x[1], v) })
		}
	}
}

func n01TakeOver(t *testing.T, from, to testnet.Transport, v mqttx.Version) {
	notes := &g1Notes{}
	s := g1Quiet(n01Notes(notes))
	first := from.Start(t, s)
	second := first
	if to != from {
		second = to.Start(t, s)
	}
	watch := first.Connect(nil)
	watch.Subscribe("w", 1)
	old := first.Connect(g73Will(v))
	old.Subscribe("t", 1)
	p := second.Connect(nil)
	var ids []uint16
	for i := range 2 {
		p.Publish("t", fmt.Sprint(i), 1)
		ids = append(ids, g70Publish(t, old, fmt.Sprint(i), 1, false))
	}
	now := second.Connect(g70Keep("c", v))
	notes.want(t, "connect 1", "connected 1", "connect 2", "disconnected 1 true", "connected 2") // all before CONNACK
	g1Bye(t, old, mqttx.SessionTakenOver)
	g1Got(t, watch.Receive(), "w", "gone", 1, false)
	if v != mqttx.V31 && !now.Connack.SessionPresent {
		t.Error("no session present")
	}
	for i, id := range ids {
		g70ID(t, "PUBLISH", g70Publish(t, now, fmt.Sprint(i), 1, true), id)
		now.Send(&packet.Puback{PacketID: id})
	}
	p.Publish("t", "live", 1)
	g1Got(t, now.Receive(), "t", "live", 1, false)
	now.Nothing()
	if n := s.Stats().Connections; n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// A delayed will is cancelled by the newer connection when it goes on with the session.
func TestGuide_N1_DelayedWill(t *testing.T) {
	for _, clean := range []bool{false, true} {
		g1Bubble(t, fmt.Sprint("Clean Start ", clean), func(t *testing.T) {
			s := g1Started(t, &mqttx.Server{})
			watch := g38Subscriber(t, s, "w")
			p := g73Will(mqttx.V5)
			p.Will.DelayInterval = 30
			mqttest.Connect(t, s, p)
			next := g70Keep("c", mqttx.V5)
			next.CleanStart = clean
			mqttest.Connect(t, s, next)
			if clean {
				g38Gets(t, watch, "gone") // the session has ended
			}
			mqttest.Advance(60e9)
			watch.Nothing()
		})
	}
}

// Of a hundred connections at once one stays.
func TestGuide_N1_Hundred(t *testing.T) {
	mqttest.Leaks(t)
	for _, on := range []testnet.Transport{testnet.Loop, testnet.TCP} {
		t.Run(on.String(), func(t *testing.T) {
			var mu sync.Mutex
			ended := 0
			s := g1Quiet(mqttx.Callbacks[int]{
				Connect:      func(context.Context, *mqttx.ConnectRequest) (int, error) { return 0, nil },
				Disconnected: func(context.Context, int, error) { mu.Lock(); ended++; mu.Unlock() },
			})
			n := on.Start(t, s)
			b, err := g70Keep("c", mqttx.V5).Append(nil, mqttx.V5)
			if err != nil {
				t.Fatal(err)
			}
			said := make(chan n01Heard, 100)
			entered := make([]chan struct{}, 100)
			for i := range entered {
				nc, err := n.Open()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { nc.Close() })
				entered[i] = make(chan struct{})
				go func() {
					nc.Write(b)
					all := make([]byte, 4)
					k, _ := io.ReadFull(nc, all)
					close(entered[i])
					rest, _ := io.ReadAll(nc)
					said <- n01Heard{i, append(all[:k], rest...)}
				}()
			}
			left := 99 * 100 / 2
			for range 99 {
				x := g1Await(t, "the end of 99 connections", said)
				n01Ended(t, x.b)
				left -= x.i
			}
			g1Await(t, "CONNACK to the last one", entered[left])
			if st := s.Stats(); st.Connections != 1 || st.Sessions != 1 {
				t.Errorf("%+v", st)
			}
			if err := s.Disconnect("c", mqttx.AdministrativeAction); err != nil {
				t.Error(err)
			}
			x := g1Await(t, "the end of the last one", said)
			if b := x.b; len(b) < 7 || b[0] != 0x20 || b[3] != 0 || string(b[len(b)-3:]) != "\xE0\x01\x98" {
				t.Errorf("the last one heard % x", b)
			}
			mu.Lock()
			defer mu.Unlock()
			if ended > 100 {
				t.Errorf("Disconnected was called %d times", ended)
			}
		})
	}
}

// n01Heard is all that a connection has heard.
type n01Heard struct {
	i int
	b []byte
}

// n01Ended judges all bytes that a connection got before another took over from it: none if that was before CONNACK, which
// DISCONNECT must not precede, or CONNACK with a refusal.
func n01Ended(t *testing.T, b []byte) {
	t.Helper()
	switch {
	case len(b) == 0:
	case b[0] == 0x20 && b[3] == byte(mqttx.ServerBusy) && len(b) == int(b[1])+2:
	case b[0] == 0x20 && b[3] == 0 && string(b[b[1]+2:]) == "\xE0\x01\x8E":
	default:
		t.Errorf("a connection that was taken over got % x", b)
	}
}

// In virtual time all of it can be seen: at the end one is there, in silence.
func TestGuide_N1_OneStays(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := g1Started(t, &mqttx.Server{})
		b, err := g70Keep("c", v).Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		clients := make([]*mqttest.Client, 100)
		for i := range clients {
			clients[i] = mqttest.Dial(t, s)
		}
		for _, c := range clients {
			c.Write(b)
		}
		synctest.Wait()
		conn, ok := s.Conn("c")
		if !ok || s.Stats().Connections != 1 || s.Stats().Sessions != 1 {
			t.Fatalf("%v, %+v", ok, s.Stats())
		}
		if err := conn.Send(&mqttx.Message{Topic: "you", QoS: 0}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		told := 0
		for _, c := range clients {
			if raw := string(c.Raw()); strings.Contains(raw, "\x00\x03you") {
				told++
				c.Next()
				g1Got(t, c.Receive(), "you", "", 0, false)
				c.Nothing()
			} else if v == mqttx.V5 {
				c.Served()
				n01Ended(t, []byte(raw))
			} else if c.Served(); len(raw) > 0 && raw != "\x20\x02\x00\x00" && raw != "\x20\x02\x01\x00" && raw != "\x20\x02\x00\x03" {
				t.Errorf("% x", raw)
			}
		}
		if told != 1 {
			t.Errorf("%d connections are there", told)
		}
	})
}

// A second CONNECT ends the connection, and that is all it does.
func TestGuide_N2_SecondConnect(t *testing.T) {
	g1Nets(t, func(t *testing.T, on testnet.Transport, v mqttx.Version) {
		notes := &g1Notes{}
		s := g1Quiet(n01Notes(notes))
		n := on.Start(t, s)
		watch := n.Connect(nil)
		watch.Subscribe("w", 1)
		c := n.Connect(g73Will(v))
		before := slices.Clone(c.Raw())
		c.Send(&packet.Connect{Version: v, ClientID: "d", CleanStart: true})
		g1Bye(t, c, mqttx.ProtocolError)
		got := c.Raw()[len(before):]
		if v == mqttx.V5 && got[0] != 0xE0 || v != mqttx.V5 && len(got) > 0 {
			t.Errorf("after the second CONNECT % x", got)
		}
		g1Got(t, watch.Receive(), "w", "gone", 1, false)
		if _, ok := s.Conn("d"); ok {
			t.Error("the second CONNECT has made a client")
		}
		calls := notes.all()
		if len(calls) < 2 || !slices.Equal(calls[:2], []string{"connect 1", "connected 1"}) || slices.Contains(calls, "connect 2") {
			t.Errorf("calls %q", calls)
		}
	})
}
