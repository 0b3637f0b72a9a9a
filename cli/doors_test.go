package cli

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"stockflow/api"
)

func logTo(to *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// TestListeningToOthersIsSaid, as nobody logs in.
func TestListeningToOthersIsSaid(t *testing.T) {
	for address, warns := range map[string]bool{"127.0.0.1": false, "::1": false, "0.0.0.0": true, "::": true, "192.168.1.5": true} {
		var said bytes.Buffer
		warnBeyondLoopback(&net.TCPAddr{IP: net.ParseIP(address), Port: 8080}, logTo(&said))
		if got := strings.Contains(said.String(), "level=WARN") && strings.Contains(said.String(), "nobody logs in"); got != warns {
			t.Errorf("listening on %s, it says %q", address, said.String())
		}
	}
}

// TestHTTPIsAskedByItsNames: those of --http-hosts, and no others.
func TestHTTPIsAskedByItsNames(t *testing.T) {
	p, _ := spawnServer(t, t.TempDir(), "--kafka", "off", "--http-hosts", "shop.example,other.example")
	for host, want := range map[string]int{"": 200, "localhost:1": 200, "shop.example": 200, "Other.example:8080": 200, "evil.example": 421} {
		r, err := http.NewRequest("GET", p.HTTP+"/v1/system", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("asked by the name %q, it answers with %d, expected %d", host, answer.StatusCode, want)
		}
	}
	for flag, says := range map[string]string{"--http-hosts=*": "--http-hosts", "--trusted-proxies=proxy": "--trusted-proxies"} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{"serve", "--data", t.TempDir(), flag}, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), says+": must be") {
			t.Errorf("serve %s ends with %d and %q", flag, code, stderr.String())
		}
	}
}

// TestFewOpenFilesAreSaid, and leave room for what isn't a connection.
func TestFewOpenFilesAreSaid(t *testing.T) {
	for _, c := range []struct {
		limit       uint64
		connections int
		want        descriptors
		warns       bool
	}{
		{1 << 20, 2_048, descriptors{2_048, 256}, false},
		{0, 2_048, descriptors{2_048, 256}, false},
		{4_096, 2_048, descriptors{1_024, 256}, true},
		{4_096, 100, descriptors{100, 256}, false},
		{3_900, 100, descriptors{100, 256}, true},
		{1_024, 2_048, descriptors{256, 128}, true},
		{1_024, 0, descriptors{256, 128}, true},
		{1, 2_048, descriptors{2, 1}, true},
	} {
		var said bytes.Buffer
		got := share(c.limit, 8, api.Pressure{Connections: c.connections}, logTo(&said))
		if got != c.want || strings.Contains(said.String(), "few files") != c.warns {
			t.Errorf("of %d files with %d connections: %+v, and it says %q", c.limit, c.connections, got, said.String())
		}
	}
}
