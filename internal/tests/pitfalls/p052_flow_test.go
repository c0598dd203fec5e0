package pitfalls_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p52Slow is a client that reads 1 KB in a second of virtual time.
type p52Slow struct {
	t   *testing.T
	nc  net.Conn
	v   mqttx.Version
	buf []byte
}

func (c *p52Slow) send(p packet.Packet) {
	c.t.Helper()
	b, err := p.Append(nil, c.v)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next gives the next packet; nil: none has come for a minute.
func (c *p52Slow) next() packet.Packet {
	c.t.Helper()
	for {
		if h, n, err := packet.ParseHeader(c.buf); err != nil {
			c.t.Fatal(err)
		} else if n > 0 && len(c.buf) >= n+h.Length {
			p := packet.New(h.Type)
			if err := p.Parse(h, slices.Clone(c.buf[n:n+h.Length]), c.v); err != nil {
				c.t.Fatal(err)
			}
			c.buf = c.buf[n+h.Length:]
			return p
		}
		b := make([]byte, 1024)
		c.nc.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.nc.Read(b)
		if err != nil {
			return nil
		}
		mqttest.Advance(time.Second)
		c.buf = append(c.buf, b[:n]...)
	}
}

// Behind a line that is congested numbers ascend, for each topic and QoS, and of QoS 1 and 2 none is missing.
func TestPitfall052_SlowReader(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		const total = 10_000
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{ResendInterval: -1}})
		ours, theirs := mqttest.Pipe()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(context.Background(), theirs) }()
		c := &p52Slow{t: t, nc: ours, v: v}
		c.send(p1New("slow", v))
		c.next()
		c.send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t/+", QoS: 2}}})
		c.next()
		random := rand.New(rand.NewPCG(52, uint64(v)))
		sent := [3]int{}
		for i := range total {
			q := mqttx.QoS(random.IntN(3))
			size := 4 + random.IntN(30)
			if random.IntN(500) == 0 {
				size = 4 + random.IntN(20_000)
			}
			payload := make([]byte, size)
			binary.BigEndian.PutUint32(payload, uint32(i))
			if err := srv.Publish(t.Context(), &mqttx.Message{Topic: fmt.Sprint("t/", q), Payload: payload, QoS: q}); err != nil {
				t.Fatal(err)
			}
			sent[q]++
		}
		got, last := [3]int{}, [3]int{-1, -1, -1}
		for p := c.next(); p != nil; p = c.next() {
			switch p := p.(type) {
			case *packet.Publish:
				switch p.QoS {
				case 1:
					c.send(&packet.Puback{PacketID: p.PacketID})
				case 2:
					c.send(&packet.Pubrec{PacketID: p.PacketID})
				}
				n := int(binary.BigEndian.Uint32(p.Payload))
				if n <= last[p.QoS] || string(p.Topic) != fmt.Sprint("t/", p.QoS) {
					t.Fatalf("%d after %d on %s at QoS %d", n, last[p.QoS], p.Topic, p.QoS)
				}
				last[p.QoS] = n
				got[p.QoS]++
			case *packet.Pubrel:
				c.send(&packet.Pubcomp{PacketID: p.PacketID})
			}
		}
		st := srv.Stats()
		if dropped := int(st.Dropped[mqttx.DropOutboxFull]); got[0]+dropped != sent[0] || got[1] != sent[1] || got[2] != sent[2] || got[0] == 0 {
			t.Errorf("%v came, %d dropped, %v sent; %+v", got, dropped, sent, st)
		}
		ours.Close()
		<-served
	})
}
