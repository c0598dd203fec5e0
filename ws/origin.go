package ws

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
)

// mayCome tells whether the page that a request comes from may connect; programs have no page.
func (h *Handler) mayCome(r *http.Request) bool {
	origins := r.Header["Origin"]
	switch {
	case len(origins) == 0 || slices.Contains(h.Origins, "*"):
		return true
	case len(origins) > 1:
		return false
	}
	host := originHost(origins[0])
	switch {
	case host == "":
		return false
	case h.Origins == nil:
		return strings.EqualFold(host, r.Host) && (isLoopback(host) || !cameByLoopback(r))
	}
	return slices.ContainsFunc(h.Origins, func(pattern string) bool {
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(host))
		return ok && err == nil
	})
}

// originHost gives the host of an origin, with its port if it has one; empty: it is none, such as "null".
func originHost(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" {
		return ""
	}
	return u.Host
}

// cameByLoopback tells whether the request came in on a loopback address. A page that got its name to point here comes
// that way with its own name as the host, as if it were served here, and is known by that. If it cannot be told, it did.
func cameByLoopback(r *http.Request) bool {
	a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if a == nil {
		return true
	}
	if a.Network() == "unix" {
		return false // browsers do not get there
	}
	host, err := netip.ParseAddrPort(a.String())
	return err != nil || host.Addr().Unmap().IsLoopback()
}

// isLoopback tells whether a host, with a port or without, names a loopback address.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
