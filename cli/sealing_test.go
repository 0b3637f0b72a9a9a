package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"stockflow/journal"
)

// TestWhatIsReadWhileFilesAreSealed: the journal rewrites what it has into other files, again and again, under a flood of orders. What was before is
// told as before meanwhile: explanations, events, rows as they were, and pages, in which each order stands once. And so it is by a server that
// has to make all of that anew from those files.
func TestWhatIsReadWhileFilesAreSealed(t *testing.T) {
	t.Parallel()
	const known, seals, flooders = 30, 12, 4
	serve := Serve{
		HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8, Kafka: noPort, journal: journal.Options{TailBytes: 64 << 10, MaxTail: 512 << 10, MaxRecent: 4 << 10},
	}
	server, client := start(t, serve)
	client.want("POST", lampPath+"/receipts", `{"quantity": 1000000}`, 200)
	for i := range known {
		client.placed(fmt.Sprintf(`{"order_id":"k-%02d","customer":{"id":"known"},"lines":[{"sku":"lamp","quantity":%d}]}`, i, i+1), fmt.Sprintf("/v1/shipments/k-%02d", i))
	}
	var placed struct{ History []struct{ At string } }
	must(t, json.Unmarshal([]byte(client.send("GET", "/v1/shipments/k-29", "").text), &placed))
	at := "?at=" + url.QueryEscape(placed.History[0].At)
	client.until("/v1/shipments/k-29"+at, `"version":`) // the history has been read so far
	paths := []string{"/v1/orders/k-07/explain", "/v1/orders/k-07/events", "/v1/orders/k-07" + at, "/v1/shipments/k-29" + at, "/v1/inventory/lamp" + at}
	before := map[string]string{}
	for _, path := range paths {
		before[path] = client.send("GET", path, "").text
		client.want("GET", path, "", http.StatusOK)
	}

	var sealed, ordered atomic.Int64
	var flood sync.WaitGroup
	for f := range flooders {
		flood.Go(func() {
			for n := 0; sealed.Load() < seals; n++ {
				client.noted(fmt.Sprintf(`{"order_id":"f-%d-%d","customer":{"id":"flood"},"lines":[{"sku":"lamp","quantity":1}]}`, f, n))
				ordered.Add(1)
			}
		})
	}
	rounds := 0
	for files := server.Journal().Stats().SealedFiles; sealed.Load() < seals; rounds++ {
		for _, path := range paths {
			if a := client.send("GET", path, ""); a.text != before[path] {
				t.Errorf("%s is answered with %d %s, and before with %s", path, a.status, a.text, before[path])
			}
		}
		if got := strings.Join(pagesOf(client, "/v1/orders?customer=known&limit=7"), " "); got != strings.Join(numbered(known), " ") {
			t.Errorf("the pages have %s", got)
		}
		if now := server.Journal().Stats().SealedFiles; now != files {
			files = now
			sealed.Add(1)
		}
		if t.Failed() {
			sealed.Store(seals)
		}
	}
	flood.Wait()
	last := client.send("POST", "/v1/orders", `{"order_id":"last","lines":[{"sku":"lamp","quantity":1}]}`)
	client.want("GET", "/v1/orders/last?wait=10&after="+last.header.Get("Stockflow-Token"), "", http.StatusOK)
	if got := len(pagesOf(client, "/v1/orders?customer=flood&limit=200&wait=10&after="+last.header.Get("Stockflow-Token"))); got != int(ordered.Load()) {
		t.Errorf("%d orders came, and the pages have %d", ordered.Load(), got)
	}
	halt(t, server)
	for _, copies := range []string{"views", "history"} {
		must(t, os.RemoveAll(filepath.Join(serve.Data, copies)))
	}
	_, client = start(t, serve)
	for _, path := range paths {
		client.until(path, before[path])
	}
	if got := len(pagesOf(client, "/v1/orders?limit=200")); got != int(ordered.Load())+known+1 {
		t.Errorf("made anew, the pages have %d orders of %d", got, int(ordered.Load())+known+1)
	}
	t.Logf("%d rounds while %d orders came and the sealed files changed %d times", rounds, ordered.Load(), sealed.Load())
}

// pagesOf returns the ids of the orders on all pages of a list.
func pagesOf(client *shop, path string) (ids []string) {
	client.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				OrderID string `json:"order_id"`
			}
			Next string
		}
		a := client.send("GET", path+cursor, "")
		if err := json.Unmarshal([]byte(a.text), &page); err != nil || a.status != http.StatusOK {
			client.t.Errorf("a page is answered with %d %s: %v", a.status, a.text, err)
			return ids
		}
		for _, item := range page.Items {
			ids = append(ids, item.OrderID)
		}
		if page.Next == "" {
			return ids
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
}

func numbered(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("k-%02d", i))
	}
	return ids
}
