package guide_test

import (
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// Idle connections have no goroutines on event loops.
func TestGuide_G15_IdleConnectionsHaveNoGoroutines(t *testing.T) {
	count := 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(2*count+200) {
		count = int(limit.Cur-200) / 2
	}
	s := g1Quiet(nil)
	addr, serve := g1FreePort(t), make(chan error, 1)
	go func() { serve <- s.ListenAndServe(addr) }()
	first := g1Dial(t, addr, serve)
	defer first.Close()
	before := runtime.NumGoroutine()
	conns := make([]net.Conn, count)
	var dialers sync.WaitGroup
	for w := range 8 {
		dialers.Go(func() {
			for i := w; i < count; i += 8 {
				conns[i] = g1IdleClient(t, addr)
			}
		})
	}
	dialers.Wait()
	defer func() {
		for _, nc := range conns {
			if nc != nil {
				nc.(*net.TCPConn).SetLinger(0) // no port is left waiting
				nc.Close()
			}
		}
		g1Closed(t, s, serve)
	}()
	if n := s.Stats().Connections; n != int64(count) {
		t.Errorf("%d connections, want %d", n, count)
	}
	over := time.After(10 * time.Second)
	for runtime.NumGoroutine() > before+50 { // those that were borrowed for CONNECT go
		select {
		case <-over:
			t.Fatalf("%d goroutines before, %d with %d idle connections", before, runtime.NumGoroutine(), count)
		case <-time.After(time.Millisecond):
		}
	}
}

// g1IdleClient connects without a goroutine.
func g1IdleClient(t *testing.T, addr string) net.Conn {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Errorf("dial: %v", err)
		return nil
	}
	b, err := (&packet.Connect{Version: mqttx.V311, CleanStart: true}).Append(nil, mqttx.V311)
	if err == nil {
		_, err = nc.Write(b)
	}
	ack := make([]byte, 4)
	if err == nil {
		nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = io.ReadFull(nc, ack)
	}
	if err != nil || ack[0] != 0x20 || ack[3] != 0 {
		t.Errorf("CONNACK % x, %v", ack, err)
	}
	return nc
}
