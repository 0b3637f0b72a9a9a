package benchmarks

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/processors/inventory"
)

// aMonth is as many SKUs as a shop sells in a month, and seconds of work for each engine.
var aMonth = work{skus: 4_000, reservations: 400_000}

// stockflow is the engine as cli runs it.
func stockflow(ctx context.Context, s *stand, m engine.Machine[inventory.State]) error {
	g := engine.NewGroup(m, engine.Config{
		Conn: s.conn, Dir: s.dir, Partitions: workPartitions,
		Log: slog.New(slog.DiscardHandler), Metrics: engine.NewMetrics(prometheus.NewRegistry()),
	})
	return g.Run(ctx)
}

// BenchmarkEngine is Stockflow's engine, whose effects happen exactly once.
func BenchmarkEngine(b *testing.B) { race(b, map[string]contender{"stockflow": stockflow}) }

// BenchmarkStockGoka is goka as it comes.
func BenchmarkStockGoka(b *testing.B) { race(b, map[string]contender{"goka": stockGoka}) }

// BenchmarkEngineAgainstStockGoka is both by turns in one run, so that what else the machine does meets both alike.
func BenchmarkEngineAgainstStockGoka(b *testing.B) {
	speed := race(b, map[string]contender{"stockflow": stockflow, "goka": stockGoka})
	b.ReportMetric(speed["stockflow"]/speed["goka"], "stockflow/goka")
}

// race lets each engine do the same work, each time on a broker of its own, and reports messages a second.
func race(b *testing.B, engines map[string]contender) map[string]float64 {
	took := map[string]time.Duration{}
	rounds := 0
	b.StopTimer()
	for b.Loop() {
		for name, engine := range engines {
			took[name] += newStand(b, aMonth).run(engine, b)
		}
		rounds++
	}
	speed := map[string]float64{}
	for name, d := range took {
		speed[name] = float64(rounds*aMonth.messages()) / d.Seconds()
		b.ReportMetric(speed[name], name+"-messages/s")
	}
	return speed
}

// TestBothDoTheSameWork: what is compared comes to the same rows and the same answers.
func TestBothDoTheSameWork(t *testing.T) {
	w := work{skus: 50, reservations: 2_000}
	ours, theirs := newStand(t, w), newStand(t, w)
	ours.run(stockflow, unclocked{})
	theirs.run(stockGoka, unclocked{})
	rows, answers := ours.rows(), ours.answers()
	if want := theirs.rows(); !reflect.DeepEqual(rows, want) || len(rows) != w.skus {
		t.Errorf("the rows are %v and %v", rows, want)
	}
	if want := theirs.answers(); !maps.Equal(answers, want) || len(answers) != w.reservations {
		t.Errorf("there are %d answers and %d, of %d", len(answers), len(want), w.reservations)
	}
	var reserved int64
	for _, row := range rows {
		reserved += row.Reserved()
	}
	if reserved != int64(w.reservations) {
		t.Errorf("%d units are reserved of %d", reserved, w.reservations)
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

// answers are what each order was told. It fails if one was told twice.
func (s *stand) answers() map[string]string {
	answers := map[string]string{}
	s.each(processors.OrderEvents, func(r *kgo.Record) {
		if len(r.Key) == 0 {
			return // what load has written
		}
		if _, twice := answers[string(r.Key)]; twice {
			s.Errorf("%s is answered twice", r.Key)
		}
		answers[string(r.Key)] = string(r.Value)
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
