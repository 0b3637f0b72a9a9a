package torture

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"stockflow/stockflowtest"
)

var (
	minutes = flag.Float64("minutes", 0, "that the soak lasts; without them there is none")
	pace    = flag.Float64("rate", 300, "orders a second of the soak")
)

// TestSoak runs for an hour under an even load, with a kill every two minutes and twice a longer time without. Every
// few seconds it looks at what the process holds. What is compared in the end are moments of the same age, as a process
// begins anew at each kill; the long lives show a leak that is slow.
func TestSoak(t *testing.T) {
	if *minutes == 0 {
		t.Skip("it takes an hour; make soak")
	}
	n := seedOf(t)
	t.Logf("%g minutes at %g orders/s, -seed %d", *minutes, *pace, n)
	k := newRack(t, n, "", 128)
	s := &soak{rack: k, limit: rate.NewLimiter(rate.Limit(*pace), int(*pace)), began: time.Now()}
	k.act, k.assortment = s.act, large
	k.begin()
	total := newTally()
	t.Logf("\n%s", columns)
	for _, share := range lives() {
		s.live(time.Duration(share**minutes*float64(time.Minute)), total)
	}
	wrong := k.audit(total)
	t.Logf("\n%s\n%s", total, s.verdict())
	last := s.samples[len(s.samples)-1]
	t.Logf("%.0f orders/s in the mean, the time without a process included; %d bytes of disk an order", float64(last.orders)/last.elapsed.Seconds(), last.disk/int64(last.orders))
	s.wantBounds()
	k.wantFine(wrong)
}

// lives are how long each process lives, as shares of the whole: of an hour, eight times two minutes and then twelve;
// and eight times two and then sixteen.
func lives() (shares []float64) {
	for _, long := range []float64{12, 16} {
		for range 8 {
			shares = append(shares, 2./60)
		}
		shares = append(shares, long/60)
	}
	return shares
}

// soak is a rack with an even load, and what was seen of it.
type soak struct {
	*rack
	limit   *rate.Limiter
	began   time.Time
	number  int // of the process that lives
	samples []sample
}

// sample is what a process holds at an age.
type sample struct {
	process             int
	age                 time.Duration
	orders              int
	anonymous, heap     float64 // bytes
	goroutines, files   float64
	lag                 float64 // messages
	disk                int64   // bytes under the data directory, 0 if nobody looked
	readyAfter, elapsed time.Duration
}

const (
	every   = 10 * time.Second
	columns = "elapsed process age     ready   orders/1000  own MiB  heap MiB  goroutines  files     lag  disk MiB  disk B/order"
)

func (s sample) String() string {
	perOrder := 0.
	if s.orders > 0 {
		perOrder = float64(s.disk) / float64(s.orders)
	}
	return fmt.Sprintf("%-7s %7d %-7s %-7s %11.1f %8.0f %9.0f %11.0f %6.0f %7.0f %9d %13.0f", s.elapsed.Round(time.Second), s.process,
		s.age.Round(time.Second), s.readyAfter.Round(time.Millisecond), float64(s.orders)/1000, s.anonymous/(1<<20), s.heap/(1<<20),
		s.goroutines, s.files, s.lag, s.disk>>20, perOrder)
}

// live is the life of one process, which is killed in the end.
func (s *soak) live(span time.Duration, y *tally) {
	s.number++
	p := s.spawn()
	if err := p.Await(p.Ready, "ready"); err != nil {
		s.t.Fatal(err)
	}
	y.ready = append(y.ready, p.ReadyAfter)
	end := time.NewTimer(span)
	defer end.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-p.Ended:
			s.t.Fatalf("a process ended by itself: %v\n%s", p.Cmd.ProcessState, p.LastWords())
		case <-tick.C:
			s.sample(p, n%6 == 0)
		case <-end.C:
			s.sample(p, true)
			p.Signal(syscall.SIGKILL)
			<-p.Ended
			s.buried(p)
			met, err := s.look(s.t.Context(), p)
			if err != nil {
				s.t.Fatal(err)
			}
			y.kills["at work"]++
			for _, m := range met {
				y.found[m]++
			}
			return
		}
	}
}

// sample notes what a process holds; those with the disk are printed.
func (s *soak) sample(p *stockflowtest.Process, disk bool) {
	m, err := metrics(s.t.Context(), p.HTTP)
	if err != nil {
		s.t.Logf("the metrics can't be read: %v", err)
		return
	}
	x := sample{
		process: s.number, age: time.Since(p.Spawned), elapsed: time.Since(s.began), readyAfter: p.ReadyAfter, orders: s.books.placed(),
		anonymous: float64(stockflowtest.Anonymous(p.Cmd.Process.Pid)), heap: m["go_memstats_heap_inuse_bytes"],
		goroutines: m["go_goroutines"], files: m["process_open_fds"], lag: m["stockflow_lag_records"],
	}
	if disk {
		x.disk = onDisk(s.data)
		s.t.Log(x)
	}
	s.samples = append(s.samples, x)
}

// metrics reads what a process says of itself, each name summed over its labels.
func metrics(ctx context.Context, url string) (map[string]float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	all := map[string]float64{}
	scan := bufio.NewScanner(a.Body)
	for scan.Scan() {
		name, value, _ := strings.Cut(scan.Text(), " ")
		if _, labelled, found := strings.Cut(scan.Text(), "} "); found {
			name, _, _ = strings.Cut(name, "{")
			value = labelled
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] += v
		}
	}
	return all, scan.Err()
}

// onDisk is how many bytes there are in all files under a directory. Files that go meanwhile don't count.
func onDisk(dir string) (n int64) {
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

// act is what the clients of the soak do: they order, at the pace; and dispatch, deliver and cancel some of it. There
// is enough of everything: a queue that has filled up makes a row large.
func (s *soak) act(c *client) {
	c.n++
	switch n := c.rnd.IntN(100); {
	case n < 80:
		if s.limit.Wait(c.ctx) != nil {
			return
		}
		c.place()
	case n < 88:
		c.command("dispatch", "/v1/shipments/%s/dispatch", `{"carrier":"DHL","tracking_number":"1Z"}`, "409 404")
	case n < 91:
		c.command("deliver", "/v1/shipments/%s/deliver", `{}`, "409 404")
	case n < 93:
		c.command("cancel", "/v1/orders/%s/cancel", `{}`, "409 404")
	case n < 97:
		c.move("receipts", 100+c.rnd.Int64N(1000), "")
	default:
		c.get("/v1/inventory/" + c.someSKU())
	}
}

// verdict says of each measure how it stands at the same age of the first and of the last processes, and within
// the long lives.
func (s *soak) verdict() string {
	text := "at the same age of a process      first        last   more by   with 1,000 orders more\n"
	for _, m := range measures {
		first, last := s.atAge(m.of, true), s.atAge(m.of, false)
		text += fmt.Sprintf("  %-22s %12.1f %11.1f   %+6.1f%%   %+.3f\n", m.name, first.value, last.value,
			100*(last.value/first.value-1), (last.value-first.value)/float64(last.orders-first.orders)*1000)
	}
	text += "within a long life             at 3 min  at the end   more by   with 1,000 orders more\n"
	for _, number := range []int{9, 18} {
		for _, m := range measures {
			from, to := s.within(number, m.of)
			text += fmt.Sprintf("  %d: %-19s %12.1f %11.1f   %+6.1f%%   %+.3f\n", number, m.name, from.value, to.value,
				100*(to.value/from.value-1), (to.value-from.value)/float64(max(1, to.orders-from.orders))*1000)
		}
	}
	return text
}

// wantBounds wants the last processes to hold no more than so many times what the first ones held at the same age. The caches of the stores fill
// in the first of them.
func (s *soak) wantBounds() {
	for _, m := range measures {
		first, last := s.atAge(m.of, true), s.atAge(m.of, false)
		if m.most > 0 && last.value > m.most*first.value {
			s.t.Errorf("%s: %.0f at first and %.0f in the end, at the same age; at most %g times as much is expected", m.name, first.value, last.value, m.most)
		}
	}
}

var measures = []struct {
	name string
	of   func(sample) float64
	most float64 // see wantBounds; 0 for what depends on the load
}{
	{"own MiB", func(s sample) float64 { return s.anonymous / (1 << 20) }, 2.5},
	{"heap MiB", func(s sample) float64 { return s.heap / (1 << 20) }, 2.5},
	{"goroutines", func(s sample) float64 { return s.goroutines }, 1.1},
	{"files", func(s sample) float64 { return s.files }, 1.5},
	{"lag", func(s sample) float64 { return s.lag }, 0},
}

// point is a measure, in the mean, when there were so many orders.
type point struct {
	value  float64
	orders int
}

// atAge is a measure in the last fifth of the short lives, over the first three or the last three of those.
func (s *soak) atAge(of func(sample) float64, first bool) point {
	short := time.Duration(2. / 60 * *minutes * float64(time.Minute))
	return mean(s.samples, of, func(x sample) bool {
		return x.age > short*4/5 && x.age <= short+2*every && (first && x.process <= 3 || !first && x.process >= 15 && x.process < 18)
	})
}

// within is a measure of a long life, a while after its beginning and at its end.
func (s *soak) within(process int, of func(sample) float64) (from, to point) {
	minute := time.Duration(*minutes * float64(time.Second))
	end := time.Duration(0)
	for _, x := range s.samples {
		if x.process == process {
			end = max(end, x.age)
		}
	}
	from = mean(s.samples, of, func(x sample) bool { return x.process == process && x.age > 2*minute && x.age <= 4*minute })
	return from, mean(s.samples, of, func(x sample) bool { return x.process == process && x.age > end-2*minute })
}

func mean(samples []sample, of func(sample) float64, which func(sample) bool) (p point) {
	n := 0
	for _, x := range samples {
		if which(x) {
			p.value += of(x)
			p.orders += x.orders
			n++
		}
	}
	return point{p.value / float64(max(n, 1)), p.orders / max(n, 1)}
}
