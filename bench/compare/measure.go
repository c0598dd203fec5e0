package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/e8743928/mqttx/internal/bench"
)

// measurement is all that is measured.
type measurement struct {
	settings
	generator               string // mqttx
	brokers                 []broker
	brokerPin, generatorPin []string // words before a command line that bind it to a core
	log                     io.Writer

	records []record
}

// record is one run.
type record struct {
	broker, scenario string
	result           *bench.Result // nil: there is none
	err              error         // why not
}

func (r *record) ok() bool { return r.err == nil && r.result.OK }

// why is what was wrong with a run.
func (r *record) why() string {
	if r.err != nil {
		return r.err.Error()
	}
	return r.result.Failure
}

// all runs every scenario with every broker, in each round in another order.
func (m *measurement) all(ctx context.Context) error {
	found := false
	for round := range m.rounds {
		for i := range scenarios {
			s := &scenarios[i]
			if !picked(m.pick, s.name) {
				continue
			}
			found = true
			for k := range m.brokers {
				b := &m.brokers[(k+round)%len(m.brokers)]
				result, err := m.once(ctx, b, s)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				r := record{b.name, s.name, result, err}
				m.records = append(m.records, r)
				m.tell(round+1, &r)
			}
		}
	}
	if !found {
		return fmt.Errorf("no scenario is called %s", m.pick)
	}
	return nil
}

// tell says how a run went.
func (m *measurement) tell(round int, r *record) {
	if !r.ok() {
		fmt.Fprintf(m.log, "%d  %-12s %-12s FAILED: %s\n", round, r.scenario, r.broker, r.why())
		return
	}
	cpu := "?"
	if r.result.Broker != nil {
		cpu = strconv.FormatFloat(r.result.Broker.CPUPerOp, 'f', 2, 64)
	}
	fmt.Fprintf(m.log, "%d  %-12s %-12s %10.0f a second, %s us of CPU each\n", round, r.scenario, r.broker, rate(r.result), cpu)
}

// rate is what is done in a second.
func rate(r *bench.Result) float64 {
	if r.Subscribers == 0 {
		return r.PublishPerSec
	}
	return r.DeliverPerSec
}

// once starts a broker, measures it and stops it.
func (m *measurement) once(ctx context.Context, b *broker, s *scenario) (*bench.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.limit, fmt.Errorf("took longer than %v", m.limit))
	defer cancel()
	running, err := b.start(ctx, m.brokerPin)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer running.stop()
	line := append(append([]string(nil), m.generatorPin...), m.generator)
	line = append(line, s.line(m.duration)...)
	line = append(line, "--url", running.url)
	if sampled() {
		line = append(line, "--pid", strconv.Itoa(running.cmd.Process.Pid))
	}
	g := exec.CommandContext(ctx, line[0], line[1:]...)
	g.Cancel = func() error { return g.Process.Signal(syscall.SIGKILL) } // SIGTERM would only end the measuring
	g.SysProcAttr = withParent()
	var out, errs bytes.Buffer
	g.Stdout, g.Stderr = &out, &errs
	err = g.Run()
	var result bench.Result
	if json.Unmarshal(out.Bytes(), &result) == nil {
		return &result, nil // the exit code says only what is in it
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("mqttx bench: %w: %s", err, bytes.TrimSpace(errs.Bytes()))
}

// failed tells whether a broker has failed a run.
func (m *measurement) failed(name string) bool {
	for i := range m.records {
		if r := &m.records[i]; r.broker == name && !r.ok() {
			return true
		}
	}
	return false
}
