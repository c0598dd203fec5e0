package ws_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/ws"
)

const patience = 10 * time.Second

// First bytes of frames.
const (
	binaryFrame  = 0x82
	binaryBegins = 0x02
	goesOn       = 0x00
	ends         = 0x80
	textFrame    = 0x81
	closeFrame   = 0x88
	pingFrame    = 0x89
)

// serve has h serve a loopback socket, by TLS if conf is not nil, until the end of the test, and gives its address.
func serve(t *testing.T, h *ws.Handler, conf *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	end := make(chan error, 1)
	go func() { end <- h.Serve(l, "") }()
	t.Cleanup(func() {
		h.Server.Close()
		if err := <-end; !errors.Is(err, mqttx.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return addr
}

// newServer gives a Server that lets in everybody.
func newServer() *mqttx.Server { return &mqttx.Server{Handler: mqttx.AllowAnonymous()} }

// raw is a client that writes and reads frames itself.
type raw struct {
	net.Conn
	t  *testing.T
	br *bufio.Reader
}

// hello is a handshake as it should be; each line of more takes the place of the field of that name or comes besides.
func hello(host string, more ...string) string {
	fields := []string{
		"Host: " + host, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: mqtt",
	}
	request := "GET /mqtt HTTP/1.1\r\n"
	for _, m := range more {
		name, value, field := strings.Cut(m, ": ")
		if !field {
			request = m + "\r\n"
			continue
		}
		for i, f := range fields {
			if strings.HasPrefix(f, name+": ") {
				fields[i] = ""
			}
		}
		if value != "" {
			fields = append(fields, m)
		}
	}
	for _, f := range fields {
		if f != "" {
			request += f + "\r\n"
		}
	}
	return request + "\r\n"
}

// ask sends a handshake on a connection and reads the answer.
func ask(t *testing.T, nc net.Conn, request string) (*raw, *http.Response) {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	r := &raw{nc, t, bufio.NewReader(nc)}
	answer, err := http.ReadResponse(r.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, answer
}

// dialTCP opens a socket that is closed with the test.
func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// upgrade opens a WebSocket by hand.
func upgrade(t *testing.T, addr string) *raw {
	t.Helper()
	r, answer := ask(t, dialTCP(t, addr), hello(addr))
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer.Status)
	}
	return r
}

// send sends a frame.
func (r *raw) send(first byte, payload []byte) {
	r.t.Helper()
	r.sendBytes(ws.MaskedFrame(nil, first, payload, [4]byte{0xA1, 0xB2, 0xC3, 0xD4}))
}

func (r *raw) sendBytes(b []byte) {
	r.t.Helper()
	if _, err := r.Conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// frame reads a frame, as a server has to send it.
func (r *raw) frame() (gobwas.OpCode, []byte) {
	r.t.Helper()
	h, err := gobwas.ReadHeader(r.br)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := gobwas.CheckHeader(h, gobwas.StateClientSide); err != nil {
		r.t.Fatal(err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(r.br, payload); err != nil {
		r.t.Fatal(err)
	}
	return h.OpCode, payload
}

// packets reads binary frames until they hold n packets, and nothing else.
func (r *raw) packets(n int, v packet.Version) (ps []packet.Packet) {
	r.t.Helper()
	var b []byte
	for len(ps) < n || len(b) > 0 {
		op, payload := r.frame()
		if op != gobwas.OpBinary {
			r.t.Fatalf("opcode %x %q after %v [MQTT-6.0.0-1]", op, payload, ps)
		}
		b = append(b, payload...)
		for {
			h, size, err := packet.ParseHeader(b)
			if err != nil {
				r.t.Fatal(err)
			}
			if size == 0 || len(b) < size+h.Length {
				break
			}
			p, err := packet.Parse(h, b[size:size+h.Length], v)
			if err != nil {
				r.t.Fatal(err)
			}
			ps = append(ps, p)
			b = b[size+h.Length:]
		}
	}
	if len(ps) != n {
		r.t.Fatalf("%d packets, want %d: %v", len(ps), n, ps)
	}
	return ps
}

// closed reads the close frame and the end of the connection, and gives the code.
func (r *raw) closed() gobwas.StatusCode {
	r.t.Helper()
	op, payload := r.frame()
	if op != gobwas.OpClose || len(payload) < 2 {
		r.t.Fatalf("opcode %x %q", op, payload)
	}
	if _, err := r.br.ReadByte(); err != io.EOF {
		r.t.Errorf("after the close frame: %v", err)
	}
	return gobwas.StatusCode(binary.BigEndian.Uint16(payload))
}

// encode gives packets as bytes.
func encode(t *testing.T, v packet.Version, ps ...packet.Packet) (b []byte) {
	t.Helper()
	for _, p := range ps {
		var err error
		if b, err = p.Append(b, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func connect(v packet.Version, id string) *packet.Connect {
	return &packet.Connect{Version: v, ClientID: id, CleanStart: true}
}

func subscribe(id uint16, filter string) *packet.Subscribe {
	return &packet.Subscribe{PacketID: id, Filters: []packet.Filter{{Filter: filter}}}
}

// dial opens a WebSocket with a client library, by TLS if conf is not nil.
func dial(addr string, conf *tls.Config) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	scheme := "ws"
	if conf != nil {
		scheme = "wss"
	}
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf}}
	return websocket.Dial(ctx, scheme+"://"+addr+"/mqtt", &websocket.DialOptions{
		HTTPClient: web, Subprotocols: []string{"mqtt"}, CompressionMode: websocket.CompressionContextTakeover,
	})
}

// dialMQTT gives an MQTT client over a client library's WebSocket.
func dialMQTT(t *testing.T, addr string, conf *tls.Config) *mqttest.Client {
	t.Helper()
	c, _, err := dial(addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	return mqttest.NewClient(t, websocket.NetConn(context.Background(), c, websocket.MessageBinary), mqttx.V5)
}
