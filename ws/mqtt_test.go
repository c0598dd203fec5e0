package ws_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/ws"
)

func TestMQTT5_6_0_0_1_BinaryOnly(t *testing.T)   { binaryOnly(t, packet.V5) }
func TestMQTT311_6_0_0_1_BinaryOnly(t *testing.T) { binaryOnly(t, packet.V311) }

// A text frame ends the connection before what it holds is looked at; the server sends binary frames.
func binaryOnly(t *testing.T, v packet.Version) {
	mqttest.Leaks(t)
	s := &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
			if r.ClientID == "text" {
				t.Error("CONNECT in a text frame is heard")
			}
			return r.Conn, nil
		},
	}}
	addr := serve(t, &ws.Handler{Server: s}, nil)
	r := upgrade(t, addr)
	r.send(textFrame, encode(t, v, connect(v, "text")))
	if code := r.closed(); code != 1003 {
		t.Errorf("close code %d", code)
	}

	r = upgrade(t, addr)
	r.send(binaryFrame, encode(t, v, connect(v, "c"), subscribe(1, "#"), &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 40_000)}, &packet.Pingreq{}))
	r.packets(4, v) // checks the opcode of each frame
	r.send(textFrame, nil)
	if code := r.closed(); code != 1003 {
		t.Errorf("close code %d", code)
	}
}

func TestMQTT5_6_0_0_2_PacketsAndFrames(t *testing.T)   { packetsAndFrames(t, packet.V5) }
func TestMQTT311_6_0_0_2_PacketsAndFrames(t *testing.T) { packetsAndFrames(t, packet.V311) }

// Packets are cut into frames, and several are in one, as it comes.
func packetsAndFrames(t *testing.T, v packet.Version) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	one := encode(t, v, connect(v, "c"))
	all := append(bytes.Clone(one), encode(t, v, subscribe(1, "#"), &packet.Pingreq{})...)
	for _, c := range []struct {
		name    string
		packets []byte
		frame   int
		answers int
	}{
		{"CONNECT over 5 frames", one, (len(one) + 4) / 5, 1},
		{"all in one frame", all, len(all), 3},
		{"a byte to a frame", all, 1, 3},
		{"7 bytes to a frame", all, 7, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := upgrade(t, addr)
			for part := range slices.Chunk(c.packets, c.frame) {
				r.send(binaryFrame, part)
			}
			got := r.packets(c.answers, v)
			if ack, ok := got[0].(*packet.Connack); !ok || ack.Code != 0 {
				t.Fatal(got)
			}
			if c.answers > 1 && (got[1].Type() != packet.TypeSuback || got[2].Type() != packet.TypePingresp) {
				t.Error(got)
			}
		})
	}
}

func TestGuide_G17_FramesAndFragments(t *testing.T) {
	mqttest.Leaks(t)
	const v = packet.V5
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	r := upgrade(t, addr)
	b := encode(t, v, connect(v, "c"))
	r.send(binaryFrame, b[:3])
	r.send(binaryFrame, b[3:9])
	r.send(binaryFrame, b[9:])
	r.packets(1, v)
	r.send(binaryFrame, encode(t, v, subscribe(1, "#"), &packet.Pingreq{}))
	if got := r.packets(2, v); got[0].Type() != packet.TypeSuback || got[1].Type() != packet.TypePingresp {
		t.Error(got)
	}

	// A message in fragments, with a ping between them and an empty one at the end.
	b = encode(t, v, &packet.Publish{Topic: []byte("t"), Payload: []byte("hello")}, &packet.Pingreq{})
	r.send(binaryBegins, b[:5])
	r.send(goesOn, b[5:len(b)-2])
	r.send(pingFrame, []byte("between"))
	if op, payload := r.frame(); op != gobwas.OpBinary {
		if op != gobwas.OpPong || string(payload) != "between" {
			t.Fatalf("opcode %x %q", op, payload)
		}
		r.packets(1, v)
	} else if op, payload := r.frame(); op != gobwas.OpPong || string(payload) != "between" {
		t.Fatalf("opcode %x %q", op, payload)
	}
	r.send(goesOn, b[len(b)-2:])
	r.send(goesOn|ends, nil)
	if got := r.packets(1, v); got[0].Type() != packet.TypePingresp {
		t.Error(got)
	}
}

func TestGuide_G17_Pings(t *testing.T) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	c, _, err := dial(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	nc := mqttest.NewClient(t, websocket.NetConn(context.Background(), c, websocket.MessageBinary), mqttx.V5) // it reads
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := c.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if code := nc.Connect(nil); code != mqttx.Success {
		t.Error(code)
	}
}

// A text frame is the end of a connection like any other: Disconnected comes once, the will is published.
func TestGuide_G17_TextFrame(t *testing.T) {
	mqttest.Leaks(t)
	gone := make(chan error, 10)
	s := &mqttx.Server{Handler: mqttx.Callbacks[string]{
		Connect: func(_ context.Context, r *mqttx.ConnectRequest) (string, error) { return r.ClientID, nil },
		Disconnected: func(_ context.Context, id string, why error) {
			if id == "c" {
				gone <- why
			}
		},
	}}
	addr := serve(t, &ws.Handler{Server: s}, nil)
	watcher := dialMQTT(t, addr, nil)
	watcher.Connect(nil)
	watcher.Subscribe("will", 0)

	r := upgrade(t, addr)
	p := connect(packet.V5, "c")
	p.Will = &packet.Will{Topic: "will", Payload: []byte("gone")}
	r.send(binaryFrame, encode(t, packet.V5, p))
	r.packets(1, packet.V5)
	r.send(textFrame, []byte("hello"))
	if code := r.closed(); code != 1003 {
		t.Errorf("close code %d", code)
	}
	if m := watcher.Receive(); string(m.Payload) != "gone" {
		t.Errorf("%q", m.Payload)
	}
	if why := (<-gone).(*mqttx.DisconnectError); why.By != mqttx.ByNetwork {
		t.Error(why)
	}
	s.Close()
	if len(gone) > 0 {
		t.Error("Disconnected again:", <-gone)
	}
}

func TestGuide_G17_DisconnectBeforeClose(t *testing.T) { disconnectFirst(t) }

func TestPitfall098_DisconnectBeforeClose(t *testing.T) { disconnectFirst(t) }

// The last packet arrives before the close frame, and that before the end, even if the client is sending.
func disconnectFirst(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	addr := serve(t, &ws.Handler{Server: s}, nil)
	r := upgrade(t, addr)
	r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
	r.packets(1, packet.V5)
	r.send(binaryFrame, bytes.Repeat(encode(t, packet.V5, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 1000)}), 200))
	if err := s.Disconnect("c", mqttx.AdministrativeAction); err != nil {
		t.Fatal(err)
	}
	if d := r.packets(1, packet.V5)[0].(*packet.Disconnect); d.Code != mqttx.AdministrativeAction {
		t.Error(d)
	}
	if code := r.closed(); code != 1000 {
		t.Errorf("close code %d", code)
	}

	// Bytes that are no packet.
	c := dialMQTT(t, addr, nil)
	c.Connect(nil)
	c.Write([]byte{0xF7, 0xFF, 0xFF, 0xFF, 0xFF})
	if d := mqttest.Expect[*packet.Disconnect](c); d.Code != mqttx.MalformedPacket {
		t.Error(d)
	}
	c.Closed()
}

// Bytes that are no frames, and frames that are too long, get a close frame with the reason.
func TestGuide_G17_BadFrames(t *testing.T) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	hello := encode(t, packet.V5, connect(packet.V5, "c"))
	for _, c := range []struct {
		name  string
		frame []byte
		code  gobwas.StatusCode
	}{
		{"not masked", []byte{binaryFrame, 2, 0xC0, 0}, 1002},
		{"compressed", []byte{binaryFrame | 0x40, 0x80, 0, 0, 0, 0}, 1002},
		{"reserved opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, 1002},
		{"long ping", ws.MaskedFrame(nil, pingFrame, make([]byte, 126), [4]byte{}), 1002},
		{"longer than any packet", []byte{binaryFrame, 0xFF, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0}, 1009},
		{"MQTT without frames", hello, 1002},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := upgrade(t, addr)
			r.send(binaryFrame, hello)
			r.packets(1, packet.V5)
			r.sendBytes(append(c.frame, make([]byte, 1000)...))
			if code := r.closed(); code != c.code {
				t.Errorf("close code %d", code)
			}
		})
	}
}

// The close handshake of a client: its code comes back, and what it sent before counts.
func TestCloseHandshake(t *testing.T) {
	mqttest.Leaks(t)
	gone := make(chan error, 1)
	s := &mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{
		Disconnected: func(_ context.Context, _ *mqttx.Conn, why error) { gone <- why },
	}}
	addr := serve(t, &ws.Handler{Server: s}, nil)
	for _, c := range []struct {
		name string
		last []packet.Packet
		by   mqttx.Side
	}{
		{"after DISCONNECT", []packet.Packet{&packet.Disconnect{}}, mqttx.ByClient},
		{"without", nil, mqttx.ByNetwork},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, _, err := dial(addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			b := encode(t, packet.V5, append([]packet.Packet{connect(packet.V5, "c")}, c.last...)...)
			if err := conn.Write(t.Context(), websocket.MessageBinary, b); err != nil {
				t.Fatal(err)
			}
			if _, _, err := conn.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
				t.Error(err)
			}
			if why := (<-gone).(*mqttx.DisconnectError); why.By != c.by {
				t.Error(why)
			}
		})
	}
}

// What comes with the request is not lost.
func TestEarlyPackets(t *testing.T) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	b := encode(t, packet.V5, connect(packet.V5, "c"), &packet.Pingreq{})
	r, answer := ask(t, dialTCP(t, addr), hello(addr)+string(ws.MaskedFrame(nil, binaryFrame, b, [4]byte{1, 2, 3, 4})))
	if answer.StatusCode != 101 {
		t.Fatal(answer.Status)
	}
	r.packets(2, packet.V5)
}

// Addresses are those of the socket, and a Server without a Handler takes clients of this machine.
func TestAddresses(t *testing.T) {
	mqttest.Leaks(t)
	s := &mqttx.Server{}
	addr := serve(t, &ws.Handler{Server: s}, nil)
	r := upgrade(t, addr)
	r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, "c")))
	if ack := r.packets(1, packet.V5)[0].(*packet.Connack); ack.Code != mqttx.Success {
		t.Fatal(ack)
	}
	c, ok := s.Conn("c")
	if !ok || c.LocalAddr().String() != addr || c.RemoteAddr().String() != r.LocalAddr().String() || c.TLS() != nil {
		t.Errorf("%v %v %v", c.LocalAddr(), c.RemoteAddr(), c.TLS())
	}
	if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok {
		t.Errorf("%T", c.RemoteAddr())
	}
}

// A large message arrives in both directions, however the two sides frame it.
func TestLargeMessages(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	s.Limits.PacketSize = 8 << 20
	addr := serve(t, &ws.Handler{Server: s}, nil)
	c := dialMQTT(t, addr, nil)
	c.Connect(nil)
	c.Subscribe("#", 1)
	for _, size := range []int{1, 2000, 16 << 10, 65536, 5 << 20} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i >> 3)
		}
		c.Send(&packet.Publish{Topic: []byte("t"), Payload: payload})
		if m := c.Receive(); !bytes.Equal(m.Payload, payload) {
			t.Errorf("%d: %d bytes", size, len(m.Payload))
		}
	}
}

func TestGuide_G28_OneCountForAllTransports(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	s.Limits = mqttx.Limits{ConnectRate: 2, RateInterval: 24 * time.Hour}
	addr := serve(t, &ws.Handler{Server: s}, nil)
	plain := plainListener(t, s)
	c := mqttest.NewClient(t, dialTCP(t, plain), mqttx.V5)
	if code := c.Connect(nil); code != mqttx.Success {
		t.Fatal(code)
	}
	// A request that is refused anyway does not count.
	if _, answer := ask(t, dialTCP(t, addr), hello(addr, "Sec-WebSocket-Protocol: ")); answer.StatusCode != 400 {
		t.Error(answer.Status)
	}
	upgrade(t, addr)
	if _, answer := ask(t, dialTCP(t, addr), hello(addr)); answer.StatusCode != 503 {
		t.Error(answer.Status)
	}
	mqttest.NewClient(t, dialTCP(t, plain), mqttx.V5).Closed()
}

// plainListener has s serve plain TCP too.
func plainListener(t *testing.T, s *mqttx.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	go func() { s.Serve(l); close(end) }()
	t.Cleanup(func() { s.Close(); <-end })
	return l.Addr().String()
}

func TestGuide_G33_WebSocket(t *testing.T) {
	mqttest.Leaks(t)
	connects := make(chan string, 10)
	s := &mqttx.Server{
		Limits: mqttx.Limits{ConnectRate: 1, RateInterval: 24 * time.Hour},
		Handler: mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			connects <- r.ClientID
			return nil
		}),
	}
	addr := serve(t, &ws.Handler{Server: s}, nil)
	first := dialMQTT(t, addr, nil)
	first.Connect(connect(0, "first"))
	if _, answer := ask(t, dialTCP(t, addr), hello(addr)); answer.StatusCode != 503 {
		t.Error(answer.Status)
	}
	l := s.Limits
	l.ConnectRateReply = true
	if err := s.SetLimits(l); err != nil {
		t.Fatal(err)
	}
	for v, want := range map[packet.Version]mqttx.ReasonCode{packet.V5: mqttx.ConnectionRateExceeded, packet.V311: 3} {
		r := upgrade(t, addr)
		r.send(binaryFrame, encode(t, v, connect(v, "other")))
		if ack := r.packets(1, v)[0].(*packet.Connack); ack.Code != want {
			t.Errorf("%v: %v", v, ack)
		}
		r.closed()
	}
	first.Send(&packet.Pingreq{})
	mqttest.Expect[*packet.Pingresp](first)
	if id := <-connects; id != "first" || len(connects) > 0 {
		t.Errorf("Connect for %q and %d more", id, len(connects))
	}
}
