package client_test

import (
	"bytes"
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

func TestConnectSendsAllOptions(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		o := client.Options{
			Version:           v,
			ClientID:          "me",
			CleanStart:        true,
			KeepAlive:         1500 * time.Millisecond,
			Username:          "user",
			Password:          []byte("word"),
			Will:              &packet.Will{Topic: "gone", Payload: []byte("x"), QoS: 1, Retain: true},
			SessionExpiry:     ptr(uint32(60)),
			ReceiveMaximum:    7,
			TopicAliasMaximum: 8,
			MaximumPacketSize: 900,
			User:              []packet.UserProperty{{Name: "k", Value: "v"}},
		}
		p, got, made := connect(t, t.Context(), o)
		want := &packet.Connect{
			Version: v, CleanStart: true, KeepAlive: 2, ClientID: "me", Username: "user", Password: []byte("word"),
			Will: o.Will, SessionExpiryInterval: o.SessionExpiry, ReceiveMaximum: 7, TopicAliasMaximum: 8,
			MaximumPacketSize: 900, User: o.User,
		}
		if !bytes.Equal(encode(t, got, v), encode(t, want, v)) {
			t.Errorf("CONNECT %+v\nwant %+v", got, want)
		}
		p.send(&packet.Connack{AssignedClientID: "x"})
		r := <-made
		if r.err != nil {
			t.Fatal(r.err)
		}
		defer r.c.Close()
		if ack := r.c.Connack(); v == packet.V5 && ack.AssignedClientID != "x" {
			t.Errorf("Connack: %+v", ack)
		}
		if err := r.c.Err(); err != nil {
			t.Errorf("Err before the end: %v", err)
		}
	})
}

func TestConnectRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, made := connect(t, t.Context(), client.Options{})
		p.send(&packet.Connack{Code: packet.UseAnotherServer, ReasonString: "full\n", ServerReference: "b:1"})
		err := (<-made).err
		var refused *client.ConnackError
		if !errors.As(err, &refused) || !errors.Is(err, packet.UseAnotherServer) {
			t.Fatalf("error %v", err)
		}
		if want := `refused by the server: Use another server (0x9C): "full\n", see server "b:1"`; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		p.ended()
	})
}

func TestConnectRefusedByReturnCode(t *testing.T) {
	for code, want := range map[packet.ReasonCode]packet.ReasonCode{
		1: packet.UnsupportedProtocolVersion,
		2: packet.ClientIdentifierNotValid,
		3: packet.ServerUnavailable,
		4: packet.BadUserNameOrPassword,
		5: packet.NotAuthorized,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _, made := connect(t, t.Context(), client.Options{Version: packet.V311})
			p.send(&packet.Connack{Code: code})
			err := (<-made).err
			if !errors.Is(err, want) || !strings.Contains(err.Error(), want.String()+" (return code ") {
				t.Errorf("return code %d: %v", code, err)
			}
			p.ended()
		})
	}
}

func TestConnectBadAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   error
		text   string
	}{
		"nothing":              {"", client.ErrServerClosed, "waiting for CONNACK: server closed the connection"},
		"half a CONNACK":       {"\x20\x03\x00", client.ErrServerClosed, "in the middle of a packet"},
		"other packet":         {"\xd0\x00", packet.ProtocolError, "PINGRESP: before CONNACK"},
		"other protocol":       {"HTTP/1.1 400 Bad Request\r\n\r\n", packet.MalformedPacket, "waiting for CONNACK: packet: PUBACK: reserved flags"},
		"trailing bytes":       {"\x20\x04\x00\x00\x00\x00", packet.MalformedPacket, "CONNACK"},
		"session after clean":  {"\x20\x03\x01\x00\x00", packet.ProtocolError, "Session Present"},
		"over Maximum Packet":  {"\x20\x7f", packet.PacketTooLarge, "129 bytes, over the Maximum Packet Size of 100"},
		"endless length field": {"\x20\xff\xff\xff\xff\x01", packet.MalformedPacket, "Remaining Length"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _, made := connect(t, t.Context(), client.Options{CleanStart: true, MaximumPacketSize: 100})
				if test.answer != "" {
					// It may close before it has read all.
					_, _ = p.nc.Write([]byte(test.answer))
				}
				if errors.Is(test.want, client.ErrServerClosed) {
					p.nc.Close()
				}
				err := (<-made).err
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %v, want %q", err, test.text)
				}
				p.ended()
			})
		})
	}
}

func TestConnectTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		o    client.Options
		want time.Duration
	}{
		"default": {client.Options{}, 10 * time.Second},
		"set":     {client.Options{Timeout: time.Minute}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p, _, made := connect(t, t.Context(), test.o)
				err := (<-made).err
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within "+test.want.String()) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(begin); took != test.want {
					t.Errorf("after %v, want %v", took, test.want)
				}
				p.ended()
			})
		})
	}
}

func TestConnectCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, _, made := connect(t, ctx, client.Options{Timeout: -1})
		synctest.Wait()
		cancel()
		if err := (<-made).err; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		p.ended()
	})
}

// A server that does not even read the CONNECT does not hold New up.
func TestConnectNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		if _, err := client.New(t.Context(), near, client.Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestConnectBadOptions(t *testing.T) {
	for name, o := range map[string]client.Options{
		"version":             {Version: 6},
		"Keep Alive over":     {KeepAlive: 65536 * time.Second},
		"Keep Alive below":    {KeepAlive: -time.Second},
		"long identifier":     {ClientID: strings.Repeat("x", 65536)},
		"QoS of the will":     {Will: &packet.Will{Topic: "a", QoS: 3}},
		"long password":       {Password: make([]byte, 65536)},
		"long User Property":  {User: []packet.UserProperty{{Name: strings.Repeat("x", 65536)}}},
		"version of a bridge": {Version: 0x84},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			p := newPeer(t, far, packet.V5)
			if c, err := client.New(t.Context(), near, o); err == nil {
				c.Close()
				t.Error("no error")
			}
			p.ended()
		})
	}
}

// What follows CONNACK in one piece is not lost, and OnMessage sees it.
func TestMessageBehindConnack(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		got := make(chan string, 2)
		o := client.Options{Version: v, OnMessage: func(p *packet.Publish) { got <- string(p.Payload) }}
		p, _, made := connect(t, t.Context(), o)
		p.send(&packet.Connack{SessionPresent: v > packet.V31}, message(0, "one"), message(0, "two"))
		r := <-made
		if r.err != nil {
			t.Fatal(r.err)
		}
		defer r.c.Close()
		if one, two := <-got, <-got; one != "one" || two != "two" {
			t.Errorf("got %q, %q", one, two)
		}
	})
}
