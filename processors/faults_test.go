package processors_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/stockflowtest/fake"
	"stockflow/views"
)

var (
	seeds      = flag.Int("seeds", 2, "of the runs in bad weather, from 1 on, or from -seed on")
	day        = flag.Duration("day", 4*time.Second, "how long each run is in bad weather, at least: until every fault has been met")
	hole       = flag.Duration("hole", 0, "how long a black hole lasts in the first of every five runs; 0 for none")
	abreast    = flag.Int("abreast", 2, "how many runs in bad weather there are at a time")
	faultWords = flag.Bool("weather-log", false, "print what the engine logs in bad weather")
)

const (
	session = 2 * time.Second // a fifth of what it is by default, so the black hole may be a fifth too
	// settling is a bound on what comes to rest in a few seconds.
	settling = 2 * time.Minute
)

// TestBadWeather runs all processors and views against three brokers that fail in every way that brokers do, while
// somebody orders, cancels, receives and ships. When the weather is fair again everything comes to rest: nothing
// is lost, nothing has happened twice, and each table is the fold of its log.
//
//	make faults SEEDS=20
func TestBadWeather(t *testing.T) {
	counts := map[string]int{}
	var mu sync.Mutex
	first := max(1, *seed)
	t.Run("seed", func(t *testing.T) {
		free := make(chan struct{}, *abreast)
		for n := first; n < first+uint64(*seeds); n++ {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				s := openShop(t, n)
				s.live(*hole > 0 && n%5 == 1)
				for _, wrong := range s.prove(settling) {
					t.Errorf("-seed %d: %s", n, wrong)
				}
				mu.Lock()
				defer mu.Unlock()
				for what, times := range s.weather.counts {
					counts[what] += times
				}
				counts["orders placed"] += len(s.people.placed)
				counts["messages read"] += s.messages
				counts["messages that came again and counted once"] += s.repeats
			})
		}
	})
	if !t.Failed() {
		report(t, counts, *hole > 0)
	}
}

// shop is all of Stockflow but HTTP and mail, in bad weather, and the people around it.
type shop struct {
	t                 *testing.T
	seed              uint64
	weather           *weather
	conn              broker.Connection
	people            *house // whose machines run too, in memory, so that people know what they might do next
	client            *kgo.Client
	sending           sync.WaitGroup
	groups            []*engine.Group
	tables            *views.Tables
	messages, repeats int
	wrong             []string
}

func openShop(t *testing.T, seed uint64, flaws ...func(*engine.Group)) *shop {
	t.Helper()
	w := newWeather(seed)
	kafka := fake.Open(t, kfake.NumBrokers(3), kfake.ListenFn(w.listen))
	s := &shop{t: t, seed: seed, weather: w, people: newHouse(t, seed)}
	s.conn = broker.Connection{Brokers: kafka.Brokers(), Session: session}
	if _, _, err := s.conn.Ensure(t.Context(), topics(), partitions); err != nil {
		t.Fatal(err)
	}
	w.begin(kafka.Cluster())
	s.start(flaws)
	s.connect()
	return s
}

func topics() []broker.Topic {
	all := []broker.Topic{{Name: engine.DeadLetters, Kind: broker.Letters}}
	for _, log := range processors.Logs {
		all = append(all, broker.Topic{Name: log, Kind: broker.Log}, broker.Topic{Name: tableOf(log), Kind: broker.Table})
	}
	return all
}

// start starts the groups and the views, and stops them with the test.
func (s *shop) start(flaws []func(*engine.Group)) {
	log := slog.New(slog.DiscardHandler)
	if *faultWords {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	dir := s.t.TempDir()
	c := engine.Config{
		Conn: s.conn, Dir: filepath.Join(dir, "processors"), Partitions: partitions,
		Log: log, Metrics: engine.NewMetrics(prometheus.NewRegistry()),
	}
	s.groups = []*engine.Group{
		engine.NewGroup(processors.Order(nil), c), engine.NewGroup(processors.Inventory(nil), c),
		engine.NewGroup(processors.Shipment(nil), c), engine.NewGroup(processors.Notification(nil), c),
	}
	s.tables = views.Open(s.conn, filepath.Join(dir, "views"), log)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { check(s.t, s.tables.Run(ctx)) })
	for _, g := range s.groups {
		for _, flaw := range flaws {
			flaw(g)
		}
		running.Go(func() { check(s.t, g.Run(ctx)) })
	}
	s.t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// connect lets people speak to the real logs as well as to those of their model.
func (s *shop) connect() {
	client, err := s.conn.Client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(32))
	if err != nil {
		s.t.Fatal(err)
	}
	s.client = client
	s.t.Cleanup(client.Close)
	s.people.outside = func(log int, key string, event any) {
		_, value := encoders[log](event)
		s.sending.Add(1)
		s.say(&kgo.Record{Topic: processors.Logs[log], Key: []byte(key), Value: value})
	}
}

// say sends what somebody says. A client gives up when its first requests are not answered; people don't, and what they
// say twice counts once.
func (s *shop) say(r *kgo.Record) {
	s.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		if err == nil {
			s.sending.Done()
			return
		}
		go s.say(&kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}) // a promise may not wait for room
	})
}

// encoders write down what people say, by log.
var encoders = map[int]func(any) (string, []byte){
	toOrders: codecs.EncodeOrderEvent, toInventory: codecs.EncodeInventoryEvent, toShipments: codecs.EncodeShipmentEvent,
}

// live is a day of bad weather. Leaders move while people work; in a black hole, nobody hears of anybody for
// longer than a session may last.
func (s *shop) live(hollow bool) {
	s.t.Helper()
	over := make(chan struct{})
	var moving sync.WaitGroup
	moving.Go(func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				s.weather.move()
			}
		}
	})
	dusk := time.Now().Add(*day)
	for night := dusk.Add(settling); time.Now().Before(dusk) || s.weather.misses() && time.Now().Before(night); {
		s.people.work(len(s.people.placed) + 10)
		if hollow {
			s.weather.swallow(*hole)
			hollow = false
		}
	}
	s.sending.Wait()
	close(over)
	moving.Wait()
	s.weather.end()
}

// fail notes what is wrong.
func (s *shop) fail(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}
