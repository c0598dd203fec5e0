package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// noDeadline is what stream has of a net.Conn besides reading and writing.
type noDeadline struct{ net.Conn }

func (noDeadline) SetWriteDeadline(time.Time) error { return nil }

func TestWebSocketRead(t *testing.T) {
	ping, pong := ws.NewPingFrame([]byte("p")), ws.NewPongFrame([]byte("q"))
	first, middle, last := ws.NewFrame(ws.OpBinary, false, []byte("ab")), ws.NewFrame(ws.OpContinuation, false, []byte("c")), ws.NewFrame(ws.OpContinuation, true, []byte("d"))
	long := ws.NewBinaryFrame([]byte(strings.Repeat("x", 70000)))
	closed := func(code ws.StatusCode, why string) ws.Frame {
		return ws.NewCloseFrame(ws.NewCloseFrameBody(code, why))
	}
	masked := ws.MaskFrame(ws.NewBinaryFrame([]byte("m")))
	rsv := ws.NewBinaryFrame([]byte("r"))
	rsv.Header.Rsv = ws.Rsv(true, false, false)
	for name, test := range map[string]struct {
		data []byte
		want string
		text string // of the error; EOF if empty
	}{
		"one":               {frames(ws.NewBinaryFrame([]byte("abc"))), "abc", ""},
		"none":              {nil, "", ""},
		"empty":             {frames(ws.NewBinaryFrame(nil), ws.NewBinaryFrame([]byte("a"))), "a", ""},
		"fragments":         {frames(first, ping, middle, pong, last, ws.NewBinaryFrame([]byte("e"))), "abcde", ""},
		"long":              {frames(long, ws.NewBinaryFrame([]byte("y"))), string(long.Payload) + "y", ""},
		"close":             {frames(ws.NewBinaryFrame([]byte("a")), closed(1000, ""), ws.NewBinaryFrame([]byte("b"))), "a", ""},
		"going away":        {frames(closed(1001, "")), "", ""},
		"close, empty":      {frames(ws.NewCloseFrame(nil)), "", ""},
		"close for a fault": {frames(closed(1002, "bad")), "", `WebSocket closed by the server: code 1002 "bad"`},
		"text":              {frames(ws.NewBinaryFrame([]byte("a")), ws.NewTextFrame([]byte("b"))), "a", "WebSocket: text frame"},
		"masked":            {frames(masked), "", "WebSocket: frames from server"},
		"reserved bits":     {frames(rsv), "", "WebSocket: non-zero rsv"},
		"no first fragment": {frames(last), "", "WebSocket: unexpected continuation"},
		"cut header":        {frames(long)[:3], "", "unexpected EOF"},
		"cut":               {frames(ws.NewBinaryFrame([]byte("abc")))[:4], "ab", "unexpected EOF"},
		"cut ping":          {frames(ping)[:2], "", ""},
	} {
		for _, leftover := range []int{0, 1, 5, 1000000} {
			leftover = min(leftover, len(test.data))
			synctest.Test(t, func(t *testing.T) {
				s := &stream{Reader: bytes.NewReader(test.data[leftover:]), Conn: noDeadline{}}
				w := newWebSocket(s, test.data[:leftover], 200)
				got, err := io.ReadAll(w)
				if string(got) != test.want {
					t.Errorf("%s: read %.20q, want %.20q", name, got, test.want)
				}
				if test.text == "" && err != nil || test.text != "" && (err == nil || !strings.Contains(err.Error(), test.text)) {
					t.Errorf("%s: error %v, want %q", name, err, test.text)
				}
			})
		}
	}
}

// Small frames that have arrived together are read together, up to where it would have
// to wait.
func TestWebSocketReadJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var data []byte
		want := ""
		for i := range 1000 {
			data = append(data, frames(ws.NewBinaryFrame([]byte{byte('a' + i%26)}))...)
			want += string(rune('a' + i%26))
			if i%100 == 0 {
				data = append(data, frames(ws.NewPingFrame(nil), ws.NewBinaryFrame(nil))...)
			}
		}
		data = append(data, frames(ws.NewTextFrame(make([]byte, 120)))...)
		data = append(data, make([]byte, 100)...)
		w := newWebSocket(&stream{Reader: bytes.NewReader(data), Conn: noDeadline{}}, nil, 10000)
		got, err := "", error(nil)
		calls := 0
		for b := make([]byte, 5000); err == nil; calls++ {
			var n int
			n, err = w.Read(b)
			got += string(b[:n])
		}
		if got != want || !strings.Contains(err.Error(), "text frame") {
			t.Errorf("read %q, %v", got, err)
		}
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}

// sent takes the frames apart that the client has sent.
func (s *stream) sent(t *testing.T) (all []ws.Frame) {
	t.Helper()
	for s.written.Len() > 0 {
		h, err := ws.ReadHeader(&s.written)
		if err != nil || !h.Masked || !h.Fin || int64(s.written.Len()) < h.Length {
			t.Fatalf("frame %+v, %v", h, err)
		}
		payload := bytes.Clone(s.written.Next(int(h.Length)))
		all = append(all, ws.UnmaskFrame(ws.Frame{Header: h, Payload: payload}))
	}
	return all
}

func TestWebSocketWrite(t *testing.T) {
	s := &stream{Reader: bytes.NewReader(nil), Conn: noDeadline{}}
	w := newWebSocket(s, nil, 100)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 3} {
		b := bytes.Repeat([]byte("x"), size)
		if n, err := w.Write(b); n != size || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
		if strings.Trim(string(b), "x") != "" {
			t.Fatal("Write has changed its argument")
		}
		if f := s.sent(t); len(f) != 1 || f[0].Header.OpCode != ws.OpBinary || !bytes.Equal(f[0].Payload, b) {
			t.Fatalf("%d bytes: sent %d frames", size, len(f))
		}
	}
	if cap(w.frame) > keepFrame {
		t.Errorf("%d bytes kept", cap(w.frame))
	}
	if err := w.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if f := s.sent(t); len(f) != 1 || f[0].Header.OpCode != ws.OpClose {
		t.Fatalf("sent %+v", f)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after close: %v", err)
	}
}

// Pings are answered, the latest at least, and a close once.
func TestWebSocketControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := frames(ws.NewPingFrame([]byte("1")), ws.NewPingFrame([]byte("2")), ws.NewBinaryFrame([]byte("x")))
		s := &stream{Reader: bytes.NewReader(data), Conn: noDeadline{}}
		w := newWebSocket(s, nil, 100)
		if _, err := io.ReadFull(w, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f := s.sent(t)
		if len(f) == 0 || len(f) > 2 || f[len(f)-1].Header.OpCode != ws.OpPong || string(f[len(f)-1].Payload) != "2" {
			t.Fatalf("sent %+v", f)
		}
		s.Reader = bytes.NewReader(frames(ws.NewCloseFrame(ws.NewCloseFrameBody(1002, "why"))))
		if _, err := w.Read(make([]byte, 1)); err == nil {
			t.Fatal("no error after close")
		}
		if f := s.sent(t); len(f) != 1 || f[0].Header.OpCode != ws.OpClose || string(f[0].Payload) != "\x03\xea" {
			t.Fatalf("sent %+v", f)
		}
	})
}

// A server that pings and does not read does not stop the reader, nor pile up
// goroutines.
func TestWebSocketPingsUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := newWebSocket(near, nil, 100)
		go func() {
			for range 1000 {
				_, _ = far.Write(frames(ws.NewPingFrame([]byte("x"))))
			}
			_, _ = far.Write(frames(ws.NewBinaryFrame([]byte("x"))))
		}()
		if _, err := io.ReadFull(w, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		w.pongMu.Lock()
		if !w.ponging || w.pong == nil {
			t.Error("no pong waits")
		}
		w.pongMu.Unlock()
		far.Close()
	})
}
