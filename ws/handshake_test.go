package ws_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/ws"
)

func TestGuide_G17_Handshake(t *testing.T) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	for _, c := range []struct {
		name   string
		more   []string // see hello
		status int
		field  string // of the answer
		value  string
		body   string
	}{
		{"as it should be", nil, 101, "Sec-WebSocket-Protocol", "mqtt", ""},
		{"the accept of RFC 6455", nil, 101, "Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ""},
		{"compression offered", []string{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}, 101, "Sec-WebSocket-Extensions", "", ""},
		{"no subprotocol", []string{"Sec-WebSocket-Protocol: "}, 400, "Upgrade", "", ""},
		{"another subprotocol", []string{"Sec-WebSocket-Protocol: amqp"}, 400, "Upgrade", "", ""},
		{"subprotocol in capitals", []string{"Sec-WebSocket-Protocol: MQTT"}, 400, "Upgrade", "", ""},
		{"subprotocol with more", []string{"Sec-WebSocket-Protocol: mqtt5"}, 400, "Upgrade", "", ""},
		{"among others", []string{"Sec-WebSocket-Protocol: foo, mqtt"}, 101, "Sec-WebSocket-Protocol", "mqtt", ""},
		{"among others, no space", []string{"Sec-WebSocket-Protocol: foo,mqtt,bar"}, 101, "Sec-WebSocket-Protocol", "mqtt", ""},
		{"in a second field", []string{"Sec-WebSocket-Protocol: foo", "Sec-WebSocket-Protocol:  mqtt"}, 101, "Sec-WebSocket-Protocol", "mqtt", ""},
		{"that of 3.1", []string{"Sec-WebSocket-Protocol: mqttv3.1"}, 101, "Sec-WebSocket-Protocol", "mqttv3.1", ""},
		{"that of 3.1 and mqtt", []string{"Sec-WebSocket-Protocol: mqttv3.1, mqtt"}, 101, "Sec-WebSocket-Protocol", "mqtt", ""},
		{"POST", []string{"POST /mqtt HTTP/1.1"}, 405, "Allow", "GET", ""},
		{"HEAD", []string{"HEAD /mqtt HTTP/1.1"}, 405, "Allow", "GET", ""},
		{"HTTP/1.0", []string{"GET /mqtt HTTP/1.0"}, 426, "Upgrade", "websocket", ""},
		{"no Upgrade", []string{"Upgrade: "}, 426, "Upgrade", "websocket", ""},
		{"no Connection", []string{"Connection: "}, 426, "Upgrade", "websocket", ""},
		{"Connection of a browser", []string{"Connection: keep-alive, Upgrade"}, 101, "Upgrade", "websocket", ""},
		{"fields in capitals", []string{"Connection: UPGRADE", "Upgrade: WEBSOCKET"}, 101, "Upgrade", "websocket", ""},
		{"version 8", []string{"Sec-WebSocket-Version: 8"}, 426, "Sec-WebSocket-Version", "13", ""},
		{"no version", []string{"Sec-WebSocket-Version: "}, 426, "Sec-WebSocket-Version", "13", ""},
		{"no key", []string{"Sec-WebSocket-Key: "}, 400, "Upgrade", "", ""},
		{"a short key", []string{"Sec-WebSocket-Key: AAAA"}, 400, "Upgrade", "", ""},
		{"a key that is not base64", []string{"Sec-WebSocket-Key: " + strings.Repeat("!", 24)}, 400, "Upgrade", "", ""},
		{"a body", []string{"Content-Length: 3"}, 400, "Upgrade", "", "abc"},
		{"a body in chunks", []string{"Transfer-Encoding: chunked"}, 400, "Upgrade", "", "0\r\n\r\n"},
		{"a foreign origin", []string{"Origin: https://evil.example"}, 403, "Upgrade", "", ""},
		{"a name that points here", []string{"Host: evil.example", "Origin: http://evil.example"}, 403, "Upgrade", "", ""},
		{"its own origin", []string{"Origin: http://" + addr}, 101, "Upgrade", "websocket", ""},
		{"elsewhere", []string{"GET /other HTTP/1.1"}, 404, "Upgrade", "", ""},
		{"below", []string{"GET /mqtt/ HTTP/1.1"}, 404, "Upgrade", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := dialTCP(t, addr)
			_, answer := ask(t, nc, hello(addr, c.more...)+c.body)
			if answer.StatusCode != c.status || answer.Header.Get(c.field) != c.value {
				t.Fatalf("%s, %s: %q", answer.Status, c.field, answer.Header.Get(c.field))
			}
			if c.status == 101 {
				return
			}
			if !answer.Close {
				t.Error("the connection stays open")
			}
			if _, err := io.Copy(io.Discard, nc); err != nil {
				t.Errorf("want the end of the connection: %v", err)
			}
		})
	}
}

func TestGuide_G17_Origins(t *testing.T) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer(), Origins: []string{"pages.example"}}, nil)
	for origin, status := range map[string]int{
		"": 101, "https://pages.example": 101, "https://evil.example": 403, "http://" + addr: 403, "null": 403,
	} {
		if _, answer := ask(t, dialTCP(t, addr), hello(addr, "Origin: "+origin)); answer.StatusCode != status {
			t.Errorf("%q: %s", origin, answer.Status)
		}
	}
}

func TestMQTT5_6_0_0_3_SubprotocolOffered(t *testing.T)   { subprotocol(t) }
func TestMQTT311_6_0_0_3_SubprotocolOffered(t *testing.T) { subprotocol(t) }

// Without the subprotocol the handshake is refused; among others it is the one chosen.
func subprotocol(t *testing.T) {
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	if _, answer := ask(t, dialTCP(t, addr), hello(addr, "Sec-WebSocket-Protocol: ")); answer.StatusCode != http.StatusBadRequest {
		t.Error(answer.Status)
	}
	_, answer := ask(t, dialTCP(t, addr), hello(addr, "Sec-WebSocket-Protocol: foo, mqtt"))
	if got := answer.Header.Values("Sec-WebSocket-Protocol"); answer.StatusCode != 101 || len(got) != 1 || got[0] != "mqtt" {
		t.Error(answer.Status, got)
	}
}

func TestMQTT5_6_0_0_4_SubprotocolReturned(t *testing.T)   { subprotocolReturned(t, packet.V5) }
func TestMQTT311_6_0_0_4_SubprotocolReturned(t *testing.T) { subprotocolReturned(t, packet.V311) }

func subprotocolReturned(t *testing.T, v packet.Version) {
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	r, answer := ask(t, dialTCP(t, addr), hello(addr))
	if got := answer.Header.Values("Sec-WebSocket-Protocol"); answer.StatusCode != 101 || len(got) != 1 || got[0] != "mqtt" {
		t.Fatal(answer.Status, got)
	}
	r.send(binaryFrame, encode(t, v, connect(v, "c")))
	if ack := r.packets(1, v)[0].(*packet.Connack); ack.Code != 0 {
		t.Error(ack)
	}
}

// A handshake has a limit in size, and offers of compression are not taken up: the library that offers it gets on without.
func TestPitfall110_HandshakeBounds(t *testing.T) {
	mqttest.Leaks(t)
	addr := serve(t, &ws.Handler{Server: newServer()}, nil)
	nc := dialTCP(t, addr)
	nc.SetDeadline(time.Now().Add(patience))
	go io.WriteString(nc, hello(addr, "X-Large: "+strings.Repeat("x", 64<<10)))
	b := make([]byte, 1<<10)
	n, err := io.ReadAtLeast(nc, b, len("HTTP/1.1 431"))
	if !strings.HasPrefix(string(b[:n]), "HTTP/1.1 431") {
		t.Errorf("%q, %v", b[:n], err)
	}

	c, answer, err := dial(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if x := answer.Header.Values("Sec-WebSocket-Extensions"); len(x) > 0 {
		t.Errorf("extensions %q", x)
	}
	if c.Subprotocol() != "mqtt" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
}

// What a frame announces counts for nothing; the Server's limits hold for what is in it.
func TestPitfall110_PacketLimits(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	s.Limits = mqttx.Limits{ConnectSize: 100, PacketSize: 1000}
	addr := serve(t, &ws.Handler{Server: s}, nil)

	r := upgrade(t, addr)
	r.send(binaryFrame, encode(t, packet.V5, connect(packet.V5, strings.Repeat("c", 200))))
	if ack := r.packets(1, packet.V5)[0].(*packet.Connack); ack.Code != mqttx.PacketTooLarge {
		t.Error(ack)
	}
	if code := r.closed(); code != 1000 {
		t.Errorf("close code %d", code)
	}

	r = upgrade(t, addr)
	// A frame may be longer than any packet in it.
	many := encode(t, packet.V5, connect(packet.V5, "c"))
	for range 200 {
		many = append(many, encode(t, packet.V5, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 50)})...)
	}
	r.send(binaryFrame, append(many, encode(t, packet.V5, &packet.Pingreq{})...))
	r.packets(2, packet.V5)
	r.send(binaryFrame, encode(t, packet.V5, &packet.Publish{Topic: []byte("t"), Payload: make([]byte, 1000)}))
	if d := r.packets(1, packet.V5)[0].(*packet.Disconnect); d.Code != mqttx.PacketTooLarge {
		t.Error(d)
	}
	r.closed()
}

// A ResponseWriter that cannot be taken over gets an answer, and a Server that is down is told before the upgrade.
func TestUpgradeImpossible(t *testing.T) {
	mqttest.Leaks(t)
	s := newServer()
	h := &ws.Handler{Server: s}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mqtt", h)
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	web := &http.Server{Handler: mux}
	end := make(chan struct{})
	go func() { web.Serve(l); close(end) }()
	defer func() { web.Close(); <-end }()
	addr := l.Addr().String()
	if _, answer := ask(t, dialTCP(t, addr), hello(addr, "GET /plain HTTP/1.1")); answer.StatusCode != http.StatusInternalServerError {
		t.Error(answer.Status)
	}
	c := dialMQTT(t, addr, nil)
	c.Connect(nil)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if d := mqttest.Expect[*packet.Disconnect](c); d.Code != mqttx.ServerShuttingDown {
		t.Error(d)
	}
	c.Closed()
	if _, answer := ask(t, dialTCP(t, addr), hello(addr)); answer.StatusCode != http.StatusServiceUnavailable {
		t.Error(answer.Status)
	}
}
