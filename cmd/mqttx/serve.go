package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/e8743928/mqttx"
)

// stopTime is how long clients may take to go when the broker is told to stop.
const stopTime = 10 * time.Second

// serveFlags is the command line of serve.
type serveFlags struct {
	listen              []*endpoint
	cert, key, clientCA string
	anonymous           bool
	compat              mqttx.Compat
	level               slog.Level
	format              logFormat
}

func newServe() *cobra.Command {
	f := serveFlags{level: slog.LevelInfo, format: textLog}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker",
		Long: "Serve runs a broker for MQTT 3.1, 3.1.1 and 5.0 that keeps everything in memory.\n\n" +
			"It listens on tcp://127.0.0.1:1883 and ws://127.0.0.1:8083/mqtt, so only clients of\n" +
			"this machine reach it, or on the URLs given by --listen instead:\n\n" +
			"  tcp://host:port         port 1883 if left out\n" +
			"  tls://host:port         port 8883\n" +
			"  ws://host:port/path     port 8083, path /mqtt\n" +
			"  wss://host:port/path    port 8084, path /mqtt\n" +
			"  unix:///path\n\n" +
			"Without a host it listens on all addresses of this machine. Whoever is to be reached\n" +
			"from other machines must ask for client certificates (--tls-client-ca) or say that\n" +
			"everybody may come (--allow-anonymous).\n\n" +
			"SIGTERM and SIGINT stop it: clients are told and get up to 10 seconds. A second\n" +
			"signal stops it at once.",
		Example: "  mqttx serve\n" +
			"  mqttx serve --listen tcp://127.0.0.1:1883 --listen tls://:8883 \\\n" +
			"      --tls-cert server.pem --tls-key server-key.pem --tls-client-ca ca.pem",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := f.check()
			if err != nil {
				return err
			}
			log := slog.New(f.format(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: f.level}))
			return f.run(conf, log)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Var(&parsedList[*endpoint]{&f.listen, kindURL, parseEndpoint}, "listen", "listen here, in place of the defaults; may be repeated")
	fs.StringVar(&f.cert, "tls-cert", "", "certificate chain for tls:// and wss://, a PEM `FILE`")
	fs.StringVar(&f.key, "tls-key", "", "private key of the certificate, a PEM `FILE`")
	fs.StringVar(&f.clientCA, "tls-client-ca", "", "demand client certificates signed by an authority in this PEM `FILE`")
	fs.BoolVar(&f.anonymous, "allow-anonymous", false, "let in everybody, from everywhere")
	fs.Var(&parsed[mqttx.Compat]{&f.compat, "standard", "NAME,...", parseCompat}, "compat", "depart from the standard: guide, or names of options")
	fs.Var(&parsed[slog.Level]{&f.level, "info", "LEVEL", parseLevel}, "log-level", "log from this level on: debug, info, warn or error")
	fs.Var(&parsed[logFormat]{&f.format, "text", "FORMAT", parseLogFormat}, "log-format", "text or json")
	return cmd
}

func parseCompat(s string) (mqttx.Compat, error) {
	c, err := mqttx.ParseCompat(s)
	if err != nil {
		err = errors.New(strings.TrimPrefix(err.Error(), "mqttx: ")) // which run says
	}
	return c, err
}

// check finds what is wrong with the command line, before anything is opened, and
// reads the certificates; conf is nil if no listener needs any.
func (f *serveFlags) check() (conf *tls.Config, err error) {
	if f.listen == nil {
		f.listen = []*endpoint{
			{address: address{scheme: "tcp", host: "127.0.0.1", port: "1883"}},
			{address: address{scheme: "ws", host: "127.0.0.1", port: "8083", path: "/mqtt"}},
		}
	}
	if conf, err = f.checkTLS(); err != nil {
		return nil, err
	}
	for _, e := range f.listen {
		if err := e.resolve(); err != nil {
			return nil, err
		}
		if certified := e.tls() && f.clientCA != ""; !certified && !f.anonymous && !isLocal(e.at) {
			return nil, usagef("listen %s: other machines could come in without authentication: "+
				"demand client certificates with --tls-client-ca and tls:// or wss://, or say --allow-anonymous", e)
		}
	}
	return conf, nil
}

func (f *serveFlags) checkTLS() (*tls.Config, error) {
	for _, e := range f.listen {
		if !e.tls() {
			continue
		}
		if f.cert == "" || f.key == "" {
			return nil, usagef("listen %s: needs --tls-cert and --tls-key", e)
		}
		conf, err := serverTLS(f.cert, f.key, f.clientCA)
		if err != nil {
			return nil, &usageError{err}
		}
		return conf, nil
	}
	if f.cert != "" || f.key != "" || f.clientCA != "" {
		return nil, usagef("certificates are given, but no --listen is tls:// or wss://")
	}
	return nil, nil
}

// handler decides who may come in; nil leaves it to the server, which lets in clients
// of this machine.
func (f *serveFlags) handler() mqttx.Handler {
	switch {
	case f.clientCA != "":
		return byCertificate(f.anonymous)
	case f.anonymous:
		return mqttx.AllowAnonymous()
	}
	return nil
}

// byCertificate lets in whoever has shown a certificate, which the handshake has
// verified, under the common name in it; others only on a listener of this machine
// alone, unless anonymous lets in everybody. They have no verified name.
func byCertificate(anonymous bool) mqttx.Handler {
	return mqttx.Callbacks[*mqttx.Conn]{
		Inline: true,
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			if state := r.Conn.TLS(); state != nil && len(state.VerifiedChains) > 0 {
				r.Client.User = state.VerifiedChains[0][0].Subject.CommonName
				if r.Client.User == "" {
					return nil, &mqttx.Error{Code: mqttx.NotAuthorized, Err: errors.New("the client's certificate has no common name")}
				}
				return r.Conn, nil
			}
			if anonymous || isLocal(r.Conn.LocalAddr()) {
				return r.Conn, nil
			}
			return nil, mqttx.NotAuthorized
		},
	}
}

// run opens all listeners, then serves until a signal comes or a listener fails.
func (f *serveFlags) run(conf *tls.Config, log *slog.Logger) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	for i, e := range f.listen {
		if err := e.open(conf); err != nil {
			closeAll(f.listen[:i])
			return err
		}
	}
	srv := &mqttx.Server{Handler: f.handler(), Compat: f.compat, Logger: log}
	ended := make(chan error, len(f.listen))
	for _, e := range f.listen {
		go func() { ended <- e.serve(srv) }()
		log.Info("listening", "url", e.String())
	}
	open := len(f.listen)
	var failure error
	select {
	case sig := <-signals:
		log.Info("stopping", "signal", sig.String())
	case failure = <-ended:
		open--
	}
	if err := stop(srv, signals, log); failure == nil {
		failure = err
	}
	for range open {
		<-ended // so that no socket file is left
	}
	return failure
}

func closeAll(endpoints []*endpoint) {
	for _, e := range endpoints {
		e.l.Close()
	}
}

// stop tells the clients and waits for them, until stopTime has passed or another
// signal comes.
func stop(srv *mqttx.Server, signals <-chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	select {
	case err := <-done:
		if ctx.Err() != nil {
			log.Warn("cut the clients that were left", "after", stopTime)
			return nil
		}
		log.Info("stopped")
		return err
	case sig := <-signals:
		cancel()
		<-done
		return errors.New("stopped at once by a second signal: " + sig.String())
	}
}
