package interop

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// mosquitto are the command-line clients of mosquitto in one version over one transport.
type mosquitto struct {
	b       *broker
	version string
	args    []string
}

// eachMosquitto runs f in every version and over the transports that the clients know.
func eachMosquitto(t *testing.T, f func(t *testing.T, m mosquitto)) {
	need(t, "mosquitto_pub")
	need(t, "mosquitto_sub")
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for _, transport := range []string{"tcp", "tls"} {
			t.Run(version+"/"+transport, func(t *testing.T) {
				b := start(t)
				m := mosquitto{b: b, version: version}
				addr := b.tcp
				if transport == "tls" {
					addr = b.tls
					m.args = []string{"--cafile", b.ca}
				}
				host, port, _ := net.SplitHostPort(addr)
				m.args = append(m.args, "-V", version, "-h", host, "-p", port)
				f(t, m)
			})
		}
	}
}

func (m mosquitto) pub(t *testing.T, args ...string) {
	t.Helper()
	run(t, "mosquitto_pub", append(append([]string(nil), m.args...), args...)...).wait()
}

func (m mosquitto) sub(t *testing.T, id string, args ...string) *process {
	t.Helper()
	return run(t, "mosquitto_sub", append(append([]string{"-i", id, "-W", "30"}, m.args...), args...)...)
}

// TestMosquittoRoundTrip sends at every QoS to subscriptions of every QoS.
func TestMosquittoRoundTrip(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquitto) {
		for sent := range 3 {
			for granted := range 3 {
				id := fmt.Sprintf("sub%d%d", sent, granted)
				s := m.sub(t, id, "-q", fmt.Sprint(granted), "-t", "round/#", "-C", "1", "-F", "%q %r %t %p")
				m.b.subscribed(id, 1)
				m.pub(t, "-q", fmt.Sprint(sent), "-t", "round/trip", "-m", "x y")
				if got, want := s.wait(), fmt.Sprintf("%d 0 round/trip x y\n", min(sent, granted)); got != want {
					t.Errorf("sent at %d, granted %d: %q, want %q", sent, granted, got, want)
				}
			}
		}
	})
}

// TestMosquittoRetained keeps messages, replaces and clears one, and reads what is left.
func TestMosquittoRetained(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquitto) {
		m.pub(t, "-q", "1", "-r", "-t", "kept/a", "-m", "first")
		m.pub(t, "-q", "1", "-r", "-t", "kept/a", "-m", "second")
		m.pub(t, "-q", "1", "-r", "-t", "kept/b", "-m", "cleared")
		m.pub(t, "-q", "1", "-r", "-t", "kept/b", "-n")
		m.pub(t, "-q", "2", "-r", "-t", "kept/c", "-m", "third")
		got := m.sub(t, "reader", "-q", "1", "-t", "kept/#", "-C", "2", "-F", "%q %r %t %p").wait()
		lines := strings.Split(strings.TrimSpace(got), "\n")
		if len(lines) == 2 && lines[0] > lines[1] {
			lines[0], lines[1] = lines[1], lines[0]
		}
		if want := "1 1 kept/a second\n1 1 kept/c third"; strings.Join(lines, "\n") != want {
			t.Errorf("got %q, want %q", lines, want)
		}
	})
}

// TestMosquittoWill kills a client with a will.
func TestMosquittoWill(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquitto) {
		watcher := m.sub(t, "watcher", "-q", "2", "-t", "will/#", "-C", "1", "-F", "%q %r %t %p")
		m.b.subscribed("watcher", 1)
		dying := m.sub(t, "dying", "-t", "nothing", "--will-topic", "will/dying", "--will-payload", "was killed", "--will-qos", "2")
		m.b.subscribed("dying", 1)
		dying.kill()
		if got, want := watcher.wait(), "2 0 will/dying was killed\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestMosquittoShared shares messages between two members of a group.
func TestMosquittoShared(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquitto) {
		one := m.sub(t, "one", "-q", "1", "-t", "$share/g/jobs/#", "-C", "3", "-F", "%p")
		m.b.subscribed("one", 1)
		two := m.sub(t, "two", "-q", "1", "-t", "$share/g/jobs/#", "-C", "3", "-F", "%p")
		m.b.subscribed("two", 1)
		for i := range 6 {
			m.pub(t, "-q", "1", "-t", "jobs/x", "-m", fmt.Sprint(i))
		}
		got := strings.Fields(one.wait() + two.wait())
		seen := make(map[string]bool)
		for _, g := range got {
			seen[g] = true
		}
		if len(got) != 6 || len(seen) != 6 {
			t.Errorf("got %q, want six different ones, three each", got)
		}
	})
}

// TestMosquittoResume queues messages for a client that is away.
func TestMosquittoResume(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquitto) {
		args := []string{"-c", "-q", "2", "-t", "away/#"}
		if m.version == "mqttv5" {
			args = append(args, "-x", "600")
		}
		m.sub(t, "sleeper", append(args, "-E")...).wait()
		m.b.gone("sleeper")
		for i := range 6 {
			m.pub(t, "-q", fmt.Sprint(1+i%2), "-t", "away/x", "-m", fmt.Sprint("message ", i))
		}
		got := m.sub(t, "sleeper", append(args, "-C", "6", "-F", "%q %p")...).wait()
		// the client shows a QoS 2 message when it is released, so only the order within a QoS can be seen
		lines := strings.Split(strings.TrimSpace(got), "\n")
		slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
		want := "1 message 0\n1 message 2\n1 message 4\n2 message 1\n2 message 3\n2 message 5"
		if strings.Join(lines, "\n") != want {
			t.Errorf("got %q, want %q", lines, want)
		}
	})
}

// TestMosquittoProperties sends the properties of MQTT 5.0 that the clients can show.
func TestMosquittoProperties(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquitto) {
		if m.version != "mqttv5" {
			return
		}
		s := m.sub(t, "props", "-q", "1", "-t", "p", "-C", "1", "-F", "%C|%R|%D|%P|%F|%E|%p")
		m.b.subscribed("props", 1)
		m.pub(t, "-q", "1", "-t", "p", "-m", "body",
			"-D", "PUBLISH", "content-type", "text/x", "-D", "PUBLISH", "response-topic", "answer/here",
			"-D", "PUBLISH", "correlation-data", "c0rr", "-D", "PUBLISH", "user-property", "k", "v",
			"-D", "PUBLISH", "payload-format-indicator", "1", "-D", "PUBLISH", "message-expiry-interval", "900")
		if got, want := s.wait(), "text/x|answer/here|c0rr|k:v|1|900|body\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
