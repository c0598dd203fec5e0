package mqttest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/mqttest"
)

const pipeBuffer = 64 << 10

func TestPipeCarries(t *testing.T) {
	a, b := mqttest.Pipe()
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		a.Write(sent)
		a.Close()
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes, error %v; want %d", len(got), err, len(sent))
	}
	if a.LocalAddr().Network() != "pipe" || a.RemoteAddr().String() != "pipe" {
		t.Errorf("addresses %v, %v", a.LocalAddr(), a.RemoteAddr())
	}
}

func TestPipeHoldsABuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqttest.Pipe()
		defer a.Close()
		defer b.Close()
		if n, err := a.Write(make([]byte, pipeBuffer)); n != pipeBuffer || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
		wrote := false
		go func() {
			a.Write([]byte{1})
			wrote = true
		}()
		synctest.Wait()
		if wrote {
			t.Fatal("a full pipe has taken a byte")
		}
		b.Read(make([]byte, 1))
		synctest.Wait()
		if !wrote {
			t.Fatal("a pipe with room has not taken a byte")
		}
	})
}

// Each direction has its own end, and what was written before it can be read.
func TestPipeCloseWrite(t *testing.T) {
	a, b := mqttest.Pipe()
	a.Write([]byte("last words"))
	if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after CloseWrite: %v", err)
	}
	if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Error(err)
	}
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	a.Close()
	for what, err := range map[string]error{
		"Close": a.Close(), "CloseWrite": a.(interface{ CloseWrite() error }).CloseWrite(), "SetDeadline": a.SetDeadline(time.Now()),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// A Read or Write that waits is woken by either end, and by a deadline that is set meanwhile.
func TestPipeWakes(t *testing.T) {
	type end = net.Conn
	read := func(c end) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c end) error { _, err := c.Write(make([]byte, pipeBuffer+1)); return err }
	past := func(c end) { c.SetDeadline(time.Unix(1, 0)) }
	for _, c := range []struct {
		name   string
		wait   func(c end) error
		wake   func(a, b end)
		want   error
		passes time.Duration
	}{
		{"read, own close", read, func(a, _ end) { a.Close() }, net.ErrClosed, 0},
		{"read, other's close", read, func(_, b end) { b.Close() }, io.EOF, 0},
		{"write, own close", write, func(a, _ end) { a.Close() }, net.ErrClosed, 0},
		{"write, other's close", write, func(_, b end) { b.Close() }, io.ErrClosedPipe, 0},
		{"read, past deadline", read, func(a, _ end) { past(a) }, os.ErrDeadlineExceeded, 0},
		{"write, past deadline", write, func(a, _ end) { past(a) }, os.ErrDeadlineExceeded, 0},
		{"read, deadline", read, func(a, _ end) { a.SetReadDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded, time.Hour},
		{"write, deadline", write, func(a, _ end) { a.SetWriteDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded, time.Hour},
		{"read, later deadline", read, func(a, _ end) {
			a.SetReadDeadline(time.Now().Add(time.Minute))
			a.SetReadDeadline(time.Now().Add(time.Hour))
		}, os.ErrDeadlineExceeded, time.Hour},
		{"read, bytes before a deadline", read, func(a, b end) {
			a.SetReadDeadline(time.Now().Add(time.Hour))
			b.Write([]byte{1})
		}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := mqttest.Pipe()
				defer a.Close()
				defer b.Close()
				woken := make(chan error, 1)
				go func() { woken <- c.wait(a) }()
				synctest.Wait()
				if len(woken) > 0 {
					t.Fatalf("has not waited: %v", <-woken)
				}
				began := time.Now()
				c.wake(a, b)
				err := <-woken
				if !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if d := time.Since(began); d != c.passes {
					t.Errorf("woken after %v, want %v", d, c.passes)
				}
			})
		})
	}
}

func TestPipeDeadlineIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqttest.Pipe()
		defer a.Close()
		defer b.Close()
		a.SetDeadline(time.Unix(1, 0))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		if n, err := a.Write([]byte{1}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %d, %v", n, err)
		}
		a.SetDeadline(time.Now().Add(time.Second))
		a.SetDeadline(time.Time{})
		mqttest.Advance(time.Minute)
		if _, err := a.Write([]byte{1}); err != nil {
			t.Error(err)
		}
		b.Write([]byte{2})
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}
