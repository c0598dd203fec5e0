package mqttx

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/e8743928/mqttx/internal/poll"
)

// socketPair gives a connection on a loop with a small socket buffer, and its other end.
func socketPair(t *testing.T) (*looped, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.SetsockoptInt(fds[0], syscall.SOL_SOCKET, syscall.SO_SNDBUF, 8<<10)
	f := os.NewFile(uintptr(fds[1]), "far")
	far, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		far.Close()
		poll.Close(fds[0])
		p.Close()
	})
	return &looped{l: &loop{p: p}, fd: fds[0]}, far
}

// The outbox of a client that is always a little behind neither grows nor mixes up its bytes: small pieces, referenced
// payloads, and writes that end anywhere in them.
func TestOutbox_AlwaysBehind(t *testing.T) {
	x, far := socketPair(t)
	var o outbox
	var due []byte // sent to the client, not read by it yet
	fill := func(i int) {
		small := bytes.Repeat([]byte{byte(i)}, 1+i*37%3000)
		o.grow()
		o.buf = append(o.buf, small...)
		o.size += len(small)
		due = append(due, small...)
		if i%3 != 0 {
			large := bytes.Repeat([]byte{byte(i + 128)}, refSize+i*101%5000)
			o.refs = append(o.refs, ref{len(o.buf), large})
			o.size += len(large)
			due = append(due, large...)
		}
	}
	read := func(n int) {
		got := make([]byte, n)
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, due[:n]) {
			t.Fatal("other bytes have come")
		}
		due = due[n:]
	}
	send := func() {
		t.Helper()
		before := o.size
		if _, err := x.send(&o); err != nil {
			t.Fatal(err)
		}
		if before > 0 && o.size > len(due) {
			t.Fatalf("%d bytes in the outbox, %d not read", o.size, len(due))
		}
	}
	for i := range 1500 {
		for o.size < outboxFull {
			fill(i)
			i += 7
		}
		send()
		if len(o.buf) > outboxFull {
			t.Fatalf("round %d: a buffer of %d bytes for an outbox of %d", i, len(o.buf), o.size)
		}
		if o.size == 0 {
			t.Fatal("the outbox is empty, so nothing is shown")
		}
		read(min(3000+i%7, len(due)-o.size))
	}
	for o.size > 0 {
		read(len(due) - o.size)
		send()
	}
	read(len(due))
	if len(o.buf) != 0 || len(o.refs) != 0 || o.sent != 0 || x.outW {
		t.Errorf("left behind: %d bytes, %d payloads, sent %d, waiting %t", len(o.buf), len(o.refs), o.sent, x.outW)
	}
}
