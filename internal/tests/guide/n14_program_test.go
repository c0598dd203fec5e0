package guide_test

import (
	"bufio"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// n14Program builds the mqttx command.
func n14Program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mqttx")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/e8743928/mqttx/cmd/mqttx").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// n14Serve starts a broker and gives its address.
func n14Serve(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append([]string{"serve", "--listen", "tcp://127.0.0.1:0"}, args...)...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	at := make(chan string, 1)
	go func() {
		listening := regexp.MustCompile(`listening.*tcp://([0-9.]+:[0-9]+)`)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				at <- m[1]
			}
		}
	}()
	return g1Await(t, "the address", at)
}

// The ready broker departs from the standard where it is told to.
func TestGuide_N14_Compat(t *testing.T) {
	program := n14Program(t)
	for compat, want := range map[string]bool{"standard": true, "guide": false, "no-subscription-ids": false, "rate-refusal-96": true} {
		t.Run(compat, func(t *testing.T) {
			nc, err := net.DialTimeout("tcp", n14Serve(t, program, "--compat", compat), 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			c := mqttest.NewClient(t, nc, mqttx.V5)
			g1Code(t, "CONNACK", c.Connect(g70Keep("c", mqttx.V5)), mqttx.Success)
			g75Flag(t, "CONNACK 0x29", c.Connack.SubscriptionIdentifierAvailable, want)
			if x := c.Connack.SessionExpiryInterval; compat == "guide" && (x == nil || *x != 0) {
				t.Errorf("CONNACK 0x11 is %v", x)
			}
			c.Send(&packet.Subscribe{PacketID: 1, SubscriptionID: 1, Filters: []packet.Filter{{Filter: "t", QoS: 1}}})
			if !want {
				g1Bye(t, c, mqttx.SubscriptionIdentifiersNotSupported)
				return
			}
			g1Codes(t, "SUBACK", mqttest.Expect[*packet.Suback](c).Codes, 1)
			c.Publish("t", "x", 1)
			g79IDs(t, c, "x", 1)
		})
	}
}
