package benchmarks

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stockflow/processors"
	processes "stockflow/stockflowtest"
)

var (
	orders = flag.Int("orders", 0, "how many orders BenchmarkGrowth places; 0 leaves it out")
	every  = flag.Int("every", 100_000, "after how many of them it looks")
)

const (
	growthLines   = 2
	growthClients = 64
	// unsealedOrders are so few that nothing is sealed meanwhile.
	unsealedOrders = 2_000
	// spareBuffer is how long a LevelDB keeps a write buffer that it doesn't need any more. How many of a hundred have one is chance, and
	// says nothing of what grows.
	spareBuffer = 31 * time.Second
)

// BenchmarkGrowth places very many orders over HTTP with a server as anybody runs it, and prints after each so many what that holds
// and what its directory takes. In the end it prints how long a start on all of that takes: after a clean stop, after kill -9, and with stores
// that are gone.
func BenchmarkGrowth(b *testing.B) {
	if *orders == 0 {
		b.Skip("it takes long: say how many -orders")
	}
	for b.Loop() {
		g := &growth{
			B: b, dir: b.TempDir(), asking: filepath.Join(b.TempDir(), "collect"),
			http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: growthClients}},
		}
		g.start("a start on nothing")
		g.receive()
		g.unsealed()
		g.grow()
		g.restart()
	}
}

// growth is a server that has more and more orders.
type growth struct {
	*testing.B
	dir    string
	asking string // file that is there while the server is asked to give back memory
	http   *http.Client
	server *processes.Process
	shop   *shop
	placed int
}

// unsealed says what an order takes of a tail file.
func (g *growth) unsealed() {
	before := g.system().Journal.Unsealed
	g.place(unsealedOrders)
	g.rest()
	fmt.Printf("journal: %.0f B/order before it is sealed\n", float64(g.system().Journal.Unsealed-before)/unsealedOrders)
}

// grow places all orders.
func (g *growth) grow() {
	fmt.Printf("%9s %8s | %-36s | %-57s | %s\n", "orders", "orders/s", "anonymous MiB", "MiB on disk, at rest but for the first", "B/order")
	fmt.Printf("%9s %8s | %10s %10s %14s | %12s %8s %10s %8s %8s %6s | %7s\n", "", "", "under load", "at rest", "collected",
		"all, loaded", "journal", "processors", "views", "history", "all", "at rest")
	for g.placed < *orders {
		began, n := time.Now(), min(*every-g.placed%*every, *orders-g.placed)
		loaded := g.place(n)
		speed, unsealed := float64(n)/time.Since(began).Seconds(), onDisk(g.dir)
		g.rest()
		resting := processes.Anonymous(g.pid())
		time.Sleep(spareBuffer)
		g.collect()
		part := func(name string) float64 { return mib(onDisk(filepath.Join(g.dir, name))) }
		fmt.Printf("%9d %8.0f | %10.1f %10.1f %14.1f | %12.0f %8.0f %10.0f %8.0f %8.0f %6.0f | %7.0f\n", g.placed, speed,
			mib(loaded), mib(resting), mib(processes.Anonymous(g.pid())),
			mib(unsealed), part("journal"), part("processors"), part("views"), part("history"), part(""), g.perOrder(onDisk(g.dir)))
	}
	j := g.system().Journal
	fmt.Printf("journal: %.0f B/order in sealed files, %.1f MiB not sealed, %d files\n", g.perOrder(j.Sealed), mib(j.Unsealed), j.Files)
	g.ReportMetric(mib(processes.Anonymous(g.pid())), "collected-MiB")
	g.ReportMetric(g.perOrder(onDisk(g.dir)), "disk-B/order")
}

func (g *growth) perOrder(bytes int64) float64 { return float64(bytes) / float64(g.placed) }

// restart starts the server again in all the ways that differ.
func (g *growth) restart() {
	for range 3 {
		g.stop()
		g.start("after a clean stop")
	}
	for range 3 {
		g.place(500)
		g.server.Kill()
		g.start("after kill -9 under load")
	}
	g.rest()
	g.stop()
	g.lose(filepath.Join("processors", processors.OrderTable, "0"))
	g.start("with one store of the processors gone")
	g.rest()
	g.stop()
	g.lose("processors")
	g.start("with all stores of the processors gone")
	g.rest()
	g.stop()
	g.lose("views")
	g.start("with all views gone")
	g.stop()
}

func (g *growth) lose(part string) {
	if err := os.RemoveAll(filepath.Join(g.dir, part)); err != nil {
		g.Fatal(err)
	}
}

// start starts the server and says how long that took.
func (g *growth) start(when string) {
	g.server = processes.Spawn(g, []string{collecting + "=" + g.asking}, "--log-level", "warn", "serve", "--http", "127.0.0.1:0", "--data", g.dir)
	select {
	case <-g.server.Ready:
	case <-g.server.Ended:
		g.Fatalf("the server ended: %s", g.server.LastWords())
	}
	fmt.Printf("ready %v %s, with %.1f MiB anonymous\n", g.server.ReadyAfter.Round(time.Millisecond), when, mib(processes.Anonymous(g.pid())))
	g.shop = &shop{TB: g, url: g.server.HTTP, http: g.http, skus: shopSKUs}
}

func (g *growth) stop() {
	if err := g.server.Stop(); err != nil {
		g.Fatal(err)
	}
}

func (g *growth) pid() int { return g.server.Cmd.Process.Pid }

// receive fills the shelves.
func (g *growth) receive() {
	g.share(shopSKUs, func(i int) {
		a, err := g.http.Post(g.server.HTTP+"/v1/inventory/"+sku(i)+"/receipts", "application/json", strings.NewReader(`{"quantity":1000000000}`))
		if err != nil {
			g.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, a.Body)
		if err := a.Body.Close(); err != nil || a.StatusCode >= http.StatusMultipleChoices {
			g.Errorf("a receipt is answered with %d %v", a.StatusCode, err)
		}
	})
	g.rest()
}

// place places orders, and returns how much memory the server had meanwhile, in the mean.
func (g *growth) place(n int) (anonymous int64) {
	stop, samples := make(chan struct{}), int64(0)
	var looking sync.WaitGroup
	looking.Go(func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
				samples++
				anonymous += processes.Anonymous(g.pid())
			}
		}
	})
	g.share(n, func(int) { g.shop.place("", rand.IntN(shopSKUs), growthLines, http.StatusAccepted) })
	close(stop)
	looking.Wait()
	g.placed += n
	if g.Failed() {
		g.FailNow()
	}
	return anonymous / max(samples, 1)
}

// share shares work out among clients.
func (g *growth) share(n int, do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range growthClients {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !g.Failed(); i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	working.Wait()
}

// collect has the server collect its garbage and give back what memory it doesn't need.
func (g *growth) collect() {
	if err := os.WriteFile(g.asking, nil, 0o600); err != nil {
		g.Fatal(err)
	}
	g.server.Signal(syscall.SIGUSR1)
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		if _, err := os.Stat(g.asking); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-g.server.Ended:
			g.Fatalf("the server ended: %s", g.server.LastWords())
		case <-tick.C:
		}
	}
}

// rest waits until the server has nothing more to do: no group is behind, nothing is sealed, and it uses next to nothing of a processor,
// which means that stores and history have come to rest too.
func (g *growth) rest() {
	const moment = 2 * time.Second
	for used, before := 0., (growthJournal{}); ; {
		time.Sleep(moment)
		now, s := g.metric("process_cpu_seconds_total"), g.system()
		lag := int64(0)
		for _, group := range s.Groups {
			lag += group.Lag
		}
		if lag == 0 && s.Journal == before && now-used < moment.Seconds()/20 {
			return
		}
		used, before = now, s.Journal
	}
}

// growthJournal is what a server says of its journal.
type growthJournal struct {
	Appended int64
	Files    int
	Unsealed int64 `json:"unsealed_bytes"`
	Sealed   int64 `json:"sealed_bytes"`
}

// system is what the server says of itself.
func (g *growth) system() (s struct {
	Journal growthJournal
	Groups  []struct{ Lag int64 }
}) {
	status, text := g.shop.read("/v1/system")
	if err := json.Unmarshal(text, &s); err != nil || status != http.StatusOK {
		g.Fatalf("/v1/system is answered with %d %s %v", status, text, err)
	}
	return s
}

// metric is one that has no labels.
func (g *growth) metric(name string) float64 {
	_, text := g.shop.read("/metrics")
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.Fatal(err)
			}
			return n
		}
	}
	g.Fatal(errors.New("there is no metric " + name))
	return 0
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
