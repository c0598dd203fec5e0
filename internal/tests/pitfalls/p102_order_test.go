package pitfalls_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p102Packets is one packet of each of the 16 types, and what answers it after CONNECT: "" nothing, "83" and the like
// DISCONNECT, else the type of a packet.
var p102Packets = []struct{ bytes, answer string }{
	{"\x00\x00", "81"},
	{"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01x", "82"},
	{"\x20\x03\x00\x00\x00", "82"},
	{"\x30\x05\x00\x01t\x00x", ""},
	{"\x40\x02\x00\x09", ""},
	{"\x50\x02\x00\x09", "PUBREL"},
	{"\x62\x02\x00\x09", "PUBCOMP"},
	{"\x70\x02\x00\x09", ""},
	{"\x82\x07\x00\x09\x00\x00\x01t\x00", "SUBACK"},
	{"\x90\x04\x00\x09\x00\x00", "82"},
	{"\xa2\x06\x00\x09\x00\x00\x01t", "UNSUBACK"},
	{"\xb0\x04\x00\x09\x00\x00", "82"},
	{"\xc0\x00", "PINGRESP"},
	{"\xd0\x00", "82"},
	{"\xe0\x00", "closed"},
	{"\xf0\x00", "82"},
}

// Every type before CONNECT and twice after it, on every transport: closed without a byte, answered, or ended with a code.
func TestPitfall102_EveryType(t *testing.T) {
	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
		s := &mqttx.Server{}
		n := on.Start(t, s)
		other := n.Connect(nil)
		for i, p := range p102Packets {
			name := fmt.Sprintf("type %d", i)
			if i != 1 {
				c := n.Dial()
				c.Write([]byte(p.bytes + p.bytes))
				c.Closed()
				if raw := c.Raw(); len(raw) != 0 {
					t.Errorf("%s before CONNECT is answered % x", name, raw)
				}
			}
			c := n.Connect(p63Clean(name, mqttx.V5))
			c.Write([]byte(p.bytes + p.bytes))
			switch {
			case p.answer == "":
				c.Nothing()
			case p.answer == "closed":
				c.Closed()
			case len(p.answer) == 2:
				if got := fmt.Sprintf("%02x", byte(mqttest.Expect[*packet.Disconnect](c).Code)); got != p.answer {
					t.Errorf("%s ends with %s, want %s", name, got, p.answer)
				}
				c.Closed()
			default:
				for range 2 {
					if got := c.Next().Type().String(); got != p.answer {
						t.Errorf("%s is answered with %s, want %s", name, got, p.answer)
					}
				}
			}
		}
		other.Nothing()
	})
}

// Random sequences of shared and ordinary subscriptions and ends, against a small model; nothing is left at the end.
func TestPitfall103_RandomSequences(t *testing.T) {
	for seed := range uint64(20) {
		p63Bubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 103))
			s := p63Start(t, &mqttx.Server{})
			filters := []string{"a/b", "a/+", "#", "$share/g/a/b", "$share/g/#", "$share/h/a/+", "c"}
			clients, subs := make([]*mqttest.Client, 4), make([]map[string]bool, 4)
			pub := mqttest.Connect(t, s, nil)
			for range 150 {
				k := r.IntN(len(clients))
				if clients[k] == nil {
					clients[k], subs[k] = mqttest.Connect(t, s, p63Clean(fmt.Sprint("c", k), mqttx.V5)), map[string]bool{}
				}
				c, f := clients[k], filters[r.IntN(len(filters))]
				switch r.IntN(6) {
				case 0, 1:
					p63Code(t, f, c.Subscribe(f, 1), 1)
					subs[k][f] = true
				case 2:
					want := mqttx.NoSubscriptionExisted
					if subs[k][f] {
						want = mqttx.Success
					}
					p63Code(t, f, c.Unsubscribe(f), want)
					delete(subs[k], f)
				case 3:
					if r.IntN(2) == 0 {
						c.Disconnect(0)
					} else {
						c.Drop()
					}
					clients[k] = nil
				default:
					p103Publish(t, pub, clients, subs)
				}
			}
			for _, c := range append(clients, pub) {
				if c != nil {
					c.Drop()
				}
			}
			p63Empty(t, s)
		})
	}
}

// p103Publish publishes to a/b and counts the copies that come: one for each client with an ordinary subscription, one for
// each group.
func p103Publish(t *testing.T, pub *mqttest.Client, clients []*mqttest.Client, subs []map[string]bool) {
	t.Helper()
	groups := map[string]bool{}
	least := make([]int, len(clients))
	total := 0
	for k, c := range clients {
		if c == nil {
			continue
		}
		for f := range subs[k] {
			switch {
			case f == "c":
			case strings.HasPrefix(f, "$share/"):
				groups[f] = true
			default:
				least[k] = 1
			}
		}
		total += least[k]
	}
	total += len(groups)
	pub.Publish("a/b", "x", 1)
	synctest.Wait()
	got := 0
	for k, c := range clients {
		if c == nil {
			continue
		}
		c.Send(&packet.Pingreq{})
		n := 0
		for {
			p := c.Next()
			if m, ok := p.(*packet.Publish); ok {
				c.Send(&packet.Puback{PacketID: m.PacketID})
				n++
				continue
			}
			break // PINGRESP
		}
		if n < least[k] {
			t.Errorf("%s has got %d copies, want %d at least", c.ClientID, n, least[k])
		}
		got += n
	}
	if got != total {
		t.Errorf("%d copies have come, want %d", got, total)
	}
}

// Ids of QoS 2 messages that are never released are kept within Receive Maximum, over a restart too, and nothing but ids.
func TestPitfall104_NeverReleased(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		const most = 50
		store := &mqttest.MemStore{}
		var s *mqttx.Server
		for round := range 3 {
			s = p63Start(t, &mqttx.Server{Store: store, Limits: mqttx.Limits{ReceiveMaximum: most}})
			sub := mqttest.Connect(t, s, nil)
			sub.Subscribe("t", 0)
			c := mqttest.Connect(t, s, p63Keeps("c", mqttx.V5))
			for id := uint16(1); id <= most; id++ {
				p63Code(t, "PUBREC", p63Send(c, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 1000), QoS: 2, PacketID: id, Dup: round > 0}), mqttx.Success)
				if round == 0 {
					sub.Receive()
				}
			}
			sub.Nothing()
			c.Send(&packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: most + 1})
			p63Bye(t, c, mqttx.ReceiveMaximumExceeded)
			sub.Nothing()
			if n := store.Len(); n > most+10 {
				t.Errorf("%d records for %d ids", n, most)
			}
			if round < 2 {
				s.Close()
			}
		}
		c := mqttest.Connect(t, s, p63Keeps("c", mqttx.V5))
		for id := uint16(1); id <= most; id++ {
			c.Send(&packet.Pubrel{PacketID: id})
			p63Code(t, "PUBCOMP", mqttest.Expect[*packet.Pubcomp](c).Code, mqttx.Success)
		}
		p63Code(t, "a new one", p63Send(c, &packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 1}), mqttx.Success)
		if err := s.EndSession(t.Context(), "c"); err != nil {
			t.Error(err)
		}
		c.Next()
		c.Closed()
		s.Close()
		if n := store.Len(); n > 3 {
			t.Errorf("%d records are left of an ended session", n)
		}
	})
}

// What a client writes is quoted, cut, and repeated no more often than a few times a second.
func TestPitfall107_ForgedLogLines(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		var log bytes.Buffer
		s := p63Start(t, &mqttx.Server{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		evil := "x\nlevel=ERROR msg=forged\r\n" + strings.Repeat("long", 500)
		for range 200 {
			c := mqttest.Connect(t, s, p63Clean(evil, mqttx.V5))
			c.Subscribe("\nlevel=ERROR msg=forged/#/", 0)
			c.Send(&packet.Publish{Topic: []byte("$SYS/\nlevel=ERROR msg=forged"), QoS: 1, PacketID: 1})
			mqttest.Expect[*packet.Puback](c)
			c.Write([]byte{0x20, 0})
			mqttest.Expect[*packet.Disconnect](c)
			c.Drop()
		}
		s.Close()
		count := map[string]int{}
		for line := range strings.Lines(log.String()) {
			if !strings.HasPrefix(line, "time=") || len(line) > 2000 {
				t.Errorf("line of %d bytes: %.200q", len(line), line)
			}
			_, msg, _ := strings.Cut(line, " msg=")
			count[msg[:min(len(msg), 12)]]++
		}
		if len(count) == 0 {
			t.Error("nothing is logged")
		}
		for msg, n := range count {
			if n > 25 {
				t.Errorf("%q is logged %d times in a moment", msg, n)
			}
		}
		if !slices.ContainsFunc(strings.Split(log.String(), "\n"), func(l string) bool { return strings.Contains(l, `\nlevel=ERROR`) }) {
			t.Error("the name is not shown quoted")
		}
	})
}
