package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// subFlags is the command line of sub.
type subFlags struct {
	connectFlags

	filters []string
	qos     packet.QoS
	format  format
	count   int
	timeout time.Duration

	clean             bool
	expiry            uint32
	noLocal           bool
	retainAsPublished bool
	retainHandling    byte
	subscriptionID    uint32
}

func newSub() *cobra.Command {
	f := subFlags{format: formatPayload}
	cmd := &cobra.Command{
		Use:   "sub",
		Short: "Print the messages of topics",
		Long: "Sub subscribes and prints each message as it comes, until SIGINT or SIGTERM (exit\n" +
			"code 0), until it has --count messages (0), or until the connection is lost or\n" +
			"--timeout has passed (1).\n\n" +
			"--format is one of payload, topic (the topic, a space and the payload), json (an\n" +
			"object on one line) and a template in which these stand for parts of the message:\n\n" +
			"  %t  topic              %r  RETAIN, 0 or 1\n" +
			"  %p  payload            %i  Subscription Identifiers, separated by commas\n" +
			"  %q  QoS                %%  a percent sign",
		Example: "  mqttx sub -t 'kitchen/#' -t alarm -q 1 --format topic\n" +
			"  mqttx sub -t '$share/workers/jobs' -i worker-1 --clean=false --session-expiry 3600 -F json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&f.filters, "topic", "t", nil, "topic `FILTER` to subscribe to; may be repeated")
	fs.VarP(&parsed[packet.QoS]{&f.qos, "0", "QOS", parseQoS}, "qos", "q", "the most to receive with: 0, 1 or 2")
	fs.VarP(&parsed[format]{&f.format, "payload", "FORMAT", parseFormat}, "format", "F", "payload, topic, json or a template like '%t %q %p'")
	fs.IntVarP(&f.count, "count", "C", 0, "end after `N` messages (default: never)")
	fs.DurationVarP(&f.timeout, "timeout", "W", 0, "fail after this `TIME`, such as 10s (default: never)")
	fs.BoolVar(&f.clean, "clean", true, "begin a new session; --clean=false goes on with that of --id")
	fs.Uint32Var(&f.expiry, "session-expiry", 0, "`SECONDS` that the broker keeps the session after the end (MQTT 5)")
	fs.BoolVar(&f.noLocal, "no-local", false, "not what this client publishes itself (MQTT 5)")
	fs.BoolVar(&f.retainAsPublished, "retain-as-published", false, "show RETAIN as the publisher has set it (MQTT 5)")
	fs.Var(&parsed[byte]{&f.retainHandling, "0", "N", parseRetainHandling}, "retain-handling", "retained messages: 0 send, 1 only if newly subscribed, 2 do not (MQTT 5)")
	fs.Uint32Var(&f.subscriptionID, "subscription-id", 0, "`NUMBER` that the broker adds to the messages (MQTT 5)")
	f.connectFlags.add(fs)
	return cmd
}

func parseRetainHandling(s string) (byte, error) {
	switch s {
	case "0", "1", "2":
		return s[0] - '0', nil
	}
	return 0, errors.New("want 0, 1 or 2")
}

// check makes of the flags what connects and what subscribes.
func (f *subFlags) check(fs *pflag.FlagSet) (o client.Options, p packet.Subscribe, err error) {
	switch {
	case len(f.filters) == 0:
		err = usagef("--topic is missing")
	case f.count < 0 || f.timeout < 0:
		err = usagef("--count and --timeout are at least 0")
	case !f.clean && f.id == "":
		err = usagef("--clean=false needs --id: the session is kept under it")
	case fs.Changed("subscription-id") && (f.subscriptionID == 0 || f.subscriptionID > packet.MaxRemainingLength):
		err = usagef("--subscription-id is from 1 to %d", packet.MaxRemainingLength)
	}
	if err != nil {
		return o, p, err
	}
	if o, err = f.options(fs); err != nil {
		return o, p, err
	}
	o.CleanStart = f.clean
	if fs.Changed("session-expiry") {
		o.SessionExpiry = &f.expiry
	}
	p.SubscriptionID = f.subscriptionID
	for _, filter := range f.filters {
		p.Filters = append(p.Filters, packet.Filter{
			Filter: filter, QoS: f.qos,
			NoLocal: f.noLocal, RetainAsPublished: f.retainAsPublished, RetainHandling: f.retainHandling,
		})
	}
	return o, p, nil
}

func (f *subFlags) run(cmd *cobra.Command) error {
	o, p, err := f.check(cmd.Flags())
	if err != nil {
		return err
	}
	ctx, cancel := untilSignal()
	defer cancel()
	if f.timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("--timeout %v has passed", f.timeout))
		defer cancel()
	}
	s := subscriber{out: cmd.OutOrStdout(), format: f.format, count: f.count, connected: make(chan struct{})}
	o.OnMessage = s.take
	if s.c, err = f.dial(ctx, o); err == nil {
		close(s.connected)
		err = s.listen(ctx, &p, f.debugf)
		disconnect(s.c)
	}
	if interrupted(ctx) {
		return nil
	}
	return err
}

// subscriber prints messages.
type subscriber struct {
	out       io.Writer
	format    format
	count     int // of messages to print; 0: no end
	connected chan struct{}

	c *client.Client // set when connected is closed

	// Only the client's reader, until it has ended.
	n    int // messages printed
	line []byte
	err  error // of out
}

// take prints a message. With the last one it disconnects, so that no further message
// is acknowledged: it stays in the session.
func (s *subscriber) take(m *packet.Publish) {
	<-s.connected
	s.line = append(s.format(s.line[:0], m), '\n')
	if _, s.err = s.out.Write(s.line); s.err == nil {
		s.n++
	}
	if s.err != nil || s.n == s.count {
		_ = s.c.Disconnect(nil) // fails if the connection has ended, which is as well
	}
}

// listen subscribes and waits for the end: nil if all messages have come.
func (s *subscriber) listen(ctx context.Context, p *packet.Subscribe, debugf func(string, ...any)) error {
	ack, err := s.c.Subscribe(ctx, p)
	switch {
	case err == nil:
		if err := s.granted(ack, p.Filters, debugf); err != nil {
			return err
		}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.Is(err, client.ErrClosed): // that is take's doing: the session had messages enough
		return err
	}
	select {
	case <-s.c.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	switch {
	case s.err != nil:
		return s.err
	case s.count > 0 && s.n == s.count:
		return nil
	}
	return s.c.Err()
}

// granted looks at what the broker says to each filter.
func (s *subscriber) granted(ack *packet.Suback, filters []packet.Filter, debugf func(string, ...any)) error {
	for i, f := range filters {
		code := ack.Codes[i]
		if code >= packet.UnspecifiedError {
			return refusal(fmt.Sprintf("subscribe to %q", f.Filter), code, ack.ReasonString)
		}
		debugf("subscribed to %q at QoS %d", f.Filter, code)
	}
	return nil
}
