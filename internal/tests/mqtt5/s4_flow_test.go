package mqtt5_test

import (
	"encoding/binary"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_4_9_0_1_InitialQuota(t *testing.T) {
	play(t, "4.9.0-1")
	virtually(t, "absent", func(t *testing.T, s *mqttx.Server) {
		c, p := enter(t, s, "c", "t"), enter(t, s, "p")
		const all = 65_535 + 100
		b := raw(t, `32 "t" 0001 00`)
		var batch []byte
		for i := range all {
			binary.BigEndian.PutUint16(b[5:], uint16(i%1000+1))
			if batch = append(batch, b...); (i+1)%1000 == 0 || i == all-1 {
				p.Write(batch)
				batch = batch[:0]
			}
		}
		seen := make([]bool, 1<<16)
		for range 65_535 {
			m := mqttest.Expect[*packet.Publish](c)
			if seen[m.PacketID] || m.PacketID == 0 {
				t.Fatalf("id %d again", m.PacketID)
			}
			seen[m.PacketID] = true
		}
		c.Nothing()
		c.Send(&packet.Puback{PacketID: 77})
		if m := mqttest.Expect[*packet.Publish](c); m.PacketID != 77 {
			t.Errorf("id %d, all but 77 are open", m.PacketID)
		}
		c.Nothing()
	})
}

func TestMQTT5_4_9_0_2_OneQuotaEach(t *testing.T) { play(t, "4.9.0-2") }
func TestMQTT5_4_9_0_3_OthersGoOn(t *testing.T)   { play(t, "4.9.0-3") }
