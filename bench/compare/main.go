// Compare measures MQTT brokers side by side:
//
//	go run ./bench/compare
//
// It builds mqttx from this tree and takes whichever of mosquitto and mochi the machine has or can build; -broker adds
// others. Each is started afresh for every run and every scenario, in turn, so that whatever else the machine does falls on
// all of them alike. Where taskset is there the broker has one core and the generator, mqttx bench, another. The tables have
// medians of the runs in which every message has arrived once, whole and in order. It ends with exit code 1 if mqttx fails a run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "compare: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	more        brokerList
	names, pick string
	rounds      int
	duration    time.Duration
	limit       time.Duration
	pin         bool
	file        string
}

func (s *settings) parse(args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Var(&s.more, "broker", "another broker, as `name=command` with {port} in it; may be repeated")
	fs.StringVar(&s.names, "brokers", "mqttx,mosquitto,mochi", "which of `these`; one that is not there is left out")
	fs.StringVar(&s.pick, "scenarios", "p2p,p2p-q1,p2p-q2,fan-in,fan-out,shared-q1,latency,conn", "`names`, prefix* or all")
	fs.IntVar(&s.rounds, "rounds", 3, "`number` of runs of each broker and scenario")
	fs.DurationVar(&s.duration, "duration", 2*time.Second, "`time` that is measured in a run")
	fs.DurationVar(&s.limit, "limit", time.Minute, "`time` that a run may take")
	fs.BoolVar(&s.pin, "pin", true, "with taskset: the broker on core 0, the generator on core 1")
	fs.StringVar(&s.file, "o", "", "write the tables to `file`, not to standard output")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 || s.rounds < 1 || s.duration <= 0 || s.limit <= 0 {
		return errors.New("want flags only; rounds, duration and limit are more than 0")
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	if err := s.parse(args, stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &measurement{settings: s, generator: filepath.Join(dir, "mqttx"), log: stderr}
	if err := m.prepare(ctx, dir); err != nil {
		return err
	}
	if err := m.all(ctx); err != nil {
		return err
	}
	var out []byte
	out = m.tables(out)
	if s.file != "" {
		err = os.WriteFile(s.file, out, 0o644)
	} else {
		_, err = stdout.Write(out)
	}
	if err == nil && m.failed("mqttx") {
		err = errors.New("mqttx has failed a run")
	}
	return err
}

// prepare builds what is needed and finds the brokers.
func (m *measurement) prepare(ctx context.Context, dir string) error {
	root, err := findRoot(ctx)
	if err != nil {
		return err
	}
	if err := build(ctx, root, "./cmd/mqttx", m.generator); err != nil {
		return err
	}
	for _, b := range []struct {
		name string
		find func() (broker, error)
	}{
		{"mqttx", func() (broker, error) { return mqttxBroker(m.generator), nil }},
		{"mosquitto", func() (broker, error) { return mosquittoBroker(ctx, dir) }},
		{"mochi", func() (broker, error) { return mochiBroker(ctx, root, dir) }},
	} {
		if !picked(m.names, b.name) {
			continue
		}
		found, err := b.find()
		if err != nil {
			fmt.Fprintf(m.log, "without %s: %v\n", b.name, err)
			continue
		}
		m.brokers = append(m.brokers, found)
	}
	m.brokers = append(m.brokers, m.more...)
	if len(m.brokers) == 0 {
		return errors.New("no broker")
	}
	if taskset, err := exec.LookPath("taskset"); m.pin && err == nil && runtime.NumCPU() > 1 {
		m.brokerPin, m.generatorPin = []string{taskset, "-c", "0"}, []string{taskset, "-c", "1"}
	}
	return nil
}
