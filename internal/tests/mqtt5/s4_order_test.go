package mqtt5_test

import (
	"strconv"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_4_5_0_1_EverySubscriber(t *testing.T) { play(t, "4.5.0-1") }

func TestMQTT5_4_6_0_5_InOrder(t *testing.T) {
	for q := range mqttx.QoS(3) {
		virtually(t, "QoS "+strconv.Itoa(int(q)), func(t *testing.T, s *mqttx.Server) {
			subs := []*mqttest.Client{enter(t, s, "a", "t/1"), enter(t, s, "b", "t/1")}
			stream(t, s, q, 0, 1000)
			for _, c := range subs {
				ascending(t, c, q, 0, 1000)
				c.Nothing()
			}
		})
		if q == 0 {
			continue
		}
		virtually(t, "across drop and resume, QoS "+strconv.Itoa(int(q)), func(t *testing.T, s *mqttx.Server) {
			c := resume(t, s, "c")
			c.Subscribe("t/1", 2)
			stream(t, s, q, 0, 300)
			ascending(t, c, q, 0, 100)
			c.Drop()
			stream(t, s, q, 300, 600)
			c = resume(t, s, "c")
			ascending(t, c, q, 100, 450)
			stream(t, s, q, 600, 1000)
			c.Drop()
			c = resume(t, s, "c")
			ascending(t, c, q, 450, 1000)
			c.Nothing()
		})
	}
}

func TestMQTT5_4_6_0_6_AllTopicsOrdered(t *testing.T) {
	for q := range mqttx.QoS(3) {
		virtually(t, "QoS "+strconv.Itoa(int(q)), func(t *testing.T, s *mqttx.Server) {
			subs := []*mqttest.Client{
				enter(t, s, "exact", "t/1"), enter(t, s, "plus", "t/+"), enter(t, s, "hash", "#"), enter(t, s, "overlapping", "t/1", "+/1", "t/#"),
			}
			stream(t, s, q, 0, 1000)
			for _, c := range subs {
				ascending(t, c, q, 0, 1000)
				c.Nothing()
			}
		})
	}
}

// stream publishes the numbers in [from, to) to t/1, as fast as it can.
func stream(t *testing.T, s *mqttx.Server, q mqttx.QoS, from, to int) {
	t.Helper()
	p := enter(t, s, "publisher")
	for i := from; i < to; i++ {
		m := &packet.Publish{Topic: []byte("t/1"), Payload: []byte(strconv.Itoa(i)), QoS: q}
		if q > 0 {
			m.PacketID = uint16(i - from + 1)
		}
		p.Send(m)
	}
	for i := from; i < to && q > 0; i++ {
		if q == 1 {
			mqttest.Expect[*packet.Puback](p)
			continue
		}
		p.Send(&packet.Pubrel{PacketID: mqttest.Expect[*packet.Pubrec](p).PacketID})
	}
	for i := from; i < to && q == 2; i++ {
		mqttest.Expect[*packet.Pubcomp](p)
	}
	p.Nothing()
	p.Disconnect(0)
}

// ascending takes the numbers in [from, to).
func ascending(t *testing.T, c *mqttest.Client, q mqttx.QoS, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if m := c.Receive(); string(m.Payload) != strconv.Itoa(i) || m.QoS != q {
			t.Fatalf("%s, want %d", mqttest.Format(m), i)
		}
	}
}
