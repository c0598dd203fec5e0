package bench

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A stream agrees with a set of the numbers that have come.
func TestStreamAgreesWithASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s stream
		seen, highest := make(map[uint64]bool), -1
		for _, n := range rapid.SliceOf(rapid.Uint64Range(0, 40)).Draw(t, "numbers") {
			want := inOrder
			switch {
			case seen[n]:
				want = twice
			case int(n) < highest:
				want = late
			}
			if got := s.take(n); got != want {
				t.Fatalf("%d is %d, want %d", n, got, want)
			}
			seen[n], highest = true, max(highest, int(n))
			if got, want := s.missing(41), uint64(41-len(seen)); got != want {
				t.Fatalf("missing %d, want %d", got, want)
			}
		}
	})
}

func TestStamp(t *testing.T) {
	b := filler(stampSize + 3)
	want := stamp{1 << 31, 7, 1 << 40, math.MaxInt64}
	want.put(b)
	if got, ok := readStamp(b); !ok || got != want {
		t.Errorf("stamp %+v %v", got, ok)
	}
	if string(b[stampSize:]) != string(filler(stampSize + 3)[stampSize:]) {
		t.Error("the stamp is longer than it says")
	}
	for _, b := range [][]byte{nil, b[:stampSize-1], filler(100)} {
		if _, ok := readStamp(b); ok {
			t.Errorf("%q has a stamp", b)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		text string
		at   map[int]string
	}{
		{"127.0.0.1", map[int]string{0: "127.0.0.1", 1: "127.0.0.1"}},
		{"10.0.0.254-10.0.1.1", map[int]string{0: "10.0.0.254", 1: "10.0.0.255", 3: "10.0.1.1", 4: "10.0.0.254"}},
		{"127.0.0.0/8", map[int]string{0: "127.0.0.1", 256: "127.0.1.1", 1<<24 - 3: "127.255.255.254", 1<<24 - 2: "127.0.0.1"}},
		{"10.1.2.3/30,::1", map[int]string{0: "10.1.2.1", 1: "10.1.2.2", 2: "::1", 3: "10.1.2.1"}},
		{"10.0.0.8/31", map[int]string{0: "10.0.0.8", 1: "10.0.0.9", 2: "10.0.0.8"}},
		{"fd00::/64", map[int]string{0: "fd00::", 65536: "fd00::1:0"}},
	} {
		a, err := ParseAddresses(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		for i, want := range tt.at {
			if got := a.At(i).String(); got != "["+want+"]:0" && got != want+":0" {
				t.Errorf("%s: %d is %s, want %s", tt.text, i, got, want)
			}
		}
	}
	if a := (Addresses{}).At(3); a != nil {
		t.Errorf("address %v of none", a)
	}
	for _, text := range []string{"", "x", "1.2.3.4-", "1.2.3.4-::1", "2.2.2.2-1.1.1.1", "1.2.3.4/33", "1.2.3.4,"} {
		if _, err := ParseAddresses(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func FuzzParseAddresses(f *testing.F) {
	for _, s := range []string{"127.0.0.0/8", "10.0.0.1-10.0.0.9,::1", "fe80::1%eth0", "0.0.0.0/0", "::/0"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, i int) {
		a, err := ParseAddresses(s)
		if err != nil {
			return
		}
		if at := a.At(max(i, 0)); at == nil || at.String() == "" {
			t.Errorf("%q has no address %d", s, i)
		}
	})
}

const (
	aStat   = "17 (a) b (c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 200 300"
	aStatus = "Name:\ta) b (c\nVmPeak:\t 9999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n"
)

func TestParseSample(t *testing.T) {
	s, err := parseSample([]byte(aStat), []byte(aStatus))
	want := sample{cpu: 3e6, user: 2.5e6, system: 0.5e6, rss: 1 << 20, peak: 2 << 20, threads: 9}
	if err != nil || s != want {
		t.Errorf("%+v, %v, want %+v", s, err, want)
	}
	after := want
	after.user += 1e6
	after.cpu += 1e6
	after.rss += 1000
	b := broker(17, want, want, after, 1000, 2)
	if b.CPUPerOp != 1000 || b.UserPerOp != 1000 || b.SystemPerOp != 0 || b.CPUPercent != 50 || b.RSS-b.RSSBefore != 1000 {
		t.Errorf("%+v", b)
	}
	for _, stat := range []string{"", "17 (a) S 1", strings.Replace(aStat, "250", "x", 1)} {
		if _, err := parseSample([]byte(stat), []byte(aStatus)); err == nil {
			t.Errorf("%q: no error", stat)
		}
	}
}

func FuzzParseSample(f *testing.F) {
	f.Add(aStat, aStatus)
	f.Fuzz(func(_ *testing.T, stat, status string) {
		_, _ = parseSample([]byte(stat), []byte(status)) // must not panic
	})
}

// Only what is due in the measured time counts, and nothing is beyond the range.
func TestLatencies(t *testing.T) {
	l := newLatencies()
	l.record(0, 5, 10)
	if l.summary() != nil {
		t.Error("counted before the beginning")
	}
	l.begin.Store(100)
	l.end.Store(200)
	l.record(1, 99, 1000)
	l.record(2, 200, 1000)
	for i := range 98 {
		l.record(i, 100, 100+int64(time.Millisecond))
	}
	l.record(3, 150, 140)
	l.record(4, 199, math.MaxInt64)
	p := l.summary()
	if p.Count != 100 || p.P50 < 999 || p.P50 > 1001 || p.Max < float64(highestLatency)/1000*0.99 {
		t.Errorf("%+v", p)
	}
}

func TestTimerAlarm(t *testing.T) {
	testAlarm(t, func(ctx context.Context) alarm { return newAlarm(ctx, false) })
}

func TestAlarm(t *testing.T) {
	testAlarm(t, func(ctx context.Context) alarm { return newAlarm(ctx, true) })
}

// testAlarm: it does not wake early, and the end of the context wakes it.
func testAlarm(t *testing.T, make func(context.Context) alarm) {
	ctx, cancel := context.WithCancel(t.Context())
	a := make(ctx)
	defer a.stop()
	for _, d := range []time.Duration{-1, 0, 1, 100 * time.Microsecond, 3 * time.Millisecond} {
		began := time.Now()
		if !a.wait(d) {
			t.Fatal("the context has not ended")
		}
		if took := time.Since(began); took < d {
			t.Errorf("woke after %v, not %v", took, d)
		}
	}
	time.AfterFunc(time.Millisecond, cancel)
	if a.wait(time.Hour) || a.wait(0) {
		t.Error("the context has ended")
	}
}

func TestWriteText(t *testing.T) {
	r := Result{
		Scenario: Latency, Version: "5.0", QoS: 1, Payload: 64, Publishers: 10, Subscribers: 10, Rate: 5000, Seconds: 2,
		Published: 10000, Delivered: 9999, PublishPerSec: 5000, DeliverPerSec: 4999.5, Unsent: 7, GeneratorCPU: 12,
		Latency: &Percentiles{Mean: 100, P50: 90, P90: 110, P99: 200, P999: 300, P9999: 400, Max: 500},
		Broker:  &Broker{UserPerOp: 1, SystemPerOp: 2, CPUPerOp: 3, CPUPercent: 4, RSS: 3 << 20, RSSPeak: 4 << 20, RSSBefore: 2 << 20, Threads: 5},
		Check:   Check{Sent: 10000, Expected: 10000, Received: 9999, Lost: 1}, Failure: "1 lost",
	}
	const want = `latency, MQTT 5.0, QoS 1, 64 bytes, publishers: 10, subscribers: 10, 5000 a second, 2.00 s

             messages  a second
  published     10000      5000
  delivered      9999      5000

  microseconds  mean  50 %  90 %  99 %  99.9 %  99.99 %  max
       latency   100    90   110   200     300      400  500

7 messages were due and could not be sent in time: the rate was not reached

broker     3.00 us of CPU for a message (user 1.00, system 2.00), 4 % of a core
           resident 3.0 MiB, at most 4.0, before the run 2.0; threads: 5
generator  12 % of a core
check      FAILED: 1 lost
           sent 10000, to be delivered 10000, delivered 9999, lost 1, twice 0, out of order 0, damaged 0, foreign 0
`
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || b.String() != want {
		t.Errorf("%v, got:\n%s", err, b.String())
	}
	text, err := json.Marshal(&r)
	if err != nil || !strings.Contains(string(text), `"latency":{"count":0,"mean_us":100,"p50_us":90,`) || !strings.Contains(string(text), `"cpu_us_per_message":3,`) {
		t.Errorf("%v, %s", err, text)
	}
}

func TestOwnProcess(t *testing.T) {
	if _, err := sampleProcess(math.MaxInt32); err == nil {
		t.Error("there is no such process")
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return // a system without
	}
	s, err := sampleProcess(os.Getpid())
	if err != nil || s.rss < 1<<20 || s.peak < s.rss/2 || s.threads < 1 || s.cpu <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
