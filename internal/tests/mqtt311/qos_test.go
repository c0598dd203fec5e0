package mqtt311_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT311_2_3_1_3_ReusedAfterAck(t *testing.T) { script(t, "2.3.1-3") }

func TestMQTT311_2_3_1_4_ServerIDs(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) { resumeWithOpen(t, newServer(t), v) })
	bubble(t, "reuse", func(t *testing.T) {
		s := newServer(t)
		c, open := resumeWithOpen(t, s, mqttx.V311)
		c.Send(&packet.Puback{PacketID: open[0]})
		used := make(map[uint16]int)
		goRound(t, s, c, func(m *packet.Publish) { used[m.PacketID]++ })
		if used[open[0]] == 0 {
			t.Errorf("%d is not used again after its PUBACK", open[0])
		}
		for _, id := range open[1:] {
			if used[id] > 0 {
				t.Errorf("%d is used again while it is open", id)
			}
		}
	})
}

// resumeWithOpen has five deliveries to c open over two connections, at QoS 1 and 2 in turn, and gives their ids.
func resumeWithOpen(t *testing.T, s *mqttx.Server, v mqttx.Version) (c *mqttest.Client, open []uint16) {
	t.Helper()
	c = join(t, s, v, "c", false)
	c.Subscribe("t", 2)
	p := join(t, s, v, "p", true)
	seen := make(map[uint16]bool)
	for i := range 5 {
		p.Publish("t", strconv.Itoa(i), mqttx.QoS(1+i%2))
		m := mqttest.Expect[*packet.Publish](c)
		if seen[m.PacketID] || m.PacketID == 0 {
			t.Errorf("id %d after %v", m.PacketID, open)
		}
		seen[m.PacketID] = true
		open = append(open, m.PacketID)
	}
	c.Drop()
	c = join(t, s, v, "c", false)
	for i, id := range open {
		if m := mqttest.Expect[*packet.Publish](c); m.PacketID != id || string(m.Payload) != strconv.Itoa(i) || !m.Dup {
			t.Errorf("%q comes again with id %d, DUP %t; the first time it was %d", m.Payload, m.PacketID, m.Dup, id)
		}
	}
	c.Nothing()
	return c, open
}

// goRound publishes to t at QoS 1 until all Packet Identifiers have been used; c acknowledges.
func goRound(t *testing.T, s *mqttx.Server, c *mqttest.Client, f func(m *packet.Publish)) {
	t.Helper()
	const part = 500
	for sent := 0; sent < 1<<16; sent += part {
		for range part {
			if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		var acks []byte
		for range part {
			m := mqttest.Expect[*packet.Publish](c)
			f(m)
			acks = binary.BigEndian.AppendUint16(append(acks, 0x40, 2), m.PacketID)
		}
		c.Write(acks)
	}
}

func TestMQTT311_2_3_1_6_SameID(t *testing.T)         { script(t, "2.3.1-6") }
func TestMQTT311_3_3_1_1_ResentWithDup(t *testing.T)  { script(t, "3.3.1-1") }
func TestMQTT311_3_3_1_3_OwnDup(t *testing.T)         { script(t, "3.3.1-3") }
func TestMQTT311_3_3_4_1_Answers(t *testing.T)        { script(t, "3.3.4-1") }
func TestMQTT311_4_3_1_1_QoS0(t *testing.T)           { script(t, "4.3.1-1") }
func TestMQTT311_4_3_2_1_QoS1Sender(t *testing.T)     { script(t, "4.3.2-1") }
func TestMQTT311_4_3_2_2_QoS1Receiver(t *testing.T)   { script(t, "4.3.2-2") }
func TestMQTT311_4_3_3_1_QoS2Sender(t *testing.T)     { script(t, "4.3.3-1") }
func TestMQTT311_4_3_3_2_QoS2Receiver(t *testing.T)   { script(t, "4.3.3-2") }
func TestMQTT311_4_4_0_1_ResentOnResume(t *testing.T) { script(t, "4.4.0-1") }
func TestMQTT311_4_6_0_4_PubrelInOrder(t *testing.T)  { script(t, "4.6.0-4") }

func TestMQTT311_3_3_1_2_NoDupAtQoS0(t *testing.T) {
	script(t, "3.3.1-2")
	violations(t, cases{"0x38": `38 04 "t" 78`, "0x39": `39 04 "t" 78`})
}

func TestMQTT311_4_6_0_1_ResentInOrder(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		c := join(t, s, v, "c", false)
		c.Subscribe("t", 1)
		p := join(t, s, v, "p", true)
		var ids []uint16
		for i := range 5 {
			p.Publish("t", strconv.Itoa(i), 1)
			ids = append(ids, mqttest.Expect[*packet.Publish](c).PacketID)
		}
		for range 2 {
			c.Drop()
			c = join(t, s, v, "c", false)
			for i, id := range ids {
				if m := mqttest.Expect[*packet.Publish](c); m.PacketID != id || string(m.Payload) != strconv.Itoa(i) {
					t.Errorf("id %d %q, want %d %d", m.PacketID, m.Payload, id, i)
				}
			}
			c.Nothing()
		}
	})
}

func TestMQTT311_4_6_0_2_PubackInOrder(t *testing.T) {
	acksInOrder(t, 1, func(c *mqttest.Client) uint16 { return mqttest.Expect[*packet.Puback](c).PacketID })
}

func TestMQTT311_4_6_0_3_PubrecInOrder(t *testing.T) {
	acksInOrder(t, 2, func(c *mqttest.Client) uint16 { return mqttest.Expect[*packet.Pubrec](c).PacketID })
}

// acksInOrder sends PUBLISH 1 to 100 in one write, to a topic that a sleeping session of a Store holds as well: some
// acknowledgements wait for it, others do not.
func acksInOrder(t *testing.T, q mqttx.QoS, next func(c *mqttest.Client) uint16) {
	t.Helper()
	each(t, func(t *testing.T, v mqttx.Version) {
		s := &mqttx.Server{Handler: mqttx.AllowAnonymous(), Store: new(mqttest.MemStore)}
		mqttest.Start(t, s)
		sleeper := join(t, s, v, "sleeper", false)
		sleeper.Subscribe("odd", 2)
		sleeper.Drop()
		c := join(t, s, v, "c", true)
		var all []byte
		for id := range uint16(100) {
			p := &packet.Publish{Topic: []byte([]string{"odd", "even"}[id%2]), QoS: q, PacketID: id + 1}
			b, err := p.Append(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		c.Write(all)
		for id := range uint16(100) {
			if got := next(c); got != id+1 {
				t.Fatalf("%d is answered, want %d", got, id+1)
			}
		}
		c.Nothing()
	})
}

func TestMQTT311_4_6_0_5_OrderedByDefault(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		c := subscriber(t, s, v, "t")
		p := join(t, s, v, "p", true)
		for i := range 1000 {
			p.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte(strconv.Itoa(i)), QoS: 1, PacketID: uint16(i + 1)})
		}
		for i := range 1000 {
			if m := c.Receive(); string(m.Payload) != strconv.Itoa(i) || m.QoS != 1 {
				t.Fatalf("%s comes, want %d", m.Payload, i)
			}
		}
		c.Nothing()
	})
}

// TestMQTT311_4_6_0_6_OrderPerQoS numbers the messages of each QoS; the subscriber falls out three times.
func TestMQTT311_4_6_0_6_OrderPerQoS(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		c := join(t, s, v, "c", false)
		c.Subscribe("t", 2)
		p := join(t, s, v, "p", true)
		var next [3]int
		take := func(m *packet.Publish) {
			var n int
			var q mqttx.QoS
			if _, err := fmt.Sscan(string(m.Payload), &q, &n); err != nil || q != m.QoS {
				t.Fatalf("%q at QoS %d: %v", m.Payload, m.QoS, err)
			}
			if n < next[q] || n > next[q] && q > 0 { // QoS 0 may be lost
				t.Fatalf("%d comes at QoS %d, want %d", n, q, next[q])
			}
			next[q] = n + 1
		}
		for i := range 300 {
			for q := range mqttx.QoS(3) {
				p.Publish("t", fmt.Sprint(q, i), q)
			}
			switch i {
			case 60, 120, 180: // falls out with an acknowledgement open, comes back, and goes on
				take(c.Receive())
				last := mqttest.Expect[*packet.Publish](c)
				c.Drop()
				c = join(t, s, v, "c", false)
				if last.QoS > 0 {
					if m := c.Receive(); m.PacketID != last.PacketID {
						t.Fatalf("%q comes first after the resume, want %q", m.Payload, last.Payload)
					} else {
						take(m)
					}
				}
			}
		}
		synctest.Wait()
		for next[1] < 300 || next[2] < 300 {
			take(c.Receive())
		}
		c.Nothing()
	})
}

// TestMQTT311_4_8_0_2_TransientError: a message that cannot be stored is not acknowledged, and the connection closed; others
// go on, and once the Store works again so does everything.
func TestMQTT311_4_8_0_2_TransientError(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		store := new(mqttest.MemStore)
		s := &mqttx.Server{Handler: mqttx.AllowAnonymous(), Store: store, Logger: slog.New(slog.DiscardHandler)}
		mqttest.Start(t, s)
		sleeper := join(t, s, v, "sleeper", false)
		sleeper.Subscribe("t", 1)
		sleeper.Drop()
		other := join(t, s, v, "other", true)
		for q := mqttx.QoS(1); q <= 2; q++ {
			p := join(t, s, v, "p", true)
			store.Fail(errors.New("disk full"))
			p.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: q, PacketID: 1})
			p.Closed()
			if got := p.Raw(); !bytes.Equal(got, []byte{0x20, 2, 0, 0}) {
				t.Errorf("QoS %d: the publisher got % x, want CONNACK alone", q, got)
			}
			mqttest.Advance(time.Minute)
			if code := other.Publish("elsewhere", "x", 1); code != mqttx.Success {
				t.Error(code)
			}
			store.Fail(nil)
			mqttest.Advance(time.Minute)
			p = join(t, s, v, "p", true)
			p.Publish("t", "again", q)
			p.Drop()
		}
		sleeper = join(t, s, v, "sleeper", false)
		gets(t, sleeper, "t=x", "t=again", "t=x", "t=again")
	})
}
