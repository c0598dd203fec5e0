package stress

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// Two clients that flood each other and read nothing meanwhile are both read to the end, and every message is accounted
// for; then they get what was kept for them, in order.
func TestFloodEachOther(t *testing.T) {
	const each, size = 2000, 8 << 10
	for name, serve := range drivers {
		for qos := range packet.QoS(2) {
			t.Run(fmt.Sprintf("%s/QoS %d", name, qos), func(t *testing.T) {
				srv := &mqttx.Server{}
				addr := serving(t, srv, serve)
				a := joins(t, addr, "to/a", &packet.Connect{Version: packet.V5, ClientID: "a"}, qos)
				b := joins(t, addr, "to/b", &packet.Connect{Version: packet.V311, ClientID: "b"}, qos)
				a.topic, b.topic = "to/b", "to/a"
				var both sync.WaitGroup
				for _, c := range []*peer{a, b} {
					both.Go(func() {
						if err := c.flood(each, size); err != nil {
							t.Errorf("%s: %v", c.id, err)
						}
					})
				}
				both.Wait()
				for range 2 { // what the other has sent last may come behind the first answer
					for _, c := range []*peer{a, b} {
						both.Go(func() {
							if err := c.drain(each); err != nil {
								t.Errorf("%s: %v", c.id, err)
							}
						})
					}
					both.Wait()
				}
				st := srv.Stats()
				if st.Published != 2*each || int64(len(a.got)+len(b.got))+st.Dropped[mqttx.DropOutboxFull] != 2*each {
					t.Errorf("%d and %d messages have come: %+v", len(a.got), len(b.got), st)
				}
				if qos == 1 && len(a.got)+len(b.got) != 2*each {
					t.Errorf("%d and %d messages have come", len(a.got), len(b.got))
				}
			})
		}
	}
}

// flood sends numbered messages without reading.
func (p *peer) flood(count, size int) error {
	for i := range count {
		m := &packet.Publish{Topic: []byte(p.topic), Payload: fmt.Appendf(nil, "%0*d", size, i), QoS: p.qos}
		if p.qos > 0 {
			m.PacketID = uint16(i + 1)
		}
		p.send(m)
		if err := p.flush(); err != nil {
			return err
		}
	}
	return nil
}

// drain reads until the answer to a PINGREQ, all acknowledgements and, above QoS 0, all messages have come.
func (p *peer) drain(count int) error {
	p.send(&packet.Pingreq{})
	if err := p.flush(); err != nil {
		return err
	}
	for pong := false; !pong || p.qos > 0 && (p.acked < count || len(p.got) < count); {
		x, err := p.read()
		if err != nil {
			return fmt.Errorf("after %d messages and %d acknowledgements: %w", len(p.got), p.acked, err)
		}
		switch x := x.(type) {
		case *packet.Pingresp:
			pong = true
		case *packet.Puback:
			if p.acked++; x.Code >= 0x80 || int(x.PacketID) != p.acked {
				return fmt.Errorf("PUBACK %d is %v of %d", p.acked, x.Code, x.PacketID)
			}
		case *packet.Publish:
			if n := len(p.got); n > 0 && string(x.Payload) <= p.got[n-1] {
				return fmt.Errorf("message %d is out of order", n)
			}
			p.got = append(p.got, string(x.Payload))
			if x.QoS > 0 {
				p.out = packet.AppendAck(p.out, packet.TypePuback, x.PacketID)
				if err := p.flush(); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("unexpected %T", x)
		}
	}
	return nil
}

// A subscriber that stops reading costs the server no more than its queue and its outbox, and the others nothing: they get
// every message, and each one that is lost is counted.
func TestStoppedReader(t *testing.T) {
	const publishers, readers, rounds, size, most = 6, 3, 60, 60 << 10, 2 << 20
	for name, serve := range drivers {
		t.Run(name, func(t *testing.T) {
			srv := &mqttx.Server{Limits: mqttx.Limits{QueuedBytes: most}}
			addr := serving(t, srv, serve)
			joins(t, addr, "t/#", &packet.Connect{Version: packet.V5, ClientID: "stopped"}, 1)
			var subs, pubs []*peer
			for i := range readers {
				subs = append(subs, joins(t, addr, "t/#", &packet.Connect{Version: packet.V5, ClientID: fmt.Sprint("sub", i)}, 1))
			}
			for i := range publishers {
				pubs = append(pubs, joins(t, addr, "", &packet.Connect{Version: packet.V5, ClientID: fmt.Sprint("pub", i)}, 0))
			}
			var begun, end runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&begun)
			for range rounds {
				var all sync.WaitGroup
				for i, c := range pubs {
					all.Go(func() {
						c.send(&packet.Publish{Topic: fmt.Append(nil, "t/", i), Payload: make([]byte, size), QoS: 1, PacketID: 1})
						if err := c.flush(); err != nil {
							t.Error(err)
						} else if x, err := c.read(); err != nil {
							t.Errorf("%s: %v %v", c.id, x, err)
						}
					})
				}
				for _, c := range subs {
					all.Go(func() {
						for range publishers {
							x, err := c.read()
							m, ok := x.(*packet.Publish)
							if !ok || len(m.Payload) != size {
								t.Errorf("%s: %T, %v", c.id, x, err)
								return
							}
							c.out = packet.AppendAck(c.out, packet.TypePuback, m.PacketID)
							c.flush()
						}
					})
				}
				if all.Wait(); t.Failed() {
					return
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&end)
			st := srv.Stats()
			if grown := int64(end.HeapAlloc) - int64(begun.HeapAlloc); grown > most+8<<20 {
				t.Errorf("the heap has grown by %d bytes: %+v", grown, st)
			}
			lost := st.Dropped[mqttx.DropQueueFull]
			if lost == 0 || st.QueuedBytes > most+publishers*size || lost+st.Queued+st.Delivered != publishers*rounds*(readers+1) {
				t.Errorf("the sums do not agree: %+v", st)
			}
		})
	}
}
