package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// kindURL is what help calls the value of a flag that is an address.
const kindURL = "URL"

// address is a URL to listen on or to connect to.
type address struct {
	scheme string // tcp, tls, ws, wss or unix
	host   string // empty: all addresses of this machine, or localhost to connect to
	port   string // not for unix
	path   string // of the WebSocket, or of the unix socket
	query  string // of the WebSocket, to connect to
}

// wantURL says what an address looks like.
const wantURL = "want tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path or unix:///path"

// defaultPorts has the schemes that have a port.
var defaultPorts = map[string]string{"tcp": "1883", "tls": "8883", "ws": "8083", "wss": "8084"}

// parseAddress reads a URL: tcp://host:port, tls://host:port, ws://host:port/path,
// wss://host:port/path or unix:///path. Port and WebSocket path have defaults. What
// could not be shown to people and read again is no address.
func parseAddress(s string) (address, error) {
	a, err := readAddress(s)
	if err != nil {
		return a, err
	}
	if again, err := readAddress(a.String()); err != nil || again != a {
		return a, errors.New(wantURL)
	}
	return a, nil
}

func readAddress(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil && !strings.Contains(s, "://") {
		return address{}, errors.New(wantURL) // what is missing says more than where parsing stopped
	}
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the outer one repeats the URL, and with it a password
		}
		return address{}, err
	}
	a := address{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), path: u.Path, query: u.RawQuery}
	defaultPort, known := defaultPorts[a.scheme]
	switch {
	case u.User != nil:
		return a, errors.New("the URL must not hold a user name or password")
	case u.Fragment != "":
		return a, errors.New("the URL must not have a fragment")
	case a.scheme == "unix" && (u.Host != "" || a.path == "" || a.query != ""):
		return a, errors.New("want unix:///path")
	case a.scheme == "unix":
		return a, nil
	case !known || u.Opaque != "":
		return a, errors.New(wantURL)
	case !a.ws() && a.path == "/" && a.query == "":
		a.path = ""
	case !a.ws() && (a.path != "" || a.query != ""):
		return a, fmt.Errorf("%s:// takes no path", a.scheme)
	case a.ws() && a.path == "":
		a.path = "/mqtt"
	}
	if strings.Contains(a.host, ":") {
		ip, err := netip.ParseAddr(a.host)
		if err != nil || strings.ContainsFunc(ip.Zone(), notOfZone) {
			return a, fmt.Errorf("host %q is no IPv6 address", a.host)
		}
	}
	if a.port == "" {
		a.port = defaultPort
	}
	if _, err := strconv.ParseUint(a.port, 10, 16); err != nil {
		return a, fmt.Errorf("port %s is not in 0 to 65535", a.port)
	}
	return a, nil
}

// notOfZone tells whether the name of a network interface cannot hold r.
func notOfZone(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_:", r))
}

func (a address) tls() bool { return a.scheme == "tls" || a.scheme == "wss" }
func (a address) ws() bool  { return a.scheme == "ws" || a.scheme == "wss" }

// String is the URL with its defaults filled in.
func (a address) String() string {
	u := url.URL{Scheme: a.scheme, Path: a.path, RawQuery: a.query}
	if a.scheme != "unix" {
		u.Host = net.JoinHostPort(a.host, a.port)
	}
	return u.String()
}
