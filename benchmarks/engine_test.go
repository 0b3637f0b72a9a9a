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
	"stockflow/processors"
	"stockflow/processors/inventory"
)

// works are for as many SKUs as a shop sells in a month, and take each engine a second or more.
var works = []work{
	{name: "outside", skus: 4_000, messages: 200_000},
	{name: "heard", skus: 4_000, messages: 200_000, heard: true},
}

// stockflow is the engine as cli runs it.
func stockflow(ctx context.Context, s *stand, m engine.Machine[inventory.State]) error {
	g := engine.NewGroup(m, engine.Config{
		Conn: s.conn, Dir: s.dir, Partitions: workPartitions,
		Log: slog.New(slog.DiscardHandler), Metrics: engine.NewMetrics(prometheus.NewRegistry()),
	})
	return g.Run(ctx)
}

// BenchmarkEngine is Stockflow's engine, whose effects happen exactly once.
func BenchmarkEngine(b *testing.B) { race(b, ours) }

// BenchmarkStockGoka is goka as it comes.
func BenchmarkStockGoka(b *testing.B) { race(b, theirs) }

// BenchmarkEngineAgainstStockGoka is both by turns in one run, so that what else the machine does meets both alike.
func BenchmarkEngineAgainstStockGoka(b *testing.B) { race(b, ours, theirs) }

// entry is an engine with its name.
type entry struct {
	name string
	contender
}

var (
	ours   = entry{"stockflow", stockflow}
	theirs = entry{"goka", stockGoka}
)

// race lets engines do the same works, each time on a broker of their own, and reports what they cost.
func race(b *testing.B, entries ...entry) {
	for _, w := range works {
		b.Run(w.name, func(b *testing.B) {
			costs, messages := map[string]cost{}, 0
			for b.Loop() {
				b.StopTimer()
				for _, e := range entries {
					costs[e.name] = costs[e.name].plus(oneRun(b, w, e.contender))
				}
				messages += w.messages
				b.StartTimer()
			}
			report(b, costs, float64(messages))
		})
	}
}

func oneRun(b *testing.B, w work, c contender) cost {
	s := newStand(b, w)
	defer s.close()
	return s.run(c, b)
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

// TestBothDoTheSameWork: what is compared comes to the same rows and the same answers.
func TestBothDoTheSameWork(t *testing.T) {
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			w.skus, w.messages = 50, 2_000
			ours, theirs := newStand(t, w), newStand(t, w)
			ours.run(stockflow, unclocked{})
			theirs.run(stockGoka, unclocked{})
			rows, answers := ours.rows(), ours.answers()
			if want := theirs.rows(); !reflect.DeepEqual(rows, want) || len(rows) != w.skus {
				t.Errorf("the rows are %v and %v", rows, want)
			}
			if want := theirs.answers(); !maps.Equal(answers, want) {
				t.Errorf("the answers are %#v and %#v", answers, want)
			}
			sum := 0
			for _, n := range answers {
				sum += n
			}
			if sum != w.messages {
				t.Errorf("%d messages have %d answers", w.messages, sum)
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
	missing, err := s.length(s.Context(), topic)
	if err != nil {
		s.Fatal(err)
	}
	client, err := s.conn.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.Fatal(err)
	}
	defer client.Close()
	for missing > 0 {
		fetches := client.PollFetches(s.Context())
		if err := fetches.Err(); err != nil {
			s.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { missing--; f(r) })
	}
}
