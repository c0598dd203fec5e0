package interop

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pahoC are the command-line clients of paho.mqtt.c in one version over one transport.
type pahoC struct {
	b       *broker
	version string
	args    []string
}

// eachPahoC runs f in every version over every transport.
func eachPahoC(t *testing.T, f func(t *testing.T, c pahoC)) {
	need(t, "paho_c_pub")
	need(t, "paho_c_sub")
	need(t, "stdbuf")
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
			t.Run(version+"/"+transport, func(t *testing.T) {
				t.Parallel() // the clients nap a lot
				b := start(t)
				url := map[string]string{
					"tcp": "tcp://" + b.tcp, "tls": "ssl://" + b.tls, "ws": "ws://" + b.web + "/mqtt", "wss": "wss://" + b.webTLS + "/mqtt",
				}[transport]
				c := pahoC{b: b, version: version, args: []string{"-c", url, "-V", version, "--verbose"}}
				if strings.HasSuffix(transport, "s") && transport != "ws" {
					c.args = append(c.args, "--cafile", b.ca)
				}
				f(t, c)
			})
		}
	}
}

// pub publishes and gives what the client said.
func (c pahoC) pub(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "paho_c_pub", slices.Concat(c.args, args)...).wait()
}

// pahoCSub is a running paho_c_sub. It runs until it is told to stop.
type pahoCSub struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // closed at the end of what it says
}

// sub subscribes and waits until the subscription stands.
func (c pahoC) sub(t *testing.T, id, filter string, args ...string) *pahoCSub {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	s := &pahoCSub{t: t, lines: make(chan string, 1000)}
	all := slices.Concat([]string{"-oL", "paho_c_sub", "-i", id, "-t", filter}, args, c.args, []string{"--trace", "protocol"})
	s.cmd = exec.CommandContext(ctx, "stdbuf", all...) // which becomes paho_c_sub, and keeps no line back
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout // there the trace goes
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			s.lines <- scan.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range s.lines {
		}
		s.cmd.Wait()
	})
	c.b.subscribed(id, 1)
	return s
}

// arrived is how the client's trace shows a PUBLISH.
var arrived = regexp.MustCompile(`<- PUBLISH (?:msgid: \d+ )?qos: (\d) retained: (\d) payload`)

// next waits for a message: its QoS, the retained flag and what is printed of it. Of several in flight at once the QoS
// could not be told apart, so there is one at a time.
func (s *pahoCSub) next() string {
	s.t.Helper()
	seen, said := "", ""
	for end := time.After(20 * time.Second); ; {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("the subscriber has ended; it said %s", said)
			}
			said += line + "\n"
			if m := arrived.FindStringSubmatch(line); m != nil {
				seen = m[1] + " " + m[2] + " "
			} else if seen != "" && !strings.HasPrefix(line, "Trace") && strings.Contains(line, "\t") {
				return seen + strings.ReplaceAll(line, "\t", " ")
			}
		case <-end:
			s.t.Fatalf("no message; %s said %s", s.cmd, said)
		}
	}
}

// want expects a message.
func (s *pahoCSub) want(line string) {
	s.t.Helper()
	if got := s.next(); got != line {
		s.t.Errorf("got %q, want %q", got, line)
	}
}

// stop has the client disconnect and gives what it had still to say.
func (s *pahoCSub) stop() string {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGINT)
	var rest []string
	for line := range s.lines {
		rest = append(rest, line)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("paho_c_sub: %v", err)
	}
	return strings.Join(rest, "\n")
}

// TestPahoCRoundTrip sends at every QoS to subscriptions of every QoS.
func TestPahoCRoundTrip(t *testing.T) {
	eachPahoC(t, func(t *testing.T, c pahoC) {
		var subs [3]*pahoCSub
		for granted := range subs {
			subs[granted] = c.sub(t, fmt.Sprint("sub", granted), "round/#", "-q", fmt.Sprint(granted))
		}
		for sent := range 3 {
			said := c.pub(t, "-q", fmt.Sprint(sent), "-t", "round/trip", "-m", "x y")
			if !strings.Contains(said, "Publish succeeded") {
				t.Errorf("sent at %d: %s", sent, said)
			}
			for granted, s := range subs {
				s.want(fmt.Sprintf("%d 0 3 round/trip x y", min(sent, granted)))
			}
		}
		for granted, s := range subs {
			s.stop()
			c.b.gone(fmt.Sprint("sub", granted))
		}
	})
}

// TestPahoCRetained keeps messages, replaces and clears one, and reads what is left.
func TestPahoCRetained(t *testing.T) {
	eachPahoC(t, func(t *testing.T, c pahoC) {
		c.pub(t, "-q", "1", "-r", "-t", "kept/a", "-m", "first")
		c.pub(t, "-q", "2", "-r", "-t", "kept/a", "-m", "second")
		c.pub(t, "-q", "1", "-r", "-t", "kept/b", "-m", "cleared")
		c.pub(t, "-q", "1", "-r", "-t", "kept/b", "-n")
		s := c.sub(t, "reader", "kept/#", "-q", "1")
		// Of two WebSocket messages that arrive together, SUBACK and the retained one, the client does not look at the second
		// before something else comes.
		c.pub(t, "-q", "1", "-r", "-t", "kept/b", "-m", "live")
		s.want("1 1 6 kept/a second")
		s.want("1 0 4 kept/b live")
	})
}

// TestPahoCWill kills a client with a will and has another one say goodbye.
func TestPahoCWill(t *testing.T) {
	eachPahoC(t, func(t *testing.T, c pahoC) {
		watcher := c.sub(t, "watcher", "will/#", "-q", "2")
		polite := c.sub(t, "polite", "nothing", "--will-topic", "will/polite", "--will-payload", "said goodbye", "--will-qos", "1")
		polite.stop()
		c.b.gone("polite")
		dying := c.sub(t, "dying", "nothing", "--will-topic", "will/dying", "--will-payload", "was killed", "--will-qos", "2", "--will-retain", "1") // it takes a value, whatever its usage says
		dying.cmd.Process.Kill()
		watcher.want("2 0 10 will/dying was killed")
		late := c.sub(t, "late", "will/#", "-q", "1")
		c.pub(t, "-q", "1", "-t", "will/wake", "-m", "up") // see TestPahoCRetained
		late.want("1 1 10 will/dying was killed")
	})
}

// TestPahoCProperties sends the properties of MQTT 5.0 that the clients can send and show.
func TestPahoCProperties(t *testing.T) {
	eachPahoC(t, func(t *testing.T, c pahoC) {
		if c.version != "mqttv5" {
			return
		}
		s := c.sub(t, "props", "p", "-q", "1")
		c.pub(t, "-q", "1", "-t", "p", "-m", "body", "--user-property", "k", "v", "--message-expiry", "900")
		s.want("1 0 4 p body")
		c.pub(t, "-q", "1", "-t", "p", "-m", "bare")
		var between []string
		for line := range s.lines {
			if strings.Contains(line, "\tbare") {
				break
			}
			if strings.HasPrefix(line, "Property") {
				between = append(between, line)
			}
		}
		want := "Property name MESSAGE_EXPIRY_INTERVAL value 900\nProperty name USER_PROPERTY key k value v"
		if got := strings.Join(between, "\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
