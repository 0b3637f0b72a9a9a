package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHealthIsThatOfReadyz, or with --alive that of livez.
func TestHealthIsThatOfReadyz(t *testing.T) {
	t.Parallel()
	server, client := open(t, t.TempDir())
	told(t, 0, nil, "health", "--url", client.url)
	told(t, 0, nil, "health", "--url", client.url+"/", "--alive")
	halt(t, server)
	told(t, 1, []string{"connection refused"}, "health", "--url", client.url)
	told(t, 1, []string{"connection refused"}, "health", "--url", client.url, "--alive")

	waits := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			http.Error(w, "group order is recovering", http.StatusServiceUnavailable)
		}
	}))
	defer waits.Close()
	told(t, 1, []string{"is not ready: group order is recovering"}, "health", "--url", waits.URL)
	told(t, 0, nil, "health", "--url", waits.URL, "--alive")
}
