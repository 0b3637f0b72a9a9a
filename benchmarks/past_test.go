package benchmarks

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// looks is how often each question is asked.
const looks = 2_000

// BenchmarkPast asks a server over HTTP for orders and SKUs of the archive as they were, and why orders stand where they do,
// each time another. Before that its history is read from the logs, for as long as s-to-read. Its memory is to be compared with that of a
// server without one.
func BenchmarkPast(b *testing.B) {
	dir := openArchive(b)
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			server, _ := serve(b, dir, "no history")
			b.ReportMetric(mib(server.sample().Peak), "peak-MiB")
			server.stop()
		}
	})
	b.Run("asked", func(b *testing.B) {
		for b.Loop() {
			if err := os.RemoveAll(filepath.Join(dir, "history")); err != nil {
				b.Fatal(err)
			}
			askPast(b, dir)
		}
	})
}

// serve starts a server on a directory, and waits until it is ready.
func serve(b *testing.B, dir string, without ...string) (*process, *shop) {
	server := start(b, "server", append([]string{dir}, without...)...)
	s := &shop{TB: b, url: "http://" + server.address, http: http.DefaultClient}
	s.await("/readyz")
	return server, s
}

// askPast starts a server, waits until it has read everything, and asks.
func askPast(b *testing.B, dir string) {
	began := time.Now()
	server, s := serve(b, dir)
	defer server.stop()
	for i := range 64 { // some of each partition, and those that come last in it
		s.await("/v1/orders/" + orderKey(i) + "/explain")
		s.await("/v1/orders/" + orderKey(*delivered-1-i) + "/explain")
	}
	b.ReportMetric(time.Since(began).Seconds(), "s-to-read")
	first, last := s.times(orderKey(0)), s.times(orderKey(*delivered-1))
	from, to := first[0], last[len(last)-1]
	at := func() string {
		return url.QueryEscape(from.Add(time.Duration(rand.Int64N(int64(to.Sub(from))))).Format(time.RFC3339Nano))
	}
	order := func() string { return orderKey(rand.IntN(*delivered)) }
	s.ask("explain", func() string { return "/v1/orders/" + order() + "/explain" })
	s.ask("order-at", func() string { return "/v1/orders/" + order() + "?at=" + at() })
	s.ask("sku-at", func() string { return "/v1/inventory/" + sku(rand.IntN(shopSKUs)) + "?at=" + at() })
	b.ReportMetric(mib(server.sample().Peak), "peak-MiB")
}

// ask asks many times, and reports how long the answers took.
func (s *shop) ask(name string, path func() string) {
	var took []time.Duration
	for range looks {
		from := time.Now()
		status, text := s.read(path())
		if status != http.StatusOK && status != http.StatusNotFound { // it wasn't there by then
			s.Fatalf("%s is answered with %d %s", name, status, text)
		}
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	for _, share := range []int{50, 99, 100} {
		s.TB.(*testing.B).ReportMetric(float64(took[(looks-1)*share/100].Microseconds())/1000, fmt.Sprintf("ms/%s-p%d", name, share))
	}
}

// times are those of the messages of an order.
func (s *shop) times(order string) (times []time.Time) {
	var trail struct {
		Items []struct{ At time.Time }
	}
	_, text := s.read("/v1/orders/" + order + "/events")
	if err := json.Unmarshal(text, &trail); err != nil {
		s.Fatal(err)
	}
	for _, e := range trail.Items {
		times = append(times, e.At)
	}
	return times
}

// await asks until it is answered.
func (s *shop) await(path string) {
	tick := time.NewTicker(100 * glance)
	defer tick.Stop()
	for {
		status, text := s.read(path)
		switch status {
		case http.StatusOK:
			return
		case http.StatusServiceUnavailable: // it isn't ready, or the history hasn't come so far
		default:
			s.Fatalf("%s is answered with %d %s", path, status, text)
		}
		select {
		case <-s.Context().Done():
			s.Fatal(s.Context().Err())
		case <-tick.C:
		}
	}
}

// read asks once.
func (s *shop) read(path string) (status int, text []byte) {
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	a, err := s.http.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer a.Body.Close()
	text, err = io.ReadAll(a.Body)
	if err != nil {
		s.Fatal(err)
	}
	return a.StatusCode, text
}
