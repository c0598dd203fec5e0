package pitfalls_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A message over the rate still binds its Topic Alias, and its packet id is free again.
func TestPitfall076_AliasBeforeDrop(t *testing.T) {
	for q := range mqttx.QoS(3) {
		p63Bubble(t, fmt.Sprint("QoS ", q), func(t *testing.T) {
			s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{MessageRate: 1}})
			sub := mqttest.Connect(t, s, nil)
			sub.Subscribe("#", 2)
			pub := mqttest.Connect(t, s, nil)
			pub.Publish("token", "x", 0)
			p := &packet.Publish{Topic: []byte("t"), Payload: []byte("over"), QoS: q, TopicAlias: 3}
			if q == 0 {
				pub.Send(p)
			} else {
				p.PacketID = 9
				p63Code(t, "over the rate", p63Send(pub, p), mqttx.QuotaExceeded)
			}
			pub.Nothing()
			p63Gets(t, sub, "x")
			mqttest.Advance(time.Second)
			p.Topic, p.Payload = nil, []byte("by alias")
			if q == 0 {
				pub.Send(p)
			} else {
				p63Code(t, "with the same id", p63Send(pub, p), mqttx.Success)
			}
			if m := sub.Receive(); string(m.Topic) != "t" || string(m.Payload) != "by alias" {
				t.Errorf("got %s", mqttest.Format(m))
			}
			sub.Nothing()
			if want := map[bool]int64{true: 1}[q == 0]; s.Stats().Dropped[mqttx.DropRate] != want {
				t.Errorf("dropped %v, want %d", s.Stats().Dropped, want)
			}
		})
	}
}

// 3.1 and 3.1.1: reading stops until there is a token; all is delivered and acknowledged, and Keep Alive stands still.
func TestPitfall077_HeldBack(t *testing.T) {
	for _, v := range p63Versions[:2] {
		for q := mqttx.QoS(1); q <= 2; q++ {
			p63Bubble(t, fmt.Sprint(v, " QoS ", q), func(t *testing.T) {
				s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{MessageRate: 1, RateInterval: 5 * time.Second, ResendInterval: -1}})
				sub := mqttest.Connect(t, s, nil)
				sub.Subscribe("t", 2)
				p := p63Clean("pub", v)
				p.KeepAlive = 1
				pub := mqttest.Connect(t, s, p)
				var b []byte
				for id := uint16(1); id <= 4; id++ {
					b = append(b, p63Bytes(t, v, &packet.Publish{Topic: []byte("t"), Payload: fmt.Append(nil, id), QoS: q, PacketID: id})...)
				}
				pub.Write(append(b, 0xC0, 0))
				for id := uint16(1); id <= 4; id++ {
					synctest.Wait()
					ack := pub.Next()
					want := packet.TypePuback
					if q == 2 {
						want = packet.TypePubrec
					}
					if ack.Type() != want {
						t.Fatalf("%v, want %v", ack.Type(), want)
					}
					p63Gets(t, sub, fmt.Sprint(id))
					if id < 4 {
						pub.Nothing()
						mqttest.Advance(5*time.Second - time.Millisecond)
						pub.Nothing()
						mqttest.Advance(time.Millisecond)
					}
				}
				mqttest.Expect[*packet.Pingresp](pub)
				if n := s.Stats().Dropped[mqttx.DropRate]; n != 0 {
					t.Errorf("%d dropped", n)
				}
				mqttest.Advance(1600 * time.Millisecond) // now it has been silent
				pub.Closed()
			})
		}
	}
}

// In no window are there more than N + N*t/interval, each session has a bucket of its own, and a new connection no new one.
func TestPitfall078_TokenBucket(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		const rate = 10
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{MessageRate: rate}})
		sleep := []time.Duration{0, time.Millisecond, 40 * time.Millisecond, 170 * time.Millisecond, 700 * time.Millisecond}
		var clients []*mqttest.Client
		accepted := make([][]time.Time, 3)
		for range accepted {
			p := p63Keeps("", mqttx.V5)
			clients = append(clients, mqttest.Connect(t, s, p))
		}
		for i := range 500 {
			for k, c := range clients {
				if i%97 == 96 {
					clients[k] = mqttest.Connect(t, s, p63Keeps(c.ClientID, mqttx.V5))
					c = clients[k]
				}
				id := uint16(i + 1)
				switch code := p63Send(c, &packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: id}); code {
				case mqttx.NoMatchingSubscribers:
					accepted[k] = append(accepted[k], time.Now())
				case mqttx.QuotaExceeded:
				default:
					t.Fatalf("PUBACK %v", code)
				}
			}
			mqttest.Advance(sleep[i*7/11%len(sleep)])
		}
		for k, at := range accepted {
			if len(at) < 100 {
				t.Errorf("client %d: only %d accepted", k, len(at))
			}
			for i := range at {
				for j := i; j < len(at); j++ {
					if d := at[j].Sub(at[i]); time.Duration(j-i+1)*time.Second > rate*(time.Second+d)+time.Microsecond {
						t.Fatalf("client %d: %d accepted within %v", k, j-i+1, d)
					}
				}
			}
			if len(at) != len(accepted[0]) {
				t.Errorf("client %d had %d accepted, client 0 %d: do they share a bucket?", k, len(at), len(accepted[0]))
			}
		}
	})
}

// An acknowledgement costs the same with 15,000 messages open as with ten.
func TestPitfall079_CostOfAcks(t *testing.T) {
	const many = 15000
	s := p63Start(t, &mqttx.Server{})
	c := mqttest.Connect(t, s, nil)
	conn, _ := s.Conn(c.ClientID)
	open := func(n int) (ids []uint16) {
		for range n {
			if err := conn.Send(&mqttx.Message{Topic: "t", QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for range n {
			ids = append(ids, mqttest.Expect[*packet.Publish](c).PacketID)
		}
		return ids
	}
	acks := func(ids []uint16) {
		var b []byte
		for i := range ids { // the last first, the farthest from a list's front
			id := ids[len(ids)-1-i]
			b = append(b, 0x40, 2, byte(id>>8), byte(id))
		}
		c.Write(append(b, 0xC0, 0))
		mqttest.Expect[*packet.Pingresp](c)
	}
	begun := time.Now()
	for range many / 10 {
		acks(open(10))
	}
	few := time.Since(begun) // sending included
	ids := open(many)
	if q := s.Stats().Queued; q != many {
		t.Fatalf("%d open, want %d", q, many)
	}
	begun = time.Now()
	acks(ids)
	if took := time.Since(begun); took > 2*few {
		t.Errorf("acknowledging %d open messages took %v, ten at a time %v", many, took, few)
	}
	if q := s.Stats().Queued; q != 0 {
		t.Errorf("%d are left", q)
	}
}

// A long run of QoS 1 and 2 messages to one subscriber ends, and all have come in order.
func TestPitfall079_ManyToOne(t *testing.T) {
	const many = 10000
	s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{QueuedMessages: -1}})
	p := p63Clean("sub", mqttx.V5)
	p.ReceiveMaximum = 50
	sub := mqttest.Connect(t, s, p)
	sub.Subscribe("t", 2)
	sent := make(chan error, 1)
	go func() {
		for i := range many {
			m := &mqttx.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: mqttx.QoS(1 + i%2)}
			if err := s.Publish(t.Context(), m); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range many {
		if m := sub.Receive(); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", m.Payload, i)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	sub.Nothing()
	if st := s.Stats(); st.Queued != 0 || st.Delivered != many {
		t.Errorf("delivered %d, queued %d", st.Delivered, st.Queued)
	}
}
