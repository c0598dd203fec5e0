package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/e8743928/mqttx/internal/bench"
	"github.com/e8743928/mqttx/packet"
)

// benchFlags is the command line of one scenario of bench.
type benchFlags struct {
	connectFlags
	bench.Options

	pairs  int
	asJSON bool
}

// benchScenarios are the commands of bench. kinds are the flags that tell the numbers of clients.
var benchScenarios = [...]struct {
	scenario       bench.Scenario
	kinds          []string
	short, example string
}{
	{bench.Conn, []string{"clients"}, "Open connections, and hold them for --duration", "conn --clients 20000 --duration 1m --pid $(pidof broker)"},
	{bench.Pub, []string{"clients"}, "Publish without subscribers", "pub --clients 20 --qos 1"},
	{bench.Sub, []string{"clients"}, "Receive what a bench of another process publishes", "sub --clients 10 --duration 1m"},
	{bench.P2P, []string{"pairs"}, "Pairs of a publisher and a subscriber", "p2p --pairs 100 --qos 1 --window 20"},
	{bench.FanIn, []string{"pubs", "subs"}, "Many publishers, and a subscriber who gets all", "fan-in --pubs 200"},
	{bench.FanOut, []string{"pubs", "subs"}, "One publisher, and many subscribers who each get all", "fan-out --subs 1000 --rate 100"},
	{bench.Shared, []string{"pubs", "subs"}, "Many publishers, and a shared subscription", "shared --pubs 50 --subs 10"},
	{bench.Retained, []string{"pubs", "subs"}, "Store messages, then deliver them to who subscribes", "retained --messages 100000"},
	{bench.Latency, []string{"pairs"}, "Pairs at a fixed rate, for the latency", "latency --rate 20000 --duration 1m"},
}

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a broker, measure it and check that nothing is lost",
		Long: "Bench puts load on a broker and measures throughput, latency and, with --pid, the CPU\n" +
			"time and memory of the broker's process. Every run checks every message: the exit code\n" +
			"is 1 if any is lost, comes out of order, or comes twice at QoS 0 or 2.\n\n" +
			"With --window each publisher has at most so many messages under way, until the\n" +
			"subscribers have them; the broker sets the pace. With --rate messages are due at fixed\n" +
			"times, and latency is counted from when a message was due.\n\n" +
			"docs/bench.md says how to read the figures.",
		Example: "  mqttx bench p2p --pairs 50\n" +
			"  mqttx bench latency --rate 10000 --qos 1",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown scenario %q", args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			return usagef("no scenario: want conn, pub, sub, p2p, fan-in, fan-out, shared, retained or latency")
		},
	}
	for _, s := range benchScenarios {
		cmd.AddCommand(newScenario(s.scenario, s.kinds, s.short, s.example))
	}
	return cmd
}

func newScenario(scenario bench.Scenario, kinds []string, short, example string) *cobra.Command {
	f := benchFlags{Options: bench.Defaults(scenario)}
	cmd := &cobra.Command{
		Use:     string(scenario),
		Short:   short,
		Long:    short + ". docs/bench.md says how to read the figures.",
		Example: "  mqttx bench " + example,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.addClients(fs, kinds)
	f.addLoad(fs)
	fs.IntVar(&f.PID, "pid", 0, "the broker's process `ID`: tell its CPU time and memory (Linux)")
	fs.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	f.addServer(fs)
	f.addTLS(fs)
	return cmd
}

// addClients adds the flags for the numbers of clients.
func (f *benchFlags) addClients(fs *pflag.FlagSet, kinds []string) {
	for _, kind := range kinds {
		switch {
		case kind == "pairs":
			fs.IntVar(&f.pairs, kind, f.Publishers, "`NUMBER` of publishers, and of subscribers")
		case kind == "pubs":
			fs.IntVar(&f.Publishers, kind, f.Publishers, "`NUMBER` of publishers")
		case kind == "subs":
			fs.IntVar(&f.Subscribers, kind, f.Subscribers, "`NUMBER` of subscribers")
		case f.Scenario == bench.Sub:
			fs.IntVar(&f.Subscribers, kind, f.Subscribers, "`NUMBER` of subscribers")
		default:
			fs.IntVar(&f.Publishers, kind, f.Publishers, "`NUMBER` of connections")
		}
	}
	fs.Var(&parsed[bench.Addresses]{&f.From, "", "RANGE", bench.ParseAddresses}, "local-addr",
		"connect from these addresses in turn, such as 127.0.0.0/8 or 10.0.0.2-10.0.0.9: one has some 28,000 ports")
}

// addLoad adds the flags for what the clients do.
func (f *benchFlags) addLoad(fs *pflag.FlagSet) {
	switch f.Scenario {
	case bench.Conn:
		fs.IntVar(&f.Rate, "rate", 0, "open so many connections a `SECOND`, whatever the broker does (default: see --window)")
		fs.IntVar(&f.Window, "window", f.Window, "`NUMBER` of handshakes at a time")
		fs.DurationVar(&f.Duration, "duration", 0, "hold the connections for this `TIME`")
		return
	case bench.Sub:
		fs.IntVar(&f.Messages, "messages", 0, "end after `NUMBER` messages")
	case bench.Retained:
		fs.IntVar(&f.Rate, "rate", 0, "store so many messages a `SECOND` (default: see --window)")
		fs.IntVar(&f.Window, "window", f.Window, "`NUMBER` of messages that a publisher has under way")
		fs.IntVar(&f.Messages, "messages", f.Messages, "`NUMBER` of messages, each with a topic of its own")
	default:
		fs.IntVar(&f.Rate, "rate", f.Rate, "so many messages a `SECOND` of all publishers, whatever the broker does (0: see --window)")
		fs.IntVar(&f.Window, "window", f.Window, "`NUMBER` of messages that a publisher has under way until the subscribers have them")
		fs.IntVar(&f.Messages, "messages", 0, "end after `NUMBER` messages of all publishers")
	}
	if f.Scenario != bench.Retained {
		fs.DurationVar(&f.Duration, "duration", f.Duration, "measure for this `TIME`; with --messages, unless given: as long as it takes")
	}
	if f.Scenario != bench.Retained && f.Scenario != bench.Sub {
		fs.DurationVar(&f.Warmup, "warmup", f.Warmup, "`TIME` before that is not measured; none with --messages")
	}
	if f.Scenario != bench.Sub {
		fs.IntVar(&f.Payload, "payload", f.Payload, fmt.Sprintf("`BYTES` of a message, at least %d", bench.MinPayload))
	}
	fs.VarP(&parsed[packet.QoS]{&f.QoS, "0", "QOS", parseQoS}, "qos", "q", "0 at most once, 1 at least once, 2 exactly once")
	fs.StringVar(&f.Prefix, "prefix", f.Prefix, "topics begin with `TEXT`")
	fs.DurationVar(&f.Patience, "patience", f.Patience, "what is not there when nothing has happened for this `TIME` is lost")
}

// check makes of the flags what runs.
func (f *benchFlags) check(fs *pflag.FlagSet) (err error) {
	if f.Client, err = f.connectFlags.options(fs); err != nil {
		return err
	}
	if fs.Lookup("pairs") != nil {
		f.Publishers, f.Subscribers = f.pairs, f.pairs
	}
	if fs.Changed("rate") && f.Rate != 0 {
		if err := onlyOne(fs, "rate", "window"); err != nil {
			return err
		}
	}
	if fs.Changed("window") && !fs.Changed("rate") {
		f.Rate = 0
	}
	if fs.Changed("messages") && f.Messages > 0 && !fs.Changed("duration") {
		f.Duration = 0
	}
	if f.Duration < 0 || f.PID < 0 {
		return usagef("--duration and --pid are at least 0")
	}
	f.URL = f.url
	if err := f.Options.Check(); err != nil {
		return &usageError{err}
	}
	return nil
}

func (f *benchFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd.Flags()); err != nil {
		return err
	}
	ctx, cancel := untilSignal()
	defer cancel()
	progress := benchProgress(cmd.ErrOrStderr(), f.Scenario)
	f.Progress = progress
	res, err := bench.Run(ctx, f.Options)
	if progress != nil {
		fmt.Fprint(cmd.ErrOrStderr(), eraseLine)
	}
	if res == nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = errors.Join(err, e.Encode(res))
	} else {
		err = errors.Join(err, res.WriteText(out))
	}
	if err == nil && !res.OK {
		err = errors.New("bench " + string(f.Scenario) + ": " + res.Failure)
	}
	return err
}

// eraseLine takes a terminal back to the beginning of a line that is empty.
const eraseLine = "\r\x1b[K"

// benchProgress writes a line over and over, on a terminal; nil: w is none.
func benchProgress(w io.Writer, scenario bench.Scenario) func(bench.Progress) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(p bench.Progress) { fmt.Fprint(w, eraseLine+progressLine(scenario, p)) }
}

func progressLine(scenario bench.Scenario, p bench.Progress) string {
	s := fmt.Sprintf("%4.0f s  connections %d", p.Elapsed.Truncate(time.Second).Seconds(), p.Connections)
	if p.ConnectsPerSec > 0 {
		s += fmt.Sprintf(" (%.0f/s)", p.ConnectsPerSec)
	}
	if scenario != bench.Conn && scenario != bench.Sub {
		s += fmt.Sprintf("  published %d (%.0f/s)", p.Published, p.PublishPerSec)
	}
	if scenario != bench.Conn && scenario != bench.Pub {
		s += fmt.Sprintf("  delivered %d (%.0f/s)", p.Delivered, p.DeliverPerSec)
	}
	return s
}
