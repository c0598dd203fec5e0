package mqttx

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBytesPerInterval holds the byte rate: as many as the limit pass at once, the rest as time goes on; what is larger
// than the limit passes alone.
func TestBytesPerInterval(t *testing.T) {
	var r rates
	lim := Limits{ByteRate: 1000}.resolve()
	now := time.Unix(1000, 0)
	passed := 0
	for range 20 {
		if r.take(now, 100, &lim) {
			passed++
		}
	}
	if passed != 10 {
		t.Errorf("%d of 20 messages of 100 bytes passed, want 10", passed)
	}
	if at := r.next(now, 100, &lim); !at.Equal(now.Add(100 * time.Millisecond)) {
		t.Errorf("the next one passes %v later", at.Sub(now))
	}
	if now = now.Add(100 * time.Millisecond); !r.take(now, 100, &lim) || r.take(now, 100, &lim) {
		t.Error("after 100 ms one and no more should pass")
	}
	if now = now.Add(time.Second); !r.take(now, 5000, &lim) || r.take(now.Add(4900*time.Millisecond), 1000, &lim) || !r.take(now.Add(5*time.Second), 1000, &lim) {
		t.Error("a message over the limit should pass alone, and be paid for")
	}
}

// TestBothRates holds that a message which one rate refuses does not use up the other.
func TestBothRates(t *testing.T) {
	var r rates
	lim := Limits{ByteRate: 1000, MessageRate: 2}.resolve()
	now := time.Unix(1000, 0)
	if !r.take(now, 900, &lim) || r.take(now, 900, &lim) || !r.take(now, 100, &lim) || r.take(now, 0, &lim) {
		t.Error("want the first of 900 bytes and the one of 100, no other")
	}
}

// TestLimitListener closes what comes over the rate, at once.
func TestLimitListener(t *testing.T) {
	for name, serve := range map[string]func(*Server, net.Listener) error{"Serve": (*Server).Serve, "ServeLoop": (*Server).ServeLoop} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var s Server
			defer s.Close()
			go serve(&s, LimitListener(l, 2, time.Hour))
			for i := range 4 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.Write([]byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'a' + byte(i)})
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				if n, _ := c.Read(make([]byte, 4)); (n == 4) != (i < 2) {
					t.Errorf("connection %d got %d bytes", i+1, n)
				}
			}
		})
	}
}

// TestBucketUnderContention takes tokens from many goroutines at one point in time: exactly as many as there are pass.
func TestBucketUnderContention(t *testing.T) {
	var k bucket
	var passed atomic.Int64
	var wg sync.WaitGroup
	now := time.Unix(1000, 0)
	for range 64 {
		wg.Go(func() {
			for range 1000 {
				if k.take(now, 5000, time.Second) {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 5000 {
		t.Errorf("%d passed, want 5000", n)
	}
}

// BenchmarkRate is what the rates cost for each message when they are on, and when they are off.
func BenchmarkRate(b *testing.B) {
	for name, l := range map[string]Limits{"off": {}, "messages": {MessageRate: 1 << 30}, "both": {MessageRate: 1 << 30, ByteRate: 1 << 30}} {
		b.Run(name, func(b *testing.B) {
			lim := l.resolve()
			var r rates
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				now := time.Now()
				for pb.Next() {
					now = now.Add(time.Microsecond)
					r.take(now, 100, &lim)
				}
			})
		})
	}
}
