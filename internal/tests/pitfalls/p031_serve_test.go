package pitfalls_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
)

// p31Listener is a listener in memory whose Accept gives what it is told.
type p31Listener struct {
	next chan any // net.Conn or error
	done chan struct{}
	once sync.Once
}

func (l *p31Listener) Accept() (net.Conn, error) {
	select {
	case x := <-l.next:
		if err, ok := x.(error); ok {
			return nil, err
		}
		return x.(net.Conn), nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *p31Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *p31Listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// p31Log counts the lines of a log that are warnings or worse.
type p31Log struct {
	slog.Handler
	lines atomic.Int64
}

func (l *p31Log) Enabled(context.Context, slog.Level) bool { return true }

func (l *p31Log) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		l.lines.Add(1)
	}
	return nil
}

// Errors of Accept that pass are waited out, with a line in the log each; only Close ends accepting.
func TestPitfall031_AcceptErrors(t *testing.T) {
	p1Bubble(t, "Serve", func(t *testing.T) {
		log := &p31Log{Handler: slog.DiscardHandler}
		srv := &mqttx.Server{Logger: slog.New(log), Handler: mqttx.AllowAnonymous()}
		mqttest.Start(t, srv)
		l := &p31Listener{next: make(chan any), done: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		for i, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.EMFILE} {
			l.next <- &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept", errno)}
			synctest.Wait()
			if n := log.lines.Load(); n != int64(i+1) {
				t.Errorf("%v: %d lines, want %d", errno, n, i+1)
			}
			select {
			case l.next <- nil:
				t.Errorf("%v: no pause", errno)
			default:
			}
			mqttest.Advance(time.Second)
			ours, theirs := mqttest.Pipe()
			l.next <- theirs
			c := mqttest.NewClient(t, ours, 0)
			p1Code(t, errno.Error(), c.Connect(p1New(fmt.Sprint(i), mqttx.V5)), mqttx.Success)
			c.Nothing()
			defer c.Drop()
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, mqttx.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Every method may be called at the same time as every other, from callbacks too, and none waits for itself.
func TestPitfall032_NoDeadlock(t *testing.T) {
	var srv *mqttx.Server
	each := func(ctx context.Context) {
		for range srv.Conns() {
			for c := range srv.Conns() {
				for range c.Subscriptions() {
					srv.Conn(c.ClientID())
				}
			}
			break
		}
		for range srv.Retained("#") {
			for range srv.Retained("#") {
				srv.Stats()
			}
			break
		}
	}
	srv = p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
		Publish: func(ctx context.Context, c *mqttx.Conn, m *mqttx.Message) error {
			each(ctx)
			return srv.Publish(ctx, &mqttx.Message{Topic: "echo", QoS: 1, Retain: true, Payload: m.Payload})
		},
		Subscribe: func(ctx context.Context, c *mqttx.Conn, s *mqttx.Subscription) error {
			each(ctx)
			return c.Post(s.Filter)
		},
		Info: func(ctx context.Context, c *mqttx.Conn, _ any) error {
			return c.Send(&mqttx.Message{Topic: "info"})
		},
		Disconnected: func(ctx context.Context, c *mqttx.Conn, _ error) { each(ctx) },
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	writers := []func(i int){
		func(int) { each(ctx) },
		func(i int) { srv.Disconnect(fmt.Sprint("c", i%4), mqttx.AdministrativeAction) },
		func(i int) { srv.EndSession(ctx, fmt.Sprint("c", i%4)) },
		func(i int) { srv.SetLimits(mqttx.Limits{Inflight: 10 + i}) },
		func(int) { srv.Recheck(ctx) },
		func(i int) {
			srv.Publish(ctx, &mqttx.Message{Topic: "a", Payload: []byte("x"), QoS: mqttx.QoS(i % 3), Retain: true})
		},
		func(i int) {
			if in, err := srv.Subscribe(ctx, "a", "$share/g/echo"); err == nil {
				srv.Publish(ctx, &mqttx.Message{Topic: "a", Payload: []byte("x")})
				for range in {
					break
				}
			}
		},
	}
	for _, f := range writers {
		wg.Go(func() {
			for i := range 60 {
				f(i)
			}
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for round := range 40 {
				ours, theirs := mqttest.Pipe()
				served := make(chan error, 1)
				go func() { served <- srv.ServeConn(ctx, theirs) }()
				go func() { // takes all that comes
					b := make([]byte, 4096)
					for {
						if _, err := ours.Read(b); err != nil {
							return
						}
					}
				}()
				hello, _ := p1New(fmt.Sprint("c", (i+round)%4), mqttx.V5).Append(nil, mqttx.V5)
				ours.Write(hello)
				ours.Write([]byte{0x82, 8, 0, 1, 0, 0, 2, 'a', '/', 1})
				ours.Write([]byte{0x32, 7, 0, 1, 'a', 0, 1, 0, 'x'})
				ours.Close()
				select {
				case <-served:
				case <-ctx.Done():
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the calls wait for each other")
	}
}

// Close and Shutdown may come any number of times, in any order, from anywhere.
func TestPitfall033_CloseAgain(t *testing.T) {
	p1Bubble(t, "before use", func(t *testing.T) {
		srv := &mqttx.Server{}
		for range 3 {
			if err := errors.Join(srv.Close(), srv.Shutdown(t.Context()), srv.Close()); err != nil {
				t.Error(err)
			}
		}
		if err := srv.Serve(&p31Listener{done: make(chan struct{})}); !errors.Is(err, mqttx.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	for _, shutdown := range []bool{false, true} {
		for _, inside := range []string{"Publish", "Disconnected", "nowhere"} {
			p1Bubble(t, fmt.Sprintf("in use, Shutdown %v, in %s", shutdown, inside), func(t *testing.T) {
				var srv *mqttx.Server
				var calls atomic.Int64
				end := func(ctx context.Context, where string) error {
					if where != inside && where != "" {
						return nil
					}
					calls.Add(1)
					if shutdown {
						return errors.Join(srv.Shutdown(ctx), srv.Close())
					}
					return errors.Join(srv.Close(), srv.Shutdown(ctx))
				}
				srv = p1Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{
					Publish:      func(ctx context.Context, _ int, _ *mqttx.Message) error { return end(ctx, "Publish") },
					Disconnected: func(ctx context.Context, _ int, _ error) { end(ctx, "Disconnected") },
				}})
				c := mqttest.Connect(t, srv, nil)
				mqttest.Connect(t, srv, nil)
				c.Send(p1Publish("a", "x", 1, 1))
				synctest.Wait()
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						if err := end(t.Context(), ""); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				c.Served()
				if err := end(t.Context(), ""); err != nil {
					t.Error(err)
				}
				if n, want := calls.Load(), map[string]int64{"Publish": 10, "Disconnected": 11, "nowhere": 9}[inside]; n != want {
					t.Errorf("%d calls, want %d", n, want)
				}
			})
		}
	}
}
