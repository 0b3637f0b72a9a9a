package cli

import (
	"cmp"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"stockflow/journal"
)

// logsAlone takes from a directory whose server is stopped all but the logs: their records are where they were, at the times at which they
// were, in a journal that has nothing else.
func logsAlone(t *testing.T, dir string) {
	t.Helper()
	anew := filepath.Join(t.TempDir(), "journal")
	copyLogs(t, journalIn(dir), anew)
	for _, gone := range []string{"journal", "processors", "views", "history", topicsFile} {
		must(t, os.RemoveAll(filepath.Join(dir, gone)))
	}
	must(t, os.CopyFS(journalIn(dir), os.DirFS(anew)))
}

// loggedRecord is a record of a log.
type loggedRecord struct {
	journal.TopicPartition
	journal.Record
}

func copyLogs(t *testing.T, from, to string) {
	t.Helper()
	old, err := journal.OpenReading(from, untilEnd, journal.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, old.Close()) }()
	all := loggedIn(t, old)
	clock := new(setClock)
	clock.set(all[0].Time)
	j, err := journal.Open(to, journal.Options{Clock: clock, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	for _, topic := range old.Topics() {
		if topic.Kind == journal.Log {
			_, err := j.CreateTopic(topic.Name, topic.Kind, topic.Partitions)
			must(t, err)
		}
	}
	for _, r := range all {
		clock.set(r.Time)
		again := r.Record
		first, _, err := j.Partition(r.Topic, r.Partition).Append(again)
		must(t, err)
		if first != r.Offset {
			t.Fatalf("record %d of %s/%d is at %d in the copy", r.Offset, r.Topic, r.Partition, first)
		}
	}
	must(t, j.Close())
}

// loggedIn returns the records of all logs in an order in which no time goes back.
func loggedIn(t *testing.T, j *journal.Journal) (all []loggedRecord) {
	t.Helper()
	for _, topic := range j.Topics() {
		for n := range topic.Partitions {
			p := j.Partition(topic.Name, n)
			start, end := p.Bounds(journal.Durable)
			if topic.Kind != journal.Log {
				continue
			}
			must(t, p.Read(t.Context(), start, end, journal.Durable, func(r journal.Record) error {
				all = append(all, loggedRecord{journal.TopicPartition{Topic: topic.Name, Partition: n}, r})
				return nil
			}))
		}
	}
	slices.SortStableFunc(all, func(a, b loggedRecord) int { return cmp.Compare(a.Time, b.Time) })
	return all
}

// setClock shows the time that it was set to.
type setClock struct{ ms atomic.Int64 }

func (c *setClock) set(ms int64)        { c.ms.Store(ms) }
func (c *setClock) Wall() time.Time     { return time.UnixMilli(c.ms.Load()) }
func (c *setClock) Boot() time.Duration { return time.Duration(c.ms.Load()) * time.Millisecond }
