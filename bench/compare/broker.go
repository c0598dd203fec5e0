package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/e8743928/mqttx/internal/client"
)

// broker is a program to be measured.
type broker struct {
	name    string
	version string
	// command gives the command line with which it listens on a port of the loopback address.
	command func(port int) ([]string, error)
}

// portMark is what stands for the port in a command line.
const portMark = "{port}"

// brokerList is the flag -broker.
type brokerList []broker

func (l *brokerList) String() string { return "" }

// Set reads name=command.
func (l *brokerList) Set(s string) error {
	name, command, ok := strings.Cut(s, "=")
	if !ok || name == "" || !strings.Contains(command, portMark) {
		return errors.New("want name=command with {port} in it")
	}
	*l = append(*l, broker{name: name, command: func(port int) ([]string, error) {
		// The shell reads quotes, and exec gives the broker the pid that is measured and ended.
		return []string{"sh", "-c", "exec " + strings.ReplaceAll(command, portMark, strconv.Itoa(port))}, nil
	}})
	return nil
}

// findRoot is the folder of the module.
func findRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/e8743928/mqttx").Output()
	if err != nil {
		return "", errors.New("run this in a clone of github.com/e8743928/mqttx")
	}
	return strings.TrimSpace(string(out)), nil
}

// build builds a program of the folder, which may be another module.
func build(ctx context.Context, folder, pkg, to string) error {
	c := exec.CommandContext(ctx, "go", "build", "-o", to, pkg)
	c.Dir = folder
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// mqttxBroker is the one of this tree, which program is built from.
func mqttxBroker(program string) broker {
	return broker{name: "mqttx", version: "of this tree", command: func(port int) ([]string, error) {
		return []string{program, "serve", "--listen", fmt.Sprintf("tcp://127.0.0.1:%d", port), "--log-level", "warn"}, nil
	}}
}

// mosquittoConf has neither limits nor a disk, since the others have none.
const mosquittoConf = `listener {port} 127.0.0.1
allow_anonymous true
user root
persistence false
log_dest none
set_tcp_nodelay true
max_connections -1
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
`

// mosquittoBroker is the one that the machine has.
func mosquittoBroker(ctx context.Context, dir string) (broker, error) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/mosquitto") // where Debian puts it, not in everybody's PATH
	}
	if err != nil {
		return broker{}, errors.New("not installed")
	}
	help, _ := exec.CommandContext(ctx, program, "-h").Output() // it exits with a code of its own
	first, _, _ := strings.Cut(string(help), "\n")
	return broker{name: "mosquitto", version: strings.TrimPrefix(first, "mosquitto version "), command: func(port int) ([]string, error) {
		conf := filepath.Join(dir, "mosquitto.conf")
		text := strings.ReplaceAll(mosquittoConf, portMark, strconv.Itoa(port))
		return []string{program, "-c", conf}, os.WriteFile(conf, []byte(text), 0o644)
	}}, nil
}

// mochiBroker is built from the folder mochi.
func mochiBroker(ctx context.Context, root, dir string) (broker, error) {
	folder, program := filepath.Join(root, "bench", "compare", "mochi"), filepath.Join(dir, "mochi")
	if err := build(ctx, folder, ".", program); err != nil {
		return broker{}, err
	}
	c := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/mochi-mqtt/server/v2")
	c.Dir = folder
	version, _ := c.Output() // only for the table
	return broker{name: "mochi", version: strings.TrimSpace(string(version)), command: func(port int) ([]string, error) {
		return []string{program, "-listen", fmt.Sprintf("127.0.0.1:%d", port)}, nil
	}}, nil
}

// running is a broker that has been started.
type running struct {
	cmd   *exec.Cmd
	url   string
	ended chan struct{} // closed when the process has ended
}

const (
	startTime = 20 * time.Second
	stopTime  = 3 * time.Second // from SIGTERM to SIGKILL
	tryEvery  = 50 * time.Millisecond
)

// start starts a broker on a free port and waits until it answers CONNECT. pin are the words before its command line.
func (b *broker) start(ctx context.Context, pin []string) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	line, err := b.command(port)
	if err != nil {
		return nil, err
	}
	line = append(append([]string(nil), pin...), line...)
	r := &running{cmd: exec.Command(line[0], line[1:]...), url: fmt.Sprintf("tcp://127.0.0.1:%d", port), ended: make(chan struct{})}
	r.cmd.SysProcAttr = withParent()
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = r.cmd.Wait() // how it ended is of no interest
		close(r.ended)
	}()
	if err := r.ready(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// ready waits until the broker answers.
func (r *running) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("it did not answer CONNECT in time"))
	defer cancel()
	for {
		c, err := client.Dial(ctx, r.url, client.Options{CleanStart: true, Timeout: time.Second})
		if err == nil {
			return c.Shutdown(ctx, nil)
		}
		t := time.NewTimer(tryEvery)
		select {
		case <-t.C:
		case <-r.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends the process, and no other.
func (r *running) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-r.ended:
	case <-t.C:
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}

// freePort is a port that nobody listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
