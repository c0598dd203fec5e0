package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/e8743928/mqttx/packet"
)

func TestParse(t *testing.T) {
	for address, want := range map[string]string{ // network, address, URL
		"localhost":                "tcp localhost:1883 tcp://localhost:1883",
		"localhost:1":              "tcp localhost:1 tcp://localhost:1",
		":1":                       "tcp localhost:1 tcp://localhost:1",
		"[::1]":                    "tcp [::1]:1883 tcp://[::1]:1883",
		"tcp://h":                  "tcp h:1883 tcp://h:1883",
		"tcp://h:99/":              "tcp h:99 tcp://h:99/",
		"TLS://h":                  "tcp h:8883 tls://h:8883",
		"ws://h":                   "tcp h:8083 ws://h:8083/mqtt",
		"ws://h:80/":               "tcp h:80 ws://h:80/",
		"wss://[::1]/a/b?c=d":      "tcp [::1]:8084 wss://[::1]:8084/a/b?c=d",
		"unix:///run/mqttx/s.sock": "unix /run/mqttx/s.sock unix:///run/mqttx/s.sock",
	} {
		target, err := parse(address)
		if err != nil {
			t.Errorf("%q: %v", address, err)
		} else if got := target.network + " " + target.address + " " + target.String(); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
	for _, address := range []string{
		"http://h", "mqtt://h", "tcp://h/path", "tls://h?q", "tcp://h:port", "tcp://%", "unix://host/path", "unix://",
		"tcp://user:secret@h", "tcp://user:secret@h:port", "h/path", "tcp://[::1", "a:b:1", "::", "::1",
	} {
		if target, err := parse(address); err == nil {
			t.Errorf("%q: %+v, want an error", address, target)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error gives the password away: %v", address, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ws://h:1/p")
	f.Add("unix:///p")
	f.Fuzz(func(t *testing.T, address string) {
		target, err := parse(address)
		if err != nil {
			return
		}
		again, err := parse(target.String())
		if err != nil || again.network != target.network || again.address != target.address || again.tls != target.tls || again.ws != target.ws {
			t.Errorf("%q is %+v, its URL %q is %+v, %v", address, target, target, again, err)
		}
	})
}

// The gate against a model that is a list.
func TestGate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 4).Draw(t, "size")
		g := gate{free: size}
		inside := 0
		var line []chan struct{}
		given := func(ch chan struct{}) bool {
			select {
			case <-ch:
				return true
			default:
				return false
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				got := g.take()
				if want := inside < size; got != want {
					t.Fatalf("take: %v with %d of %d inside", got, inside, size)
				}
				if got {
					inside++
				} else {
					line = append(line, g.enter())
				}
			},
			"give": func(t *rapid.T) {
				if inside == 0 {
					t.Skip("nobody inside")
				}
				g.give()
				inside--
				if len(line) > 0 && given(line[0]) {
					line, inside = line[1:], inside+1
				}
			},
			"leave": func(t *rapid.T) {
				if len(line) == 0 {
					t.Skip("nobody waits")
				}
				i := rapid.IntRange(0, len(line)-1).Draw(t, "who")
				g.leave(line[i])
				line = slices.Delete(line, i, i+1)
			},
			"leave with a place": func(t *rapid.T) {
				if len(line) < 1 || inside == 0 {
					t.Skip("nobody waits")
				}
				g.give() // the first one has it, and leaves all the same
				g.leave(line[0])
				line, inside = line[1:], inside-1
				if len(line) > 0 && given(line[0]) {
					line, inside = line[1:], inside+1
				}
			},
			"": func(t *rapid.T) {
				if g.free != size-inside || len(g.waiting) != len(line) || g.free > 0 && len(line) > 0 {
					t.Fatalf("%d free, %d waiting; %d of %d inside, %d in line", g.free, len(g.waiting), inside, size, len(line))
				}
				for _, ch := range line {
					if given(ch) {
						t.Fatal("a place for one who has to wait")
					}
				}
			},
		})
	})
}

func TestFreeID(t *testing.T) {
	c := &Client{open: make(map[uint16]exchange)}
	for i := 1; i <= 65535; i++ {
		id := c.freeIDLocked()
		if _, used := c.open[id]; used || id == 0 {
			t.Fatalf("%d is in use", id)
		}
		c.open[id] = exchange{}
	}
	if id := c.freeIDLocked(); id != 0 {
		t.Fatalf("%d, all are in use", id)
	}
	delete(c.open, 700)
	if id := c.freeIDLocked(); id != 700 {
		t.Fatalf("%d, want 700", id)
	}
}

// FuzzInbox: however the stream is cut, the same packets come out, and nothing
// panics.
func FuzzInbox(f *testing.F) {
	f.Add([]byte("\xd0\x00\x30\x05\x00\x01a\x00x\xd0\x00"), byte(3))
	f.Add(append([]byte("\x30\xc8\x01"), make([]byte, 200)...), byte(7))
	f.Fuzz(func(t *testing.T, stream []byte, cut byte) {
		read := func(r io.Reader) (packets []string, fault string) {
			in := inbox{size: 64, limit: 1000}
			for {
				h, body, ok, err := in.next(packet.V5)
				if ok {
					packets = append(packets, h.Type.String()+string(body))
					continue
				}
				if err == nil {
					err = in.fill(r)
				}
				if err != nil {
					return packets, err.Error()
				}
			}
		}
		whole, fault := read(bytes.NewReader(stream))
		pieces, fault2 := read(&cutReader{bytes.NewReader(stream), int(cut%100) + 1})
		if !slices.Equal(whole, pieces) || fault != fault2 {
			t.Errorf("whole: %q %s\ncut: %q %s", whole, fault, pieces, fault2)
		}
	})
}

// cutReader gives at most n bytes at a time.
type cutReader struct {
	io.Reader
	n int
}

func (c *cutReader) Read(b []byte) (int, error) { return c.Reader.Read(b[:min(len(b), c.n)]) }

// A large packet does not leave a large buffer behind for ever.
func TestInboxShrinks(t *testing.T) {
	in := inbox{size: 64}
	stream := append([]byte("\x30\xd0\x86\x03"), make([]byte, 50000)...)
	r := bytes.NewReader(append(stream, 0xd0, 0x00))
	for range 2 {
		for {
			if _, _, ok, err := in.next(packet.V5); err != nil {
				t.Fatal(err)
			} else if ok {
				break
			}
			if err := in.fill(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := in.fill(r); !errors.Is(err, ErrServerClosed) {
		t.Fatal(err)
	}
	if len(in.buf) != 64 {
		t.Errorf("%d bytes kept", len(in.buf))
	}
}

// stream is a connection with what the server sends; what it gets is kept.
type stream struct {
	net.Conn
	io.Reader
	written bytes.Buffer
}

func (s *stream) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s *stream) Write(b []byte) (int, error) { return s.written.Write(b) }
func (s *stream) Close() error                { return nil }

func frames(frames ...ws.Frame) (b []byte) {
	for _, f := range frames {
		b = append(b, ws.MustCompileFrame(f)...)
	}
	return b
}

// FuzzWebSocket: no stream makes it panic, and cutting it changes nothing.
func FuzzWebSocket(f *testing.F) {
	f.Add(frames(ws.NewBinaryFrame([]byte("abc")), ws.NewFrame(ws.OpBinary, false, []byte("de")),
		ws.NewFrame(ws.OpContinuation, true, []byte("f"))), byte(2))
	f.Add(frames(ws.NewBinaryFrame(make([]byte, 300)), ws.NewCloseFrame(nil)), byte(90))
	f.Add(frames(ws.NewTextFrame([]byte("abc"))), byte(9))
	f.Fuzz(func(t *testing.T, data []byte, cut byte) {
		read := func(r io.Reader) (string, string) {
			w := newWebSocket(&stream{Reader: r, Conn: noDeadline{}}, nil, 300)
			b, err := io.ReadAll(w)
			if err == nil {
				err = io.EOF
			}
			return string(b), err.Error()
		}
		whole, fault := read(bytes.NewReader(data))
		pieces, fault2 := read(&cutReader{bytes.NewReader(data), int(cut%100) + 1})
		if whole != pieces || fault != fault2 {
			t.Errorf("whole: %q %s\ncut: %q %s", whole, fault, pieces, fault2)
		}
	})
}
