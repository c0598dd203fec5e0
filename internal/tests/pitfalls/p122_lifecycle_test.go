package pitfalls_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Close while clients connect, publish and do not read returns in bounded time, and nobody is let in after it.
func TestPitfall122_CloseUnderLoad(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		for round := range 5 {
			s := p63Start(t, &mqttx.Server{})
			l := newP63Listener()
			over := make(chan error, 1)
			go func() { over <- s.Serve(l) }()
			stopped := mqttest.Connect(t, s, nil)
			stopped.Subscribe("#", 0)
			stopped.StopReading()
			var wg sync.WaitGroup
			hello := p63Bytes(t, mqttx.V5, p63Clean("", mqttx.V5))
			load := bytes.Repeat(p63Bytes(t, mqttx.V5, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 500)}), 20)
			for range 100 {
				wg.Go(func() {
					for {
						nc := l.dial()
						if nc == nil {
							return
						}
						nc.Write(hello)
						nc.SetDeadline(time.Now().Add(time.Minute))
						for nc.Read(make([]byte, 100)); ; {
							if _, err := nc.Write(load); err != nil {
								break
							}
							if _, err := nc.Read(make([]byte, 1)); err != nil {
								break
							}
						}
						nc.Close()
					}
				})
			}
			mqttest.Connect(t, s, nil).Publish("t", "x", 1)
			begun := time.Now()
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("round %d: Close took %v", round, took)
			}
			if err := <-over; !errors.Is(err, mqttx.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
			wg.Wait()
			late := mqttest.Dial(t, s)
			late.Write(hello)
			late.Closed()
			synctest.Wait()
			if n := s.Stats().Connections; n != 0 || len(late.Raw()) > 0 {
				t.Errorf("%d connections, answered % x", n, late.Raw())
			}
		}
	})
}

// Disconnected comes exactly once, last and with its reason; Delivered once for each message, with its code.
func TestPitfall123_OnceAndLast(t *testing.T) {
	ends := map[string]struct {
		end  func(t *testing.T, s *mqttx.Server, c *mqttest.Client)
		by   mqttx.Side
		code mqttx.ReasonCode
	}{
		"DISCONNECT":     {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Disconnect(0) }, mqttx.ByClient, 0},
		"with will":      {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Disconnect(4) }, mqttx.ByClient, 4},
		"network":        {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Drop() }, mqttx.ByNetwork, 0},
		"keep alive":     {func(*testing.T, *mqttx.Server, *mqttest.Client) { mqttest.Advance(16 * time.Second) }, mqttx.ByServer, mqttx.KeepAliveTimeout},
		"second CONNECT": {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Send(p63Clean("c", 5)) }, mqttx.ByServer, mqttx.ProtocolError},
		"malformed":      {func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client) { c.Write([]byte{0x30, 0x80, 0}) }, mqttx.ByServer, mqttx.MalformedPacket},
		"takeover":       {func(t *testing.T, s *mqttx.Server, _ *mqttest.Client) { mqttest.TryConnect(t, s, p63Clean("c", 5)) }, mqttx.ByServer, mqttx.SessionTakenOver},
		"kick":           {func(_ *testing.T, s *mqttx.Server, _ *mqttest.Client) { s.Disconnect("c", mqttx.QuotaExceeded) }, mqttx.ByServer, mqttx.QuotaExceeded},
		"two at one time": {func(_ *testing.T, s *mqttx.Server, c *mqttest.Client) {
			go s.Disconnect("c", mqttx.QuotaExceeded)
			c.Send(p63Clean("c", 5))
		}, mqttx.ByServer, 0xff},
		"Close": {func(_ *testing.T, s *mqttx.Server, _ *mqttest.Client) { s.Close() }, mqttx.ByServer, mqttx.ServerShuttingDown},
	}
	for name, e := range ends {
		p63Bubble(t, name, func(t *testing.T) {
			var mu sync.Mutex
			var calls []string
			var why *mqttx.DisconnectError
			note := func(c *mqttx.Conn, s string) {
				mu.Lock()
				defer mu.Unlock()
				if !c.Resumed() && c.Client().Attr("first") != "" {
					calls = append(calls, s)
				}
			}
			first := true
			s := p63Start(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
				Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
					if first {
						r.Client.Set("first", "yes")
					}
					first = false
					return r.Conn, nil
				},
				Subscribe: func(_ context.Context, c *mqttx.Conn, _ *mqttx.Subscription) error { note(c, "subscribe"); return nil },
				Delivered: func(_ context.Context, c *mqttx.Conn, m *mqttx.Message, code mqttx.ReasonCode) error {
					note(c, fmt.Sprintf("delivered %s %02x", m.Payload, byte(code)))
					return nil
				},
				Disconnected: func(_ context.Context, c *mqttx.Conn, err error) {
					if c.Client().Attr("first") != "" {
						errors.As(err, &why)
					}
					note(c, "disconnected")
				},
			}})
			p := p63Clean("c", mqttx.V5)
			p.KeepAlive = 10
			c := mqttest.Connect(t, s, p)
			c.Subscribe("t", 2)
			conn, _ := s.Conn("c")
			for i := range 3 {
				if err := conn.Send(&mqttx.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
					t.Fatal(err)
				}
			}
			for _, code := range []mqttx.ReasonCode{0, 0x80} { // the third is never acknowledged
				ack := &packet.Puback{PacketID: mqttest.Expect[*packet.Publish](c).PacketID, Code: code}
				c.Send(ack)
				c.Send(ack) // the second one is of no message
			}
			synctest.Wait()
			e.end(t, s, c)
			mqttest.Advance(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(calls, ", "); got != "subscribe, delivered 0 00, delivered 1 80, disconnected" {
				t.Errorf("calls: %s", got)
			}
			if why == nil || why.By != e.by || why.Code != e.code && e.code != 0xff {
				t.Errorf("why: %+v", why)
			}
		})
	}
}

// Shutdown lets nobody in any more, tells clients, and sends and stores what was acknowledged.
func TestPitfall126_Shutdown(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		store := &mqttest.MemStore{}
		s := p63Start(t, &mqttx.Server{Store: store})
		l := newP63Listener()
		over := make(chan error, 1)
		go func() { over <- s.Serve(l) }()
		sleeper := mqttest.Connect(t, s, p63Keeps("sleeper", v))
		sleeper.Subscribe("t", 1)
		sleeper.Drop()
		var clients []*mqttest.Client
		for i := range 20 {
			c := mqttest.NewClient(t, l.dial(), v)
			p63Code(t, "CONNACK", c.Connect(p63Clean(fmt.Sprint("c", i), v)), mqttx.Success)
			clients = append(clients, c)
		}
		store.Block()
		clients[0].Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 3})
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		if nc := l.dial(); nc != nil {
			t.Error("a new connection is accepted")
		}
		late := mqttest.Dial(t, s)
		late.Send(p63Clean("late", v))
		late.Closed()
		if len(late.Raw()) > 0 && v != mqttx.V5 {
			t.Errorf("answered % x", late.Raw())
		}
		store.Unblock()
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-over; !errors.Is(err, mqttx.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		for _, c := range clients[1:] {
			p63Bye(t, c, mqttx.ServerShuttingDown)
		}
		s = p63Start(t, &mqttx.Server{Store: store})
		p63Gets(t, mqttest.Connect(t, s, p63Keeps("sleeper", v)), "x")
	})
}

// Clients come, send and go, ten times: heap and goroutines are where they were.
func TestPitfall127_MassDisconnect(t *testing.T) {
	for _, on := range []testnet.Transport{testnet.Loop, testnet.TCP} {
		t.Run(on.String(), func(t *testing.T) {
			const clients = 200
			s := &mqttx.Server{}
			n := on.Start(t, s)
			hello := p63Bytes(t, mqttx.V311, &packet.Connect{Version: mqttx.V311, CleanStart: true})
			burst := bytes.Repeat(p63Bytes(t, mqttx.V311, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 2000)}), 10)
			round := func() {
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						nc, err := n.Open()
						if err != nil {
							t.Error(err)
							return
						}
						defer nc.Close()
						nc.Write(hello)
						b := make([]byte, 4)
						nc.Read(b)
						nc.Write(append(bytes.Clone(burst), 0xC0, 0))
						if _, err = nc.Read(b[:2]); err != nil || b[0] != 0xD0 {
							t.Errorf("PINGRESP % x, %v", b, err)
						}
						nc.Write([]byte{0xE0, 0})
						nc.Read(b)
					})
				}
				wg.Wait()
				for s.Stats().Sessions != 0 {
					runtime.Gosched()
				}
			}
			round()
			heap, goroutines := p63Heap(), runtime.NumGoroutine()
			for range 9 {
				round()
			}
			if grown := p63Heap() - heap; grown > 200<<10 {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			if g := runtime.NumGoroutine(); g > goroutines+10 {
				t.Errorf("%d goroutines, %d after the first round", g, goroutines)
			}
			if st := s.Stats(); st.Connections != 0 || st.Queued != 0 || st.Subscriptions != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
