package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// peer is the server end of a pipe, moved by hand. Its packets are read by a
// goroutine, so that neither side of a test blocks the other.
type peer struct {
	t   *testing.T
	nc  net.Conn
	v   packet.Version
	got chan packet.Packet // closed at the end of the stream
}

func newPeer(t *testing.T, nc net.Conn, v packet.Version) *peer {
	p := &peer{t: t, nc: nc, v: v, got: make(chan packet.Packet, 4096)}
	go p.read()
	t.Cleanup(func() { nc.Close() })
	return p
}

func (p *peer) read() {
	defer close(p.got)
	var head [5]byte
	for {
		n := 0
		for {
			if _, err := io.ReadFull(p.nc, head[n:n+1]); err != nil {
				return
			}
			n++
			if h, size, err := packet.ParseHeader(head[:n]); err != nil {
				p.t.Errorf("the client sent a bad header %x: %v", head[:n], err)
				return
			} else if size > 0 {
				if !p.readBody(h) {
					return
				}
				break
			}
		}
	}
}

func (p *peer) readBody(h packet.Header) bool {
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(p.nc, body); err != nil {
		return false
	}
	pk, err := packet.Parse(h, body, p.v)
	if err != nil {
		p.t.Errorf("the client sent a bad %v: %v", h.Type, err)
		return false
	}
	select {
	case p.got <- pk:
		return true
	case <-p.t.Context().Done(): // nobody wants more
		return false
	}
}

// next is the next packet, nil at the end of the stream.
func (p *peer) next() packet.Packet {
	p.t.Helper()
	select {
	case pk := <-p.got:
		return pk
	case <-time.After(24 * time.Hour):
		p.t.Fatal("no packet for a day")
		return nil
	}
}

// want takes the next packets, which have to be these.
func (p *peer) want(packets ...packet.Packet) {
	p.t.Helper()
	for _, want := range packets {
		got := p.next()
		if got == nil {
			p.t.Fatalf("stream ended, want %v", want.Type())
		}
		if !bytes.Equal(encode(p.t, got, p.v), encode(p.t, want, p.v)) {
			p.t.Fatalf("client sent %v %+v\nwant %v %+v", got.Type(), got, want.Type(), want)
		}
	}
}

// wantPublish takes a PUBLISH and returns its Packet Identifier.
func (p *peer) wantPublish(want *packet.Publish) uint16 {
	p.t.Helper()
	got, ok := p.next().(*packet.Publish)
	if !ok {
		p.t.Fatal("no PUBLISH")
	}
	q := *want
	q.PacketID = got.PacketID
	if q.QoS > 0 && got.PacketID == 0 {
		p.t.Fatal("Packet Identifier 0")
	}
	if !bytes.Equal(encode(p.t, got, p.v), encode(p.t, &q, p.v)) {
		p.t.Fatalf("client sent %+v\nwant %+v", got, want)
	}
	return got.PacketID
}

// quiet checks that the client has nothing more to send.
func (p *peer) quiet() {
	p.t.Helper()
	synctest.Wait()
	select {
	case pk := <-p.got:
		if pk == nil {
			p.t.Fatal("stream ended")
		}
		p.t.Fatalf("client sent %v %+v, want nothing", pk.Type(), pk)
	default:
	}
}

// ended checks that the client closes without another packet.
func (p *peer) ended() {
	p.t.Helper()
	if pk := p.next(); pk != nil {
		p.t.Fatalf("client sent %v %+v, want the end of the stream", pk.Type(), pk)
	}
}

// send sends packets in one write.
func (p *peer) send(packets ...packet.Packet) {
	p.t.Helper()
	var b []byte
	for _, pk := range packets {
		b = append(b, encode(p.t, pk, p.v)...)
	}
	p.sendRaw(b)
}

func (p *peer) sendRaw(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func encode(t *testing.T, p packet.Packet, v packet.Version) []byte {
	t.Helper()
	b, err := p.Append(nil, v)
	if err != nil {
		t.Fatalf("encode %v %+v: %v", p.Type(), p, err)
	}
	return b
}

// result is what New has returned.
type result struct {
	c   *client.Client
	err error
}

// connect starts New on a pipe and takes the CONNECT; the peer has to answer it.
func connect(t *testing.T, ctx context.Context, o client.Options) (*peer, *packet.Connect, <-chan result) {
	t.Helper()
	near, far := net.Pipe()
	v := o.Version
	if v == 0 {
		v = packet.V5
	}
	p := newPeer(t, far, v)
	made := make(chan result, 1)
	go func() {
		c, err := client.New(ctx, near, o)
		made <- result{c, err}
	}()
	hello, ok := p.next().(*packet.Connect)
	if !ok {
		t.Fatal("the first packet is not CONNECT [MQTT-3.1.0-1]")
	}
	return p, hello, made
}

// start makes a client that is connected; nil for ack is a plain CONNACK.
func start(t *testing.T, o client.Options, ack *packet.Connack) (*client.Client, *peer) {
	t.Helper()
	p, _, made := connect(t, t.Context(), o)
	if ack == nil {
		ack = &packet.Connack{}
	}
	p.send(ack)
	r := <-made
	if r.err != nil {
		t.Fatalf("New: %v", r.err)
	}
	t.Cleanup(func() {
		r.c.Close()
		<-r.c.Done()
	})
	return r.c, p
}

// startUnread is start with a peer of which nothing reads after CONNECT.
func startUnread(t *testing.T, o client.Options) (*client.Client, *peer) {
	t.Helper()
	near, far := net.Pipe()
	made := later(func() result {
		c, err := client.New(t.Context(), near, o)
		return result{c, err}
	})
	p := &peer{t: t, nc: far, v: packet.V5, got: make(chan packet.Packet, 4096)}
	b := make([]byte, 4096)
	if _, err := far.Read(b); err != nil {
		t.Fatal(err)
	}
	p.send(&packet.Connack{})
	r := <-made
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() {
		far.Close()
		r.c.Close()
		<-r.c.Done()
	})
	return r.c, p
}

// run runs f in a bubble, for each version.
func run(t *testing.T, f func(t *testing.T, v packet.Version)) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
	}
}

// later runs f on a goroutine; the channel gives its result.
func later[T any](f func() T) <-chan T {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	return ch
}

// outcome is what Publish has returned.
type outcome struct {
	ack client.Ack
	err error
}

func publish(t *testing.T, c *client.Client, p *packet.Publish) <-chan outcome {
	return later(func() outcome {
		ack, err := c.Publish(t.Context(), p)
		return outcome{ack, err}
	})
}

func (o outcome) want(t *testing.T, ack client.Ack, err error) {
	t.Helper()
	if o.ack != ack || !errors.Is(o.err, err) {
		t.Fatalf("Publish: %+v, %v; want %+v, %v", o.ack, o.err, ack, err)
	}
}

// wantEnd waits for the end and checks its reason.
func wantEnd(t *testing.T, c *client.Client, want error) {
	t.Helper()
	<-c.Done()
	if err := c.Err(); !errors.Is(err, want) {
		t.Fatalf("Err: %v; want %v", err, want)
	}
}

func message(qos packet.QoS, payload string) *packet.Publish {
	return &packet.Publish{QoS: qos, Topic: []byte("a/b"), Payload: []byte(payload)}
}

func ptr[T any](v T) *T { return &v }
