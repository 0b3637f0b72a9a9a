package cli

import (
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// haproxySections are the sections of HAProxy's configuration by their name, as "backend ready", with the words of each line.
func haproxySections(t *testing.T) map[string][][]string {
	t.Helper()
	sections, name := map[string][][]string{}, ""
	for line := range strings.Lines(text(t, "stack/haproxy.cfg")) {
		switch words := strings.Fields(line); {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case !strings.HasPrefix(line, " "):
			name = strings.Join(words, " ")
		default:
			sections[name] = append(sections[name], words)
		}
	}
	return sections
}

// TestTheProxyFallsBackOnThoseWhoAreAlive: it prefers who is ready, and while nobody is, whoever is alive answers for himself. Both are
// all the Stockflows there are.
func TestTheProxyFallsBackOnThoseWhoAreAlive(t *testing.T) {
	t.Parallel()
	sections, want := haproxySections(t), map[string]bool{}
	for _, s := range loadStack(t, "cluster").Services {
		if isStockflow(s) {
			_, port, _ := net.SplitHostPort(*s.Environment["STOCKFLOW_HTTP"])
			want[s.Name+":"+port] = true
		}
	}
	for backend, check := range map[string]string{"ready": "/readyz", "alive": "/livez"} {
		servers, asks := map[string]bool{}, ""
		for _, words := range sections["backend "+backend] {
			switch words[0] {
			case "server":
				servers[words[2]] = true
			case "option":
				asks = words[len(words)-1]
			}
		}
		if !maps.Equal(servers, want) || asks != check {
			t.Errorf("backend %s has %v and asks %q, expected %v and %s", backend, servers, asks, want, check)
		}
	}
	var chosen []string
	for _, words := range sections["frontend http"] {
		if strings.HasSuffix(words[0], "_backend") {
			chosen = append(chosen, strings.Join(words, " "))
		}
	}
	if want := []string{"use_backend alive if { nbsrv(ready) eq 0 }", "default_backend ready"}; !slices.Equal(chosen, want) {
		t.Errorf("a request goes to %q, expected %q", chosen, want)
	}
}

// TestTheProxyTakesItsConfiguration asks HAProxy itself, where there is one.
func TestTheProxyTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command(installed(t, "haproxy"), "-c", "-f", filepath.Join(house, "stack", "haproxy.cfg")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheProxySaysForWhomItAsks, and is trusted at the one address that it has.
func TestTheProxySaysForWhomItAsks(t *testing.T) {
	t.Parallel()
	if !slices.ContainsFunc(haproxySections(t)["defaults"], func(words []string) bool { return slices.Equal(words, []string{"option", "forwardfor"}) }) {
		t.Error("it doesn't say for whom it asks")
	}
	p := loadStack(t, "cluster")
	address := p.Services["proxy"].Networks["default"].Ipv4Address
	for _, s := range p.Services {
		if isStockflow(s) && *s.Environment["STOCKFLOW_TRUSTED_PROXIES"] != address {
			t.Errorf("%s trusts %s, and the proxy is at %s", s.Name, *s.Environment["STOCKFLOW_TRUSTED_PROXIES"], address)
		}
	}
	given := p.Networks["default"].Ipam.Config[0]
	if network, err := netip.ParsePrefix(given.IPRange); err != nil || address == "" || network.Contains(netip.MustParseAddr(address)) {
		t.Errorf("somebody else may be given %s: %v", address, err)
	}
}
