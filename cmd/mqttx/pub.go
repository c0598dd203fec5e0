package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// pubFlags is the command line of pub.
type pubFlags struct {
	connectFlags
	source

	topic  string
	qos    packet.QoS
	retain bool

	expiry        uint32
	contentType   string
	responseTopic string
	correlation   string
	user          []packet.UserProperty
	alias         uint16
}

func newPub() *cobra.Command {
	var f pubFlags
	cmd := &cobra.Command{
		Use:   "pub",
		Short: "Publish messages",
		Long: "Pub publishes to one topic: a message (-m), a file (-f), each line of standard input\n" +
			"(-l), an empty message (-n), or else all of standard input, if that is no terminal.\n\n" +
			"It ends when the broker has taken everything, at QoS 0 too. If the broker refuses\n" +
			"a message, the exit code is 1 and standard error names the reason.",
		Example: "  mqttx pub -t kitchen/light -m on -q 1 -r\n" +
			"  tail -f app.log | mqttx pub --url tls://broker.example.com -u app -t logs/app -l",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.topic, "topic", "t", "", "`TOPIC` to publish to")
	fs.VarP(&parsed[packet.QoS]{&f.qos, "0", "QOS", parseQoS}, "qos", "q", "0 at most once, 1 at least once, 2 exactly once")
	fs.BoolVarP(&f.retain, "retain", "r", false, "the broker keeps the message for later subscribers; an empty one removes it")
	f.source.add(fs)
	fs.Uint32Var(&f.expiry, "expiry", 0, "`SECONDS` after which the broker drops the message (MQTT 5)")
	fs.StringVar(&f.contentType, "content-type", "", "`TYPE` of the payload, such as text/plain (MQTT 5)")
	fs.StringVar(&f.responseTopic, "response-topic", "", "`TOPIC` that an answer should go to (MQTT 5)")
	fs.StringVar(&f.correlation, "correlation-data", "", "`DATA` that an answer should bring back (MQTT 5)")
	fs.Var(&parsedList[packet.UserProperty]{&f.user, "NAME=VALUE", parseUserProperty}, "user-property", "may be repeated (MQTT 5)")
	fs.Uint16Var(&f.alias, "topic-alias", 0, "`NUMBER` that stands for the topic from the second message on (MQTT 5)")
	f.connectFlags.add(fs)
	return cmd
}

func (f *pubFlags) run(cmd *cobra.Command) error {
	fs := cmd.Flags()
	if f.topic == "" {
		return usagef("--topic is missing")
	}
	o, err := f.options(fs)
	if err != nil {
		return err
	}
	if err := f.source.check(fs); err != nil {
		return err
	}
	ctx, cancel := untilSignal()
	defer cancel()
	payloads, err := f.source.open(ctx, cmd.InOrStdin())
	if err != nil {
		return err
	}
	c, err := f.dial(ctx, o)
	if err != nil {
		return err
	}
	p := publisher{c: c, message: f.message(fs), refused: make(chan error, 1)}
	err = p.all(ctx, payloads)
	f.debugf("sent %d messages to %s", p.n, f.topic)
	disconnect(c)
	return err
}

// message is what goes out, but for the payload.
func (f *pubFlags) message(fs *pflag.FlagSet) packet.Publish {
	m := packet.Publish{
		Topic: []byte(f.topic), QoS: f.qos, Retain: f.retain,
		MessageExpiryInterval: f.expiry, HasMessageExpiry: fs.Changed("expiry"),
		TopicAlias: f.alias, User: f.user,
	}
	if fs.Changed("content-type") {
		m.ContentType = []byte(f.contentType)
	}
	if fs.Changed("correlation-data") {
		m.CorrelationData = []byte(f.correlation)
	}
	if f.responseTopic != "" {
		m.ResponseTopic = []byte(f.responseTopic)
	}
	return m
}

// publisher sends messages without waiting for each one's acknowledgement.
type publisher struct {
	c       *client.Client
	message packet.Publish
	n       int // messages handed over

	open    sync.WaitGroup // messages without their last acknowledgement
	refused chan error     // takes the first that the broker did not want
}

// all publishes until payloads ends, something fails or ctx ends, and then waits until
// the broker has taken everything.
func (p *publisher) all(ctx context.Context, payloads <-chan payload) error {
	for {
		select {
		case next, more := <-payloads:
			if !more && ctx.Err() == nil {
				return p.finish(ctx)
			} else if !more {
				return context.Cause(ctx)
			}
			if next.err != nil {
				return next.err
			}
			if err := p.send(ctx, next.data); err != nil {
				return err
			}
		case err := <-p.refused:
			return err
		case <-p.c.Done():
			return p.c.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *publisher) send(ctx context.Context, data []byte) error {
	p.n++
	n := p.n
	p.message.Payload = data
	p.open.Add(1)
	err := p.c.PublishAsync(ctx, &p.message, func(ack client.Ack, err error) {
		if err == nil && ack.Code >= packet.UnspecifiedError {
			err = refusal(fmt.Sprintf("message %d", n), ack.Code, ack.ReasonString)
		}
		if err != nil {
			select {
			case p.refused <- err:
			default:
			}
		}
		p.open.Done()
	})
	if err != nil {
		p.open.Done()
		return fmt.Errorf("message %d: %w", n, err)
	}
	if p.message.TopicAlias != 0 {
		p.message.Topic = nil // the broker knows it now
	}
	return nil
}

// finish waits for the acknowledgements. QoS 0 has none, but a broker that answers a
// PINGREQ has read what came before.
func (p *publisher) finish(ctx context.Context) error {
	if p.message.QoS == 0 {
		return p.c.Ping(ctx)
	}
	taken := make(chan struct{})
	go func() {
		p.open.Wait()
		close(taken)
	}()
	select {
	case <-taken:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-p.refused:
		return err
	default:
		return nil
	}
}

// refusal is the error for a Reason Code of the broker and its words, if it has any.
func refusal(what string, code packet.ReasonCode, words string) error {
	if words != "" {
		return fmt.Errorf("%s: refused by the broker: %w: %q", what, code, words)
	}
	return fmt.Errorf("%s: refused by the broker: %w", what, code)
}
