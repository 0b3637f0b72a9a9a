package cli

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/processors"
	"stockflow/replay"
	"stockflow/stockflowtest"
)

// TestAReplayThatIsKilledIsDoneAgain: no row is left, and no offset. Replay is killed in the midst of the rows; then when all rows are
// there, and no offset; then when one group has its offsets. Each goes on where the one before was killed: no row is written twice, and in
// the end rows and offsets are what they were.
func TestAReplayThatIsKilledIsDoneAgain(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	p := tradedOnKafka(t)
	r := beginRedoing(t, p)
	killedInTheMidst(t, p, func() bool { return anyByReplay(t, p.conn()) })
	r.expect("in the midst", 0, func(rows int) bool { return rows > 0 && rows < r.all })
	killedAtOffsets(t, p, 1)
	r.expect("at the first group's offsets", 0, r.done)
	killedAtOffsets(t, p, 2)
	r.expect("at the second group's offsets", 1, r.done)
	r.end()
}

// TestAReplayThatIsKilledIsDoneAgainOnAJournal, which the process that was killed had open.
func TestAReplayThatIsKilledIsDoneAgainOnAJournal(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	p := place{dir: t.TempDir()}
	traded(t, p.dir)
	r := beginRedoing(t, p)
	killedInTheMidst(t, p, func() bool {
		j, err := journal.OpenReading(journalIn(p.dir), untilEnd, journal.Options{Log: slog.New(slog.DiscardHandler)})
		must(t, err)
		defer func() { must(t, j.Close()) }()
		return anyByReplay(t, broker.NewLocal(j))
	})
	r.expect("in the midst", 0, func(rows int) bool { return rows > 0 && rows < r.all })
	r.end()
}

// redoing is a place without rows and offsets, what it had before, and how many rows.
type redoing struct {
	*testing.T
	place
	offsets map[string]map[int32]int64
	tables  map[string]string
	all     int
}

func beginRedoing(t *testing.T, p place) *redoing {
	t.Helper()
	r := &redoing{T: t, place: p, tables: digests(t, p.flags()...)}
	_, r.offsets = redone(t, p)
	r.all = countRows(t, p)
	if p.kafka == nil {
		logsAlone(t, p.dir)
		return r
	}
	p.forgotten(t)
	return r
}

func (r *redoing) done(rows int) bool { return rows == r.all }

// expect expects how many rows were written so far, and of how many groups the offsets were set, which it returns.
func (r *redoing) expect(when string, groups int, asExpected func(rows int) bool) (offsets map[string]map[int32]int64) {
	r.Helper()
	rows, offsets := redone(r.T, r.place)
	if r.Logf("%s, %d of %d rows were written", when, rows, r.all); !asExpected(rows) || len(offsets) != groups {
		r.Fatalf("%s, %d of %d rows were written, and the offsets that are set are %v", when, rows, r.all, offsets)
	}
	return offsets
}

// end lets a replay come to its end, and expects everything to be as it was.
func (r *redoing) end() {
	r.Helper()
	told(r.T, 0, []string{"no offset was committed"}, r.replay()...)
	if now := r.expect("in the end", len(replay.Machines), r.done); !maps.EqualFunc(now, r.offsets, maps.Equal) {
		r.Errorf("the groups go on at %v, and had committed %v", now, r.offsets)
	}
	if now := digests(r.T, r.flags()...); !maps.Equal(now, r.tables) {
		r.Errorf("the tables are %v, and were %v", now, r.tables)
	}
}

// countRows returns how many rows there are, in all tables of a stopped place.
func countRows(t *testing.T, p place) int {
	t.Helper()
	rows := map[string]bool{}
	p.opened(t, func(b broker.Broker) {
		for _, m := range replay.Machines {
			for _, r := range records(t, b, m.Table) {
				rows[m.Table+" "+string(r.Key)] = true
			}
		}
	})
	return len(rows)
}

// redone returns how many rows replay has ever written in a stopped place, and where groups go on whose offsets are set:
// in partitions in which there is something.
func redone(t *testing.T, p place) (rows int, offsets map[string]map[int32]int64) {
	t.Helper()
	offsets = map[string]map[int32]int64{}
	p.opened(t, func(b broker.Broker) {
		for _, m := range replay.Machines {
			for _, r := range records(t, b, m.Table) {
				if byReplay(r.Value) {
					rows++
				}
			}
		}
		for group, committed := range momentOf(t, b).committed {
			for at, offset := range committed {
				if offset < 0 {
					continue
				}
				if offsets[group] == nil {
					offsets[group] = map[int32]int64{}
				}
				if offset > 0 {
					offsets[group][at.Partition] = offset
				}
			}
		}
	})
	return rows, offsets
}

func byReplay(row []byte) bool {
	head, err := codecs.DecodeHead(row)
	return err == nil && head.Rebuilt > 0
}

func anyByReplay(t *testing.T, b broker.Broker) bool {
	t.Helper()
	return slices.ContainsFunc(records(t, b, processors.OrderTable), func(r *kgo.Record) bool { return byReplay(r.Value) })
}

// killedInTheMidst kills a replay that can't print the row which it is about to write, when one that it has written before is in
// the changelog.
func killedInTheMidst(t *testing.T, p place, written func() bool) {
	t.Helper()
	replaying := stockflowtest.SpawnUnread(t, nil, p.replay("--work="+t.TempDir())...)
	must(t, replaying.Await(replaying.Printing, "printing"))
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	ctx, cancel := within(t)
	defer cancel()
	for !written() {
		select {
		case <-ctx.Done():
			t.Fatal("no row was written")
		case <-again.C:
		}
	}
	replaying.Kill()
}

// killedAtOffsets kills a replay that is about to set the offsets of the nth group.
func killedAtOffsets(t *testing.T, p place, nth int) {
	t.Helper()
	asked, gone, n := make(chan struct{}), make(chan struct{}), 0
	p.kafka.Cluster().ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		if n++; n < nth {
			return nil, nil, false
		}
		close(asked)
		<-gone
		return nil, errors.New("whoever has asked is gone"), true
	})
	replaying := spawn(t, p.replay("--work="+t.TempDir())...)
	err := replaying.Await(asked, "setting offsets")
	replaying.Kill()
	close(gone)
	must(t, err)
}
