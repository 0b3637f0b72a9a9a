package engine

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the engine's, over all groups of a process. Make one with NewMetrics.
type Metrics struct {
	messages  *prometheus.CounterVec
	repeats   *prometheus.CounterVec
	moved     *prometheus.CounterVec
	letters   *prometheus.CounterVec
	foreign   *prometheus.CounterVec
	recovered *prometheus.CounterVec
	restarts  *prometheus.CounterVec
	halted    *prometheus.GaugeVec
	lag       *prometheus.GaugeVec
	lagTime   *prometheus.GaugeVec
}

// NewMetrics registers the engine's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"group"})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"group"}, labels...))
		r.MustRegister(g)
		return g
	}
	return &Metrics{
		messages:  counter("stockflow_messages_total", "Messages taken into a row."),
		repeats:   counter("stockflow_repeats_dropped_total", "Messages dropped because their row had taken them in before."),
		moved:     counter("stockflow_messages_moved_total", "Messages sent on from a wrong partition to their own."),
		letters:   counter("stockflow_dead_letters_total", "Messages that could not be taken, by the group that met them."),
		foreign:   counter("stockflow_foreign_rows_total", "Changelog records found that another instance wrote."),
		recovered: counter("stockflow_recovered_records_total", "Changelog records read while recovering."),
		restarts:  counter("stockflow_processor_restarts_total", "Processors that ended with an error and were built anew."),
		halted:    gauge("stockflow_partition_halted", "1 for a partition that has stopped at a message this program can't take.", "partition"),
		lag:       gauge("stockflow_lag_records", "Messages in the group's log that are not committed yet, with those of open transactions."),
		lagTime:   gauge("stockflow_lag_seconds", "Age of the oldest message in the group's log that isn't taken, 0 if none waits."),
	}
}

// groupMetrics are the metrics of one group.
type groupMetrics struct {
	all                                                             *Metrics
	group                                                           string
	messages, repeats, moved, letters, foreign, recovered, restarts prometheus.Counter
}

func (m *Metrics) of(group string) groupMetrics {
	return groupMetrics{
		all: m, group: group,
		messages: m.messages.WithLabelValues(group), repeats: m.repeats.WithLabelValues(group),
		moved: m.moved.WithLabelValues(group), letters: m.letters.WithLabelValues(group),
		foreign: m.foreign.WithLabelValues(group), recovered: m.recovered.WithLabelValues(group),
		restarts: m.restarts.WithLabelValues(group),
	}
}
