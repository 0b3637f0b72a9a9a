package cli

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// newUndecided stands before a Stockflow that takes its time: whoever sends something for the first time is told only that
// the log has it, though it was decided.
func newUndecided(t *testing.T, client *shop) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]bool{} // by path, key and body
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := r.Header.Get("Idempotency-Key")
		headers := []string{"Content-Type: application/json", "Prefer: " + r.Header.Get("Prefer")}
		if key != "" {
			headers = append(headers, "Idempotency-Key: "+key)
		}
		a, err := client.try(r.Method, r.URL.RequestURI(), string(body), headers...)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		mu.Lock()
		request := r.URL.Path + "\x00" + key + "\x00" + string(body)
		first := r.Method == http.MethodPost && !seen[request]
		seen[request] = true
		mu.Unlock()
		maps.Copy(w.Header(), a.header)
		w.Header().Del("Content-Length") // of another text
		if first {
			w.Header().Set("Content-Type", "application/json")
			a.status, a.text = http.StatusAccepted, `{"status":"accepted","see":"/v1/inventory/lamp"}`
			if strings.HasPrefix(r.URL.Path, "/v1/orders") {
				a.text = `{"order_id":"o","status":"pending"}`
			}
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.text)
	}))
	t.Cleanup(front.Close)
	return front
}

// TestARowThatIsDecidedLaterCountsOnce: it is sent again until its decision is known, and a refusal that comes late is as
// good as one that comes at once.
func TestARowThatIsDecidedLaterCountsOnce(t *testing.T) {
	t.Parallel()
	server, client := open(t, t.TempDir())
	url := newUndecided(t, client).URL
	stock := writeFile(t, "stock.csv", "sku,quantity,reason\nlamp,5,\nlamp,-9,loss\nlamp,-1,loss\n")
	s := loaded(t, 1, "stock", stock, "--url", url, "--concurrency", "1")
	if s.Receipts != 1 || s.Adjustments != 1 || s.Refused != 1 || s.Pending != 0 {
		t.Errorf("of three movements: %+v", s.Counts)
	}
	if rejects := rejectsOf(t, stock); len(rejects) != 1 || rejects[0][0] != "3" || !strings.HasPrefix(rejects[0][1], "below_zero") {
		t.Errorf("the rejects are %q", rejects)
	}
	orders := writeFile(t, "orders.csv", "order_id,sku,quantity\no-1,lamp,3\no-2,lamp,3\n")
	if s := loaded(t, 0, "orders", orders, "--url", url, "--concurrency", "1"); s.Confirmed != 1 || s.Rejected != 1 || s.Pending != 0 {
		t.Errorf("of two orders: %+v", s.Counts)
	}
	newQuiet(t, server).wait(t)
	client.wantStock("lamp", 4, 3)
}

// TestWhatIsNotDecidedMakesTheCodeOne, and is told of.
func TestWhatIsNotDecidedMakesTheCodeOne(t *testing.T) {
	t.Parallel()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"accepted","see":"/v1/inventory/lamp"}`)
	}))
	defer front.Close()
	file := writeFile(t, "stock.csv", "sku,quantity\nlamp,5\n")
	var stdout, stderr strings.Builder
	if code := run([]string{"load", "stock", file, "--url", front.URL, "--patience", "0s"}, &stdout, &stderr); code != 1 {
		t.Errorf("the load ends with %d", code)
	}
	if want := "0 rows were not taken, 1 were not decided in time; they are in " + file + ".rejects.csv"; !strings.Contains(stderr.String(), want) {
		t.Errorf("it says %q, expected %q in it", stderr.String(), want)
	}
	if want := "  pending               1  (1 not decided in time)\n"; !strings.Contains(stdout.String(), want) {
		t.Errorf("it says %q, expected %q in it", stdout.String(), want)
	}
}
