package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

func TestPublishQoS0(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		m := message(0, "hello")
		(<-publish(t, c, m)).want(t, client.Ack{}, nil)
		p.wantPublish(m)
		p.quiet()
	})
}

func TestPublishQoS1(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		m := message(1, "hello")
		m.Retain = true
		m.PacketID = 999 // not looked at
		done := publish(t, c, m)
		id := p.wantPublish(m)
		p.quiet()
		if len(done) > 0 {
			t.Fatal("Publish has returned before PUBACK")
		}
		p.send(&packet.Puback{PacketID: id})
		(<-done).want(t, client.Ack{}, nil)
		if m.PacketID != 999 {
			t.Error("Publish has changed the packet")
		}
	})
}

func TestPublishQoS2(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		m := message(2, "hello")
		done := publish(t, c, m)
		id := p.wantPublish(m)
		p.send(&packet.Pubrec{PacketID: id})
		p.want(&packet.Pubrel{PacketID: id})
		p.send(&packet.Pubrec{PacketID: id}) // once more
		p.want(&packet.Pubrel{PacketID: id})
		p.quiet()
		if len(done) > 0 {
			t.Fatal("Publish has returned before PUBCOMP")
		}
		p.send(&packet.Pubcomp{PacketID: id})
		(<-done).want(t, client.Ack{}, nil)
	})
}

func TestPublishCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)

		done := publish(t, c, message(1, ""))
		id := p.wantPublish(message(1, ""))
		p.send(&packet.Puback{PacketID: id, Code: packet.NotAuthorized, ReasonString: "no"})
		(<-done).want(t, client.Ack{Code: packet.NotAuthorized, ReasonString: "no"}, nil)

		done = publish(t, c, message(2, ""))
		id = p.wantPublish(message(2, ""))
		p.send(&packet.Pubrec{PacketID: id, Code: packet.QuotaExceeded, ReasonString: "full"})
		(<-done).want(t, client.Ack{Code: packet.QuotaExceeded, ReasonString: "full"}, nil)
		p.quiet() // no PUBREL [MQTT-4.3.3-4]

		done = publish(t, c, message(2, ""))
		id = p.wantPublish(message(2, ""))
		p.send(&packet.Pubrec{PacketID: id, Code: packet.NoMatchingSubscribers})
		p.want(&packet.Pubrel{PacketID: id})
		p.send(&packet.Pubcomp{PacketID: id})
		(<-done).want(t, client.Ack{Code: packet.NoMatchingSubscribers}, nil)

		done = publish(t, c, message(2, ""))
		id = p.wantPublish(message(2, ""))
		p.send(&packet.Pubrec{PacketID: id})
		p.want(&packet.Pubrel{PacketID: id})
		p.send(&packet.Pubcomp{PacketID: id, Code: packet.PacketIdentifierNotFound})
		(<-done).want(t, client.Ack{Code: packet.PacketIdentifierNotFound}, nil)
	})
}

// [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15] [MQTT-3.2.2-17] [MQTT-3.2.2-18]
func TestPublishWithinServerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, &packet.Connack{
			MaximumQoS: ptr(packet.QoS(1)), RetainAvailable: ptr(false), MaximumPacketSize: 20, TopicAliasMaximum: ptr(uint16(2)),
			ReceiveMaximum: 1,
		})
		alias := func(n uint16) *packet.Publish {
			m := message(0, "")
			m.TopicAlias = n
			return m
		}
		retained, dup := message(0, ""), message(1, "")
		retained.Retain, dup.Dup = true, true
		size20 := strings.Repeat("x", 20-2-5-2-1)
		for _, test := range []struct {
			m    *packet.Publish
			want packet.ReasonCode
		}{
			{message(2, ""), packet.QoSNotSupported},
			{message(3, ""), packet.ProtocolError},
			{dup, packet.ProtocolError},
			{retained, packet.RetainNotSupported},
			{alias(3), packet.TopicAliasInvalid},
			{message(1, size20+"y"), packet.PacketTooLarge},
			{&packet.Publish{QoS: 1}, packet.ProtocolError}, // no topic
		} {
			_, err := c.Publish(t.Context(), test.m)
			var fault *packet.Error
			if !errors.As(err, &fault) || fault.Code != test.want {
				t.Errorf("%+v: %v, want %v", test.m, err, test.want)
			}
			if err := c.TryPublish(test.m, nil); !errors.Is(err, test.want) {
				t.Errorf("%+v: TryPublish: %v, want %v", test.m, err, test.want)
			}
		}
		p.quiet()

		// The one place of the Receive Maximum is still there.
		(<-publish(t, c, alias(2))).want(t, client.Ack{}, nil)
		p.wantPublish(alias(2))
		done := publish(t, c, message(1, size20))
		p.send(&packet.Puback{PacketID: p.wantPublish(message(1, size20))})
		(<-done).want(t, client.Ack{}, nil)

		_, err := c.Subscribe(t.Context(), &packet.Subscribe{Filters: []packet.Filter{{Filter: "a long topic filter"}}})
		if !errors.Is(err, packet.PacketTooLarge) {
			t.Errorf("Subscribe: %v", err)
		}
	})
}

// Only as many exchanges as the Receive Maximum says are open, and the others go in
// the order of the calls. [MQTT-3.3.4-7] [MQTT-3.3.4-8] [MQTT-4.9.0-2]
func TestReceiveMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, &packet.Connack{ReceiveMaximum: 2})
		var done []<-chan outcome
		for i := range 5 {
			done = append(done, publish(t, c, message(packet.QoS(1+i%2), fmt.Sprint(i))))
			synctest.Wait()
		}
		first := p.wantPublish(message(1, "0"))
		second := p.wantPublish(message(2, "1"))
		p.quiet()

		// QoS 0 and all else still go.
		(<-publish(t, c, message(0, "now"))).want(t, client.Ack{}, nil)
		p.wantPublish(message(0, "now"))
		ping := later(func() error { return c.Ping(t.Context()) })
		p.want(&packet.Pingreq{})
		p.send(&packet.Pingresp{})
		if err := <-ping; err != nil {
			t.Fatal(err)
		}

		p.send(&packet.Pubrec{PacketID: second}) // does not free a place
		p.want(&packet.Pubrel{PacketID: second})
		p.quiet()
		p.send(&packet.Puback{PacketID: first})
		third := p.wantPublish(message(1, "2"))
		p.quiet()
		p.send(&packet.Pubcomp{PacketID: second})
		fourth := p.wantPublish(message(2, "3"))
		p.quiet()
		p.send(&packet.Pubrec{PacketID: fourth, Code: packet.QuotaExceeded}) // does
		fifth := p.wantPublish(message(1, "4"))
		p.send(&packet.Puback{PacketID: third}, &packet.Puback{PacketID: fifth})
		for i, ch := range done {
			want := client.Ack{}
			if i == 3 {
				want.Code = packet.QuotaExceeded
			}
			(<-ch).want(t, want, nil)
		}
	})
}

func TestMaxInFlight(t *testing.T) {
	for _, test := range []struct {
		v       packet.Version
		max     int
		receive uint16
		want    int
	}{
		{packet.V311, 0, 0, 20},
		{packet.V31, 3, 0, 3},
		{packet.V311, 500, 0, 500},
		{packet.V5, 0, 0, 65535},
		{packet.V5, 0, 30, 30},
		{packet.V5, 4, 30, 4},
		{packet.V5, 40, 30, 30},
		{packet.V5, 70000, 0, 65535},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := client.Options{Version: test.v, MaxInFlight: test.max}
			c, _ := start(t, o, &packet.Connack{ReceiveMaximum: test.receive})
			n := 0
			for ; c.TryPublish(message(1, ""), nil) == nil; n++ {
			}
			if n != test.want {
				t.Errorf("%+v: %d in flight", test, n)
			}
		})
	}
}

// Whoever gives up waiting takes nobody's place with it.
func TestPublishCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, &packet.Connack{ReceiveMaximum: 1})
		ctx, cancel := context.WithCancel(t.Context())
		try := func(payload string) <-chan error {
			ch := later(func() error { _, err := c.Publish(ctx, message(1, payload)); return err })
			synctest.Wait()
			return ch
		}
		sent, waits := try("sent"), try("waits")
		stays := publish(t, c, message(1, "stays"))
		synctest.Wait()
		cancel()
		if err := <-sent; !errors.Is(err, context.Canceled) {
			t.Errorf("sent: %v", err)
		}
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Errorf("waits: %v", err)
		}
		id := p.wantPublish(message(1, "sent"))
		p.quiet()
		p.send(&packet.Puback{PacketID: id})
		id = p.wantPublish(message(1, "stays"))
		p.send(&packet.Puback{PacketID: id})
		(<-stays).want(t, client.Ack{}, nil)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := c.Publish(ctx, message(0, "")); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("QoS 0: %v", err)
		}
	})
}

// A caller that sends one message for each done keeps its number in flight.
func TestTryPublishClosedLoop(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		const inFlight, total = 3, 50
		c, p := start(t, client.Options{Version: v, MaxInFlight: inFlight}, nil)
		sent, acked := inFlight, 0
		finished := make(chan error, 1)
		var done func(client.Ack, error)
		done = func(_ client.Ack, err error) {
			acked++
			if err == nil && sent < total {
				sent++
				err = c.TryPublish(message(1, "x"), done)
			}
			if err != nil || acked == total {
				finished <- err
			}
		}
		for range inFlight {
			if err := c.TryPublish(message(1, "x"), done); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.TryPublish(message(1, "x"), nil); !errors.Is(err, client.ErrBusy) {
			t.Fatalf("one more: %v", err)
		}
		for range total {
			p.send(&packet.Puback{PacketID: p.wantPublish(message(1, "x"))})
		}
		if err := <-finished; err != nil {
			t.Fatal(err)
		}
		p.quiet()
	})
}

// A server that does not read stops publishers at the size of the buffer, and they
// go on when it reads.
func TestBufferFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := startUnread(t, client.Options{WriteBuffer: 1000})
		calls := 0
		m := message(0, strings.Repeat("x", 90))
		for ; ; calls++ {
			if err := c.TryPublish(m, func(client.Ack, error) {}); errors.Is(err, client.ErrBusy) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if calls < 10 || calls > 12 {
			t.Errorf("busy after %d messages of 98 bytes", calls)
		}
		waits := later(func() error { return c.PublishAsync(t.Context(), m, nil) })
		ctx, cancel := context.WithCancel(t.Context())
		gives := later(func() error { return c.PublishAsync(ctx, message(1, "x"), nil) })
		flush := later(func() error { return c.Flush(ctx) })
		synctest.Wait()
		if len(waits)+len(gives)+len(flush) > 0 {
			t.Fatal("did not wait")
		}
		cancel()
		for _, ch := range []<-chan error{gives, flush} {
			if err := <-ch; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		go p.read()
		if err := <-waits; err != nil {
			t.Error(err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		for range calls + 1 {
			p.wantPublish(m)
		}
		p.quiet()
	})
}

// What comes together while a write is under way goes out in one write.
func TestWritesAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := startUnread(t, client.Options{})
		for i := range 50 {
			if err := c.PublishAsync(t.Context(), message(0, fmt.Sprintf("%02d", i)), nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		one := len(encode(t, message(0, "00"), packet.V5))
		b := make([]byte, 100*one)
		for i, want := range []int{one, 49 * one} {
			if n, err := p.nc.Read(b); err != nil || n != want {
				t.Fatalf("write %d: %d bytes, %v; want %d", i, n, err, want)
			}
		}
	})
}

func TestConcurrentPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const publishers, each = 20, 30
		c, p := start(t, client.Options{WriteBuffer: 200}, &packet.Connack{ReceiveMaximum: 5})
		var wg sync.WaitGroup
		for i := range publishers {
			wg.Go(func() {
				for n := range each {
					m := message(packet.QoS(n%3), fmt.Sprintf("%d %d", i, n))
					if ack, err := c.Publish(t.Context(), m); err != nil || ack.Code != 0 {
						t.Errorf("%d %d: %v %v", i, n, ack, err)
					}
				}
			})
		}
		finished := later(func() bool { wg.Wait(); return true })
		open := make(map[uint16]bool)
		next := make(map[int]int)
		for count := 0; count < publishers*each || len(open) > 0; {
			switch m := p.next().(type) {
			case *packet.Publish:
				count++
				var i, n int
				if _, err := fmt.Sscanf(string(m.Payload), "%d %d", &i, &n); err != nil || n != next[i] {
					t.Fatalf("payload %q, want number %d", m.Payload, next[i])
				}
				next[i]++
				if m.QoS > 0 && (open[m.PacketID] || len(open) == 5) {
					t.Fatalf("Packet Identifier %d is in use, or %d are open", m.PacketID, len(open))
				}
				switch m.QoS {
				case 1:
					p.send(&packet.Puback{PacketID: m.PacketID})
				case 2:
					open[m.PacketID] = true
					p.send(&packet.Pubrec{PacketID: m.PacketID})
				}
			case *packet.Pubrel:
				delete(open, m.PacketID)
				p.send(&packet.Pubcomp{PacketID: m.PacketID})
			default:
				t.Fatalf("got %T", m)
			}
		}
		<-finished
	})
}
