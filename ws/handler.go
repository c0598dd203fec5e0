package ws

import (
	"bytes"
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/e8743928/mqttx"
)

// Handler upgrades requests to WebSockets and serves MQTT on them. A *Handler is an http.Handler. Set the fields before
// its first use; a Handler must not be copied after that. A nil Server panics.
//
// Before the upgrade it refuses: with 400 what offers no subprotocol that it speaks (G17) or is no proper request, with
// 403 a foreign origin, with 405 other methods than GET, with 426 what is no WebSocket of version 13, with 503 what comes
// over Limits.ConnectRate (G33) or while the Server shuts down. The subprotocol is mqtt [MQTT-6.0.0-4]; a client that
// offers mqttv3.1 alone, as some of MQTT 3.1 do, gets that.
type Handler struct {
	Server *mqttx.Server

	// Origins are patterns, as path.Match has them and in upper or lower case, for the host that a browser names as the
	// page's origin, with the port if the origin has one: "example.com", "*.example.com:8443". "*" is any origin, "null"
	// too; a pattern that path.Match cannot read is none.
	//
	// nil: the host and port of the request, and if that came in on a loopback address they must name one, as localhost
	// does, so that no page from elsewhere gets in by a name that points here. Empty but not nil: no page at all. A request
	// without an origin, as programs send it, is always let in.
	Origins []string

	going atomic.Bool // the Server of a Serve is shutting down
}

// Subprotocols, the preferred one first.
const (
	protocol    = "mqtt"
	protocolV31 = "mqttv3.1"
)

const responseTime = 10 * time.Second // for writing the answer to a handshake

// ServeHTTP upgrades a request and returns; the connection goes on by itself until its client or the Server ends it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chosen, no := h.judge(r)
	if no != nil {
		no.write(w)
		return
	}
	ctx, err := h.Server.Admit(context.WithoutCancel(r.Context()), remoteAddr(r))
	if err != nil {
		(&refusal{status: http.StatusServiceUnavailable, text: err.Error()}).write(w)
		return
	}
	up := gobwas.HTTPUpgrader{Timeout: responseTime, Protocol: func(p string) bool { return p == chosen }}
	raw, buffered, _, err := up.Upgrade(r, w)
	if err != nil {
		if raw != nil {
			raw.Close()
		}
		return
	}
	var early []byte
	if n := buffered.Reader.Buffered(); n > 0 {
		b, _ := buffered.Reader.Peek(n)
		early = bytes.Clone(b)
	}
	var by time.Time
	if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
		by = a.upgraded()
	}
	c := newConn(raw, early, r.TLS, by, h.going.Load)
	go h.Server.ServeConn(ctx, c)
}

// refusal is the answer to a request that is not upgraded.
type refusal struct {
	status int
	text   string
	header [2]string // one more field; empty: none
}

func (f *refusal) write(w http.ResponseWriter) {
	if f.header[0] != "" {
		w.Header().Set(f.header[0], f.header[1])
	}
	w.Header().Set("Connection", "close")
	if f.status == http.StatusUpgradeRequired {
		w.Header().Add("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
	}
	http.Error(w, f.text, f.status)
}

// judge finds the subprotocol for a request, or the reason to refuse it.
func (h *Handler) judge(r *http.Request) (chosen string, no *refusal) {
	switch {
	case r.Method != http.MethodGet:
		return "", &refusal{http.StatusMethodNotAllowed, "a WebSocket is opened by GET", [2]string{"Allow", "GET"}}
	case r.ProtoMajor != 1 || r.ProtoMinor < 1 || !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return "", &refusal{status: http.StatusUpgradeRequired, text: "this is a WebSocket of HTTP/1.1"}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return "", &refusal{http.StatusUpgradeRequired, "the version of WebSocket is 13", [2]string{"Sec-WebSocket-Version", "13"}}
	case !isKey(r.Header["Sec-Websocket-Key"]):
		return "", &refusal{status: http.StatusBadRequest, text: "Sec-WebSocket-Key is not 16 bytes in base64"}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return "", &refusal{status: http.StatusBadRequest, text: "a handshake has no body"}
	case !h.mayCome(r):
		return "", &refusal{status: http.StatusForbidden, text: "this origin is not allowed"}
	}
	for _, p := range []string{protocol, protocolV31} {
		if hasExactToken(r.Header, "Sec-Websocket-Protocol", p) {
			return p, nil
		}
	}
	return "", &refusal{status: http.StatusBadRequest, text: "the subprotocol is " + protocol}
}

func isKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(b) == 16
}

// hasToken tells whether a field's list has a token, in upper or lower case.
func hasToken(header http.Header, name, token string) bool {
	return anyToken(header[name], func(t string) bool { return strings.EqualFold(t, token) })
}

// hasExactToken is hasToken for what is case-sensitive.
func hasExactToken(header http.Header, name, token string) bool {
	return anyToken(header[name], func(t string) bool { return t == token })
}

func anyToken(values []string, is func(string) bool) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if is(strings.Trim(t, " \t")) {
				return true
			}
		}
	}
	return false
}

// remoteAddr gives the client's address for the log; nil: unknown.
func remoteAddr(r *http.Request) net.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(a)
}
