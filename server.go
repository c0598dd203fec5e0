package mqttx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/e8743928/mqttx/internal/wheel"
	"github.com/e8743928/mqttx/topic"
)

// Server is a broker. The zero value works. Set the fields before the first method call, which copies them; a Server must
// not be copied after that. Its methods may be called from any goroutine, callbacks included. Two Servers share nothing.
type Server struct {
	Handler   Handler      // what the application has to say; while none of it decides on CONNECT: clients of this machine only
	Store     Store        // what must outlive the process; nil: memory
	Limits    Limits       // zero field: its default; negative: none
	Disabled  Feature      // capabilities that clients are told to do without
	Compat    Compat       // departures from the standard; zero: none
	TLSConfig *tls.Config  // for ListenAndServeTLS
	Logger    *slog.Logger // nil: slog.Default()
	Trace     *Trace       // watches without deciding; nil: nobody

	// CheckPayloadFormat refuses a PUBLISH whose payload is not the UTF-8 text that its Payload Format Indicator says, with
	// PayloadFormatInvalid (G80).
	CheckPayloadFormat bool

	once sync.Once
	b    *broker
}

// broker is what a Server becomes with its first method call.
type broker struct {
	// Set by open, then fixed.
	tables      []*table
	has         has
	store       Store
	journal     *journal // nil: memory only
	disabled    Feature
	compat      Compat
	maxQoS      QoS
	checkFormat bool
	tls         *tls.Config
	log         *limitedLog
	trace       *Trace
	wheel       *wheel.Wheel
	began       time.Time
	openErr     error         // Limits or Store were no good
	done        chan struct{} // closed when Shutdown or Close is done

	limits   atomic.Pointer[Limits] // resolved
	n        counters
	rate     bucket // of new connections
	epoch    atomic.Uint64
	router   topic.Router[*session, *sub]
	retained topic.Tree[*letter]
	retainMu sync.Mutex // over changes of retained; a leaf but for wheel and journal

	mu        sync.Mutex // before session.mu
	sessions  map[string]*session
	conns     map[*Conn]struct{}
	listeners map[io.Closer]struct{}
	loops     *loops        // nil: not started
	ending    map[*Conn]int // connections with callbacks that call Shutdown, and how many calls
	removed   chan struct{} // closed when a connection has ended, or has come to ending
	closing   bool
	finished  bool // done is closed, or about to be

	saidLocal sync.Once
}

// has tells which callbacks any handler has, so that the hot path tests a flag.
type has struct {
	decision, publish, blockingPublish, deliver, delivered, allow, connect, auth bool
	slowConnect                                                                  bool // a callback of CONNECT may wait, or the Store
	blocking                                                                     bool // a callback of a connected client may wait
}

// open makes the broker at the first call.
func (s *Server) open() *broker {
	s.once.Do(func() {
		b := &broker{
			store: s.Store, disabled: s.Disabled, compat: s.Compat, maxQoS: s.Disabled.maximumQoS(), checkFormat: s.CheckPayloadFormat, tls: s.TLSConfig, trace: s.Trace,
			wheel: wheel.New(), began: time.Now(), done: make(chan struct{}),
			sessions: make(map[string]*session), conns: make(map[*Conn]struct{}), listeners: make(map[io.Closer]struct{}),
		}
		logger := s.Logger
		if logger == nil {
			logger = slog.Default()
		}
		b.log = &limitedLog{l: logger}
		if s.Handler != nil {
			b.tables = s.Handler.table()
		}
		for _, t := range b.tables {
			b.has.decision = b.has.decision || t.decides || t.auth != nil
			b.has.connect = b.has.connect || t.connect != nil
			b.has.auth = b.has.auth || t.auth != nil
			b.has.publish = b.has.publish || t.publish != nil || t.allow != nil
			b.has.blockingPublish = b.has.blockingPublish || t.publish != nil && !t.inline
			b.has.deliver = b.has.deliver || t.deliver != nil
			b.has.slowConnect = b.has.slowConnect || !t.inline && (t.connect != nil || t.connected != nil || t.blocks())
			b.has.blocking = b.has.blocking || !t.inline && t.blocks()
			b.has.delivered = b.has.delivered || t.delivered != nil
			b.has.allow = b.has.allow || t.allow != nil
		}
		b.router.Awake = (*session).awake
		b.openErr = s.Limits.check()
		l := s.Limits.resolve()
		b.limits.Store(&l)
		if b.store != nil && b.openErr == nil {
			b.journal = newJournal(b)
			b.has.slowConnect = true
			b.openErr = b.load()
		}
		s.b = b
	})
	return s.b
}

// ListenAndServe listens on plain TCP at addr, ":1883" if it is empty, and serves as [Server.ServeLoop] does, on event
// loops where there are any, until Shutdown or Close is done (G15). It always returns an error: that of listening, or one of
// ServeLoop; after Shutdown it is [ErrServerClosed].
func (s *Server) ListenAndServe(addr string) error {
	if addr == "" {
		addr = ":1883"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("mqttx: %w", err)
	}
	return s.ServeLoop(l)
}

// ServeLoop is Serve on event loops: no goroutine and no buffer for an idle connection. It takes a listener of plain TCP or
// unix sockets and takes over its socket: closing the listener does not end it, Shutdown and Close do. Where there are no
// event loops, which is everywhere but on Linux, and for other listeners, it is Serve. A [LimitListener] around one of these
// counts as what is in it (G15).
func (s *Server) ServeLoop(l net.Listener) error {
	inner := l
	if x, limited := l.(*limitListener); limited {
		inner = x.Listener
	}
	switch inner.(type) {
	case *net.TCPListener, *net.UnixListener:
		return s.listenLoop(l)
	}
	return s.Serve(l)
}

// ListenAndServeTLS listens on TCP with TLS at addr, ":8883" if it is empty. The files hold the server's certificate with
// its chain and its key; they may be empty if [Server].TLSConfig has certificates. Client certificates, where TLSConfig asks
// for them, are in [Conn.TLS]. It serves as [Server.Serve] does and always returns an error: that of the files or of
// listening, or one of Serve (G18).
func (s *Server) ListenAndServeTLS(addr, certFile, keyFile string) error {
	if addr == "" {
		addr = ":8883"
	}
	conf := &tls.Config{}
	if t := s.open().tls; t != nil {
		conf = t.Clone()
	}
	if certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("mqttx: certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	} else if len(conf.Certificates) == 0 && conf.GetCertificate == nil && conf.GetConfigForClient == nil {
		return errors.New("mqttx: ListenAndServeTLS needs a certificate")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("mqttx: %w", err)
	}
	return s.Serve(tls.NewListener(l, conf))
}

// Serve accepts connections from l and serves them, each with a goroutine of its own, until Shutdown or Close is done, or l
// fails. It closes l. One Server may serve any number of listeners; all share sessions, subscriptions and retained messages
// (G20). It always returns an error: [ErrServerClosed], l's, that of Limits that cannot be, or that of a Store whose records
// cannot be read.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	b := s.open()
	if b.openErr != nil {
		return b.openErr
	}
	if !b.addListener(l) {
		return ErrServerClosed
	}
	err := b.accept(l)
	b.mu.Lock()
	delete(b.listeners, l)
	closing := b.closing
	b.mu.Unlock()
	if closing {
		<-b.done
		return ErrServerClosed
	}
	return err
}

func (b *broker) addListener(l io.Closer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.listeners[l] = struct{}{}
	return true
}

// accept takes connections until l is closed. Errors that pass, such as too many open files, are waited out.
func (b *broker) accept(l net.Listener) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	wait := shortest
	for {
		nc, err := l.Accept()
		if err == nil {
			wait = shortest
			b.start(nc)
			continue
		}
		if b.isClosing() || errors.Is(err, net.ErrClosed) || !passes(err) {
			return err
		}
		b.log.warn("accept failed, trying again", "address", l.Addr().String(), "error", err, "wait", wait)
		select {
		case <-time.After(wait):
		case <-b.done:
		}
		wait = min(2*wait, longest)
	}
}

// passes tells whether an error of Accept goes away by itself.
func passes(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() || passesErrno(err)
}

// Admit counts one new connection against Limits.ConnectRate for a transport that has a handshake of its own, before it:
// an error is [ConnectionRateExceeded], or [ServerShuttingDown] after Shutdown or Close, and the connection should be closed
// at once. The context that it returns is for [Server.ServeConn], which then does not count it again (G28, G33).
func (s *Server) Admit(ctx context.Context, from net.Addr) (context.Context, error) {
	b := s.open()
	if b.isClosing() {
		return ctx, ServerShuttingDown
	}
	err := b.admit()
	if err != nil && b.limits.Load().ConnectRateReply {
		return context.WithValue(ctx, admittedKey{}, admitted{err}), nil
	}
	if err != nil {
		b.log.warn("connection rate exceeded", "remote", addrString(from))
		return ctx, err
	}
	return context.WithValue(ctx, admittedKey{}, admitted{}), nil
}

// admittedKey is the key of an admitted in a context that Admit has seen.
type admittedKey struct{}

// admitted says that a connection is counted; refuse is what CONNACK is to tell all the same.
type admitted struct{ refuse error }

// admit takes a token of the connection rate.
func (b *broker) admit() error {
	l := b.limits.Load()
	if l.ConnectRate != none && !b.rate.take(time.Now(), l.ConnectRate, l.RateInterval) {
		return ConnectionRateExceeded
	}
	return nil
}

// ServeConn serves one connection of any kind, with the calling goroutine, until the client has gone; the error is the
// *[DisconnectError]. It closes c. When ctx ends the client is told ServerShuttingDown. A connection without a network
// address counts as one of this machine (G19).
func (s *Server) ServeConn(ctx context.Context, c net.Conn) error {
	b := s.open()
	if b.openErr != nil {
		c.Close()
		return b.openErr
	}
	refuse := b.admitOnce(ctx)
	if refuse != nil && !b.limits.Load().ConnectRateReply {
		c.Close()
		return refuse
	}
	w := newStream(c)
	conn := b.newConn(ctx, w)
	if conn == nil {
		c.Close()
		return ErrServerClosed
	}
	conn.refuse = refuse
	stop := context.AfterFunc(ctx, func() { conn.shutDown() })
	defer stop()
	w.serve(conn)
	return conn.why
}

// admitOnce counts a connection unless Admit has.
func (b *broker) admitOnce(ctx context.Context) error {
	if a, ok := ctx.Value(admittedKey{}).(admitted); ok {
		return a.refuse
	}
	return b.admit()
}

// start serves nc with a goroutine of its own.
func (b *broker) start(nc net.Conn) {
	refuse := b.admit()
	if refuse != nil && !b.limits.Load().ConnectRateReply {
		nc.Close()
		return
	}
	w := newStream(nc)
	conn := b.newConn(context.Background(), w)
	if conn == nil {
		nc.Close()
		return
	}
	conn.refuse = refuse
	go w.serve(conn)
}

func (b *broker) isClosing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closing
}

// Shutdown ends the Server in order: listeners are closed, MQTT 5.0 clients are told ServerShuttingDown, what waits for
// clients is sent, and everything is stored. It returns when all is done, or with ctx's error when ctx ends first; then
// connections that are left are cut. It does not wait for the callback that calls it. Further calls are allowed.
func (s *Server) Shutdown(ctx context.Context) error {
	late, err := s.open().shutdown(ctx)
	return errors.Join(late, err)
}

// Close ends the Server without waiting for clients. What was acknowledged is stored all the same. Further calls are allowed.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.open().shutdown(ctx)
	return err
}

// SetLimits changes the limits while serving. They hold from the next packet on; what CONNACK has told a client holds for
// that connection. An error says which number the protocol cannot express; then nothing has changed.
func (s *Server) SetLimits(l Limits) error {
	b := s.open()
	if err := l.check(); err != nil {
		return err
	}
	r := l.resolve()
	b.limits.Store(&r)
	return nil
}
