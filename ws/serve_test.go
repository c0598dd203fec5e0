package ws_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/ws"
)

// memory is a listener of pipes, for virtual time.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newMemory() *memory { return &memory{make(chan net.Conn), make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case nc := <-m.conns:
		return nc, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	select {
	case <-m.closed:
		return net.ErrClosed
	default:
		close(m.closed)
		return nil
	}
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8083} }

// dial gives a client of the listener, without the deadline that ask sets.
func (m *memory) dial(t *testing.T) net.Conn {
	near, far := mqttest.Pipe()
	t.Cleanup(func() { near.Close() })
	m.conns <- far
	return near
}

// inBubble runs f with a Handler that serves a listener in virtual time.
func inBubble(t *testing.T, s *mqttx.Server, f func(t *testing.T, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		end := make(chan error, 1)
		go func() { end <- (&ws.Handler{Server: s}).Serve(m, "") }()
		f(t, m)
		s.Close()
		if err := <-end; !errors.Is(err, mqttx.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// endsAfter reads until the end, which has to come this long after began, and gives what came.
func endsAfter(t *testing.T, r io.Reader, began time.Time, want time.Duration) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if since := time.Since(began); since != want || err != nil {
		t.Errorf("ended after %v, want %v: %v", since, want, err)
	}
	return b
}

// From accept to CONNECT there is one limit, whatever the client is slow with.
func TestGuide_N3_SlowWebSocket(t *testing.T) {
	const limit = 10 * time.Second // the default
	slowly := func(t *testing.T, nc net.Conn, every time.Duration, bs ...[]byte) {
		go func() {
			for _, b := range bs {
				select {
				case <-time.After(every):
				case <-t.Context().Done():
					return
				}
				nc.Write(b)
			}
		}()
	}
	bytewise := func(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }
	run := func(name string, f func(t *testing.T, m *memory, began time.Time)) {
		t.Run(name, func(t *testing.T) {
			inBubble(t, newServer(), func(t *testing.T, m *memory) { f(t, m, time.Now()) })
		})
	}
	// Whoever has upgraded gets a close frame, and the end after it at once.
	goodbye := func(t *testing.T, r *raw, began time.Time) {
		t.Helper()
		r.SetDeadline(time.Time{})
		if b := endsAfter(t, r.br, began, limit); string(b) != "\x88\x02\x03\xE8" {
			t.Errorf("%x", b)
		}
	}
	run("open socket", func(t *testing.T, m *memory, began time.Time) {
		if b := endsAfter(t, m.dial(t), began, limit); len(b) > 0 {
			t.Errorf("%q", b)
		}
	})
	run("request byte by byte", func(t *testing.T, m *memory, began time.Time) {
		nc := m.dial(t)
		slowly(t, nc, time.Second, bytewise([]byte(hello("localhost")))...)
		// net/http may answer a request that it finds cut off, in a pipe that is being closed.
		if b := endsAfter(t, nc, began, limit); len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/1.1 400 ")) {
			t.Errorf("%q", b)
		}
	})
	run("no CONNECT", func(t *testing.T, m *memory, began time.Time) {
		r, _ := ask(t, m.dial(t), hello("localhost"))
		goodbye(t, r, began)
	})
	run("late request, no CONNECT", func(t *testing.T, m *memory, began time.Time) {
		nc := m.dial(t)
		<-time.After(9 * time.Second)
		r, _ := ask(t, nc, hello("localhost"))
		goodbye(t, r, began)
	})
	run("late request, CONNECT byte by byte", func(t *testing.T, m *memory, began time.Time) {
		nc := m.dial(t)
		<-time.After(5 * time.Second)
		r, _ := ask(t, nc, hello("localhost"))
		b := encode(t, packet.V5, connect(packet.V5, "client"))
		slowly(t, nc, time.Second, bytewise(ws.MaskedFrame(nil, binaryFrame, b, [4]byte{}))...)
		goodbye(t, r, began)
	})
	run("pings instead of CONNECT", func(t *testing.T, m *memory, began time.Time) {
		nc := m.dial(t)
		r, _ := ask(t, nc, hello("localhost"))
		r.SetDeadline(time.Time{})
		slowly(t, nc, 700*time.Millisecond, slices.Repeat([][]byte{ws.MaskedFrame(nil, pingFrame, nil, [4]byte{})}, 100)...)
		for {
			op, _ := r.frame()
			if op == gobwas.OpClose {
				break
			}
			if op != gobwas.OpPong {
				t.Fatalf("opcode %x", op)
			}
		}
		if since := time.Since(began); since != limit {
			t.Errorf("ended after %v", since)
		}
	})
	run("another request", func(t *testing.T, m *memory, began time.Time) {
		r, answer := ask(t, m.dial(t), hello("localhost", "GET / HTTP/1.1"))
		if answer.StatusCode != 404 {
			t.Error(answer.Status)
		}
		io.Copy(io.Discard, answer.Body)
		endsAfter(t, r.br, began, time.Since(began))
	})
}

// After CONNECT the limit is over, however late CONNECT came.
func TestGuide_N3_WebSocketInTime(t *testing.T) {
	inBubble(t, newServer(), func(t *testing.T, m *memory) {
		nc := m.dial(t)
		<-time.After(9 * time.Second)
		r, _ := ask(t, nc, hello("localhost"))
		r.SetDeadline(time.Time{})
		<-time.After(999 * time.Millisecond)
		r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
		r.packets(1, packet.V5)
		mqttest.Advance(time.Hour)
		r.send(binaryFrame, encode(t, packet.V5, &packet.Pingreq{}))
		r.packets(1, packet.V5)
	})
}

func TestGuide_N3_SlowTLS(t *testing.T) {
	a := newAuthority(t)
	conf := &tls.Config{Certificates: []tls.Certificate{a.issue("server", time.Hour)}}
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.Limits.ConnectTimeout = 4 * time.Second
		m := newMemory()
		end := make(chan error, 1)
		go func() { end <- (&ws.Handler{Server: s}).Serve(tls.NewListener(m, conf), "") }()
		began := time.Now()
		nc := m.dial(t)
		nc.Write([]byte{0x16, 0x03, 0x01})
		endsAfter(t, nc, began, 4*time.Second)

		// A request after a slow TLS handshake has what is left of the time.
		began = time.Now()
		nc = m.dial(t)
		<-time.After(3 * time.Second)
		secure := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		secure.Write([]byte("GET /mqtt HTTP/1.1\r\n"))
		io.Copy(io.Discard, nc)
		if since := time.Since(began); since != 4*time.Second {
			t.Errorf("ended after %v", since)
		}
		s.Close()
		<-end
	})
}

// Without a limit nothing ends by time.
func TestNoConnectTimeout(t *testing.T) {
	s := newServer()
	s.Limits.ConnectTimeout = -1
	inBubble(t, s, func(t *testing.T, m *memory) {
		nc := m.dial(t)
		<-time.After(time.Hour)
		r, _ := ask(t, nc, hello("localhost"))
		r.SetDeadline(time.Time{})
		<-time.After(time.Hour)
		r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
		r.packets(1, packet.V5)
	})
}

// A client that is silent when the server ends the connection holds the socket for half a second at most.
func TestSilentClient(t *testing.T) {
	s := newServer()
	inBubble(t, s, func(t *testing.T, m *memory) {
		r, _ := ask(t, m.dial(t), hello("localhost"))
		r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
		r.packets(1, packet.V5)
		r.send(textFrame, nil)
		if code := r.closed(); code != 1003 {
			t.Errorf("close code %d", code)
		}
		mqttest.Advance(499 * time.Millisecond)
		if _, err := r.Write([]byte{0}); err != nil {
			t.Errorf("gone too early: %v", err)
		}
		mqttest.Advance(2 * time.Millisecond)
		if _, err := r.Write([]byte{0}); err == nil {
			t.Error("the socket is still open")
		}
	})
}

// Shutdown: clients are told, first by MQTT, then by the close frame, and Serve ends.
func TestShutdown(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	end := make(chan error, 1)
	go func() { end <- (&ws.Handler{Server: s}).Serve(l, "/mqtt") }()
	r := upgrade(t, addr)
	r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
	r.packets(1, packet.V5)
	idle := dialTCP(t, addr) // in the middle of its request
	io.WriteString(idle, "GET /mqtt HTTP/1.1\r\n")
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(context.Background()) }()
	if d := r.packets(1, packet.V5)[0].(*packet.Disconnect); d.Code != mqttx.ServerShuttingDown {
		t.Error(d)
	}
	if code := r.closed(); code != 1001 {
		t.Errorf("close code %d", code)
	}
	r.send(closeFrame, []byte{3, 0xE9})
	if err := <-over; err != nil {
		t.Error(err)
	}
	if err := <-end; !errors.Is(err, mqttx.ErrServerClosed) {
		t.Error(err)
	}
	idle.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, idle); err != nil && !isReset(err) {
		t.Error(err)
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("still listening")
	}
}

// Serve gives the listener's error if that fails, and the Server's if it cannot serve; connections go on by themselves.
func TestServeErrors(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	defer s.Close()
	h := &ws.Handler{Server: s}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- h.Serve(l, "") }()
	r := upgrade(t, l.Addr().String())
	r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
	r.packets(1, packet.V5)
	l.Close()
	if err := <-end; !errors.Is(err, net.ErrClosed) || errors.Is(err, mqttx.ErrServerClosed) {
		t.Error(err)
	}
	r.send(binaryFrame, encode(t, packet.V5, &packet.Pingreq{}))
	r.packets(1, packet.V5)
	s.Disconnect("c", mqttx.AdministrativeAction)
	r.packets(1, packet.V5)
	if code := r.closed(); code != 1000 { // the listener's end is not the Server's
		t.Errorf("close code %d", code)
	}

	bad := &mqttx.Server{Limits: mqttx.Limits{ReceiveMaximum: 1 << 20}}
	defer bad.Close()
	if err := (&ws.Handler{Server: bad}).Serve(newMemory(), ""); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("bad limits: %v", err)
	}
	closed := newServer()
	closed.Close()
	m := newMemory()
	if err := (&ws.Handler{Server: closed}).Serve(m, ""); !errors.Is(err, mqttx.ErrServerClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := m.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}
