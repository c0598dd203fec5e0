package model

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// wire is one connection of a client: what the server sends is gathered and taken out when nothing moves any more.
type wire struct {
	nc   net.Conn
	v    packet.Version
	done chan struct{} // closed when the server has let go

	mu   sync.Mutex
	in   []byte
	over bool
}

func dial(srv *mqttx.Server, v packet.Version) *wire {
	here, there := mqttest.Pipe()
	w := &wire{nc: here, v: v, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		srv.ServeConn(context.Background(), there)
	}()
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := here.Read(b)
			w.mu.Lock()
			w.in = append(w.in, b[:n]...)
			w.over = err != nil
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return w
}

func (w *wire) send(p packet.Packet) error {
	b, err := p.Append(nil, w.v)
	if err != nil {
		return fmt.Errorf("%T: %w", p, err)
	}
	w.nc.Write(b)
	return nil
}

// take gives the packets that have come.
func (w *wire) take() ([]packet.Packet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []packet.Packet
	for len(w.in) > 0 {
		h, n, err := packet.ParseHeader(w.in)
		if err != nil {
			return nil, err
		}
		if n == 0 || n+h.Length > len(w.in) {
			return nil, fmt.Errorf("part of a packet: % x", w.in)
		}
		p, err := packet.Parse(h, append([]byte(nil), w.in[n:n+h.Length]...), w.v)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
		w.in = w.in[n+h.Length:]
	}
	return all, nil
}

func (w *wire) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// drop breaks the connection and waits until the server knows.
func (w *wire) drop() {
	w.nc.Close()
	<-w.done
}
