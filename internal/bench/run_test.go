package bench_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/bench"
	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// bubble runs f in virtual time. The options that it gets lead in memory to a server, for whose PUBLISH packets publish
// decides unless it is nil.
func bubble(t *testing.T, publish func(s *mqttx.Server, m *mqttx.Message) error, f func(t *testing.T, o func(bench.Scenario) bench.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var s *mqttx.Server
		h := mqttx.Callbacks[struct{}]{
			Connect: func(context.Context, *mqttx.ConnectRequest) (struct{}, error) { return struct{}{}, nil },
			Publish: func(_ context.Context, _ struct{}, m *mqttx.Message) error {
				if publish == nil || len(m.Payload) < bench.MinPayload {
					return nil
				}
				return publish(s, m)
			},
		}
		s = mqttest.NewServer(t, h)
		f(t, func(scenario bench.Scenario) bench.Options {
			o := bench.Defaults(scenario)
			o.Precise = false
			o.Dial = func(ctx context.Context, _ string, o client.Options) (*client.Client, error) {
				near, far := mqttest.Pipe()
				go s.ServeConn(context.Background(), far)
				return client.New(ctx, near, o)
			}
			return o
		})
		synctest.Wait()
	})
}

// number is which of its publisher's messages a message is.
func number(m *mqttx.Message) int {
	n := 0
	for _, b := range m.Payload[12:20] {
		n = n<<8 | int(b)
	}
	return n
}

func measure(t *testing.T, o bench.Options) *bench.Result {
	t.Helper()
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestScenarios(t *testing.T) {
	versions := []packet.Version{packet.V31, packet.V311, packet.V5}
	for _, tt := range []struct {
		scenario         bench.Scenario
		pubs, subs, each int // each: deliveries of a message
	}{
		{bench.Pub, 3, 0, 0},
		{bench.P2P, 3, 3, 1},
		{bench.FanIn, 4, 2, 2},
		{bench.FanOut, 1, 5, 5},
		{bench.Shared, 3, 2, 1},
		{bench.Retained, 2, 3, 3},
		{bench.Latency, 2, 2, 1},
	} {
		for _, v := range versions {
			if tt.scenario == bench.Shared && v == packet.V31 {
				continue
			}
			for _, rate := range []int{0, 5000} {
				for qos := range packet.QoS(3) {
					t.Run(fmt.Sprintf("%s/%v/qos%d/rate%d", tt.scenario, v, qos, rate), func(t *testing.T) {
						bubble(t, nil, func(t *testing.T, options func(bench.Scenario) bench.Options) {
							o := options(tt.scenario)
							o.Publishers, o.Subscribers, o.QoS, o.Messages, o.Duration = tt.pubs, tt.subs, qos, 100, 0
							o.Rate, o.Window = rate, 7
							o.Client.Version = v
							r := measure(t, o)
							want := bench.Check{Sent: 100, Expected: uint64(100 * tt.each), Received: uint64(100 * tt.each)}
							if r.Check != want || !r.OK || r.Failure != "" {
								t.Errorf("check %+v, ok %v %q, want %+v", r.Check, r.OK, r.Failure, want)
							}
							if r.Published != 100 || r.Delivered != want.Received {
								t.Errorf("published %d, delivered %d", r.Published, r.Delivered)
							}
							if r.Publishers != tt.pubs || r.Subscribers != tt.subs || r.Version != v.String() {
								t.Errorf("result of another run: %+v", r)
							}
						})
					})
				}
			}
		}
	}
}

// A round that ends by time: exactly what is due in the measured time counts in the latencies.
func TestOpenLoop(t *testing.T) {
	bubble(t, nil, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.Latency)
		o.Rate, o.Warmup, o.Duration = 1000, 500*time.Millisecond, 2*time.Second
		began := time.Now()
		var last bench.Progress
		o.Progress = func(p bench.Progress) { last = p }
		r := measure(t, o)
		if r.Latency == nil || r.Latency.Count != 2000 || r.Latency.Max > 1 || r.SendLag.Count != 2000 {
			t.Errorf("latency %+v, lag %+v", r.Latency, r.SendLag)
		}
		if r.Check.Sent != 2500 || !r.OK || r.Unsent != 0 || r.Seconds != 2 {
			t.Errorf("result %+v", r)
		}
		if took := time.Since(began); took < 2500*time.Millisecond || took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		if last.Elapsed != 2*time.Second || last.Connections != 20 || last.Published < 2000 || last.DeliverPerSec < 999 || last.DeliverPerSec > 1001 {
			t.Errorf("last progress %+v", last)
		}
	})
}

// A broker that stops for a second delays a tenth of what is due in ten seconds. In the open loop that is seen.
func TestCoordinatedOmission(t *testing.T) {
	stop := func(_ *mqttx.Server, m *mqttx.Message) error {
		if number(m) == 3000 {
			<-time.After(time.Second)
		}
		return nil
	}
	bubble(t, stop, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.Latency)
		o.Publishers, o.Subscribers, o.Rate, o.Warmup, o.Duration = 1, 1, 1000, 0, 10*time.Second
		r := measure(t, o)
		p := r.Latency
		if !r.OK || p.Count != 10000 || p.P50 > 1 || p.P90 > 2000 || p.P99 < 890e3 || p.P99 > 910e3 || p.Max < 999e3 || p.Max > 1001e3 {
			t.Errorf("%q %+v", r.Failure, p)
		}
	})
}

// What the broker does not read in time was due all the same.
func TestOpenLoopUnsent(t *testing.T) {
	stop := func(_ *mqttx.Server, m *mqttx.Message) error {
		if number(m) == 100 {
			<-time.After(5 * time.Second)
		}
		return nil
	}
	bubble(t, stop, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.Latency)
		o.Publishers, o.Subscribers, o.Rate, o.Warmup, o.Duration, o.Payload = 1, 1, 1000, 0, 2*time.Second, 10000
		r := measure(t, o)
		if !r.OK || r.Unsent == 0 || r.Unsent+r.Check.Sent != 2000 {
			t.Errorf("%q unsent %d, sent %d", r.Failure, r.Unsent, r.Check.Sent)
		}
	})
}

// The closed loop ends by time too; its warm-up is not counted.
func TestClosedLoopByTime(t *testing.T) {
	slow := func(*mqttx.Server, *mqttx.Message) error {
		<-time.After(time.Millisecond)
		return nil
	}
	for _, scenario := range []bench.Scenario{bench.P2P, bench.Pub} {
		t.Run(string(scenario), func(t *testing.T) {
			bubble(t, slow, func(t *testing.T, options func(bench.Scenario) bench.Options) {
				o := options(scenario)
				o.Publishers, o.Window, o.Warmup, o.Duration = 2, 1, time.Second, 2*time.Second
				if scenario == bench.P2P {
					o.Subscribers = 2
				}
				r := measure(t, o)
				if !r.OK || r.Seconds != 2 || r.Published < 3990 || r.Published > 4010 || r.Check.Sent < 5990 {
					t.Errorf("result %+v", r)
				}
			})
		})
	}
}

func TestFaults(t *testing.T) {
	republish := func(s *mqttx.Server, m *mqttx.Message) error {
		again := *m
		again.From = mqttx.Client{}
		again.Payload = append([]byte(nil), m.Payload...)
		return s.Publish(context.Background(), &again)
	}
	var held *mqttx.Message
	for _, tt := range []struct {
		name    string
		qos     packet.QoS
		publish func(*mqttx.Server, *mqttx.Message) error
		want    bench.Check
		failure string
	}{
		{"lost", 1, func(_ *mqttx.Server, m *mqttx.Message) error {
			if n := number(m); n == 3 || n == 4 || n == 9 {
				return mqttx.Handled
			}
			return nil
		}, bench.Check{Sent: 20, Expected: 20, Received: 17, Lost: 3}, "3 lost"},
		{"twice at QoS 0", 0, func(s *mqttx.Server, m *mqttx.Message) error {
			if number(m) == 5 {
				return republish(s, m)
			}
			return nil
		}, bench.Check{Sent: 20, Expected: 20, Received: 20, Duplicates: 1}, "1 delivered twice"},
		{"twice at QoS 1", 1, func(s *mqttx.Server, m *mqttx.Message) error {
			if number(m) == 5 {
				return republish(s, m)
			}
			return nil
		}, bench.Check{Sent: 20, Expected: 20, Received: 20, Duplicates: 1}, ""},
		{"twice at QoS 2", 2, republish, bench.Check{Sent: 20, Expected: 20, Received: 20, Duplicates: 20}, "20 delivered twice"},
		{"out of order", 1, func(s *mqttx.Server, m *mqttx.Message) error {
			switch number(m) {
			case 5:
				held = &mqttx.Message{Topic: m.Topic, Payload: append([]byte(nil), m.Payload...), QoS: m.QoS}
				return mqttx.Handled
			case 8:
				return s.Publish(context.Background(), held)
			}
			return nil
		}, bench.Check{Sent: 20, Expected: 20, Received: 20, OutOfOrder: 1}, "1 out of order"},
		{"damaged", 2, func(_ *mqttx.Server, m *mqttx.Message) error {
			m.Payload = append([]byte(nil), m.Payload...)
			m.Payload[len(m.Payload)-1]++
			return nil
		}, bench.Check{Sent: 20, Expected: 20, Lost: 20, Damaged: 20}, "20 lost, 20 damaged"},
		{"foreign", 0, func(s *mqttx.Server, m *mqttx.Message) error {
			return s.Publish(context.Background(), &mqttx.Message{Topic: m.Topic, Payload: []byte("hello")})
		}, bench.Check{Sent: 20, Expected: 20, Received: 20, Foreign: 20}, "20 not of this run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, tt.publish, func(t *testing.T, options func(bench.Scenario) bench.Options) {
				o := options(bench.P2P)
				o.Publishers, o.Subscribers, o.QoS, o.Rate, o.Messages, o.Duration = 1, 1, tt.qos, 10, 20, 0
				r := measure(t, o)
				if r.Check != tt.want || r.Failure != tt.failure || r.OK != (tt.failure == "") {
					t.Errorf("check %+v, failure %q, want %+v, %q", r.Check, r.Failure, tt.want, tt.failure)
				}
			})
		})
	}
}

// The members of a shared subscription are followed together.
func TestSharedLost(t *testing.T) {
	drop := func(_ *mqttx.Server, m *mqttx.Message) error {
		if number(m)%10 == 7 {
			return mqttx.Handled
		}
		return nil
	}
	bubble(t, drop, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.Shared)
		o.Publishers, o.Subscribers, o.Rate, o.Messages, o.Duration = 2, 3, 100, 40, 0
		if r := measure(t, o); r.Check.Lost != 4 || r.Failure != "4 lost" {
			t.Errorf("check %+v, %q", r.Check, r.Failure)
		}
	})
}

// In the closed loop a lost message holds its publisher up, and the run ends when nothing happens any more.
func TestClosedLoopLost(t *testing.T) {
	drop := func(_ *mqttx.Server, m *mqttx.Message) error {
		if number(m) == 50 {
			return mqttx.Handled
		}
		return nil
	}
	bubble(t, drop, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.P2P)
		o.Publishers, o.Subscribers, o.Window, o.Messages, o.Duration = 1, 1, 10, 1000, 0
		r := measure(t, o)
		if r.Check.Sent != 60 || r.Check.Lost != 1 || r.Failure != "nothing happened for 10s, 1 lost" {
			t.Errorf("check %+v, %q", r.Check, r.Failure)
		}
	})
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  error
		failure string
	}{
		{"refused", mqttx.QuotaExceeded, "publisher 0: message refused: Quota exceeded (0x97)"},
		{"disconnected", mqttx.Disconnect(mqttx.QuotaExceeded), "publisher 0: disconnected by the server: Quota exceeded (0x97)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refuse := func(_ *mqttx.Server, m *mqttx.Message) error {
				if number(m) == 3 {
					return tt.answer
				}
				return nil
			}
			bubble(t, refuse, func(t *testing.T, options func(bench.Scenario) bench.Options) {
				o := options(bench.P2P)
				o.Publishers, o.Subscribers, o.QoS, o.Window, o.Messages, o.Duration = 1, 1, 1, 1, 10, 0
				if r := measure(t, o); r.OK || !strings.HasPrefix(r.Failure, tt.failure) {
					t.Errorf("failure %q, want %q", r.Failure, tt.failure)
				}
			})
		})
	}
}

func TestConn(t *testing.T) {
	for _, rate := range []int{0, 100} {
		bubble(t, nil, func(t *testing.T, options func(bench.Scenario) bench.Options) {
			o := options(bench.Conn)
			o.Publishers, o.Rate, o.Window, o.Duration = 50, rate, 3, 2*time.Second
			r := measure(t, o)
			if !r.OK || r.Published != 50 || r.Latency.Count != 50 || r.HeldSeconds != 2 {
				t.Errorf("result %+v, latency %+v", r, r.Latency)
			}
			if want := 0.49; rate == 100 && r.ConnectSeconds != want {
				t.Errorf("connected in %v s, want %v", r.ConnectSeconds, want)
			}
		})
	}
}

// Connections that end while they are held are counted.
func TestConnLost(t *testing.T) {
	bubble(t, nil, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.Conn)
		o.Publishers, o.Duration = 5, time.Minute
		dial := o.Dial
		var once sync.Once
		o.Dial = func(ctx context.Context, url string, co client.Options) (*client.Client, error) {
			c, err := dial(ctx, url, co)
			once.Do(func() { time.AfterFunc(time.Second, func() { c.Close() }) })
			return c, err
		}
		if r := measure(t, o); r.OK || r.Check.Disconnects != 1 || r.Failure != "1 connections lost" {
			t.Errorf("check %+v, %q", r.Check, r.Failure)
		}
	})
}

// A subscriber follows publishers of other processes from the first number that it sees.
func TestSub(t *testing.T) {
	drop := func(_ *mqttx.Server, m *mqttx.Message) error {
		if number(m) == 20 {
			return mqttx.Handled
		}
		return nil
	}
	bubble(t, drop, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		pub := options(bench.Pub)
		pub.Publishers, pub.Rate, pub.Duration, pub.Warmup = 3, 30, 10*time.Second, 0
		sub := options(bench.Sub)
		sub.Subscribers, sub.Duration = 2, 5*time.Second
		var all sync.WaitGroup
		all.Go(func() {
			if r := measure(t, pub); !r.OK || r.Check.Sent != 300 {
				t.Errorf("publishers: %+v, %q", r.Check, r.Failure)
			}
		})
		<-time.After(time.Second)
		r := measure(t, sub)
		all.Wait()
		if r.Check.Lost != 6 || r.Failure != "6 lost" || r.Seconds != 5 || r.Delivered < 280 || r.Delivered > 300 {
			t.Errorf("result %+v", r)
		}
	})
}

// When the context ends, what was measured until then counts, and what is under way is waited for.
func TestInterrupted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, options func(bench.Scenario) bench.Options) {
		o := options(bench.Latency)
		o.Rate, o.Duration, o.Warmup = 100, time.Hour, 0
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r, err := bench.Run(ctx, o)
		if err != nil || !r.OK || r.Seconds < 3 || r.Seconds > 3.1 || r.Check.Sent < 300 || r.Check.Sent > 302 {
			t.Errorf("result %+v, error %v", r, err)
		}
		cancel()
		if r, err := bench.Run(ctx, o); r != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not connected yet: result %+v, error %v", r, err)
		}
	})
}

func TestCannotRun(t *testing.T) {
	refuse := errors.New("refused")
	o := bench.Defaults(bench.P2P)
	o.Dial = func(context.Context, string, client.Options) (*client.Client, error) { return nil, refuse }
	if _, err := bench.Run(t.Context(), o); !errors.Is(err, refuse) {
		t.Errorf("error %v", err)
	}
	for text, change := range map[string]func(*bench.Options){
		"no scenario":             func(o *bench.Options) { o.Scenario = "idle" },
		"at least one client":     func(o *bench.Options) { o.Publishers = 0 },
		"as many publishers":      func(o *bench.Options) { o.Subscribers = 3 },
		"payload":                 func(o *bench.Options) { o.Payload = bench.MinPayload - 1 },
		"QoS":                     func(o *bench.Options) { o.QoS = 3 },
		"prefix":                  func(o *bench.Options) { o.Prefix = "" },
		"window":                  func(o *bench.Options) { o.Window = 65536 },
		"rate":                    func(o *bench.Options) { o.Rate = -1 },
		"handshake":               func(o *bench.Options) { o.Parallel = 0 },
		"patience":                func(o *bench.Options) { o.Patience = 0 },
		"when to end":             func(o *bench.Options) { o.Duration = 0 },
		"need MQTT 3.1.1":         func(o *bench.Options) { o.Scenario, o.Client.Version = bench.Shared, packet.V31 },
		"number of retained":      func(o *bench.Options) { o.Scenario = bench.Retained },
		"at least one client of ": func(o *bench.Options) { o.Scenario, o.Subscribers = bench.Sub, 0 },
	} {
		o := bench.Defaults(bench.P2P)
		change(&o)
		if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}
