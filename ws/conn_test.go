package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/e8743928/mqttx/mqttest"
)

// peer is the client's end of a conn.
type peer struct {
	net.Conn
	t  *testing.T
	br *bufio.Reader
}

// newPair gives a conn and its client.
func newPair(t *testing.T, by time.Time) (*conn, *peer) {
	near, far := mqttest.Pipe()
	t.Cleanup(func() { near.Close() })
	return newConn(far, nil, nil, by, func() bool { return false }), &peer{near, t, bufio.NewReader(near)}
}

func (p *peer) send(first byte, payload string) {
	p.t.Helper()
	if _, err := p.Write(maskedFrame(nil, first, []byte(payload), [4]byte{1, 2, 3, 4})); err != nil {
		p.t.Fatal(err)
	}
}

// frame reads one frame, which must be as servers send them.
func (p *peer) frame() (gobwas.OpCode, []byte) {
	p.t.Helper()
	h, err := gobwas.ReadHeader(p.br)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := gobwas.CheckHeader(h, gobwas.StateClientSide); err != nil || !h.Fin {
		p.t.Fatalf("%+v: %v", h, err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(p.br, payload); err != nil {
		p.t.Fatal(err)
	}
	return h.OpCode, payload
}

// closeFrame reads a close frame; 0: it has no code.
func (p *peer) closeFrame() gobwas.StatusCode {
	p.t.Helper()
	op, payload := p.frame()
	if op != gobwas.OpClose {
		p.t.Fatalf("opcode %x %q", op, payload)
	}
	if len(payload) == 0 {
		return 0
	}
	return gobwas.StatusCode(binary.BigEndian.Uint16(payload))
}

func TestWriteIsOneFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newPair(t, time.Time{})
		for _, size := range []int{1, 125, 126, firstPart - 4, firstPart - 3, 65535, 65536, maxFrame, maxFrame + 1, 3*maxFrame - 1} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i * 31)
			}
			go func() {
				if n, err := c.Write(data); n != size || err != nil {
					t.Errorf("%d: wrote %d, %v", size, n, err)
				}
			}()
			var got []byte
			frames := 0
			for len(got) < size {
				op, payload := p.frame()
				if op != gobwas.OpBinary || len(payload) > maxFrame {
					t.Fatalf("%d: opcode %x of %d bytes", size, op, len(payload))
				}
				got = append(got, payload...)
				frames++
			}
			if !bytes.Equal(got, data) || frames != (size+maxFrame-1)/maxFrame {
				t.Errorf("%d: %d bytes in %d frames", size, len(got), frames)
			}
		}
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
		c.CloseWrite()
		if code := p.closeFrame(); code != 1000 {
			t.Errorf("close code %d", code)
		}
	})
}

// brokenConn takes some bytes and fails.
type brokenConn struct {
	net.Conn
	room int
}

func (c *brokenConn) Write(b []byte) (int, error) {
	n := min(c.room, len(b))
	if c.room -= n; n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// What Write tells is data, not frames, and after a frame that is not whole nothing is sent.
func TestWriteFails(t *testing.T) {
	for _, c := range []struct{ size, room, want int }{
		{10, 0, 0},
		{10, 1, 0},
		{10, 2, 0},
		{10, 3, 1},
		{10, 11, 9},
		{firstPart, firstPart, firstPart - 4},
		{firstPart, firstPart + 3, firstPart - 1},
		{maxFrame + 100, maxFrame + 10, maxFrame},
		{maxFrame + 100, maxFrame + 10 + 3, maxFrame + 1},
	} {
		raw := &brokenConn{room: c.room}
		w := &conn{raw: raw, going: func() bool { return false }}
		if n, err := w.Write(make([]byte, c.size)); n != c.want || !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%+v: wrote %d, %v", c, n, err)
		}
		raw.room = 1000
		if n, err := w.Write(make([]byte, 10)); n != 0 || err == nil || raw.room != 1000 {
			t.Errorf("%+v: wrote %d afterwards, %v", c, n, err)
		}
		if err := w.CloseWrite(); err == nil || raw.room != 1000 {
			t.Errorf("%+v: close frame: %v", c, err)
		}
	}
}

func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		name  string
		send  func(p *peer)
		going bool
		code  gobwas.StatusCode
		eof   bool
	}{
		{"the server closes", func(*peer) {}, false, 1000, false},
		{"the server shuts down", func(*peer) {}, true, 1001, false},
		{"the client closes with 1000", func(p *peer) { p.send(0x88, "\x03\xE8") }, false, 1000, true},
		{"the client goes", func(p *peer) { p.send(0x88, "\x03\xE9bye") }, false, 1001, true},
		{"the client closes without code", func(p *peer) { p.send(0x88, "") }, false, 0, true},
		{"the client closes with its own code", func(p *peer) { p.send(0x88, "\x0F\xA0") }, false, 4000, false},
		{"the client closes while the server shuts down", func(p *peer) { p.send(0x88, "\x03\xE8") }, true, 1000, true},
		{"text", func(p *peer) { p.send(0x81, "text") }, false, 1003, false},
		{"reserved bit", func(p *peer) { p.send(0xC2, "") }, false, 1002, false},
		{"long frame", func(p *peer) { p.Write([]byte("\x82\xFF\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")) }, false, 1009, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, p := newPair(t, time.Time{})
				w.going = func() bool { return c.going }
				p.send(0x82, "data")
				c.send(p)
				b := make([]byte, 100)
				n, err := w.Read(b)
				if string(b[:n]) != "data" {
					t.Fatalf("%q, %v", b[:n], err)
				}
				if c.code != 1000 && c.code != 1001 || c.eof {
					for range 2 { // every Read gives it
						if _, err = w.Read(b); err == nil || errors.Is(err, io.EOF) != c.eof {
							t.Errorf("Read: %v", err)
						}
					}
				}
				w.Write([]byte("last words"))
				if err := w.CloseWrite(); err != nil {
					t.Error(err)
				}
				if n, err := w.Write([]byte("more")); n != 0 || !errors.Is(err, net.ErrClosed) {
					t.Errorf("wrote %d after the close frame, %v", n, err)
				}
				if err := w.CloseWrite(); err != nil {
					t.Error(err)
				}
				if op, payload := p.frame(); op != gobwas.OpBinary || string(payload) != "last words" {
					t.Errorf("opcode %x %q", op, payload)
				}
				if code := p.closeFrame(); code != c.code {
					t.Errorf("close code %d", code)
				}
				if _, err := p.br.ReadByte(); err != io.EOF {
					t.Errorf("after the close frame: %v", err)
				}
				w.Close()
				synctest.Wait()
			})
		})
	}
}

// A client that sends pings and reads nothing does not hold up the reader, and what waits for it has a bound.
func TestPingsAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newPair(t, time.Time{})
		const pings = 1000
		go c.Write(make([]byte, 200_000)) // more than the pipe takes
		synctest.Wait()
		go func() {
			for i := range pings {
				p.send(0x89, string(binary.BigEndian.AppendUint32(nil, uint32(i)))+string(make([]byte, 100)))
			}
			p.send(0x82, "data")
		}()
		b := make([]byte, 100)
		if n, err := c.Read(b); string(b[:n]) != "data" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		c.mu.Lock()
		if len(c.pongs) == 0 || len(c.pongs) > maxPongs {
			t.Errorf("%d bytes of pongs wait", len(c.pongs))
		}
		c.mu.Unlock()
		if op, payload := p.frame(); op != gobwas.OpBinary || len(payload) != 200_000 {
			t.Fatalf("opcode %x of %d bytes", op, len(payload))
		}
		for last, next := uint32(0), uint32(0); last != pings-1; last = next {
			op, payload := p.frame()
			next = binary.BigEndian.Uint32(payload)
			if op != gobwas.OpPong || last > 0 && next != last+1 {
				t.Fatalf("opcode %x, pong %d after %d", op, next, last)
			}
		}
		synctest.Wait()
		if c.ponging || c.pongs != nil {
			t.Error("pongs are left")
		}
	})
}

// A pong that is cut off is the end of what is written.
func TestPongFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := &brokenConn{room: 1}
		c := &conn{raw: raw, going: func() bool { return false }}
		c.pong([]byte("x"))
		synctest.Wait()
		raw.room = 1000
		if n, err := c.Write([]byte("data")); n != 0 || !errors.Is(err, io.ErrShortWrite) || raw.room != 1000 {
			t.Errorf("wrote %d, %v", n, err)
		}
	})
}

// Few pings are all answered, in their order.
func TestPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newPair(t, time.Time{})
		go io.Copy(io.Discard, c)
		for _, s := range []string{"", "a", "b", string(make([]byte, 125))} {
			p.send(0x89, s)
		}
		for _, s := range []string{"", "a", "b", string(make([]byte, 125))} {
			if op, payload := p.frame(); op != gobwas.OpPong || string(payload) != s {
				t.Errorf("opcode %x %q", op, payload)
			}
		}
		c.CloseWrite()
		p.closeFrame()
		p.send(0x89, "late") // nothing follows a close frame
		p.send(0x88, "")
		if _, err := p.br.ReadByte(); err != io.EOF {
			t.Error(err)
		}
	})
}

// Close does not take back what was sent: it waits in the background for the client's close frame, for half a second.
func TestCloseLingers(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(p *peer)
		want time.Duration
	}{
		{"the client closes", func(p *peer) { p.send(0x82, "what comes late"); p.send(0x88, "") }, 100 * time.Millisecond},
		{"the client hangs up", func(p *peer) { p.Close() }, 100 * time.Millisecond},
		{"the client says nothing", func(*peer) {}, lingerTime},
		{"the client sends on and on", func(p *peer) {
			for err := error(nil); err == nil; { // until the server has closed
				_, err = p.Write(maskedFrame(nil, 0x82, make([]byte, 60_000), [4]byte{}))
			}
		}, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				raw := &watched{closed: make(chan struct{})}
				near, far := mqttest.Pipe()
				raw.Conn = far
				defer near.Close()
				w, p := newConn(raw, nil, nil, time.Time{}, func() bool { return false }), &peer{near, t, bufio.NewReader(near)}
				go io.Copy(io.Discard, w) // a reader at work
				began := time.Now()
				w.Write([]byte("bye"))
				w.CloseWrite()
				mqttest.Advance(100 * time.Millisecond)
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				if err := w.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed again: %v", err)
				}
				if since := time.Since(began); since != 100*time.Millisecond {
					t.Errorf("Close took %v", since)
				}
				if _, err := w.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Read: %v", err)
				}
				if err := w.SetReadDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
					t.Errorf("SetReadDeadline: %v", err)
				}
				go c.act(p)
				<-raw.closed
				if since := time.Since(began); since != c.want {
					t.Errorf("closed after %v", since)
				}
			})
		})
	}
}

// watched tells when it is closed.
type watched struct {
	net.Conn
	closed chan struct{}
}

func (w *watched) Close() error {
	close(w.closed)
	return w.Conn.Close()
}

// A connection that was never served is told that the server goes.
func TestCloseUnserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newPair(t, time.Time{})
		c.Close()
		if code := p.closeFrame(); code != 1001 {
			t.Errorf("close code %d", code)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// The deadline for CONNECT is over with the server's first answer or a deadline of its own.
func TestConnectDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3 * time.Second
		b := make([]byte, 10)

		c, _ := newPair(t, time.Now().Add(limit))
		began := time.Now()
		if _, err := c.Read(b); !errors.Is(err, errNoConnect) || errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != limit {
			t.Errorf("no answer: %v after %v", err, time.Since(began))
		}

		c, p := newPair(t, time.Now().Add(limit))
		c.Write([]byte("x"))
		time.AfterFunc(2*limit, func() { p.send(0x82, "data") })
		if n, err := c.Read(b); string(b[:n]) != "data" {
			t.Errorf("after an answer: %q, %v", b[:n], err)
		}

		c, _ = newPair(t, time.Now().Add(limit))
		began = time.Now()
		c.SetReadDeadline(began.Add(2 * limit))
		if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2*limit {
			t.Errorf("another deadline: %v after %v", err, time.Since(began))
		}
		c.SetDeadline(time.Now())
		if _, err := c.Write(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
	})
}

// What came behind the request is read first, whatever the size of the buffer.
func TestEarlyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := maskedFrame(nil, 0x82, []byte("early bytes"), [4]byte{1, 2, 3, 4})
		near, far := mqttest.Pipe()
		defer near.Close()
		c := newConn(far, early, nil, time.Time{}, func() bool { return false })
		near.Write(maskedFrame(nil, 0x82, []byte(" and others"), [4]byte{5, 6, 7, 8}))
		var got []byte
		for b := make([]byte, 3); len(got) < len("early bytes and others"); {
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		if string(got) != "early bytes and others" || c.early != nil {
			t.Errorf("%q", got)
		}
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
	})
}
