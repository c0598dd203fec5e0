package guide_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g19Serve serves a net.Pipe, which has no buffer and no CloseWrite, and gives the client and what ServeConn returns.
func g19Serve(t *testing.T, ctx context.Context, s *mqttx.Server, v mqttx.Version) (*mqttest.Client, chan error) {
	t.Helper()
	here, there := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(ctx, there) }()
	return mqttest.NewClient(t, here, v), served
}

// A pipe is served like any other connection, and counts as one of this machine.
func TestGuide_G19_Pipe(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		c, served := g19Serve(t, t.Context(), s, v)
		g1Code(t, "CONNACK", c.Connect(g1Connect("c", v)), mqttx.Success)
		g1Code(t, "SUBACK", c.Subscribe("t/#", 2), 2)
		for q := range mqttx.QoS(3) {
			g1Code(t, "PUBLISH", c.Publish("t/x", "hello", q), mqttx.Success)
			g1Got(t, c.Receive(), "t/x", "hello", q, false)
		}
		synctest.Wait()
		if len(served) != 0 {
			t.Error("ServeConn has returned while the client is there")
		}
		c.Send(&packet.Disconnect{})
		g1Why(t, g1Await(t, "ServeConn", served), mqttx.ByClient, mqttx.NormalDisconnection, "")
		c.Closed()
	})
}

// The end of the context is a shutdown for this connection alone.
func TestGuide_G19_Cancel(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		c, served := g19Serve(t, ctx, s, v)
		c.Connect(g1Connect("c", v))
		other := mqttest.Connect(t, s, g1Connect("other", v))
		synctest.Wait()
		cancel()
		g1Bye(t, c, mqttx.ServerShuttingDown)
		g1Why(t, g1Await(t, "ServeConn", served), mqttx.ByServer, mqttx.ServerShuttingDown, "")
		other.Nothing()
		late, served := g19Serve(t, ctx, s, v)
		late.Closed()
		if err := g1Await(t, "ServeConn", served); err == nil {
			t.Error("ServeConn serves with a context that is over")
		}
		if n := s.Stats().Connections; n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// A client that has gone is not waited for.
func TestGuide_G19_Gone(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		c, served := g19Serve(t, t.Context(), s, v)
		c.Connect(g1Connect("c", v))
		begun := time.Now()
		c.Drop()
		g1Why(t, g1Await(t, "ServeConn", served), mqttx.ByNetwork, 0, "")
		if d := time.Since(begun); d > 0 {
			t.Errorf("ServeConn returned after %v", d)
		}
	})
}

// The context's values are those of the callbacks' contexts.
func TestGuide_G19_Values(t *testing.T) {
	g1Bubble(t, "values", func(t *testing.T) {
		type key struct{}
		seen := make(chan any, 2)
		s := mqttest.NewServer(t, mqttx.Callbacks[struct{}]{
			Connect: func(ctx context.Context, _ *mqttx.ConnectRequest) (struct{}, error) {
				seen <- ctx.Value(key{})
				return struct{}{}, nil
			},
			Publish: func(ctx context.Context, _ struct{}, _ *mqttx.Message) error { seen <- ctx.Value(key{}); return nil },
		})
		c, _ := g19Serve(t, context.WithValue(t.Context(), key{}, "mine"), s, mqttx.V5)
		c.Connect(g1Connect("c", mqttx.V5))
		c.Publish("t", "", 0)
		for range 2 {
			if v := g1Await(t, "the callback", seen); v != "mine" {
				t.Errorf("the context has %v", v)
			}
		}
	})
}

// The example of a transport of one's own is short.
func TestGuide_G19_ExampleIsShort(t *testing.T) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "../../../example_test.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "ExampleServer_ServeConn" {
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n >= 20 {
				t.Errorf("the example has %d lines", n)
			}
			return
		}
	}
	t.Error("there is no ExampleServer_ServeConn")
}

// One Server has any number of listeners, which share all it knows.
func TestGuide_G20_ListenersShare(t *testing.T) {
	s := g1Quiet(nil)
	var nets []*testnet.Net
	for _, on := range testnet.All() {
		nets = append(nets, on.Start(t, s))
	}
	for i, n := range nets {
		next := nets[(i+1)%len(nets)]
		a := n.Connect(g1Connect("a", mqttx.V5))
		a.Send(&packet.Publish{Topic: []byte("r"), Payload: []byte{byte(i)}, QoS: 1, PacketID: 1, Retain: true})
		mqttest.Expect[*packet.Puback](a)
		b := next.Connect(g1Connect("b", mqttx.V5))
		b.Subscribe("#", 1)
		g1Got(t, b.Receive(), "r", string([]byte{byte(i)}), 1, true)
		g1Code(t, "across", a.Publish("live", "x", 1), mqttx.Success)
		g1Got(t, b.Receive(), "live", "x", 1, false)
		second := next.Connect(g1Connect("a", mqttx.V5))
		g1Bye(t, a, mqttx.SessionTakenOver)
		second.Drop()
		b.Drop()
	}
}

// Shutdown tells MQTT 5.0 clients, closes the others, and ends serving with an error that is net.ErrClosed.
func TestGuide_G20_Shutdown(t *testing.T) {
	s := g1Quiet(nil)
	var nets []*testnet.Net
	var clients []*mqttest.Client
	for _, on := range testnet.All() {
		n := on.Start(t, s)
		nets = append(nets, n)
		for _, v := range g1Versions() {
			clients = append(clients, n.Connect(g1Connect(on.String()+v.String(), v)))
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for _, c := range clients {
		g1Bye(t, c, mqttx.ServerShuttingDown)
	}
	for i, n := range nets {
		if n.Addr() == "" {
			continue
		}
		if err := n.Served(); !errors.Is(err, net.ErrClosed) || !errors.Is(err, mqttx.ErrServerClosed) {
			t.Errorf("transport %d: serving ended with %v", i, err)
		}
		if nc, err := n.Open(); err == nil {
			nc.Close()
			t.Errorf("transport %d is still open", i)
		}
	}
	if st := s.Stats(); st.Connections != 0 {
		t.Errorf("%d connections left", st.Connections)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown again: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, mqttx.ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve after Shutdown has left its listener open: %v", err)
	}
}

// What waits for clients is sent before they are told.
func TestGuide_G20_ShutdownFlushes(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		s := g1Quiet(nil)
		n := on.Start(t, s)
		c := n.Connect(g1Connect("c", mqttx.V5))
		c.Subscribe("t", 0)
		for i := range 100 {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: make([]byte, 1000+i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		for i := range 100 {
			if m := c.Receive(); len(m.Payload) != 1000+i {
				t.Fatalf("message %d has %d bytes", i, len(m.Payload))
			}
		}
		g1Bye(t, c, mqttx.ServerShuttingDown)
	})
}

// What the Store has taken is there for the next Server.
func TestGuide_G20_ShutdownStores(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		store := &mqttest.MemStore{}
		p := &packet.Connect{ClientID: "c", Version: v}
		if v == mqttx.V5 {
			p.SessionExpiryInterval = new(uint32(60))
		}
		first := g1Started(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, first, p)
		c.Subscribe("t", 1)
		if err := first.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		g1Bye(t, c, mqttx.ServerShuttingDown)
		second := g1Started(t, &mqttx.Server{Store: store})
		if err := second.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: []byte("x"), QoS: 1}); err != nil {
			t.Errorf("Publish: %v", err)
		}
		c = mqttest.Connect(t, second, p)
		g1Got(t, c.Receive(), "t", "x", 1, false)
	})
}

// Two Servers in one process share nothing.
func TestGuide_G20_TwoServers(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		one, two := mqttest.NewServer(t, nil), mqttest.NewServer(t, nil)
		a := mqttest.Connect(t, one, g1Connect("a", v))
		a.Send(&packet.Publish{Topic: []byte("r"), Payload: []byte("kept"), QoS: 1, PacketID: 1, Retain: true})
		mqttest.Expect[*packet.Puback](a)
		b := mqttest.Connect(t, two, g1Connect("a", v))
		b.Subscribe("#", 1)
		a.Publish("live", "x", 1)
		a.Nothing() // not taken over
		b.Nothing()
		if st := two.Stats(); st.Retained != 0 || st.Published != 0 || st.Sessions != 1 {
			t.Errorf("the second server has %+v", st)
		}
		if err := one.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		b.Nothing()
	})
}
