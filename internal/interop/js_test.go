package interop

import (
	"os"
	"strings"
	"testing"
)

// TestMQTTJS runs MQTT.js in every version over every transport.
func TestMQTTJS(t *testing.T) {
	node := need(t, "node")
	if _, err := os.Stat("js/node_modules/mqtt"); err != nil {
		missing(t, "MQTT.js (npm ci in internal/interop/js)")
	}
	b := start(t)
	for name, url := range map[string]string{
		"tcp": "mqtt://" + b.tcp, "tls": "mqtts://" + b.tls, "ws": "ws://" + b.web + "/mqtt", "wss": "wss://" + b.webTLS + "/mqtt",
	} {
		for _, version := range []string{"3", "4", "5"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				ca := ""
				if strings.HasSuffix(name, "s") && name != "ws" {
					ca = b.ca
				}
				if got := run(t, node, "js/roundtrip.mjs", url, version, ca).wait(); got != "good\n" {
					t.Errorf("said %q", got)
				}
			})
		}
	}
}

// TestU8MQTT runs u8-mqtt in both of its versions over every transport.
func TestU8MQTT(t *testing.T) {
	node := need(t, "node")
	for _, module := range []string{"u8-mqtt", "ws"} {
		if _, err := os.Stat("js/node_modules/" + module); err != nil {
			missing(t, module+" (npm ci in internal/interop/js)")
		}
	}
	b := start(t)
	for name, url := range map[string]string{
		"tcp": "tcp://" + b.tcp, "tls": "tls://" + b.tls, "ws": "ws://" + b.web + "/mqtt", "wss": "wss://" + b.webTLS + "/mqtt",
	} {
		for _, version := range []string{"4", "5"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				ca := ""
				if name == "tls" || name == "wss" {
					ca = b.ca
				}
				if got := run(t, node, "js/u8.mjs", url, version, ca).wait(); got != "good\n" {
					t.Errorf("said %q", got)
				}
			})
		}
	}
}
