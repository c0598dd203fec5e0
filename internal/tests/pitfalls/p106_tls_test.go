package pitfalls_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/packet"
)

// p106Records writes records of TLS 1.3 with a client's own key, and changes it as KeyUpdate says.
type p106Records struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func p106Expand(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	full := "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(full))}, full...)
	b, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *p106Records) use(t *testing.T, secret []byte) {
	t.Helper()
	block, err := aes.NewCipher(p106Expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	if r.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	r.secret, r.iv, r.seq = secret, p106Expand(t, secret, "iv", 12), 0
}

func (r *p106Records) seal(kind byte, content []byte) []byte {
	nonce := bytes.Clone(r.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^r.seq)
	r.seq++
	n := len(content) + 1 + 16
	head := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	return r.aead.Seal(bytes.Clone(head), nonce, append(bytes.Clone(content), kind), head)
}

// p106Open makes a TLS connection and takes over its writing side; false: the cipher suite is another one.
func p106Open(t *testing.T, n *testnet.Net) (net.Conn, *p106Records, bool) {
	t.Helper()
	raw, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	var keys bytes.Buffer
	conf := n.TLS.Clone()
	conf.ServerName, conf.KeyLogWriter, conf.MinVersion = "127.0.0.1", &keys, tls.VersionTLS13
	c := tls.Client(raw, conf)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if c.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, nil, false
	}
	r := &p106Records{}
	for line := range strings.Lines(keys.String()) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			r.use(t, secret)
		}
	}
	return raw, r, true
}

// A flood of KeyUpdate, each of which asks for one in return, ends the connection or takes no memory; so do tiny records.
func TestPitfall106_KeyUpdates(t *testing.T) {
	n := testnet.TLS.Start(t, &mqttx.Server{Logger: slog.New(slog.DiscardHandler)})
	served := n.Connect(nil)
	hello := p63Bytes(t, mqttx.V5, p63Clean("flood", mqttx.V5))
	floods := map[string]func(r *p106Records) []byte{
		"KeyUpdate": func(r *p106Records) []byte {
			b := r.seal(22, []byte{24, 0, 0, 1, 1})
			r.use(t, p106Expand(t, r.secret, "traffic upd", 32))
			return b
		},
		"empty records":                func(r *p106Records) []byte { return r.seal(23, nil) },
		"PINGREQ, one byte per record": func(r *p106Records) []byte { return append(r.seal(23, []byte{0xC0}), r.seal(23, []byte{0})...) },
	}
	for name, next := range floods {
		t.Run(name, func(t *testing.T) {
			before := p63Heap()
			for range 5 {
				nc, r, ok := p106Open(t, n)
				if !ok {
					t.Fatal("the cipher suite is not AES-128-GCM")
				}
				if _, err := nc.Write(r.seal(23, hello)); err != nil {
					t.Fatal(err)
				}
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				var flood []byte
				for range 2000 {
					flood = append(flood, next(r)...)
				}
				go io.Copy(io.Discard, nc)
				nc.Write(flood) // an error says that the connection was closed
				served.Send(&packet.Pingreq{})
				served.Next()
			}
			if grown := p63Heap() - before; grown > 2<<20 {
				t.Errorf("it takes %d bytes", grown)
			}
		})
	}
	served.Nothing()
}
