package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ParseProxies reads addresses and networks as --trusted-proxies has them.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range texts {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if address, aerr := netip.ParseAddr(text); aerr == nil {
			network, err = address.Unmap().Prefix(address.Unmap().BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: must be addresses or networks, as 10.0.0.7 or 10.0.0.0/24, is %q", text)
		}
		proxies = append(proxies, network.Masked())
	}
	return proxies, nil
}

// proxies are those whose word counts for whom they ask.
type proxies []netip.Prefix

func (p proxies) trust(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(address) })
}

// clientOf returns the address of who asks, the zero address if it is none: the peer, or who stands behind a trusted proxy. In X-Forwarded-For each proxy
// adds its peer at the end, so what counts is the last address that is no trusted proxy's; what stands before that, anybody may have written.
func (p proxies) clientOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	if !p.trust(client) {
		return client
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(forwarded) {
		address, ok := hop(strings.TrimSpace(text))
		if !ok {
			break
		}
		if client = address; !p.trust(client) {
			break
		}
	}
	return client
}

// hop reads an entry of X-Forwarded-For: an address, with a port or without.
func hop(text string) (address netip.Addr, ok bool) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		at, perr := netip.ParseAddrPort(text)
		address, err = at.Addr(), perr
	}
	return address.Unmap().WithZone(""), err == nil
}
