package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/ws"
)

// broker is a server that listens in all the ways that clients of other makes know.
type broker struct {
	t   *testing.T
	srv *mqttx.Server

	tcp, tls, web, webTLS string // host:port
	ca                    string // file with the authority's certificate
	dir                   string
}

// start starts a broker with everything at its defaults.
func start(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, srv: &mqttx.Server{}, dir: t.TempDir()}
	authority := testnet.NewAuthority(t)
	cert := authority.Issue("127.0.0.1")
	b.ca = filepath.Join(b.dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate()})
	if err := os.WriteFile(b.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}}
	handler := &ws.Handler{Server: b.srv}
	b.tcp = b.serve(func(l net.Listener) error { return b.srv.ServeLoop(l) })
	b.tls = b.serve(func(l net.Listener) error { return b.srv.Serve(tls.NewListener(l, conf)) })
	b.web = b.serve(func(l net.Listener) error { return handler.Serve(l, "/mqtt") })
	b.webTLS = b.serve(func(l net.Listener) error { return handler.Serve(tls.NewListener(l, conf), "/mqtt") })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return b
}

// serve opens a port for one way to listen.
func (b *broker) serve(serve func(net.Listener) error) string {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	addr := l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(l)
	}()
	b.t.Cleanup(func() { <-done })
	return addr
}

// need looks a tool up. Without it the test is skipped, or fails where everything has to be there.
func need(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err == nil {
		return path
	}
	missing(t, tool)
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is missing", what)
}

// eventually waits until something has become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	for !is() {
		select {
		case <-end:
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// subscribed waits until a client is connected and has n subscriptions.
func (b *broker) subscribed(id string, n int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%s has %d subscriptions", id, n), func() bool {
		c, ok := b.srv.Conn(id)
		if !ok {
			return false
		}
		have := 0
		for range c.Subscriptions() {
			have++
		}
		return have == n
	})
}

// gone waits until a client is not connected any more.
func (b *broker) gone(id string) {
	b.t.Helper()
	eventually(b.t, id+" is gone", func() bool {
		_, ok := b.srv.Conn(id)
		return !ok
	})
}

// process is a program under test, bounded in time.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

// run starts a program.
func run(t *testing.T, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	p := &process{t: t, cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait waits for the program's end and gives what it wrote.
func (p *process) wait() string {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%s: %v\n%s%s", p.cmd, err, p.out.String(), p.err.String())
	}
	return p.out.String()
}

// kill ends the program without a chance to say goodbye.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// kick is what a client is disconnected with.
const kick = mqttx.AdministrativeAction
