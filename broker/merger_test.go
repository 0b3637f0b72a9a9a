package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// filled returns a directory as kill -9 leaves it whose one log has these files, each named by its first offset.
func filled(t *testing.T, files ...[]byte) (dir, partition string) {
	t.Helper()
	from := t.TempDir()
	e := open(t, from)
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	dir, partition = copied(t, from)
	closeBroker(t, e)
	if err := os.MkdirAll(partition, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(partition, fmt.Sprint(headOf(f).offset, segmentSuffix)), f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, partition
}

// singles are batches of a record each, one a millisecond. The last record has its offset as its value.
func singles(from, n int64) (file []byte) {
	for at := from; at < from+n; at++ {
		r := recordOf(0)
		r.Value = []byte(fmt.Sprint(at))
		file = append(file, lay(place{offset: at, time: 1_700_000_000_000 + at}, r)...)
	}
	return file
}

// merging prepares the log in dir as a start does before the server sees it.
func merging(t *testing.T, dir string, m *merger) *merger {
	t.Helper()
	if m.check == nil {
		m.check = func(uint64) error { return nil }
	}
	if _, _, err := prepare(filepath.Join(dir, "broker"), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// It may die after any step: the next start has the same records, and merges what is left to merge.
func TestToDieWhileMerging(t *testing.T) {
	for _, orderly := range []bool{false, true} {
		dir, _ := filled(t, singles(0, 50), singles(50, 50), singles(100, 3))
		if orderly {
			closeBroker(t, open(t, dir, Unmerged()))
		}
		want := values103(t)
		var died []string
		merging(t, dir, &merger{step: func() {
			after, partition := copied(t, dir)
			died = append(died, after)
			half, _ := copied(t, after) // and what is beside is only half there
			for _, f := range glob(t, strings.Replace(partition, after, half, 1), "*"+mergeSuffix) {
				change(t, f, func(b []byte) []byte { return b[:len(b)/2] })
			}
			died = append(died, half)
		}})
		if len(died) != 2*2*4 {
			t.Errorf("%d steps", len(died)/2)
		}
		for i, after := range append(died, dir) {
			for _, opts := range [][]Option{{Unmerged()}, {}} {
				again, partition := copied(t, after)
				e := open(t, again, opts...)
				wantValues(t, e.Connection(), "orders", want...)
				produce(t, e.Connection(), "orders", "103")
				wantValues(t, e.Connection(), "orders", append(slices.Clone(want), "103")...)
				closeBroker(t, e)
				p, err := readPartition(partition)
				if err != nil || len(opts) == 0 && batchesIn(p) != 1+1+4 || len(glob(t, partition, "*"+mergeSuffix)) > 0 {
					t.Errorf("died after step %d, it holds %d batches and %q: %v", i/2, batchesIn(p), glob(t, partition, "*"), err)
				}
			}
		}
	}
}

func values103(t *testing.T) (all []string) {
	t.Helper()
	for _, r := range asRead(t, singles(0, 103), 0) {
		all = append(all, string(r.Value))
	}
	return all
}

func batchesIn(p partition) (n int) {
	for _, s := range p.segments {
		n += len(s.batches)
	}
	return n
}

// contents returns the files of a partition by name, and when they were last written.
func contents(t *testing.T, partition string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, f := range glob(t, partition, "*") {
		b, err := os.ReadFile(f)
		info, err2 := os.Stat(f)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		all[filepath.Base(f)] = fmt.Sprint(info.ModTime(), string(b))
	}
	return all
}

// What was merged, and what is not worth it, is left alone at the next start, and so is the file that is written to. The files keep
// their times, by which the oldest clients ask.
func TestWhatIsMergedOnce(t *testing.T) {
	large := lay(place{offset: 50, time: 9}, recordOf(mergedBytes))
	large = append(large, lay(place{offset: 51, time: 9}, recordOf(mergedBytes))...)
	dir, partition := filled(t, singles(0, 50), large, singles(52, 50))
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(partition, "0.dat"), long, long); err != nil {
		t.Fatal(err)
	}
	before := contents(t, partition)
	m := merging(t, dir, new(merger))
	if m.files != 1 || m.before != 50 || m.after != 1 || m.stopped != nil {
		t.Errorf("%d files, %d batches became %d: %v", m.files, m.before, m.after, m.stopped)
	}
	after := contents(t, partition)
	if before["50.dat"] != after["50.dat"] || before["52.dat"] != after["52.dat"] {
		t.Error("what should stay was written")
	}
	if info, err := os.Stat(filepath.Join(partition, "0.dat")); err != nil || info.ModTime().Unix() != long.Unix() {
		t.Errorf("the merged file is of %v: %v", info.ModTime(), err)
	}
	if m := merging(t, dir, new(merger)); m.files != 0 || !maps.Equal(contents(t, partition), after) {
		t.Errorf("%d files were merged again", m.files)
	}
}

// A start is not held up for longer than it may be: the rest is merged at the next ones.
func TestAStartThatHasNoPatience(t *testing.T) {
	dir, partition := filled(t, singles(0, 50), singles(50, 50), singles(100, 50), singles(150, 3))
	for _, left := range []int{2, 1, 0, 0} {
		if m := merging(t, dir, &merger{patience: 1}); m.later != left || m.stopped != nil {
			t.Errorf("%d files are left, want %d: %v", m.later, left, m.stopped)
		}
	}
	if p, err := readPartition(partition); err != nil || batchesIn(p) != 3+3 {
		t.Errorf("%d batches, %v", batchesIn(p), err)
	}
}

// Who only looks changes nothing.
func TestUnmerged(t *testing.T) {
	dir, partition := filled(t, singles(0, 50), singles(50, 50))
	closeBroker(t, open(t, dir, Unmerged()))
	e, err := OpenReading(dir, t.TempDir(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	closeBroker(t, e)
	if p, err := readPartition(partition); err != nil || batchesIn(p) != 100 {
		t.Errorf("%d batches, %v", batchesIn(p), err)
	}
}

// A partition in which there was ever a transaction is left as it is: what the server knows of transactions it reads from their batches.
func TestTransactionsAreNotMerged(t *testing.T) {
	begun := lay(place{offset: 50, time: 9, producer: 7}, recordOf(1))
	begun[batchAttributes+1] = 0x10
	dir, partition := filled(t, singles(0, 50), seal(begun), singles(51, 50))
	merging(t, dir, new(merger))
	if p, err := readPartition(partition); err != nil || batchesIn(p) != 101 {
		t.Errorf("%d batches, %v", batchesIn(p), err)
	}
}

// A torn tail is cut as ever, beside files that are merged, and so is an index mended; a log that ends before its snapshot or its index does is refused.
func TestATornTailBesideMergedFiles(t *testing.T) {
	last := singles(100, 3)
	dir, partition := filled(t, singles(0, 50), singles(50, 50), append(last, last[:30]...))
	if err := os.WriteFile(filepath.Join(partition, "0.idx"), []byte("half an entry"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := open(t, dir)
	wantValues(t, e.Connection(), "orders", values103(t)...)
	produce(t, e.Connection(), "orders", "103")
	after, partition := copied(t, dir)
	if p, err := readPartition(partition); err != nil || batchesIn(p) != 1+1+4 {
		t.Errorf("%d batches, %v", batchesIn(p), err)
	}
	change(t, filepath.Join(partition, "100.dat"), func(b []byte) []byte { return b[:len(b)-1] })
	_, err := OpenEmbedded(after, quiet())
	wantError(t, err, "damaged", "100.dat")
}

// A crash may leave a file that was begun and has nothing, or nothing whole. The server then writes on in the one before it, which is no longer full
// when it is merged; so that isn't, and the log goes on in it or behind it.
func TestAFileThatWasBegun(t *testing.T) {
	for name, tail := range map[string][]byte{"empty": {}, "torn": singles(100, 1)[:40]} {
		t.Run(name, func(t *testing.T) {
			dir, partition := filled(t, singles(0, 50), singles(50, 50))
			if err := os.WriteFile(filepath.Join(partition, "100.dat"), tail, 0o600); err != nil {
				t.Fatal(err)
			}
			want := values103(t)
			for from := 100; from < 103; from++ {
				e := open(t, dir)
				produce(t, e.Connection(), "orders", want[from])
				wantValues(t, e.Connection(), "orders", want[:from+1]...)
				after, _ := copied(t, dir)
				closeBroker(t, e)
				dir = after
			}
			open(t, dir)
		})
	}
}

// What was deleted by hand stays deleted, though the first record that is left lies within a merged batch.
func TestDeletedRecordsStayDeletedInAMergedBatch(t *testing.T) {
	dir, _ := filled(t, singles(0, 50), singles(50, 50), singles(100, 3))
	e := open(t, dir, Unmerged())
	var upTo kadm.Offsets
	upTo.AddOffset("orders", 0, 20, -1)
	if _, err := admin(t, e.Connection()).DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	want := hear(t, e.Connection())
	closeBroker(t, e)
	for range 2 { // the second time they are merged already, and the snapshot is the server's again
		e = open(t, dir)
		sameTestimony(t, want, hear(t, e.Connection()))
		closeBroker(t, e)
	}
	if want.Start.Offset != 20 {
		t.Errorf("the log begins at %d", want.Start.Offset)
	}
}

// A full disk, or anything else that is in the way, is said and is no reason not to start; when it is gone, the next start merges.
func TestToStartWhereNothingCanBeMerged(t *testing.T) {
	for name, c := range map[string]struct {
		free  uint64
		block string
		want  string
	}{
		"a full disk":         {reserve + 500, "", "full"},
		"a file in the way":   {1 << 30, "0.dat.tmp", "0.dat.tmp"},
		"an index in the way": {1 << 30, "0.idx.tmp", "0.idx.tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, partition := filled(t, singles(0, 50), singles(50, 50), singles(100, 3))
			block := filepath.Join(partition, c.block)
			if c.block != "" {
				if err := os.MkdirAll(filepath.Join(block, "not empty"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var said bytes.Buffer
			e := open(t, dir, Logger(slog.New(slog.NewTextHandler(&said, nil))), space(func(string) (uint64, error) { return c.free, nil }))
			wantValues(t, e.Connection(), "orders", values103(t)...)
			closeBroker(t, e)
			if strings.Count(said.String(), "were not merged") != 1 || !strings.Contains(said.String(), c.want) {
				t.Errorf("it says %s", said.String())
			}
			if p, err := readPartition(partition); err != nil || batchesIn(p) != 103 {
				t.Errorf("%d batches, %v", batchesIn(p), err)
			}
			if c.block != "" {
				if err := os.RemoveAll(block); err != nil {
					t.Fatal(err)
				}
			}
			if m := merging(t, dir, new(merger)); m.files != 2 {
				t.Errorf("%d files were merged then", m.files)
			}
		})
	}
}

// A merged file that doesn't hold the same records, to the last bit, never takes the old one's place.
func TestAMergedFileThatIsNotTheSame(t *testing.T) {
	for at := range 3 {
		dir, partition := filled(t, singles(0, 50), singles(50, 3))
		before, steps := contents(t, partition)["0.dat"], 0
		m := merging(t, dir, &merger{step: func() {
			if steps++; steps == 1 { // it is written
				change(t, filepath.Join(partition, "0.dat.tmp"), func(b []byte) []byte { return seal(flip(len(b) - 3 - at)(b)) })
			}
		}})
		if m.stopped == nil || steps != 1 || contents(t, partition)["0.dat"] != before {
			t.Errorf("stopped with %v after %d steps", m.stopped, steps)
		}
	}
}

// A step that fails between the new index and the new file leaves an index that fits.
func TestAFileThatCantTakeItsPlace(t *testing.T) {
	dir, partition := filled(t, singles(0, 50), singles(50, 3))
	steps := 0
	m := merging(t, dir, &merger{step: func() {
		if steps++; steps == 3 { // the index has taken its place
			if err := os.Remove(filepath.Join(partition, "0.dat.tmp")); err != nil {
				t.Error(err)
			}
		}
	}})
	index, err := os.ReadFile(filepath.Join(partition, "0.idx"))
	if err != nil || m.stopped == nil || len(index) != 50*indexEntry {
		t.Errorf("stopped with %v, and the index has %d bytes: %v", m.stopped, len(index), err)
	}
	wantValues(t, open(t, dir).Connection(), "orders", values103(t)[:53]...)
}
