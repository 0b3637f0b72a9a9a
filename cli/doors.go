package cli

import (
	"log/slog"
	"net"

	"stockflow/api"
)

// warnBeyondLoopback says what it means that other machines can reach an address. Containers have to listen so.
func warnBeyondLoopback(address net.Addr, log *slog.Logger) {
	if at, ok := address.(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.Warn("other machines may reach HTTP, and nobody logs in there: whoever reaches it can order, change stock and read customers' addresses; put a proxy with a login before it",
			"address", address.String())
	}
}

// pressure is that of the flags, with no more connections than there are files for.
func (s *Server) pressure() api.Pressure {
	p := s.serve.pressure()
	p.Connections = s.room.http
	return p
}

// hosts are the names that HTTP may be asked by: those of --http-hosts, and the host that --http names.
func (s *Server) hosts() []string {
	hosts, _ := api.ParseHosts(s.serve.HTTPHosts) // Validate has checked them
	if host, _, err := net.SplitHostPort(s.serve.HTTP); err == nil && host != "" && !net.ParseIP(host).IsUnspecified() {
		hosts = append(hosts, host)
	}
	return hosts
}
