package cli

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/replay"
	"stockflow/stand"
)

// TestAReplayThatIsKilledIsDoneAgain: no row is left, and no offset. Replay is killed in the midst of the rows, and its broker with
// it; then when all rows are there, and no offset; then when one group has its offsets. Each goes on where the one before was
// killed: no row is written twice, and in the end rows and offsets are what they were.
func TestAReplayThatIsKilledIsDoneAgain(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	data := "--data=" + dir
	_, offsets := redone(t, dir)
	tables := digests(t, data)
	all := withoutRows(t, dir)
	withoutGroups(t, dir)
	expect := func(when string, groups int, asExpected func(rows int) bool) (offsets map[string]map[int32]int64) {
		t.Helper()
		rows, offsets := redone(t, dir)
		if t.Logf("%s, %d of %d rows were written", when, rows, all); !asExpected(rows) || len(offsets) != groups {
			t.Fatalf("%s, %d of %d rows were written, and the offsets that are set are %v", when, rows, all, offsets)
		}
		return offsets
	}
	done := func(rows int) bool { return rows == all }

	killedInTheMidst(t, dir)
	expect("in the midst", 0, func(rows int) bool { return rows > 0 && rows < all })
	killedAtOffsets(t, dir, 1)
	expect("at the first group's offsets", 0, done)
	killedAtOffsets(t, dir, 2)
	expect("at the second group's offsets", 1, done)
	told(t, 0, []string{"no offset was committed"}, "replay", "--all", "--yes", data)
	if now := expect("in the end", len(replay.Machines), done); !maps.EqualFunc(now, offsets, maps.Equal) {
		t.Errorf("the groups go on at %v, and had committed %v", now, offsets)
	}
	if now := digests(t, data); !maps.Equal(now, tables) {
		t.Errorf("the tables are %v, and were %v", now, tables)
	}
}

// withoutRows takes all rows from the tables of a stopped directory, and returns how many there were.
func withoutRows(t *testing.T, dir string) (n int) {
	t.Helper()
	opened(t, dir, func(conn broker.Connection, client *kgo.Client) {
		c, gone := crime{t, conn, client}, map[string]*kgo.Record{}
		for _, m := range replay.Machines {
			for _, r := range c.records(m.Table) {
				gone[m.Table+" "+string(r.Key)] = &kgo.Record{Topic: m.Table, Key: r.Key}
			}
		}
		c.write(slices.Collect(maps.Values(gone))...)
		n = len(gone)
	})
	return n
}

// redone returns how many rows replay has ever written in a stopped directory, and where groups go on whose offsets are set:
// in partitions in which there is something.
func redone(t *testing.T, dir string) (rows int, offsets map[string]map[int32]int64) {
	t.Helper()
	offsets = map[string]map[int32]int64{}
	opened(t, dir, func(conn broker.Connection, client *kgo.Client) {
		for _, m := range replay.Machines {
			for _, r := range (crime{t, conn, client}).records(m.Table) {
				if byReplay(r.Value) {
					rows++
				}
			}
		}
		for group, committed := range momentOf(t, client).committed {
			for _, o := range committed.Sorted() {
				if offsets[group] == nil {
					offsets[group] = map[int32]int64{}
				}
				if o.At > 0 {
					offsets[group][o.Partition] = o.At
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

// killedInTheMidst kills a replay that can't print the row which it is about to write, when one that it has written before is in
// the changelog.
func killedInTheMidst(t *testing.T, dir string) {
	t.Helper()
	p := stand.SpawnUnread(t, nil, "replay", "--all", "--yes", "--data="+dir, "--work="+t.TempDir())
	must(t, p.Await(p.Printing, "printing"))
	conn, running, err := broker.Find(dir)
	if err != nil || !running {
		t.Fatal("there is no broker: ", err)
	}
	awaitChange(t, conn, processors.OrderTable, "", byReplay)
	p.Kill()
}

// killedAtOffsets kills a replay that is about to set the offsets of the nth group.
func killedAtOffsets(t *testing.T, dir string, nth int) {
	t.Helper()
	openedBroker(t, dir, func(b *broker.Embedded, _ *kgo.Client) {
		asked, gone, n := make(chan struct{}), make(chan struct{}), 0
		b.Cluster().ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			if n++; n < nth {
				return nil, nil, false
			}
			close(asked)
			<-gone
			return nil, errors.New("whoever has asked is gone"), true
		})
		p := spawn(t, "replay", "--all", "--yes", "--brokers="+strings.Join(b.Connection().Brokers, ","), "--data="+filepath.Join(dir, "elsewhere"), "--work="+t.TempDir())
		err := p.Await(asked, "setting offsets")
		p.Kill()
		close(gone)
		must(t, err)
	})
}
