package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/e8743928/mqttx/internal/bench"
)

// Everything together, with the broker of this tree and the same once more as another.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	root, err := findRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	program, file := filepath.Join(dir, "mqttx"), filepath.Join(dir, "out.md")
	if err := build(t.Context(), root, "./cmd/mqttx", program); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	err = run(t.Context(), []string{
		"-brokers", "mqttx", "-broker", "again=" + program + " serve --listen tcp://127.0.0.1:{port}",
		"-scenarios", "p2p-q1,latency", "-rounds", "2", "-duration", "20ms", "-pin=false", "-o", file,
	}, &stdout, &stderr)
	out, _ := os.ReadFile(file)
	if err != nil || stdout.Len() > 0 {
		t.Fatalf("%v, stdout %q\n%s\n%s", err, &stdout, out, &stderr)
	}
	for _, want := range []string{
		"| scenario | mqttx | again |\n| --- | ---: | ---: |\n| p2p-q1 | ", "### latency\n", "\n| again | ", " | 2 of 2 |\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(stderr.String(), " a second, "); n != 8 {
		t.Errorf("%d runs told, want 8:\n%s", n, &stderr)
	}
}

func TestBrokerThatEnds(t *testing.T) {
	var l brokerList
	if err := l.Set("bad=false {port}"); err != nil {
		t.Fatal(err)
	}
	if _, err := l[0].start(t.Context(), nil); err == nil || err.Error() != "it ended at once" {
		t.Errorf("error %v", err)
	}
	for _, s := range []string{"", "x", "=x {port}", "x=y"} {
		if l.Set(s) == nil {
			t.Errorf("%q: no error", s)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"x", "-rounds 0", "-duration 0s", "-bogus", "-broker x"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("help: %v", err)
	}
}

func TestTables(t *testing.T) {
	good := func(cpu, rate float64) *bench.Result {
		return &bench.Result{
			Scenario: bench.P2P, Subscribers: 50, OK: true, DeliverPerSec: rate, GeneratorCPU: 50,
			Broker: &bench.Broker{CPUPerOp: cpu, CPUPercent: 80, RSSPeak: 3 << 19},
		}
	}
	m := &measurement{
		settings: settings{pick: "p2p,conn", rounds: 3, duration: time.Second},
		brokers:  []broker{{name: "mqttx", version: "new"}, {name: "other"}},
		records: []record{
			{"mqttx", "p2p", good(1, 100), nil},
			{"mqttx", "p2p", good(9, 300), nil},
			{"mqttx", "p2p", good(2, 200), nil},
			{"other", "p2p", good(3, 50), nil},
			{"other", "p2p", &bench.Result{Failure: "1 lost"}, nil},
			{"other", "p2p", good(4, 60), nil},
			{"mqttx", "conn", &bench.Result{Scenario: bench.Conn, OK: true, PublishPerSec: 7, BytesPerConn: 1000, Broker: &bench.Broker{CPUPerOp: 20}}, nil},
			{"other", "conn", nil, errors.New("a | b")},
		},
	}
	_, got, _ := strings.Cut(string(m.tables(nil)), "\n\n")
	const want = `- mqttx: new

Microseconds of the broker's CPU time for each message that was delivered, or connection; in parentheses compared to mqttx.

| scenario | mqttx | other |
| --- | ---: | ---: |
| p2p | 2.00 | 3.50 (1.8) |
| conn | 20.00 | fails |

### p2p

50 pairs, QoS 0, 64 bytes, window 100.

| broker | CPU us each | a second | broker CPU % | generator CPU % | peak MiB | good runs |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| mqttx | 2.00 | 200 | 80 | 50 | 1.5 | 3 of 3 |
| other | 3.50 | 55 | 80 | 50 | 1.5 | 2 of 3: 1 lost |

### conn

5,000 connections, 50 handshakes at a time.

| broker | CPU us each | a second | broker CPU % | peak MiB | bytes/connection | good runs |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| mqttx | 20.00 | 7 | 0 | 0.0 | 1000 | 1 of 1 |
| other | | | | | | 0 of 1: a \| b |

`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if m.failed("mqttx") || !m.failed("other") {
		t.Error("which broker has failed")
	}
}

func TestPicked(t *testing.T) {
	for _, s := range scenarios {
		if !picked("all", s.name) || !picked("x,"+s.name, s.name) || picked("x", s.name) {
			t.Errorf("%s", s.name)
		}
		if line := s.line(time.Second); line[0] != "bench" || len(line) < 4 {
			t.Errorf("%s: %q", s.name, line)
		}
	}
	if !picked("p2p*", "p2p-q1") || picked("p2p*", "fan-in") {
		t.Error("prefix")
	}
}
