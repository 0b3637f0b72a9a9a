package cli

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/journal"
)

// journalMetrics tells Prometheus what a journal says of itself.
type journalMetrics struct {
	journal *journal.Journal
	// backup returns when the last backup was made, and whether that is known; nil if nobody can tell.
	backup func() (at time.Time, known bool)
}

var (
	journalAhead    = describe("appended_not_durable_bytes", "Bytes that are appended and not durable yet.")
	journalSyncs    = describe("sync_seconds", "Time that it took to make a group of entries durable.")
	journalUnsealed = describe("unsealed_bytes", "Bytes in tail files, which are in the order in which they came.")
	journalSealed   = describe("sealed_bytes", "Bytes in sealed files.")
	journalFiles    = describe("files", "Files of the journal.", "kind")
	journalFailing  = describe("background_failing", "1 while the last background work on the journal's files has failed and is tried again; GET /v1/system has the error.")
	journalBackup   = describe("last_backup_timestamp_seconds", "When the last backup was begun, in seconds since 1970; absent if there was none.")
	journalRefusing = describe("refusing", "1 while the journal takes nothing: it is broken, its disk is full or doesn't answer.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("stockflow_journal_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (m journalMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		journalAhead, journalSyncs, journalUnsealed, journalSealed, journalFiles, journalFailing, journalBackup, journalRefusing,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m journalMetrics) Collect(to chan<- prometheus.Metric) {
	stats := m.journal.Stats()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(journalAhead, float64(stats.Ahead))
	gauge(journalUnsealed, float64(stats.TailBytes))
	gauge(journalSealed, float64(stats.SealedBytes))
	gauge(journalFiles, float64(stats.TailFiles), "tail")
	gauge(journalFiles, float64(stats.SealedFiles), "sealed")
	gauge(journalFailing, oneIf(stats.Background != nil))
	gauge(journalRefusing, oneIf(m.journal.Health() != nil))
	if m.backup != nil {
		if at, known := m.backup(); known {
			gauge(journalBackup, float64(at.Unix()))
		}
	}
	to <- prometheus.MustNewConstSummary(journalSyncs, stats.Syncs, stats.SyncTime.Seconds(), nil)
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
