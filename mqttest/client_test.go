package mqttest_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

var versions = []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}

// inAndOut runs f in a bubble and outside, for each version.
func inAndOut(t *testing.T, f func(t *testing.T, v mqttx.Version)) {
	for _, v := range versions {
		t.Run("bubble/"+v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
		t.Run("real/"+v.String(), func(t *testing.T) { f(t, v) })
	}
}

func connect(id string, v mqttx.Version) *packet.Connect {
	return &packet.Connect{ClientID: id, Version: v, CleanStart: true}
}

func TestRoundTrip(t *testing.T) {
	inAndOut(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, mqttx.AllowAnonymous())
		a := mqttest.Connect(t, s, connect("a", v))
		b := mqttest.Connect(t, s, connect("b", v))
		if a.Version != v || a.ClientID != "a" || a.Connack == nil {
			t.Errorf("client is %v %q %v", a.Version, a.ClientID, a.Connack)
		}
		for q := range mqttx.QoS(3) {
			if code := a.Subscribe("t/+", q); code != mqttx.ReasonCode(q) {
				t.Errorf("SUBACK %v", code)
			}
			for r := range mqttx.QoS(3) {
				if code := b.Publish("t/x", "hello", r); code != mqttx.Success {
					t.Errorf("publish at %d: %v", r, code)
				}
				b.Nothing()
				m := a.Receive()
				if string(m.Topic) != "t/x" || string(m.Payload) != "hello" || m.QoS != min(q, r) {
					t.Errorf("got %+v", m)
				}
			}
			a.Nothing()
		}
		if code := a.Unsubscribe("t/+"); code != mqttx.Success {
			t.Errorf("UNSUBACK %v", code)
		}
		b.Publish("t/x", "nobody", 1)
		a.Nothing()
		a.Disconnect(mqttx.Success)
		var why *mqttx.DisconnectError
		if !errors.As(a.Served(), &why) || why.By != mqttx.ByClient {
			t.Errorf("ended with %v", why)
		}
		b.Drop()
		if !errors.As(b.Served(), &why) || why.By != mqttx.ByNetwork {
			t.Errorf("ended with %v", why)
		}
	})
}
