package pitfalls_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A client that sends faster than the Store takes it is held back before memory grows, whatever its QoS; others, and what
// the Store has no part in, go on; all is taken when the Store comes back.
func TestPitfall132_StoreBehind(t *testing.T) {
	const size, count, bound = 1_000_000, 85, 64 << 20
	for q := range mqttx.QoS(2) {
		for _, v := range []mqttx.Version{mqttx.V311, mqttx.V5} {
			p63Bubble(t, fmt.Sprint("QoS ", q, " ", v), func(t *testing.T) {
				store := &mqttest.MemStore{}
				s := p63Start(t, &mqttx.Server{Store: store})
				c := mqttest.Connect(t, s, p63Clean("c", v))
				other := mqttest.Connect(t, s, p63Clean("other", v))
				other.Subscribe("live", 0)
				store.Block()
				p := &packet.Publish{Topic: []byte("kept"), Retain: true, Payload: make([]byte, size), QoS: q}
				if q > 0 {
					p.PacketID = 1
				}
				b := append(slices.Repeat(p63Bytes(t, v, p), count), 0xC0, 0)
				go c.Write(b)
				<-time.After(3 * time.Second) // of virtual time
				synctest.Wait()
				if n := s.Stats().Published; n < bound/size || n > bound/size+6 {
					t.Errorf("%d messages are taken while the Store hangs, %d bytes", n, n*size)
				}
				other.Publish("live", "1", 0)
				p63Gets(t, other, "1")
				store.Unblock()
				for pong := false; !pong; {
					_, pong = c.Next().(*packet.Pingresp)
				}
				if n := s.Stats().Published; n != count+1 {
					t.Errorf("%d messages are taken, want %d", n, count+1)
				}
			})
		}
	}
}
