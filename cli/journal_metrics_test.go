package cli

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/journal"
)

// TestTheJournalIsMeasured: each of its metrics is told, and those that grow with what is written do.
func TestTheJournalIsMeasured(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(t.TempDir(), journal.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := j.CreateTopic("log", journal.Log, 1); err != nil {
		t.Fatal(err)
	}
	_, at, err := j.Partition("log", 0).Append(journal.Record{Value: make([]byte, 1000)})
	if err == nil {
		err = j.WaitDurable(t.Context(), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(journalMetrics{journal: j})
	got := gathered(t, registry)
	for name, least := range map[string]float64{
		"stockflow_journal_appended_not_durable_bytes": 0, "stockflow_journal_sync_seconds": 1, "stockflow_journal_unsealed_bytes": 1000,
		"stockflow_journal_sealed_bytes": 0, "stockflow_journal_files": 1, "stockflow_journal_background_failing": 0, "stockflow_journal_refusing": 0,
	} {
		if value, there := got[name]; !there || value < least {
			t.Errorf("%s is %v, expected at least %v", name, value, least)
		}
	}
	for _, name := range []string{"stockflow_journal_background_failing", "stockflow_journal_refusing"} {
		if got[name] != 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

// gathered returns the sums of the metrics of a registry, and of summaries how many there were.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()] += m.GetGauge().GetValue() + float64(m.GetSummary().GetSampleCount())
		}
	}
	return all
}
