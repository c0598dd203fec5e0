package pitfalls_test

import (
	"fmt"
	"maps"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p63Whole is a retained message with all that MQTT 5.0 can say.
func p63Whole() *packet.Publish {
	return &packet.Publish{
		Topic: []byte("room/1"), Payload: []byte("warm"), QoS: 1, PacketID: 7, Retain: true, PayloadFormat: packet.FormatUTF8,
		HasMessageExpiry: true, MessageExpiryInterval: 1000, ContentType: []byte("text/plain"), ResponseTopic: []byte("answers"),
		CorrelationData: []byte{1, 0, 2}, User: []packet.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}},
	}
}

// p63SameMessage compares a received message with the one that was kept, apart from expiry and packet id.
func p63SameMessage(t *testing.T, got *packet.Publish) {
	t.Helper()
	a, want := *got, *p63Whole()
	a.PacketID, a.MessageExpiryInterval = want.PacketID, want.MessageExpiryInterval
	if !reflect.DeepEqual(a, want) {
		t.Errorf("got %s\nwant %s", mqttest.Format(&a), mqttest.Format(&want))
	}
}

// One table is for all transports and the program; all properties are kept; an empty payload deletes and is forwarded.
func TestPitfall063_AcrossTransports(t *testing.T) {
	s := &mqttx.Server{}
	testers := map[testnet.Transport]*testnet.Net{}
	for _, on := range testnet.All() {
		testers[on] = on.Start(t, s)
	}
	for from, n := range testers {
		t.Run("set over "+from.String(), func(t *testing.T) {
			pub := n.Connect(nil)
			if code := p63Send(pub, p63Whole()); code >= 0x80 {
				t.Errorf("PUBACK: %v", code)
			}
			var readers []*mqttest.Client
			for _, m := range testers {
				r := m.Connect(nil)
				r.Subscribe("room/+", 1)
				p63SameMessage(t, r.Receive())
				readers = append(readers, r)
			}
			count := 0
			for m := range s.Retained("room/#") {
				count++
				x := m.Props
				if m.Topic != "room/1" || string(m.Payload) != "warm" || m.QoS != 1 || !m.Retain || m.Expires.IsZero() || x == nil ||
					x.ContentType != "text/plain" || x.ResponseTopic != "answers" || string(x.CorrelationData) != "\x01\x00\x02" ||
					x.PayloadFormat != mqttx.FormatUTF8 || !reflect.DeepEqual(x.User, p63Whole().User) {
					t.Errorf("the program sees %+v, %+v", m, x)
				}
			}
			if count != 1 {
				t.Errorf("%d retained messages, want 1", count)
			}
			p63Code(t, "PUBACK", p63Send(pub, &packet.Publish{Topic: []byte("room/1"), QoS: 1, PacketID: 8, Retain: true}), mqttx.Success)
			for _, r := range readers {
				if p := r.Receive(); len(p.Payload) != 0 || p.Retain {
					t.Errorf("forwarded %s", mqttest.Format(p))
				}
			}
			for _, m := range testers {
				r := m.Connect(nil)
				r.Subscribe("room/+", 1)
				r.Nothing()
			}
			if n := s.Stats().Retained; n != 0 {
				t.Errorf("%d retained messages are left", n)
			}
		})
	}
}

// The expiry is lowered by the age, over a restart too; what was deleted is still gone after one.
func TestPitfall063_AgeAndRestart(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		store := &mqttest.MemStore{}
		s := p63Start(t, &mqttx.Server{Store: store})
		pub := mqttest.Connect(t, s, nil)
		if code := p63Send(pub, p63Whole()); code >= 0x80 {
			t.Errorf("PUBACK: %v", code)
		}
		pub.Send(&packet.Publish{Topic: []byte("room/2"), Payload: []byte("x"), QoS: 2, PacketID: 3, Retain: true})
		mqttest.Expect[*packet.Pubrec](pub)
		pub.Send(&packet.Publish{Topic: []byte("room/2"), QoS: 1, PacketID: 4, Retain: true})
		mqttest.Expect[*packet.Puback](pub)
		mqttest.Advance(400 * time.Second)
		look := func(s *mqttx.Server, left uint32) {
			t.Helper()
			r := mqttest.Connect(t, s, nil)
			r.Subscribe("room/+", 1)
			p := r.Receive()
			p63SameMessage(t, p)
			if p.MessageExpiryInterval != left {
				t.Errorf("%d s are left, want %d", p.MessageExpiryInterval, left)
			}
			r.Nothing()
			r.Disconnect(0)
		}
		look(s, 600)
		s.Close()
		again := p63Start(t, &mqttx.Server{Store: store})
		look(again, 600)
		mqttest.Advance(601 * time.Second)
		if n := again.Stats().Retained; n != 0 {
			t.Errorf("%d retained messages after the expiry", n)
		}
		pub = mqttest.Connect(t, again, nil)
		pub.Publish("room/3", "", 0)
		pub.Send(&packet.Publish{Topic: []byte("room/3"), Payload: []byte("x"), QoS: 1, PacketID: 3, Retain: true})
		mqttest.Expect[*packet.Puback](pub)
		pub.Send(&packet.Publish{Topic: []byte("room/3"), QoS: 1, PacketID: 4, Retain: true})
		mqttest.Expect[*packet.Puback](pub)
		again.Close()
		third := p63Start(t, &mqttx.Server{Store: store})
		r := mqttest.Connect(t, third, nil)
		r.Subscribe("#", 2)
		r.Nothing()
	})
}

// Retained messages come at the lower of stored and granted QoS, and their ids are tracked inside the window.
func TestPitfall064_LowerQoS(t *testing.T) {
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 2}})
		pub := mqttest.Connect(t, s, nil)
		for q := range mqttx.QoS(3) {
			pub.Send(&packet.Publish{Topic: fmt.Append(nil, "t/", q), Payload: fmt.Append(nil, q), QoS: q, PacketID: uint16(q), Retain: true})
		}
		mqttest.Expect[*packet.Puback](pub)
		mqttest.Expect[*packet.Pubrec](pub)
		for granted := range mqttx.QoS(3) {
			p := p63Clean(fmt.Sprint("reader", granted), v)
			if v == mqttx.V5 {
				p.ReceiveMaximum = 2
			}
			r := mqttest.Connect(t, s, p)
			p63Code(t, "SUBACK", r.Subscribe("t/+", granted), mqttx.ReasonCode(granted))
			for range 3 {
				m := r.Receive()
				if want := min(granted, mqttx.QoS(m.Payload[0]-'0')); m.QoS != want || !m.Retain {
					t.Errorf("granted %d: %s, want QoS %d", granted, mqttest.Format(m), want)
				}
			}
			r.Nothing()
			r.Drop()
		}
		for i := range 5 {
			pub.Send(&packet.Publish{Topic: fmt.Append(nil, "w/", i), Payload: []byte("x"), QoS: 1, PacketID: uint16(i + 1), Retain: true})
			mqttest.Expect[*packet.Puback](pub)
		}
		p := p63Clean("window", v)
		if v == mqttx.V5 {
			p.ReceiveMaximum = 2
		}
		r := mqttest.Connect(t, s, p)
		r.Subscribe("w/+", 1)
		first := mqttest.Expect[*packet.Publish](r)
		mqttest.Expect[*packet.Publish](r)
		r.Nothing()
		r.Send(&packet.Puback{PacketID: first.PacketID})
		for range 3 {
			r.Receive()
		}
		r.Nothing()
		if q := s.Stats().Queued; q != 1 {
			t.Errorf("%d messages open, want the one without PUBACK", q)
		}
	})
}

// A replay that a takeover cuts goes on: none is lost, none comes twice, and it takes no memory for its length.
func TestPitfall065_TakeoverDuringReplay(t *testing.T) {
	const all, payload = 3000, 2048
	p63Each(t, func(t *testing.T, v mqttx.Version) {
		s := p63Start(t, &mqttx.Server{Limits: mqttx.Limits{Inflight: 20}})
		for i := range all {
			m := &mqttx.Message{Topic: fmt.Sprint("big/", i), Payload: make([]byte, payload), QoS: 1, Retain: true}
			if err := s.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		p := p63Keeps("slow", v)
		if v == mqttx.V5 {
			p.ReceiveMaximum = 20
		}
		before := p63Heap()
		seen := map[string]int{}
		r := mqttest.Connect(t, s, p)
		r.Subscribe("big/#", 1)
		synctest.Wait()
		if st := s.Stats(); st.Queued != 20 {
			t.Errorf("%d messages are queued, want the window", st.Queued)
		}
		if grown := p63Heap() - before; grown > all*payload/8 {
			t.Errorf("the replay takes %d bytes", grown)
		}
		for range all / 3 {
			seen[string(r.Receive().Topic)]++
		}
		next := mqttest.Connect(t, s, p)
		if !next.Connack.SessionPresent && v != mqttx.V31 {
			t.Error("no session present")
		}
		for len(seen) < all {
			m := next.Receive()
			if seen[string(m.Topic)]++; seen[string(m.Topic)] > 1 && !m.Dup {
				t.Errorf("%s has come %d times", m.Topic, seen[string(m.Topic)])
			}
		}
		next.Nothing()
		if q := s.Stats().Queued; q != 0 {
			t.Errorf("%d messages are left", q)
		}
	})
}

// p66Row is one way to subscribe, and whether the retained message comes for each Retain Handling.
type p66Row struct {
	name   string
	before func(t *testing.T, s *mqttx.Server, c *mqttest.Client, f packet.Filter) *mqttest.Client
	comes  [3]bool
}

// Retain Handling is judged by whether the subscription is there, in this session and not in this connection.
func TestPitfall066_RetainHandling(t *testing.T) {
	rows := []p66Row{
		{"new", func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client, _ packet.Filter) *mqttest.Client { return c }, [3]bool{true, true, false}},
		{"repeated", func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client, f packet.Filter) *mqttest.Client {
			p63Subscribe(c, f)
			return c
		}, [3]bool{true, false, false}},
		{"resumed", func(t *testing.T, s *mqttx.Server, c *mqttest.Client, f packet.Filter) *mqttest.Client {
			p63Subscribe(c, f)
			c.Drop()
			return mqttest.Connect(t, s, p63Keeps("c", mqttx.V5))
		}, [3]bool{true, false, false}},
		{"after UNSUBSCRIBE", func(_ *testing.T, _ *mqttx.Server, c *mqttest.Client, f packet.Filter) *mqttest.Client {
			p63Subscribe(c, f)
			c.Unsubscribe(f.Filter)
			return c
		}, [3]bool{true, true, false}},
		{"after Clean Start", func(t *testing.T, s *mqttx.Server, c *mqttest.Client, f packet.Filter) *mqttest.Client {
			p63Subscribe(c, f)
			c.Drop()
			return mqttest.Connect(t, s, p63Clean("c", mqttx.V5))
		}, [3]bool{true, true, false}},
	}
	for _, row := range rows {
		for h := range byte(3) {
			p63Bubble(t, fmt.Sprint(row.name, " ", h), func(t *testing.T) {
				s := p63Start(t, &mqttx.Server{})
				f := packet.Filter{Filter: "t/#", QoS: 1, RetainHandling: 2}
				c := row.before(t, s, mqttest.Connect(t, s, p63Keeps("c", mqttx.V5)), f)
				c.Nothing()
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: "other", Payload: []byte("x"), Retain: true}); err != nil {
					t.Fatal(err)
				}
				pub := mqttest.Connect(t, s, nil)
				pub.Send(&packet.Publish{Topic: []byte("t/1"), Payload: []byte("kept"), Retain: true})
				pub.Nothing()
				if row.name == "repeated" || row.name == "resumed" {
					p63Gets(t, c, "kept") // live
				}
				f.RetainHandling = h
				p63Code(t, "SUBACK", p63Subscribe(c, f), 1)
				if row.comes[h] {
					if m := c.Receive(); !m.Retain || string(m.Topic) != "t/1" {
						t.Errorf("got %s", mqttest.Format(m))
					}
				}
				c.Nothing()
			})
		}
	}
}

// Count and bytes of retained messages are limited; what is there can still be replaced, and deleted.
func TestPitfall067_RetainedLimits(t *testing.T) {
	for name, lim := range map[string]mqttx.Limits{"count": {Retained: 2}, "bytes": {RetainedBytes: 1500}} {
		for _, v := range p63Versions {
			p63Bubble(t, name+" "+v.String(), func(t *testing.T) {
				s := p63Start(t, &mqttx.Server{Limits: lim})
				sub := mqttest.Connect(t, s, nil)
				sub.Subscribe("#", 0)
				pub := mqttest.Connect(t, s, p63Clean("pub", v))
				set := func(id uint16, topic, fill string) mqttx.ReasonCode {
					p := &packet.Publish{Topic: []byte(topic), QoS: 1, PacketID: id, Retain: true}
					if fill != "" {
						p.Payload = append(make([]byte, 500), fill...)
					}
					return p63Send(pub, p)
				}
				p63Code(t, "first", set(1, "a", "1"), mqttx.Success)
				p63Code(t, "second", set(2, "b", "1"), mqttx.Success)
				sub.Receive()
				sub.Receive()
				over := mqttx.Success
				if v == mqttx.V5 {
					over = mqttx.QuotaExceeded
				}
				p63Code(t, "over the limit", set(3, "c", "1"), over)
				if v != mqttx.V5 {
					sub.Receive()
				}
				sub.Nothing()
				if st := s.Stats(); st.Retained != 2 || v != mqttx.V5 && st.Dropped[mqttx.DropRetainedFull] != 1 {
					t.Errorf("%d retained, dropped %v", st.Retained, st.Dropped)
				}
				p63Code(t, "replacing", set(4, "b", "2"), mqttx.Success)
				p63Code(t, "deleting", set(5, "a", ""), mqttx.Success)
				p63Code(t, "in its place", set(6, "c", "2"), mqttx.Success)
				for range 3 {
					sub.Receive()
				}
				late := mqttest.Connect(t, s, nil)
				late.Subscribe("#", 0)
				kept := map[string]byte{}
				for range 2 {
					m := late.Receive()
					kept[string(m.Topic)] = m.Payload[500]
				}
				late.Nothing()
				if !maps.Equal(kept, map[string]byte{"b": '2', "c": '2'}) {
					t.Errorf("kept %v", kept)
				}
			})
		}
	}
}
