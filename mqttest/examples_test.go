package mqttest_test

import (
	"fmt"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A handler is tested by a client that fails the test when something else comes than what it waits for.
func ExampleConnect() {
	_ = func(t *testing.T) {
		srv := mqttest.NewServer(t, NewHandler())
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "third-lamp"})
		c.Subscribe("third/#", 1)
		if code := c.Publish("third/lamp", "on", 1); code != mqttx.Success {
			t.Errorf("PUBACK %v", code)
		}
		if m := c.Receive(); string(m.Payload) != "on" {
			t.Errorf("got %q", m.Payload)
		}
		c.Nothing()
	}
}

// Whoever writes a Store has it judged.
func ExampleTestStore() {
	_ = func(t *testing.T) {
		mqttest.TestStore(t, func(t *testing.T) mqttx.Store { return &mqttest.MemStore{} })
	}
}

// Dialogues are kept in files.
func ExampleRunScripts() {
	_ = func(t *testing.T) {
		mqttest.RunScripts(t, "testdata/*.txt", func(t testing.TB) *mqttx.Server {
			return mqttest.NewServer(t, NewHandler())
		})
	}
}

// Packets are shown in the notation of scripts.
func ExampleFormat() {
	fmt.Println(mqttest.Format(&packet.Publish{Topic: []byte("third/lamp"), Payload: []byte("on"), QoS: 1, PacketID: 7}))
	fmt.Println(mqttest.Format(&packet.Disconnect{Code: packet.SessionTakenOver}))
	// Output:
	// PUBLISH third/lamp "on" qos=1 id=7
	// DISCONNECT 0x8E
}
