package fuzz

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// limits are small, so that an input can reach them.
var limits = mqttx.Limits{
	PacketSize: 4096, ConnectSize: 1024, QueuedMessages: 20, QueuedBytes: 8192, Retained: 10, RetainedBytes: 4096,
	Subscriptions: 20, ReceiveMaximum: 5, TopicAliasMaximum: 5, Inflight: 5,
}

// FuzzConnection sends packets with valid framing and any content, after a CONNECT that is well-formed, and then bytes of
// any kind. Nothing may panic, the connection has to end, another client must not notice, and nothing may stay behind.
func FuzzConnection(f *testing.F) {
	f.Add(byte(5), byte(2), []byte{0x30, 5, 0, 1, 'a', 0, 'x', 0x82, 7, 0, 1, 0, 0, 1, '#', 1}, []byte{0xC0, 0})
	f.Add(byte(4), byte(0), []byte{0x34, 6, 0, 1, 'a', 0, 7, 'x', 0x62, 2, 0, 7, 0x50, 2, 0, 9}, []byte{0xFF})
	f.Add(byte(3), byte(2), []byte{0x82, 6, 0, 1, 0, 1, 'a', 2, 0xA2, 5, 0, 2, 0, 1, 'a'}, []byte{})
	f.Add(byte(5), byte(4), []byte{0xF0, 9, 0x19, 7, 0x15, 0, 4, 'a', 'b', 'c', 'd', 0xE0, 1, 4}, []byte{0x10})
	f.Fuzz(func(t *testing.T, level, flags byte, packets, rest []byte) {
		srv := &mqttx.Server{Limits: limits, Logger: slog.New(slog.DiscardHandler)}
		defer srv.Close()
		other := mqttest.Connect(t, srv, &packet.Connect{ClientID: "other"})
		other.Subscribe("quiet/#", 1)

		here, there := mqttest.Pipe()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(context.Background(), there) }()
		go io.Copy(io.Discard, here)
		v := packet.Version(3 + level%3)
		send(here, &packet.Connect{Version: v, ClientID: "fuzzed", CleanStart: flags&2 != 0, KeepAlive: uint16(flags)}, v)
		here.Write(framed(packets))
		here.Write(rest)
		here.Close()
		select {
		case <-served:
		case <-time.After(20 * time.Second):
			t.Fatal("the connection does not end")
		}

		if code := other.Publish("quiet/x", "still there", 1); code != mqttx.Success {
			t.Fatalf("another client's PUBLISH was answered with %v", code)
		}
		for p := other.Receive(); string(p.Topic) != "quiet/x"; p = other.Receive() {
		}
		st := srv.Stats()
		if st.Connections != 1 || st.Retained > 10 || st.QueuedBytes > 3*8192 || st.Subscriptions > 21 {
			t.Fatalf("left behind: %+v", st)
		}
	})
}

func send(nc net.Conn, p packet.Packet, v packet.Version) {
	b, err := p.Append(nil, v)
	if err == nil {
		nc.Write(b)
	}
}

// framed cuts b into packets whose Remaining Length is right: a first byte, a length, and as much content.
func framed(b []byte) []byte {
	var out []byte
	for len(b) >= 2 {
		n := min(int(b[1]), len(b)-2)
		out = append(out, b[0])
		for rest := n; ; {
			digit := byte(rest & 0x7F)
			if rest >>= 7; rest > 0 {
				out = append(out, digit|0x80)
				continue
			}
			out = append(out, digit)
			break
		}
		out = append(out, b[2:2+n]...)
		b = b[2+n:]
	}
	return out
}
