package benchmarks

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/cli"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/machines/inventory"
	"stockflow/processors"
)

const shopPartitions = 8 // what serve begins with

// shop is a running Stockflow with goods, as "go run . serve" makes it: every write is on the disk before it is answered.
type shop struct {
	testing.TB
	*watcher
	dir     string
	journal *journal.Journal
	url     string
	http    *http.Client
	skus    int
}

func openShop(t testing.TB, skus int) *shop { return openShopAs(t, skus, cli.Serve{}) }

// openShopAs is openShop with other settings than those that serve begins with.
func openShopAs(t testing.TB, skus int, serve cli.Serve) *shop {
	t.Helper()
	dir := t.TempDir()
	serve.HTTP, serve.Data, serve.Partitions = "127.0.0.1:0", dir, shopPartitions
	server, err := serve.Start(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := server.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	s := &shop{
		TB: t, watcher: newWatcher(t, server.Broker()), dir: dir, journal: server.Journal(),
		url: "http://" + server.HTTPAddr(), http: &http.Client{Transport: transport}, skus: skus,
	}
	receive(s, s.watcher, skus)
	return s
}

// receive fills the shelves with more than any benchmark sells, and waits until the stock knows of it.
func receive(t testing.TB, w *watcher, skus int) {
	t.Helper()
	p := newProducer(t, w.broker)
	_, value := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: inventory.MaxQuantity})
	for i := range skus {
		p.send(toShop(processors.InventoryEvents, sku(i), value))
	}
	p.close()
	w.until(t, w.stockTaken)
}

func toShop(log, key string, value []byte) *kgo.Record {
	return &kgo.Record{Topic: log, Partition: broker.Partition([]byte(key), shopPartitions), Key: []byte(key), Value: value}
}

func sku(i int) string { return fmt.Sprintf("sku-%05d", i) }

// place places an order of one unit each of some SKUs that follow each other, and wants an answer with that status.
func (s *shop) place(id string, first, lines, status int, headers ...string) {
	var items []string
	for i := range lines {
		items = append(items, fmt.Sprintf(`{"sku":%q,"quantity":1}`, sku((first+i)%s.skus)))
	}
	body := fmt.Sprintf(`{"order_id":%q,"lines":[%s]}`, id, strings.Join(items, ","))
	if id == "" {
		body = fmt.Sprintf(`{"lines":[%s]}`, strings.Join(items, ","))
	}
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.url+"/v1/orders", strings.NewReader(body))
	if err != nil {
		s.Error(err)
		return
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	a, err := s.http.Do(r)
	if err != nil {
		s.Error(err)
		return
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != status {
		s.Errorf("%s is answered with %d %s, %v", body, a.StatusCode, text, err)
	}
}

// stored is how many bytes the shop has on the disk, without the part of the journal's newest files that is yet to be filled.
func (s *shop) stored() int64 {
	j := s.journal.Stats()
	return onDisk(s.dir) - onDisk(filepath.Join(s.dir, "journal")) + j.TailBytes + j.SealedBytes
}

// onDisk is how many bytes there are in all files under a directory. Files that go meanwhile don't count.
func onDisk(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
