package benchmarks

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/processors"
)

// works are for as many SKUs as a shop sells in a month, and take each engine a second or more.
var works = []work{
	{name: "outside", skus: 4_000, messages: 200_000},
	{name: "heard", skus: 4_000, messages: 200_000, heard: true},
}

// stockflow is the engine as cli runs it.
func stockflow(ctx context.Context, s *stand, m engine.Machine[inventory.State]) error {
	g := engine.NewGroup(m, engine.Config{
		Conn: s.inside, Dir: s.dir, Partitions: workPartitions,
		Log: slog.New(slog.DiscardHandler), Metrics: engine.NewMetrics(prometheus.NewRegistry()),
	})
	return g.Run(ctx)
}

// BenchmarkEngine is Stockflow's engine, whose effects happen exactly once, on a journal.
func BenchmarkEngine(b *testing.B) { race(b, durable) }

// BenchmarkStockGoka is goka as it comes.
func BenchmarkStockGoka(b *testing.B) { race(b, theirs) }

// BenchmarkEngineAgainstStockGoka is both by turns in one run, on a Kafka in memory, so that what else the machine does meets both alike.
func BenchmarkEngineAgainstStockGoka(b *testing.B) { race(b, ours, theirs) }

// entry is an engine with its name, and what it runs on.
type entry struct {
	name string
	contender
	on func(testing.TB) place
}

var (
	ours    = entry{"stockflow", stockflow, onKafka}
	theirs  = entry{"goka", stockGoka, onKafka}
	durable = entry{"journal", stockflow, onJournal}
)

// race lets engines do the same works, each time on a broker of their own, and reports what they cost.
func race(b *testing.B, entries ...entry) {
	for _, w := range works {
		b.Run(w.name, func(b *testing.B) {
			costs, messages := map[string]cost{}, 0
			for b.Loop() {
				b.StopTimer()
				for _, e := range entries {
					costs[e.name] = costs[e.name].plus(oneRun(b, w, e))
				}
				messages += w.messages
				b.StartTimer()
			}
			report(b, costs, float64(messages))
		})
	}
}

func oneRun(b *testing.B, w work, e entry) cost {
	s := newStand(b, w, e.on)
	defer s.close()
	return s.run(e.contender, b)
}

func (c cost) plus(d cost) cost { return cost{c.clock + d.clock, c.processors + d.processors} }

// report reports each engine's speed, and how much of the machine it takes, which others on the machine change less.
func report(b *testing.B, costs map[string]cost, messages float64) {
	for name, c := range costs {
		b.ReportMetric(messages/c.clock.Seconds(), name+"-msg/s")
		b.ReportMetric(float64(c.processors.Nanoseconds())/messages, name+"-cpu-ns/msg")
	}
	if len(costs) == 2 {
		our, their := costs[ours.name], costs[theirs.name]
		b.ReportMetric(their.clock.Seconds()/our.clock.Seconds(), "times-faster")
		b.ReportMetric(their.processors.Seconds()/our.processors.Seconds(), "times-less-cpu")
	}
}

// TestAllDoTheSameWork: what is compared comes to the same rows and the same answers.
func TestAllDoTheSameWork(t *testing.T) {
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			w.skus, w.messages = 50, 2_000
			goka := newStand(t, w, theirs.on)
			goka.run(theirs.contender, unclocked{})
			rows, answers := goka.rows(), goka.answers()
			sum := 0
			for _, n := range answers {
				sum += n
			}
			if sum != w.messages || len(rows) != w.skus {
				t.Errorf("%d messages to %d SKUs have %d answers and %d rows", w.messages, w.skus, sum, len(rows))
			}
			for _, e := range []entry{ours, durable} {
				s := newStand(t, w, e.on)
				s.run(e.contender, unclocked{})
				if have := s.rows(); !reflect.DeepEqual(have, rows) {
					t.Errorf("%s: the rows are %v and %v", e.name, have, rows)
				}
				if have := s.answers(); !maps.Equal(have, answers) {
					t.Errorf("%s: the answers are %#v and %#v", e.name, have, answers)
				}
			}
		})
	}
}

// rows are the last rows of all SKUs, without what the engine adds to them.
func (s *stand) rows() map[string]inventory.State {
	rows := map[string]inventory.State{}
	s.each(processors.InventoryTable, func(r *kgo.Record) {
		_, state, err := codecs.DecodeInventoryRow(r.Value)
		if err != nil {
			s.Fatal(err)
		}
		rows[string(r.Key)] = state
	})
	return rows
}

// answers are how often each answer was given, with whom it was given to.
func (s *stand) answers() map[string]int {
	answers := map[string]int{}
	s.each(processors.OrderEvents, func(r *kgo.Record) {
		if len(r.Key) > 0 { // or load has written it
			answers[string(r.Key)+" "+string(r.Value)]++
		}
	})
	return answers
}

// each reads a topic from its beginning to its end.
func (s *stand) each(topic string, f func(*kgo.Record)) {
	s.Helper()
	ends, err := s.ends(s.Context(), topic)
	if err != nil {
		s.Fatal(err)
	}
	for partition, end := range ends {
		err := s.outside.Read(s.Context(), topic, partition, 0, end, func(r *kgo.Record) error { f(r); return nil })
		if err != nil {
			s.Fatal(err)
		}
	}
}
