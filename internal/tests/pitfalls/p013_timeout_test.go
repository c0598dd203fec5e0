package pitfalls_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// Every Keep Alive holds for one and a half times its length.
func TestPitfall013_KeepAlive(t *testing.T) {
	for _, k := range []uint16{0, 1, 43690, 43691, 65535} {
		t.Run(strconv.Itoa(int(k)), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{})
				p := p1New("c", v)
				p.KeepAlive = k
				c := mqttest.Connect(t, srv, p)
				if k == 0 {
					mqttest.Advance(365 * 24 * time.Hour)
					c.Nothing()
					return
				}
				mqttest.Advance(time.Duration(k)*1500*time.Millisecond - 100*time.Millisecond)
				c.Nothing()
				mqttest.Advance(200 * time.Millisecond)
				p1Bye(t, c, mqttx.KeepAliveTimeout)
				if n := srv.Stats().Connections; n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}

// p14Descriptors counts the open file descriptors of the process, where they can be counted.
func p14Descriptors() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

// p14Settle waits until ok.
func p14Settle(t *testing.T, ok func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(time.Millisecond), time.NewTimer(10*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not settled: %d goroutines, %d descriptors", runtime.NumGoroutine(), p14Descriptors())
		}
	}
}

// A connection that never completes its CONNECT is closed in time and leaves nothing behind, on every transport.
func TestPitfall014_ConnectTimeout(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		mqttest.Leaks(t)
		srv := p1Server(t, &mqttx.Server{})
		n := on.Start(t, srv)
		n.Connect(nil).Disconnect(0) // what is made once is there
		p14Settle(t, func() bool { return srv.Stats().Connections == 0 })
		if err := srv.SetLimits(mqttx.Limits{ConnectTimeout: 200 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		goroutines, descriptors := runtime.NumGoroutine(), p14Descriptors()
		var open []net.Conn
		for i := range 6 {
			nc, err := n.Open()
			if err != nil {
				continue // on a slow machine the time may have ended within the handshake
			}
			defer nc.Close()
			if i%2 == 0 {
				io.WriteString(nc, "\x10\x0d\x00\x04MQTT") // half a CONNECT
			}
			open = append(open, nc)
		}
		for _, nc := range open {
			nc.SetReadDeadline(time.Now().Add(9 * time.Second))
			b, err := io.ReadAll(nc)
			if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(b), "\x20") {
				t.Errorf("read %x, %v; want the end", b, err)
			}
			nc.Close()
		}
		p14Settle(t, func() bool { return runtime.NumGoroutine() <= goroutines && p14Descriptors() <= descriptors })
	})
}

// In virtual time it is exactly ConnectTimeout.
func TestPitfall014_InTime(t *testing.T) {
	p1Bubble(t, "pipe", func(t *testing.T) {
		srv := p1Server(t, &mqttx.Server{})
		c := mqttest.Dial(t, srv)
		mqttest.Advance(9900 * time.Millisecond)
		c.Nothing()
		mqttest.Advance(200 * time.Millisecond)
		c.Closed()
	})
}

// p15Stall fills the connection of c, which does not read.
func p15Stall(t *testing.T, srv *mqttx.Server, c *mqttest.Client) {
	t.Helper()
	c.Subscribe("a", 0)
	c.StopReading()
	m := &mqttx.Message{Topic: "a", Payload: make([]byte, 100_000)}
	for i := 0; srv.Stats().Dropped[mqttx.DropOutboxFull] == 0; i++ {
		if i == 10_000 {
			t.Fatal("the connection does not fill")
		}
		if err := srv.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// A takeover does not wait for an old peer that does not read.
func TestPitfall015_TakeoverOfStalled(t *testing.T) {
	for _, k := range []uint16{0, 60} {
		t.Run("keep alive "+strconv.Itoa(int(k)), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{})
				p := p1New("c", v)
				p.KeepAlive = k
				old := mqttest.Connect(t, srv, p)
				p15Stall(t, srv, old)
				begun := time.Now()
				c := mqttest.Connect(t, srv, p)
				if d := time.Since(begun); d > time.Second {
					t.Errorf("CONNACK after %v", d)
				}
				old.Closed()
				c.Nothing()
			})
			for _, on := range []testnet.Transport{testnet.Loop, testnet.UnixLoop, testnet.TCP, testnet.TLS} {
				t.Run(on.String(), func(t *testing.T) {
					srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{QueuedBytes: 1 << 20}})
					n := on.Start(t, srv)
					p := &packet.Connect{ClientID: "c", CleanStart: true, KeepAlive: k}
					old := n.Connect(p)
					p15Stall(t, srv, old)
					c := n.Connect(p) // in 10 s, not 90
					c.Nothing()
				})
			}
		})
	}
}
