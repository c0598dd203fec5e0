package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// DISCONNECT comes after all that was handed over, and nothing after it
// [MQTT-3.14.4-1]; the connection ends when the server closes it.
func TestDisconnect(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		delivered := 0
		c, p := start(t, client.Options{Version: v, OnMessage: func(*packet.Publish) { delivered++ }}, nil)
		var ended []error
		for _, m := range []*packet.Publish{message(0, "last"), message(1, "open"), message(2, "open")} {
			err := c.PublishAsync(t.Context(), m, func(_ client.Ack, err error) { ended = append(ended, err) })
			if err != nil {
				t.Fatal(err)
			}
		}
		d := &packet.Disconnect{Code: packet.DisconnectWithWillMessage, ReasonString: "bye"}
		if err := c.Disconnect(d); err != nil {
			t.Fatal(err)
		}
		p.wantPublish(message(0, "last"))
		acked, open := p.wantPublish(message(1, "open")), p.wantPublish(message(2, "open"))
		p.want(d)

		// An acknowledgement is still taken, but nothing else is answered or delivered.
		p.send(&packet.Puback{PacketID: acked}, &packet.Pubrec{PacketID: open}, &packet.Pubrec{PacketID: 9},
			inbound(0, 0, ""), inbound(1, 1, ""), inbound(2, 2, ""), &packet.Pubrel{PacketID: 3})
		p.quiet()
		if err := c.Disconnect(nil); !errors.Is(err, client.ErrClosed) {
			t.Errorf("second Disconnect: %v", err)
		}
		if _, err := c.Publish(t.Context(), message(0, "")); !errors.Is(err, client.ErrClosed) {
			t.Errorf("Publish after Disconnect: %v", err)
		}
		begin := time.Now()
		p.nc.Close()
		wantEnd(t, c, client.ErrClosed)
		if took := time.Since(begin); took != 0 {
			t.Errorf("ended after %v", took)
		}
		if len(ended) != 3 || ended[0] != nil || ended[1] != nil || !errors.Is(ended[2], net.ErrClosed) {
			t.Errorf("done: %v", ended)
		}
		if delivered > 0 {
			t.Errorf("%d messages delivered after Disconnect", delivered)
		}
	})
}

// The client closes by itself when the server does not [MQTT-3.14.4-2].
func TestDisconnectServerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)
		begin := time.Now()
		if err := c.Shutdown(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("ended after %v", took)
		}
		p.want(&packet.Disconnect{})
		p.ended()
		if err := c.Shutdown(t.Context(), nil); !errors.Is(err, client.ErrClosed) {
			t.Errorf("second Shutdown: %v", err)
		}
	})
}

func TestShutdownCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := startUnread(t, client.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Shutdown(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		wantEnd(t, c, client.ErrClosed)
	})
}

func TestDisconnectBadPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)
		if err := c.Disconnect(&packet.Disconnect{Code: packet.GrantedQoS1}); !errors.Is(err, packet.ProtocolError) {
			t.Errorf("error %v", err)
		}
		(<-publish(t, c, message(0, ""))).want(t, client.Ack{}, nil)
		p.wantPublish(message(0, ""))
	})
}

// The message in whose OnMessage Disconnect is called is acknowledged, the next is not.
func TestDisconnectInOnMessage(t *testing.T) {
	for _, qos := range []packet.QoS{0, 1, 2} {
		run(t, func(t *testing.T, v packet.Version) {
			var c *client.Client
			count := 0
			o := client.Options{Version: v, OnMessage: func(*packet.Publish) {
				count++
				if err := c.Disconnect(nil); err != nil {
					t.Error(err)
				}
			}}
			c, p := start(t, o, nil)
			p.send(inbound(qos, uint16(qos), "1"), inbound(qos, 2*uint16(qos), "2"))
			switch qos {
			case 1:
				p.want(&packet.Puback{PacketID: 1})
			case 2:
				p.want(&packet.Pubrec{PacketID: 2})
			}
			p.want(&packet.Disconnect{})
			p.nc.Close()
			wantEnd(t, c, client.ErrClosed)
			if count != 1 {
				t.Errorf("%d messages delivered", count)
			}
		})
	}
}

func TestClose(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v, KeepAlive: time.Minute}, &packet.Connack{ReceiveMaximum: 1})
		open := publish(t, c, message(1, ""))
		p.wantPublish(message(1, ""))
		waits := publish(t, c, message(2, ""))
		sub := later(func() error {
			_, err := c.Subscribe(t.Context(), &packet.Subscribe{Filters: []packet.Filter{{Filter: "a"}}})
			return err
		})
		ping := later(func() error { return c.Ping(t.Context()) })
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, c, client.ErrClosed)
		for _, ch := range []<-chan outcome{open, waits} {
			(<-ch).want(t, client.Ack{}, client.ErrClosed)
		}
		for _, ch := range []<-chan error{sub, ping} {
			if err := <-ch; !errors.Is(err, client.ErrClosed) {
				t.Errorf("error %v", err)
			}
		}
		after := map[string]error{
			"Ping":       c.Ping(t.Context()),
			"TryPublish": c.TryPublish(message(1, ""), nil),
			"Disconnect": c.Disconnect(nil),
		}
		_, after["Publish"] = c.Publish(t.Context(), message(1, ""))
		_, after["Unsubscribe"] = c.Unsubscribe(t.Context(), &packet.Unsubscribe{Filters: []string{"a"}})
		for name, err := range after {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
		c.Close()
	})
}

func TestCloseInCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *client.Client
		c, p := start(t, client.Options{OnMessage: func(*packet.Publish) { c.Close() }}, nil)
		p.send(inbound(1, 1, ""))
		p.ended()
		wantEnd(t, c, client.ErrClosed)
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)
		if err := c.PublishAsync(t.Context(), message(1, ""), func(client.Ack, error) { c.Close() }); err != nil {
			t.Fatal(err)
		}
		p.send(&packet.Puback{PacketID: p.wantPublish(message(1, ""))})
		p.ended()
		wantEnd(t, c, client.ErrClosed)
	})
}

func TestServerDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)
		done := publish(t, c, message(1, ""))
		p.wantPublish(message(1, ""))
		p.send(&packet.Disconnect{Code: packet.SessionTakenOver, ReasonString: "by another"})
		p.ended()
		wantEnd(t, c, packet.SessionTakenOver)
		(<-done).want(t, client.Ack{}, packet.SessionTakenOver)
		want := `disconnected by the server: Session taken over (0x8E): "by another"`
		if err := c.Err(); err.Error() != want {
			t.Errorf("Err: %q, want %q", err, want)
		}
		var d *client.DisconnectError
		if !errors.As(c.Err(), &d) || d.ReasonString != "by another" {
			t.Errorf("Err: %#v", c.Err())
		}
	})
}

func TestServerDisconnectNormally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{}, nil)
		p.send(&packet.Disconnect{})
		p.ended()
		<-c.Done()
		if want := "disconnected by the server: Normal disconnection (0x00)"; c.Err().Error() != want {
			t.Errorf("Err: %q, want %q", c.Err(), want)
		}
	})
}

func TestServerCloses(t *testing.T) {
	for sent, text := range map[string]string{
		"":             "server closed the connection",
		"\x30\x7fhalf": "server closed the connection in the middle of a packet",
	} {
		run(t, func(t *testing.T, v packet.Version) {
			c, p := start(t, client.Options{Version: v}, nil)
			done := publish(t, c, message(2, ""))
			p.send(&packet.Pubrec{PacketID: p.wantPublish(message(2, ""))})
			synctest.Wait()
			if sent != "" {
				p.sendRaw([]byte(sent))
			}
			p.nc.Close()
			wantEnd(t, c, client.ErrServerClosed)
			(<-done).want(t, client.Ack{}, client.ErrServerClosed)
			if c.Err().Error() != text {
				t.Errorf("Err: %q, want %q", c.Err(), text)
			}
		})
	}
}

// failing is a connection whose writes fail from some moment on while reads go on.
type failing struct {
	net.Conn
	broken chan struct{}
}

var errBroken = errors.New("broken")

func (f *failing) Write(b []byte) (int, error) {
	select {
	case <-f.broken:
		return 0, errBroken
	default:
		return f.Conn.Write(b)
	}
}

// After a failed write the server's last words are still heard.
func TestWriteFails(t *testing.T) {
	for name, test := range map[string]struct {
		last packet.Packet
		want error
	}{
		"silence":    {nil, errBroken},
		"DISCONNECT": {&packet.Disconnect{Code: packet.MessageRateTooHigh}, packet.MessageRateTooHigh},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				p := newPeer(t, far, packet.V5)
				nc := &failing{near, make(chan struct{})}
				made := later(func() result {
					c, err := client.New(t.Context(), nc, client.Options{})
					return result{c, err}
				})
				p.next()
				p.send(&packet.Connack{})
				c := (<-made).c
				close(nc.broken)
				if _, err := c.Publish(t.Context(), message(0, "")); !errors.Is(err, errBroken) {
					t.Errorf("QoS 0: %v", err)
				}
				if _, err := c.Publish(t.Context(), message(1, "")); !errors.Is(err, errBroken) {
					t.Errorf("QoS 1: %v", err)
				}
				if test.last != nil {
					p.send(test.last)
				}
				wantEnd(t, c, test.want)
				if test.last == nil && !strings.HasPrefix(c.Err().Error(), "connection lost: ") {
					t.Errorf("Err: %v", c.Err())
				}
			})
		})
	}
}

// A server that neither reads nor closes does not keep the reader after a fault.
func TestFaultWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := startUnread(t, client.Options{})
		p.sendRaw([]byte{0, 0})
		stopped := later(func() error {
			for {
				if _, err := p.nc.Write([]byte("more")); err != nil {
					return err
				}
				<-time.After(100 * time.Millisecond)
			}
		})
		wantEnd(t, c, packet.MalformedPacket)
		<-stopped
	})
}
