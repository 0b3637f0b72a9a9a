package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hosts are the names that the server may be asked by, beside those of loopback and the address that a request came to. A page
// of another site can make its own name mean this machine (DNS rebinding); then the browser takes the server for a part of
// that site, and only the name in the request tells.
type hosts map[string]bool

// ParseHosts checks names as --http-hosts has them, and returns them as hosts compares them.
func ParseHosts(names []string) ([]string, error) {
	var parsed []string
	for _, name := range names {
		host := hostOf(strings.TrimSpace(name))
		if host == "" || strings.ContainsAny(name, "/*@") || strings.Contains(host, " ") {
			return nil, fmt.Errorf("--http-hosts: must be names or addresses of this server, as stockflow.example, is %q", name)
		}
		parsed = append(parsed, host)
	}
	return parsed, nil
}

func newHosts(names []string) hosts {
	known := hosts{"localhost": true}
	for _, name := range names {
		known[hostOf(name)] = true
	}
	return known
}

// hostOf returns the host in what a header Host says, in lower case, without port, brackets and a final dot.
func hostOf(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// serve reports whether a request asks for this server. One without a Host is no browser's.
func (h hosts) serve(r *http.Request) bool {
	host := hostOf(r.Host)
	if host == "" || h[host] {
		return true
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	address = address.Unmap()
	return address.IsLoopback() || h[address.String()] || address.WithZone("") == cameTo(r)
}

// cameTo returns the address of this machine that a request came to, the zero address if that isn't known.
func cameTo(r *http.Request) netip.Addr {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// knownHost refuses requests for other servers, whatever they ask.
func (s *Server) knownHost(h http.Handler) http.Handler {
	refuse := s.answer(func(r *http.Request) (reply, error) {
		return reply{}, &fault{
			code:   "misdirected",
			detail: fmt.Sprintf("Nothing was done. This server is not asked by the name %.200q; --http-hosts says by which it may be.", hostOf(r.Host)),
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.hosts.serve(r) {
			refuse.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
