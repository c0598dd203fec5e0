package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/e8743928/mqttx/internal/bench"
)

// sampled tells whether the system knows the CPU time of other processes in a way that mqttx bench reads.
func sampled() bool { return runtime.GOOS == "linux" }

// column is a figure of a run; false: it has none.
type column struct {
	head  string
	digit int // behind the point
	of    func(*bench.Result) (float64, bool)
}

func ofBroker(f func(*bench.Broker) float64) func(*bench.Result) (float64, bool) {
	return func(r *bench.Result) (float64, bool) {
		if r.Broker == nil {
			return 0, false
		}
		return f(r.Broker), true
	}
}

func ofLatency(f func(*bench.Percentiles) float64) func(*bench.Result) (float64, bool) {
	return func(r *bench.Result) (float64, bool) {
		if r.Latency == nil {
			return 0, false
		}
		return f(r.Latency), true
	}
}

func cpu(b *bench.Broker) float64 { return b.CPUPerOp }

// columns are those of every scenario.
func columns() []column {
	return []column{
		{"CPU us each", 2, ofBroker(cpu)},
		{"a second", 0, func(r *bench.Result) (float64, bool) { return rate(r), true }},
		{"broker CPU %", 0, ofBroker(func(b *bench.Broker) float64 { return b.CPUPercent })},
		{"generator CPU %", 0, func(r *bench.Result) (float64, bool) { return r.GeneratorCPU, r.GeneratorCPU > 0 }},
		{"p50 us", 0, ofLatency(func(p *bench.Percentiles) float64 { return p.P50 })},
		{"p99 us", 0, ofLatency(func(p *bench.Percentiles) float64 { return p.P99 })},
		{"p99.9 us", 0, ofLatency(func(p *bench.Percentiles) float64 { return p.P999 })},
		{"peak MiB", 1, ofBroker(func(b *bench.Broker) float64 { return float64(b.RSSPeak) / (1 << 20) })},
		{"bytes/connection", 0, func(r *bench.Result) (float64, bool) {
			return r.BytesPerConn, r.Scenario == bench.Conn && r.Broker != nil
		}},
	}
}

// median is of the good runs of a broker; false: there is none.
func (m *measurement) median(broker, scenario string, of func(*bench.Result) (float64, bool)) (float64, bool) {
	var v []float64
	for i := range m.records {
		if r := &m.records[i]; r.broker == broker && r.scenario == scenario && r.ok() {
			if x, ok := of(r.result); ok {
				v = append(v, x)
			}
		}
	}
	if len(v) == 0 {
		return 0, false
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2, true
}

// tables appends all tables in Markdown: one for an overview, then one for each scenario.
func (m *measurement) tables(b []byte) []byte {
	pinned := "Neither was bound to a core."
	if m.brokerPin != nil {
		pinned = "The broker was bound to core 0, the generator to core 1."
	}
	b = fmt.Appendf(b, "%s/%s, %d cores, %s. %s Medians of %d rounds; %v measured in each run.\n\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), pinned, m.rounds, m.duration)
	for _, x := range m.brokers {
		if x.version != "" {
			b = fmt.Appendf(b, "- %s: %s\n", x.name, x.version)
		}
	}
	b = append(b, '\n')
	b = m.overview(b)
	for i := range scenarios {
		if s := &scenarios[i]; picked(m.pick, s.name) {
			b = m.table(b, s)
		}
	}
	return b
}

// overview is the broker's CPU time for each message, or connection, and how much that is compared to the first broker.
func (m *measurement) overview(b []byte) []byte {
	b = append(b, "Microseconds of the broker's CPU time for each message that was delivered, or connection; in parentheses compared to "+m.brokers[0].name+".\n\n| scenario |"...)
	for _, x := range m.brokers {
		b = fmt.Appendf(b, " %s |", x.name)
	}
	b = append(b, "\n| --- |"+strings.Repeat(" ---: |", len(m.brokers))+"\n"...)
	for i := range scenarios {
		name := scenarios[i].name
		if !picked(m.pick, name) {
			continue
		}
		b = fmt.Appendf(b, "| %s |", name)
		base, hasBase := m.median(m.brokers[0].name, name, ofBroker(cpu))
		for k, x := range m.brokers {
			v, ok := m.median(x.name, name, ofBroker(cpu))
			switch good, _, _ := m.verdict(x.name, name); {
			case good == 0:
				b = append(b, " fails |"...)
			case !ok:
				b = append(b, " |"...)
			case k == 0 || !hasBase || base == 0:
				b = fmt.Appendf(b, " %.2f |", v)
			default:
				b = fmt.Appendf(b, " %.2f (%.1f) |", v, v/base)
			}
		}
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// table is what was measured in a scenario.
func (m *measurement) table(b []byte, s *scenario) []byte {
	b = fmt.Appendf(b, "### %s\n\n%s.\n\n| broker |", s.name, s.title)
	var shown []column
	for _, c := range columns() {
		if slices.ContainsFunc(m.brokers, func(x broker) bool { _, ok := m.median(x.name, s.name, c.of); return ok }) {
			shown = append(shown, c)
			b = fmt.Appendf(b, " %s |", c.head)
		}
	}
	b = append(b, " good runs |\n| --- |"+strings.Repeat(" ---: |", len(shown)+1)+"\n"...)
	for _, x := range m.brokers {
		b = fmt.Appendf(b, "| %s |", x.name)
		for _, c := range shown {
			if v, ok := m.median(x.name, s.name, c.of); ok {
				b = fmt.Appendf(b, " %.*f |", c.digit, v)
			} else {
				b = append(b, " |"...)
			}
		}
		good, all, why := m.verdict(x.name, s.name)
		b = fmt.Appendf(b, " %d of %d", good, all)
		if why != "" {
			b = append(b, ": "+cell(why)...)
		}
		b = append(b, " |\n"...)
	}
	return append(b, '\n')
}

// verdict counts the runs of a broker, and says what was wrong with the last that failed.
func (m *measurement) verdict(broker, scenario string) (good, all int, why string) {
	for i := range m.records {
		r := &m.records[i]
		if r.broker != broker || r.scenario != scenario {
			continue
		}
		all++
		if r.ok() {
			good++
		} else {
			why = r.why()
		}
	}
	return good, all, why
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	s = strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100]) + "..."
	}
	return s
}
