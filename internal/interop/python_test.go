package interop

import (
	"net"
	"os"
	"os/exec"
	"testing"
)

// TestPahoPython runs paho-mqtt in every version over every transport. Debian puts it where only Debian's own Python looks,
// and another Python may come first in PATH.
func TestPahoPython(t *testing.T) {
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		missing(t, python)
	}
	if err := exec.Command(python, "-c", "import paho.mqtt.client").Run(); err != nil {
		missing(t, "paho-mqtt for "+python)
	}
	b := start(t)
	for name, addr := range map[string]string{"tcp": b.tcp, "tls": b.tls, "ws": b.web, "wss": b.webTLS} {
		for _, version := range []string{"3", "4", "5"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				ca := ""
				if name == "tls" || name == "wss" {
					ca = b.ca
				}
				host, port, _ := net.SplitHostPort(addr)
				if got := run(t, python, "-B", "python/roundtrip.py", name, host, port, version, ca).wait(); got != "good\n" {
					t.Errorf("said %q", got)
				}
			})
		}
	}
}
