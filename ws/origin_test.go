package ws

import (
	"context"
	"net"
	"net/http"
	"testing"
)

func TestOrigins(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8083}
	lan := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8083}
	sixth := &net.TCPAddr{IP: net.IPv6loopback, Port: 8083}
	mapped := &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1"), Port: 8083}
	unix := &net.UnixAddr{Name: "/run/mqtt", Net: "unix"}
	same := []string(nil)
	for _, c := range []struct {
		name    string
		origins []string
		local   net.Addr
		host    string
		origin  string // empty: none
		want    bool
	}{
		{"a program", same, lan, "broker.example:8083", "", true},
		{"a program on this machine", same, loopback, "localhost:8083", "", true},
		{"a program where no page may", []string{}, lan, "broker.example", "", true},
		{"the same host", same, lan, "broker.example:8083", "http://broker.example:8083", true},
		{"the same host by TLS", same, lan, "broker.example", "https://broker.example", true},
		{"the same host in capitals", same, lan, "broker.example", "https://BROKER.example", true},
		{"another port", same, lan, "broker.example:8083", "http://broker.example", false},
		{"another host", same, lan, "broker.example", "https://evil.example", false},
		{"a longer host", same, lan, "broker.example", "https://broker.example.evil.example", false},
		{"a user name that looks like it", same, lan, "broker.example", "https://broker.example@evil.example", false},
		{"null", same, lan, "broker.example", "null", false},
		{"a file", same, lan, "broker.example", "file://", false},
		{"no scheme", same, lan, "broker.example", "broker.example", false},
		{"no URL", same, lan, "broker.example", "http://broker.example:x", false},
		{"empty host and origin", same, lan, "", "http://", false},
		{"this machine by name", same, loopback, "localhost:8083", "http://localhost:8083", true},
		{"this machine by name in capitals", same, loopback, "LocalHost:8083", "http://localhost:8083", true},
		{"this machine by address", same, loopback, "127.0.0.1:8083", "http://127.0.0.1:8083", true},
		{"this machine by another address", same, loopback, "127.1.2.3:8083", "http://127.1.2.3:8083", true},
		{"this machine by address 6", same, sixth, "[::1]:8083", "http://[::1]:8083", true},
		{"this machine by address 6, no port", same, sixth, "[::1]", "https://[::1]", true},
		{"another page of this machine", same, loopback, "localhost:8083", "http://localhost:3000", false},
		{"a page of elsewhere", same, loopback, "localhost:8083", "https://evil.example", false},
		{"a name that points here", same, loopback, "evil.example:8083", "http://evil.example:8083", false},
		{"a name that points here, address 6", same, sixth, "evil.example", "http://evil.example", false},
		{"a name that points here, mapped address", same, mapped, "evil.example", "http://evil.example", false},
		{"a name like an address", same, loopback, "127.0.0.1.evil.example", "http://127.0.0.1.evil.example", false},
		{"a name like localhost", same, loopback, "localhost.evil.example", "http://localhost.evil.example", false},
		{"behind a unix socket", same, unix, "broker.example", "https://broker.example", true},
		{"an unknown way", same, nil, "broker.example", "https://broker.example", false},
		{"an unknown way, this machine", same, nil, "localhost", "http://localhost", true},
		{"listed", []string{"a.example", "b.example"}, lan, "broker.example", "https://b.example", true},
		{"listed, on this machine", []string{"b.example"}, loopback, "localhost:8083", "https://b.example", true},
		{"listed in capitals", []string{"B.Example"}, lan, "broker.example", "https://b.eXample", true},
		{"listed without port", []string{"b.example"}, lan, "broker.example", "https://b.example:8443", false},
		{"listed with port", []string{"b.example:*"}, lan, "broker.example", "https://b.example:8443", true},
		{"below a listed one", []string{"*.b.example"}, lan, "broker.example", "https://x.b.example", true},
		{"not below, but it", []string{"*.b.example"}, lan, "broker.example", "https://b.example", false},
		{"ends like a listed one", []string{"b.example"}, lan, "broker.example", "https://evilb.example", false},
		{"the same host, not listed", []string{"b.example"}, lan, "broker.example", "https://broker.example", false},
		{"no page at all", []string{}, lan, "broker.example", "https://broker.example", false},
		{"a bad pattern", []string{"[", "b.example"}, lan, "broker.example", "https://[", false},
		{"beside a bad pattern", []string{"[", "b.example"}, lan, "broker.example", "https://b.example", true},
		{"null, listed others", []string{"*.example"}, lan, "broker.example", "null", false},
		{"null, all", []string{"*"}, lan, "broker.example", "null", true},
		{"all", []string{"*"}, loopback, "localhost:8083", "https://evil.example", true},
		{"all behind others", []string{"b.example", "*"}, lan, "broker.example", "https://c.example:1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Host: c.host, Header: http.Header{}}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.local != nil {
				r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, c.local))
			}
			h := &Handler{Origins: c.origins}
			if got := h.mayCome(r); got != c.want {
				t.Errorf("allowed: %v", got)
			}
		})
	}
}

func TestOriginTwice(t *testing.T) {
	r := &http.Request{Host: "broker.example", Header: http.Header{"Origin": {"http://broker.example", "http://evil.example"}}}
	if (&Handler{Origins: []string{"broker.example"}}).mayCome(r) {
		t.Error("allowed")
	}
}
