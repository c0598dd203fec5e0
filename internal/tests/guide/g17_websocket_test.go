package guide_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/ws"
)

// g17Socket is a client that sees each frame.
type g17Socket struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
	in []byte // data of binary frames that no packet has taken
	v  mqttx.Version
}

// g17Upgrade sends the request for a WebSocket and gives the answer.
func g17Upgrade(t *testing.T, addr string, header http.Header) (*g17Socket, *http.Response) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if err := r.Write(nc); err != nil {
		t.Fatal(err)
	}
	s := &g17Socket{t: t, nc: nc, r: bufio.NewReader(nc), v: mqttx.V5}
	answer, err := http.ReadResponse(s.r, r)
	if err != nil {
		t.Fatal(err)
	}
	return s, answer
}

// g17Open opens a WebSocket.
func g17Open(t *testing.T, addr string) *g17Socket {
	t.Helper()
	s, answer := g17Upgrade(t, addr, http.Header{"Sec-Websocket-Protocol": {"mqtt"}})
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Protocol") != "mqtt" {
		t.Fatalf("%s, subprotocol %q", answer.Status, answer.Header.Get("Sec-WebSocket-Protocol"))
	}
	return s
}

// send sends a frame as a client does, masked.
func (s *g17Socket) send(op gobwas.OpCode, fin bool, data []byte) {
	s.t.Helper()
	f := gobwas.MaskFrame(gobwas.NewFrame(op, fin, data))
	if err := gobwas.WriteFrame(s.nc, f); err != nil {
		s.t.Fatal(err)
	}
}

// next gives the next frame.
func (s *g17Socket) next() gobwas.Frame {
	s.t.Helper()
	h, err := gobwas.ReadHeader(s.r)
	if err == nil && h.Length > 1<<20 {
		s.t.Fatalf("a frame of %d bytes", h.Length)
	}
	f := gobwas.Frame{Header: h, Payload: make([]byte, h.Length)}
	if err == nil {
		_, err = io.ReadFull(s.r, f.Payload)
	}
	if err != nil {
		s.t.Fatalf("no frame: %v", err)
	}
	return f
}

// packet gives the next packet, of binary frames alone.
func (s *g17Socket) packet() packet.Packet {
	s.t.Helper()
	for {
		h, n, err := packet.ParseHeader(s.in)
		if err != nil {
			s.t.Fatalf("% x is no packet: %v", s.in, err)
		}
		if n > 0 && len(s.in) >= n+h.Length {
			p, err := packet.Parse(h, s.in[n:n+h.Length], s.v)
			if err != nil {
				s.t.Fatal(err)
			}
			s.in = s.in[n+h.Length:]
			return p
		}
		f := s.next()
		if f.Header.OpCode != gobwas.OpBinary && f.Header.OpCode != gobwas.OpContinuation {
			s.t.Fatalf("frame %x %q, want binary", f.Header.OpCode, f.Payload)
		}
		s.in = append(s.in, f.Payload...)
	}
}

// closed takes the close frame and the end.
func (s *g17Socket) closed(code gobwas.StatusCode) {
	s.t.Helper()
	f := s.next()
	if f.Header.OpCode != gobwas.OpClose {
		s.t.Fatalf("frame %x % x, want close", f.Header.OpCode, f.Payload)
	}
	if got, _ := gobwas.ParseCloseFrameData(f.Payload); got != code {
		s.t.Errorf("close code %d, want %d", got, code)
	}
	gobwas.WriteFrame(s.nc, gobwas.MaskFrame(gobwas.NewCloseFrame(gobwas.NewCloseFrameBody(code, "")))) // it may be gone
	if b, err := io.ReadAll(s.r); len(b) > 0 {
		s.t.Errorf("after the close frame came % x, %v", b, err)
	}
}

// connect connects with a will.
func (s *g17Socket) connect() {
	s.t.Helper()
	p := g1Connect("c", mqttx.V5)
	p.Will = &packet.Will{Topic: "will", Payload: []byte("gone"), QoS: 1}
	s.send(gobwas.OpBinary, true, g17Bytes(s.t, p))
	if ack, ok := s.packet().(*packet.Connack); !ok || ack.Code != mqttx.Success {
		s.t.Fatalf("want CONNACK, got %+v", ack)
	}
}

func g17Bytes(t *testing.T, list ...packet.Packet) []byte {
	t.Helper()
	var b []byte
	for _, p := range list {
		more, err := p.Append(b, mqttx.V5)
		if err != nil {
			t.Fatal(err)
		}
		b = more
	}
	return b
}

// The subprotocol has to be mqtt, and the answer names it.
func TestGuide_G17_Subprotocol(t *testing.T) {
	s := g1Quiet(nil)
	addr := testnet.WebSocket.Start(t, s).Addr()
	for _, offer := range [][]string{nil, {"http"}, {"MQTT"}, {"mqttx, soap"}} {
		header := http.Header{}
		if offer != nil {
			header["Sec-Websocket-Protocol"] = offer
		}
		if _, answer := g17Upgrade(t, addr, header); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("offer %q: %s", offer, answer.Status)
		}
	}
	for _, offer := range [][]string{{"mqtt"}, {"soap, mqtt"}, {"soap", "mqtt"}} {
		_, answer := g17Upgrade(t, addr, http.Header{"Sec-Websocket-Protocol": offer})
		if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Protocol") != "mqtt" {
			t.Errorf("offer %q: %s, subprotocol %q", offer, answer.Status, answer.Header.Get("Sec-WebSocket-Protocol"))
		}
	}
}

// Packets and frames need not line up; fragments and pings may come at any place.
func TestGuide_G17_Frames(t *testing.T) {
	c := g17Open(t, testnet.WebSocket.Start(t, g1Quiet(nil)).Addr())
	connect := g17Bytes(t, g1Connect("c", mqttx.V5))
	c.send(gobwas.OpBinary, true, connect[:1])
	c.send(gobwas.OpBinary, true, connect[1:5])
	c.send(gobwas.OpBinary, true, connect[5:])
	if ack, ok := c.packet().(*packet.Connack); !ok || ack.Code != mqttx.Success {
		t.Fatalf("CONNACK %+v", ack)
	}
	two := g17Bytes(t,
		&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t", QoS: 1}}},
		&packet.Publish{Topic: []byte("t"), Payload: []byte("x")})
	c.send(gobwas.OpBinary, true, two)
	if ack, ok := c.packet().(*packet.Suback); !ok || ack.PacketID != 1 {
		t.Errorf("SUBACK %+v", ack)
	}
	if m, ok := c.packet().(*packet.Publish); !ok || string(m.Payload) != "x" {
		t.Errorf("PUBLISH %+v", m)
	}
	again := g17Bytes(t, &packet.Publish{Topic: []byte("t"), Payload: []byte("in fragments")})
	c.send(gobwas.OpBinary, false, again[:3])
	c.send(gobwas.OpContinuation, false, nil)
	c.send(gobwas.OpPing, true, []byte("are you there"))
	if f := c.next(); f.Header.OpCode != gobwas.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("frame %x %q, want the pong", f.Header.OpCode, f.Payload)
	}
	c.send(gobwas.OpContinuation, true, again[3:])
	if m, ok := c.packet().(*packet.Publish); !ok || string(m.Payload) != "in fragments" {
		t.Errorf("PUBLISH %+v", m)
	}
}

// g17Watched starts a Server that tells of each end, with a client that watches for the will.
func g17Watched(t *testing.T) (*mqttx.Server, string, *mqttest.Client, chan error) {
	t.Helper()
	ended := make(chan error, 4)
	s := g1Quiet(mqttx.Callbacks[*mqttx.Conn]{
		Disconnected: func(_ context.Context, c *mqttx.Conn, why error) {
			if c.ClientID() == "c" {
				ended <- why
			}
		},
	})
	n := testnet.WebSocket.Start(t, s)
	watch := n.Connect(g1Connect("watch", mqttx.V5))
	watch.Subscribe("will", 1)
	return s, n.Addr(), watch, ended
}

// What is no MQTT in binary frames ends the WebSocket with its own code, and the connection as any loss does.
func TestGuide_G17_BadFrames(t *testing.T) {
	for _, x := range []struct {
		name string
		send func(c *g17Socket)
		code gobwas.StatusCode
	}{
		{"text", func(c *g17Socket) { c.send(gobwas.OpText, true, []byte{0xC0, 0x00}) }, gobwas.StatusUnsupportedData},
		{"too long", func(c *g17Socket) {
			h := gobwas.Header{Fin: true, OpCode: gobwas.OpBinary, Masked: true, Length: 1 << 40}
			if err := gobwas.WriteHeader(c.nc, h); err != nil {
				t.Error(err)
			}
		}, gobwas.StatusMessageTooBig},
		{"not masked", func(c *g17Socket) {
			if err := gobwas.WriteFrame(c.nc, gobwas.NewBinaryFrame([]byte{0xC0, 0x00})); err != nil {
				t.Error(err)
			}
		}, gobwas.StatusProtocolError},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, addr, watch, ended := g17Watched(t)
			c := g17Open(t, addr)
			c.connect()
			x.send(c)
			c.closed(x.code)
			g1Await(t, "Disconnected", ended)
			g1Got(t, watch.Receive(), "will", "gone", 1, false)
			watch.Nothing()
			if err := s.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if len(ended) > 0 {
				t.Error("Disconnected ran twice")
			}
		})
	}
}

// A packet over the limit is refused by what its header says, however it is framed, and DISCONNECT comes before the close
// frame.
func TestGuide_G17_LastWords(t *testing.T) {
	t.Run("packet too large", func(t *testing.T) {
		_, addr, watch, ended := g17Watched(t)
		c := g17Open(t, addr)
		c.connect()
		c.send(gobwas.OpBinary, true, []byte{0x30, 0x80, 0x80, 0x80, 0x01}) // 2 MiB
		if bye, ok := c.packet().(*packet.Disconnect); !ok || bye.Code != mqttx.PacketTooLarge {
			t.Errorf("DISCONNECT %+v", bye)
		}
		c.closed(gobwas.StatusNormalClosure)
		g1Why(t, g1Await(t, "Disconnected", ended), mqttx.ByServer, mqttx.PacketTooLarge, "")
		g1Got(t, watch.Receive(), "will", "gone", 1, false)
	})
	t.Run("kick", func(t *testing.T) {
		s, addr, watch, _ := g17Watched(t)
		c := g17Open(t, addr)
		c.connect()
		if err := s.Disconnect("c", mqttx.AdministrativeAction); err != nil {
			t.Errorf("Disconnect: %v", err)
		}
		if bye, ok := c.packet().(*packet.Disconnect); !ok || bye.Code != mqttx.AdministrativeAction {
			t.Errorf("DISCONNECT %+v", bye)
		}
		c.closed(gobwas.StatusNormalClosure)
		g1Got(t, watch.Receive(), "will", "gone", 1, false)
	})
	t.Run("Shutdown", func(t *testing.T) {
		s, addr, _, _ := g17Watched(t)
		c := g17Open(t, addr)
		c.connect()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		if bye, ok := c.packet().(*packet.Disconnect); !ok || bye.Code != mqttx.ServerShuttingDown {
			t.Errorf("DISCONNECT %+v", bye)
		}
		c.closed(gobwas.StatusGoingAway)
		if err := g1Await(t, "Shutdown", done); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// A client that closes the WebSocket in good order has said nothing of MQTT: its will goes out.
func TestGuide_G17_ClosedByClient(t *testing.T) {
	_, addr, watch, ended := g17Watched(t)
	c := g17Open(t, addr)
	c.connect()
	c.send(gobwas.OpClose, true, gobwas.NewCloseFrameBody(gobwas.StatusNormalClosure, ""))
	c.closed(gobwas.StatusNormalClosure)
	g1Why(t, g1Await(t, "Disconnected", ended), mqttx.ByNetwork, 0, "")
	g1Got(t, watch.Receive(), "will", "gone", 1, false)
}

// Pages of foreign origins are kept out where origins are limited, which they are by default.
func TestGuide_G17_Origin(t *testing.T) {
	for _, x := range []struct {
		origins []string
		origin  string
		status  int
	}{
		{[]string{"example.com"}, "https://example.com", http.StatusSwitchingProtocols},
		{[]string{"example.com"}, "https://evil.example", http.StatusForbidden},
		{[]string{"example.com"}, "https://example.com.evil.example", http.StatusForbidden},
		{[]string{"example.com"}, "", http.StatusSwitchingProtocols},
		{[]string{"*"}, "https://anywhere.example", http.StatusSwitchingProtocols},
		{nil, "https://evil.example", http.StatusForbidden},
		{nil, "", http.StatusSwitchingProtocols},
	} {
		s := g1Quiet(nil)
		mqttest.Start(t, s)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		h := &ws.Handler{Server: s, Origins: x.origins}
		serve := make(chan error, 1)
		go func() { serve <- h.Serve(l, "") }()
		header := http.Header{"Sec-Websocket-Protocol": {"mqtt"}}
		if x.origin != "" {
			header["Origin"] = []string{x.origin}
		}
		if _, answer := g17Upgrade(t, l.Addr().String(), header); answer.StatusCode != x.status {
			t.Errorf("origin %q where %q may come: %s", x.origin, x.origins, answer.Status)
		}
		g1Closed(t, s, serve)
	}
}
