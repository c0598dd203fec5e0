package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// passwordVariable holds the password, out of sight of those who can list processes.
const passwordVariable = "MQTTX_PASSWORD"

// connectFlags is what pub and sub have in common, and in part bench.
type connectFlags struct {
	url                string
	address            address
	id, user, password string
	version            packet.Version
	keepAlive          uint16

	willTopic, willMessage string
	willQoS                packet.QoS
	willRetain             bool
	willDelay              uint32

	ca, cert, key string
	insecure      bool
	debug         bool
}

// needV5 are the flags of pub and sub that earlier versions have no place for.
var needV5 = []string{
	"will-delay", "expiry", "content-type", "response-topic", "correlation-data", "user-property", "topic-alias",
	"session-expiry", "no-local", "retain-as-published", "retain-handling", "subscription-id",
}

// add puts the flags of pub and sub in fs, behind those that are there.
func (f *connectFlags) add(fs *pflag.FlagSet) {
	fs.SortFlags = false
	f.addServer(fs)
	fs.StringVarP(&f.id, "id", "i", "", "client `ID` (default: the broker chooses)")
	fs.StringVar(&f.willTopic, "will-topic", "", "`TOPIC` of the will, which the broker publishes if this client dies")
	fs.StringVar(&f.willMessage, "will-message", "", "`PAYLOAD` of the will")
	fs.Var(&parsed[packet.QoS]{&f.willQoS, "0", "QOS", parseQoS}, "will-qos", "QoS of the will: 0, 1 or 2")
	fs.BoolVar(&f.willRetain, "will-retain", false, "the broker keeps the will for later subscribers")
	fs.Uint32Var(&f.willDelay, "will-delay", 0, "`SECONDS` that the broker waits with the will (MQTT 5)")
	f.addTLS(fs)
	fs.BoolVarP(&f.debug, "debug", "d", false, "say on standard error what happens")
}

// addServer adds the flags for the broker and for how to speak with it.
func (f *connectFlags) addServer(fs *pflag.FlagSet) {
	f.version = packet.V5
	f.url = "tcp://127.0.0.1:1883"
	f.address, _ = parseAddress(f.url) // is good
	fs.Var(&parsed[address]{&f.address, f.url, kindURL, f.parseURL}, "url", "the broker: tcp, tls, ws or wss://host:port, or unix:///path")
	fs.StringVarP(&f.user, "user", "u", "", "user `NAME`")
	fs.StringVarP(&f.password, "password", "P", "", "`PASSWORD`; better in the environment, as "+passwordVariable)
	fs.VarP(&parsed[packet.Version]{&f.version, "5", "VERSION", parseVersion}, "version", "V", "of MQTT: 3.1, 3.1.1 or 5")
	fs.Uint16VarP(&f.keepAlive, "keep-alive", "k", 60, "keep alive in `SECONDS`; 0: none")
}

// addTLS adds the flags for tls:// and wss://.
func (f *connectFlags) addTLS(fs *pflag.FlagSet) {
	fs.StringVar(&f.ca, "ca", "", "trust servers certified by the authorities in this PEM `FILE` (default: the system's)")
	fs.StringVar(&f.cert, "cert", "", "show this certificate chain, a PEM `FILE`")
	fs.StringVar(&f.key, "key", "", "private key of the certificate, a PEM `FILE`")
	fs.BoolVar(&f.insecure, "insecure", false, "do not check the server's certificate: anybody may pretend to be it")
}

func (f *connectFlags) parseURL(s string) (address, error) {
	a, err := parseAddress(s)
	f.url = s
	return a, err
}

func parseVersion(s string) (packet.Version, error) {
	switch s {
	case "3.1":
		return packet.V31, nil
	case "3.1.1":
		return packet.V311, nil
	case "5", "5.0":
		return packet.V5, nil
	}
	return 0, errors.New("want 3.1, 3.1.1 or 5")
}

func parseQoS(s string) (packet.QoS, error) {
	switch s {
	case "0", "1", "2":
		return packet.QoS(s[0] - '0'), nil
	}
	return 0, errors.New("want 0, 1 or 2")
}

func parseUserProperty(s string) (packet.UserProperty, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return packet.UserProperty{}, errors.New("want NAME=VALUE")
	}
	return packet.UserProperty{Name: name, Value: value}, nil
}

// options checks the flags, fs, and makes of them what connects.
func (f *connectFlags) options(fs *pflag.FlagSet) (o client.Options, err error) {
	if flags := given(fs, needV5...); f.version < packet.V5 && len(flags) > 0 {
		return o, usagef("%s needs MQTT 5, not --version %v", flags[0], f.version)
	}
	if flags := given(fs, "ca", "cert", "key", "insecure"); !f.address.tls() && len(flags) > 0 {
		return o, usagef("%s needs a tls:// or wss:// URL, not %v", flags[0], f.address)
	}
	if (f.cert == "") != (f.key == "") {
		return o, usagef("--cert and --key go together")
	}
	if flags := given(fs, "will-message", "will-qos", "will-retain", "will-delay"); f.willTopic == "" && len(flags) > 0 {
		return o, usagef("%s needs --will-topic", flags[0])
	}
	o = client.Options{
		Version:     f.version,
		ClientID:    f.id,
		CleanStart:  true,
		KeepAlive:   time.Duration(f.keepAlive) * time.Second,
		Username:    f.user,
		HasUsername: fs.Changed("user"),
	}
	if o.ClientID == "" && f.version == packet.V31 {
		o.ClientID = "mqttx-" + rand.Text()[:16] // has to have one, of at most 23 bytes
	}
	if secret := os.Getenv(passwordVariable); fs.Changed("password") {
		o.Password = []byte(f.password)
	} else if o.HasUsername && secret != "" {
		o.Password = []byte(secret)
	}
	if o.Password != nil && !o.HasUsername && f.version < packet.V5 {
		return o, usagef("--password needs --user, but with MQTT 5")
	}
	if f.willTopic != "" {
		o.Will = &packet.Will{
			Topic: f.willTopic, Payload: []byte(f.willMessage), QoS: f.willQoS, Retain: f.willRetain, DelayInterval: f.willDelay,
		}
	}
	if f.address.tls() {
		if o.TLS, err = clientTLS(f.ca, f.cert, f.key, f.insecure); err != nil {
			return o, &usageError{err}
		}
	}
	return o, nil
}

// interruption is the cause of a context that a signal has ended.
type interruption struct{ os.Signal }

func (i interruption) Error() string { return "stopped by a signal: " + i.String() }

// untilSignal gives a context that ends with the first SIGINT or SIGTERM.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals) // the next one kills
			cancel(interruption{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// interrupted tells whether ctx ended by a signal.
func interrupted(ctx context.Context) bool {
	var i interruption
	return errors.As(context.Cause(ctx), &i)
}

// debugf says what happens, if that was asked for.
func (f *connectFlags) debugf(format string, args ...any) {
	if f.debug {
		fmt.Fprintf(os.Stderr, "mqttx: "+format+"\n", args...)
	}
}

// dial connects.
func (f *connectFlags) dial(ctx context.Context, o client.Options) (*client.Client, error) {
	c, err := client.Dial(ctx, f.url, o)
	if err != nil {
		return nil, err
	}
	ack := c.Connack()
	id := o.ClientID
	if ack.AssignedClientID != "" {
		id = ack.AssignedClientID
	}
	f.debugf("connected to %v as %q, session present: %v", f.address, id, ack.SessionPresent)
	return c, nil
}

// goodbye is how long DISCONNECT may take; the client itself waits for the broker to
// close for a part of it.
const goodbye = 5 * time.Second

// disconnect sends DISCONNECT, if the connection is still there, and waits for its end.
func disconnect(c *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = c.Shutdown(ctx, nil) // whoever calls knows whether the connection is still there
}
