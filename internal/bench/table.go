package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n\n", r.title(), r.pace())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	switch r.Scenario {
	case Conn:
		fmt.Fprintf(t, "\tnumber\ta second\t\nconnections\t%d\t%.0f\t\n", r.Published, r.PublishPerSec)
	default:
		fmt.Fprintf(t, "\tmessages\ta second\t\n")
		if r.Scenario != Sub {
			fmt.Fprintf(t, "published\t%d\t%.0f\t\n", r.Published, r.PublishPerSec)
		}
		if r.Scenario != Pub {
			fmt.Fprintf(t, "delivered\t%d\t%.0f\t\n", r.Delivered, r.DeliverPerSec)
		}
	}
	_ = t.Flush() // a strings.Builder takes everything
	r.writeTimes(&b)
	r.writeBroker(&b)
	r.writeCheck(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) title() string {
	if r.Scenario == Conn {
		return fmt.Sprintf("conn, MQTT %s, %d connections", r.Version, r.Publishers)
	}
	s := fmt.Sprintf("%s, MQTT %s, QoS %d, %d bytes", r.Scenario, r.Version, r.QoS, r.Payload)
	if r.Publishers > 0 {
		s += ", publishers: " + fmt.Sprint(r.Publishers)
	}
	if r.Subscribers > 0 {
		s += ", subscribers: " + fmt.Sprint(r.Subscribers)
	}
	return s
}

func (r *Result) pace() string {
	s := fmt.Sprintf("%.2f s", r.Seconds)
	switch {
	case r.Rate > 0:
		return fmt.Sprintf("%d a second, %s", r.Rate, s)
	case r.Window > 0:
		return fmt.Sprintf("window %d, %s", r.Window, s)
	}
	return s
}

func (r *Result) writeTimes(b *strings.Builder) {
	if r.Latency != nil || r.SendLag != nil {
		b.WriteByte('\n')
		r.writePercentiles(b)
	}
	if r.StoreSeconds > 0 {
		fmt.Fprintf(b, "\nstored in %.2f s, first message %.1f ms after SUBSCRIBE\n", r.StoreSeconds, r.FirstMillis)
	}
	if r.Unsent > 0 {
		fmt.Fprintf(b, "\n%d messages were due and could not be sent in time: the rate was not reached\n", r.Unsent)
	}
}

func (r *Result) writePercentiles(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "microseconds\tmean\t50 %%\t90 %%\t99 %%\t99.9 %%\t99.99 %%\tmax\t\n")
	for _, row := range []struct {
		name string
		p    *Percentiles
	}{{"latency", r.Latency}, {"sent late by", r.SendLag}} {
		if p := row.p; p != nil {
			fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", row.name, p.Mean, p.P50, p.P90, p.P99, p.P999, p.P9999, p.Max)
		}
	}
	_ = t.Flush()
}

func (r *Result) writeBroker(b *strings.Builder) {
	b.WriteByte('\n')
	if p := r.Broker; p != nil {
		per := "message"
		if r.Scenario == Conn {
			per = "connection"
		}
		fmt.Fprintf(b, "broker     %.2f us of CPU for a %s (user %.2f, system %.2f), %.0f %% of a core\n", p.CPUPerOp, per, p.UserPerOp, p.SystemPerOp, p.CPUPercent)
		fmt.Fprintf(b, "           resident %.1f MiB, at most %.1f, before the run %.1f; threads: %d\n", mib(p.RSS), mib(p.RSSPeak), mib(p.RSSBefore), p.Threads)
		if r.Scenario == Conn {
			fmt.Fprintf(b, "           %.0f bytes for a connection\n", r.BytesPerConn)
		}
	}
	if r.GeneratorCPU > 0 {
		fmt.Fprintf(b, "generator  %.0f %% of a core\n", r.GeneratorCPU)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func (r *Result) writeCheck(b *strings.Builder) {
	c := &r.Check
	verdict := "all is well"
	if !r.OK {
		verdict = "FAILED: " + r.Failure
	}
	fmt.Fprintf(b, "check      %s\n", verdict)
	if r.Scenario != Conn {
		fmt.Fprintf(b, "           sent %d, to be delivered %d, delivered %d, lost %d, twice %d, out of order %d, damaged %d, foreign %d\n",
			c.Sent, c.Expected, c.Received, c.Lost, c.Duplicates, c.OutOfOrder, c.Damaged, c.Foreign)
	}
}
