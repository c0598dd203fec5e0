package main

import (
	"net"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"tcp://127.0.0.1:1883", "tcp://127.0.0.1:1883"},
		{"tcp://127.0.0.1:1883/", "tcp://127.0.0.1:1883"},
		{"tcp://127.0.0.1", "tcp://127.0.0.1:1883"},
		{"tcp://:0", "tcp://:0"},
		{"tcp://", "tcp://:1883"},
		{"TLS://[::1]", "tls://[::1]:8883"},
		{"ws://localhost", "ws://localhost:8083/mqtt"},
		{"ws://localhost/", "ws://localhost:8083/"},
		{"wss://localhost:443/a%20b", "wss://localhost:443/a%20b"},
		{"wss://localhost/mqtt?x=y", "wss://localhost:8084/mqtt?x=y"},
		{"unix:///run/mqttx.sock", "unix:///run/mqttx.sock"},
	} {
		a, err := parseAddress(tt.in)
		if err != nil || a.String() != tt.want {
			t.Errorf("%s: %v, %v, want %s", tt.in, a, err, tt.want)
		}
	}
	for _, in := range []string{
		"", "localhost", "localhost:1883", "mqtt://localhost", "tcp:localhost", "tcp://localhost:x", "tcp://localhost:65536",
		"tcp://localhost/x", "tls://localhost?x=y", "tcp://ana:secret@localhost", "ws://localhost/#x", "unix://", "unix://host/path",
		"unix:path", "unix:///path?x", "tcp://[::1", "tcp://%zz",
	} {
		if a, err := parseAddress(in); err == nil {
			t.Errorf("%s: %v, want an error", in, a)
		}
	}
	for _, in := range []string{":1883", "127.0.0.1:1883", "localhost:1883"} { // what people write first
		if _, err := parseAddress(in); err == nil || err.Error() != wantURL {
			t.Errorf("%s: %v, want: %s", in, err, wantURL)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"tcp://127.0.0.1:1883", "wss://[::1%25eth0]/a%2Fb?c", "unix:///a b", "ws://:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		if again, err := parseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q is %#v, and that is %#v, %v", s, a, again, err)
		}
	})
}

func TestPitfall117_WhatIsLocal(t *testing.T) {
	for _, tt := range []struct {
		at   net.Addr
		want bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.UnixAddr{Name: "x", Net: "unix"}, true},
		{&net.TCPAddr{}, false},
		{&net.TCPAddr{IP: net.IPv4zero}, false},
		{&net.TCPAddr{IP: net.IPv6unspecified}, false},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, false},
		{&net.UDPAddr{IP: net.IPv6loopback}, false},
		{nil, false},
	} {
		if got := isLocal(tt.at); got != tt.want {
			t.Errorf("%v: %v", tt.at, got)
		}
	}
}
