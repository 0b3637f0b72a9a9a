package api

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestAnotherNameIsAnotherServer: with DNS rebinding a page of evil.example reads and writes here as if it were a page of this server:
// its Origin and its Host agree.
func TestAnotherNameIsAnotherServer(t *testing.T) {
	d := newDesk(t)
	address, _ := d.listening(t)
	_, port, _ := net.SplitHostPort(address)
	for _, path := range []string{"POST /v1/inventory/lamp/receipts", "GET /v1/orders/o-1", "GET /v1/events?table=orders", "GET /docs", "GET /openapi.yaml", "GET /metrics", "GET /readyz", "GET /nowhere"} {
		if status := asksFor(t, address, path, "evil.example:"+port); status != http.StatusMisdirectedRequest {
			t.Errorf("%s of evil.example is answered with %d", path, status)
		}
	}
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	if n := len(d.log.written); n != 0 {
		t.Errorf("%d messages were written", n)
	}
	for host, want := range map[string]int{
		"localhost": 200, "LocalHost:" + port: 200, "localhost.": 200, address: 200, "[::1]:" + port: 200, "127.9.9.9": 200, "example.com:80": 200,
		"192.0.2.1": 421, "localhost.evil.example": 421, "xexample.com": 421, "127.0.0.1.evil.example": 421, "2130706433": 421, "http://localhost": 421,
	} {
		if status := asksFor(t, address, "GET /livez", host); status != want && (want != 421 || status != 400) {
			t.Errorf("asked for %s, it answers with %d, expected %d", host, status, want)
		}
	}
	if status := asksFor(t, address, "GET http://evil.example/livez", "localhost"); status != 421 {
		t.Errorf("a request to a proxy of evil.example is answered with %d", status)
	}
}

// TestTheAddressOfAConnectionIsOurs, also where the server listens at all addresses.
func TestTheAddressOfAConnectionIsOurs(t *testing.T) {
	at := func(local net.Addr, host string) bool {
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		r.Host = host
		return newHosts([]string{"Shop.example", "2001:DB8::5"}).serve(r)
	}
	lan := &net.TCPAddr{IP: net.ParseIP("192.168.1.5"), Port: 8080}
	for host, want := range map[string]bool{
		"192.168.1.5:8080": true, "[::ffff:192.168.1.5]:8080": true, "192.168.1.6:8080": false, "shop.example": true, "shop.example:443": true, "[2001:db8::5]": true, "": true,
	} {
		if got := at(lan, host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	if at(nil, "192.168.1.5") {
		t.Error("an address is ours though nobody knows where the request came to")
	}
}

func TestNamesOfHostsAreChecked(t *testing.T) {
	for _, name := range []string{"", "*", "http://shop.example", "a b", "*.shop.example"} {
		if _, err := ParseHosts([]string{name}); err == nil || !strings.Contains(err.Error(), "--http-hosts") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got, err := ParseHosts([]string{" Shop.Example. ", "shop.example:8080", "[::5]:1"}); err != nil || strings.Join(got, " ") != "shop.example shop.example ::5" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWhomAProxyAsksFor: X-Forwarded-For is believed from trusted proxies alone, and of it only what they wrote.
func TestWhomAProxyAsksFor(t *testing.T) {
	trusted, err := ParseProxies([]string{"10.0.0.0/24", "192.0.2.7", "2001:db8::/64"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"198.51.100.9:1", "203.0.113.1", "198.51.100.9"}, // nobody trusts it
		{"10.0.0.7:1", "203.0.113.1", "203.0.113.1"},
		{"[::ffff:10.0.0.7]:1", "203.0.113.1", "203.0.113.1"},
		{"10.0.0.7:1", "6.6.6.6, 203.0.113.1", "203.0.113.1"}, // the client wrote what stands before
		{"10.0.0.7:1", "6.6.6.6, 203.0.113.1, 192.0.2.7", "203.0.113.1"},
		{"10.0.0.7:1", "203.0.113.1:5555", "203.0.113.1"},
		{"10.0.0.7:1", "2001:db8:1::9", "2001:db8:1::9"},
		{"10.0.0.7:1", "6.6.6.6, unknown", "10.0.0.7"},
		{"10.0.0.7:1", "6.6.6.6, unknown, 192.0.2.7", "192.0.2.7"},
		{"10.0.0.7:1", "", "10.0.0.7"},
		{"10.0.0.7:1", "10.0.0.8", "10.0.0.8"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": {c.forwarded}}}
		if got := proxies(trusted).clientOf(r); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s for %q is %s, expected %s", c.peer, c.forwarded, got, c.want)
		}
	}
	for _, text := range []string{"", "proxy", "10.0.0.0/33", "10.0.0.1:80"} {
		if _, err := ParseProxies([]string{text}); err == nil || !strings.Contains(err.Error(), "--trusted-proxies") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestARateIsThatOfTheClientBehindAProxy.
func TestARateIsThatOfTheClientBehindAProxy(t *testing.T) {
	d := pressed(t, Pressure{Rate: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}}, &paper{})
	d.gate.clients.rate = 0.001 // nothing comes back during this test
	ask := func(peer, forwarded string) int {
		r := httptest.NewRequest("GET", "/v1/orders/o-1", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		w := httptest.NewRecorder()
		d.http.Handler.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		peer, forwarded string
		refused         bool
	}{
		{"10.0.0.7:1", "203.0.113.1", false}, {"10.0.0.7:2", "203.0.113.2", false}, {"10.0.0.7:3", "203.0.113.1", true},
		{"198.51.100.9:1", "203.0.113.3", false}, {"198.51.100.9:2", "203.0.113.4", true},
	} {
		if code := ask(c.peer, c.forwarded); (code == 429) != c.refused {
			t.Errorf("%s for %s is answered with %d", c.peer, c.forwarded, code)
		}
	}
}

// asksFor sends one request with a Host and an Origin that agree, and returns the status of its answer.
func asksFor(t *testing.T, address, what, host string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"quantity": 5}`
	if strings.HasPrefix(what, "GET") {
		body = ""
	}
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Length: %d\r\n\r\n%s", what, host, host, len(body), body)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s for %s: %v", what, host, err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
