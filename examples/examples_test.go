// Package examples has no code of its own: its test builds and runs the programs below it.
package examples

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// TestShort holds every example under 60 lines.
func TestShort(t *testing.T) {
	files, err := filepath.Glob("*/main.go")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %d examples: %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n >= 60 && filepath.Dir(f) != "guide" {
			t.Errorf("%s has %d lines", f, n)
		}
	}
}

// program is an example that runs.
type program struct {
	t    *testing.T
	addr string
	web  string
}

// start builds and runs an example on a free port.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	t.Parallel()
	bin := build(t, name)
	p := &program{t: t, addr: freePort(t), web: freePort(t)}
	all := append([]string{"-addr", p.addr}, args...)
	for i, a := range all {
		if a == "WEB" {
			all[i] = p.web
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, all...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, out)
		}
	})
	return p
}

func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name+".exe")
	if out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// dial connects as soon as the program listens.
func (p *program) dial(url string, o client.Options) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		c, err := client.Dial(ctx, url, o)
		if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "0x8") {
			if c != nil {
				p.t.Cleanup(func() { c.Close() })
			}
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// collector takes messages.
type collector chan string

func (c collector) take(p *packet.Publish) { c <- fmt.Sprintf("%s %s", p.Topic, p.Payload) }

func (c collector) next(t *testing.T) string {
	t.Helper()
	select {
	case m := <-c:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message")
		return ""
	}
}

func subscribe(t *testing.T, c *client.Client, filter string) {
	t.Helper()
	_, err := c.Subscribe(t.Context(), &packet.Subscribe{Filters: []packet.Filter{{Filter: filter, QoS: 1}}})
	if err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, c *client.Client, topic, payload string) error {
	t.Helper()
	_, err := c.Publish(t.Context(), &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1})
	return err
}

func TestHello(t *testing.T) {
	t.Parallel()
	build(t, "hello") // its port is fixed: others may use it
}

func TestAuthenticate(t *testing.T) {
	p := start(t, "authenticate")
	if _, err := p.dial("tcp://"+p.addr, client.Options{Username: "ann", Password: []byte("secret")}); err != nil {
		t.Error(err)
	}
	for name, password := range map[string]string{"ann": "wrong", "bob": "", "": ""} {
		if _, err := p.dial("tcp://"+p.addr, client.Options{Username: name, Password: []byte(password)}); err == nil || !strings.Contains(err.Error(), "0x86") {
			t.Errorf("%q with %q: %v", name, password, err)
		}
	}
}

func TestState(t *testing.T) {
	p := start(t, "state")
	c, err := p.dial("tcp://"+p.addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := publish(t, c, "t", "x"); err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
	}
	if err := publish(t, c, "t", "x"); err == nil || !strings.Contains(err.Error(), "ten messages at most") {
		t.Errorf("message 11: %v", err)
	}
}

func TestInfo(t *testing.T) {
	p := start(t, "info", "-every", "10ms")
	got := make(collector, 1000)
	if _, err := p.dial("tcp://"+p.addr, client.Options{OnMessage: got.take}); err != nil {
		t.Fatal(err)
	}
	if m := got.next(t); !strings.HasPrefix(m, "clock 20") {
		t.Errorf("got %q", m)
	}
}

func TestRouting(t *testing.T) {
	p := start(t, "routing")
	got := make(collector, 10)
	c, err := p.dial("tcp://"+p.addr, client.Options{OnMessage: got.take})
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, c, "shout/#")
	if err := publish(t, c, "say/hello", "world"); err != nil {
		t.Fatal(err)
	}
	if m := got.next(t); m != "shout/hello WORLD" {
		t.Errorf("got %q", m)
	}
}

func TestWebsocket(t *testing.T) {
	p := start(t, "websocket", "-web", "WEB")
	got := make(collector, 10)
	c, err := p.dial("ws://"+p.web+"/mqtt", client.Options{OnMessage: got.take})
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, c, "a/#")
	other, err := p.dial("tcp://"+p.addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := publish(t, other, "a/b", "from tcp"); err != nil {
		t.Fatal(err)
	}
	if m := got.next(t); m != "a/b from tcp" {
		t.Errorf("got %q", m)
	}
	r, err := http.Get("http://" + p.web + "/clients")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, _ := io.ReadAll(r.Body); string(b) != "2\n" {
		t.Errorf("/clients says %q", b)
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, build(t, "transport")).CombinedOutput()
	if err != nil || string(out) != "CONNACK: Success (0x00)\nmqttx: disconnected by network: EOF\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestGuide runs the sample handler of the server guide on TCP and WebSocket.
func TestGuide(t *testing.T) {
	p := start(t, "guide", "-web", "WEB", "-news", "50ms")
	got := make(collector, 1000)
	c, err := p.dial("tcp://"+p.addr, client.Options{OnMessage: got.take})
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, c, "sensors/#")
	if m := got.next(t); m != "news all is well" {
		t.Errorf("got %q", m)
	}
	web, err := p.dial("ws://"+p.web+"/mqtt", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := publish(t, web, "sensors/room1/temp", "21.5"); err != nil {
		t.Fatal(err)
	}
	for m := got.next(t); m != "sensors/room1/temp 21.5"; m = got.next(t) {
		if m != "news all is well" {
			t.Fatalf("got %q", m)
		}
	}
}
