package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// wreck is a partition as kill -9 leaves it, five records in three files, of which copies are damaged. To prepare one is all
// that a start does before the server reads the files.
type wreck struct {
	t     *testing.T
	files map[string][]byte
	last  []byte // the last batch, which is alone in 4.dat
}

func newWreck(t *testing.T) wreck {
	t.Helper()
	_, partition := crashed(t, 5)
	w := wreck{t, map[string][]byte{}, nil}
	for _, f := range glob(t, partition, "*") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		w.files[filepath.Base(f)] = b
	}
	w.last = w.files["4.dat"]
	return w
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// prepare writes the files, some of them others than they were and nil for none, prepares the partition, and reads it.
func (w wreck) prepare(dir string, instead map[string][]byte) (partition, error) {
	w.t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for name, b := range w.files {
		if other, changed := instead[name]; changed {
			b = other
		}
		if b == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := preparePartition(dir, &merger{off: true}); err != nil {
		return partition{}, err
	}
	return readPartition(dir)
}

// What stands behind the last batch that was acknowledged is cut wherever the crash has torn it, and whatever it has made of it.
func TestATailIsTornAnywhere(t *testing.T) {
	w, dir := newWreck(t), t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 1))
	next := slices.Clone(w.last)
	next[7]++ // its offset
	tails := [][]byte{make([]byte, 4096)}
	for n := 1; n < len(next); n++ {
		tails = append(tails, next[:n], append(slices.Clone(next[:n]), make([]byte, len(next)-n)...), flip(rnd.IntN(len(next)))(slices.Clone(next)))
	}
	for i, tail := range tails {
		p, err := w.prepare(dir, map[string][]byte{"4.dat": append(slices.Clone(w.last), tail...)})
		if err == nil && p.end == 6 {
			continue // the checksum does not cover the leader's epoch: the batch is whole
		}
		if last := p.segments[len(p.segments)-1]; err != nil || p.end != 5 || last.torn != 0 || last.size != int64(len(w.last)) {
			t.Errorf("tail %d, %x: the log ends at %d, with %d bytes torn: %v", i, tail, p.end, last.torn, err)
		}
	}
}

// The last batch has been acknowledged when its entry is in the index: it is never taken for a torn tail.
func TestWhatWasAcknowledgedIsNotCut(t *testing.T) {
	w, dir := newWreck(t), t.TempDir()
	for n := range w.last {
		_, err := w.prepare(dir, map[string][]byte{"4.dat": w.last[:n]})
		wantError(t, err, "damaged", "4.dat ends at byte 0, offset 4", "remove", "4.idx")
	}
	for at := range w.last {
		if at >= 12 && at < batchMagic {
			continue // the leader's epoch, which the checksum doesn't cover and nobody needs
		}
		damaged := flip(at)(slices.Clone(w.last))
		_, err := w.prepare(dir, map[string][]byte{"4.dat": damaged})
		wantError(t, err, "damaged", "4.dat")
		if left, _ := os.ReadFile(filepath.Join(dir, "4.dat")); !slices.Equal(left, damaged) {
			t.Errorf("with a bit of byte %d flipped, the file is not left as it was", at)
		}
	}
}

// Who does without what is damaged says so by removing the file that the error names.
func TestToDoWithoutTheLastRecord(t *testing.T) {
	w, dir := newWreck(t), t.TempDir()
	p, err := w.prepare(dir, map[string][]byte{"4.dat": w.last[:20], "4.idx": nil})
	if err != nil || p.end != 4 {
		t.Errorf("the log ends at %d, %v", p.end, err)
	}
}

// After an orderly stop the snapshot says where the log ended.
func TestALogShorterThanItsSnapshot(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	produce(t, e.Connection(), "orders", "0", "1", "2")
	closeBroker(t, e)
	partition := filepath.Join(dir, "broker", "partitions", "orders-0")
	if err := os.Remove(filepath.Join(partition, "0.idx")); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(partition, "0.dat")
	change(t, log, func(b []byte) []byte { return b[:len(b)-1] })
	_, err := OpenEmbedded(dir, quiet())
	wantError(t, err, "damaged", "orders-0", "ended at 3", "snapshot.json")
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	_, err = OpenEmbedded(dir, quiet())
	wantError(t, err, "damaged", "orders-0", "ended at 3", "snapshot.json")
}

// An index that a crash or a full disk left behind is written again: were it not, the batches to come would be given
// the entries of others.
func TestAnIndexIsMended(t *testing.T) {
	w, dir := newWreck(t), t.TempDir()
	whole := w.files["0.idx"]
	if len(whole) != 2*indexEntry || !wholeIndexEntry(whole) {
		t.Fatalf("the server's index is %x", whole)
	}
	for n := range len(whole) + indexEntry - 1 {
		torn := append(slices.Clone(whole), make([]byte, indexEntry)...)[:n]
		if _, err := w.prepare(dir, map[string][]byte{"0.idx": torn}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "0.idx"))
		if err != nil || len(b) != len(whole) || !wholeIndexEntry(b) || !wholeIndexEntry(b[indexEntry:]) {
			t.Errorf("cut at byte %d, the index becomes %x, %v", n, b, err)
		}
	}
	if _, err := w.prepare(dir, map[string][]byte{"0.idx": nil, "2.idx": nil, "4.idx": nil}); err != nil {
		t.Error("without an index:", err)
	}
}

// A transaction that was open at a crash is known by the index, and by the one that is written in its place.
func TestAnOpenTransactionWithoutItsIndex(t *testing.T) {
	after, partition := diedInATransaction(t)
	change(t, filepath.Join(partition, "0.idx"), func(b []byte) []byte { return b[:indexEntry+3] })
	e := open(t, after)
	produce(t, e.Connection(), "orders", "b")
	wantValues(t, e.Connection(), "orders", "a", "b")
}

// What was committed before a torn entry and behind it is there after the next start, and so is what is committed then.
func TestCommitsBehindATornEntry(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e.Connection(), 2, Topic{"orders", Log})
	commit := func(e *Embedded, partition int32, at int64) {
		var o kadm.Offsets
		o.AddOffset("orders", partition, at, -1)
		if r, err := admin(t, e.Connection()).CommitOffsets(t.Context(), "g", o); err != nil || r.Error() != nil {
			t.Fatal(err, r.Error())
		}
	}
	commit(e, 0, 5)
	tear := func(dir string) {
		change(t, filepath.Join(dir, "broker", "groups.log"), func(b []byte) []byte { return append(b, b[:len(b)/2+3]...) })
		change(t, filepath.Join(dir, "broker", "pids.log"), func(b []byte) []byte { return append(b, 200, 0) })
	}
	tear(dir) // by a full disk: the server goes on behind it
	commit(e, 1, 7)
	after, _ := copied(t, dir)
	e = open(t, after)
	commit(e, 1, 8)
	tear(after) // by a crash
	again, _ := copied(t, after)
	committed, err := admin(t, open(t, again).Connection()).FetchOffsets(context.Background(), "g")
	var at []string
	for p := range int32(2) {
		o, _ := committed.Lookup("orders", p)
		at = append(at, fmt.Sprint(o.At))
	}
	if got := strings.Join(at, " "); err != nil || got != "5 8" {
		t.Errorf("committed are %s, want 5 8: %v", got, err)
	}
}

// Files that a crash left half written are as good as none.
func TestHalfWrittenFiles(t *testing.T) {
	dir, partition := crashed(t, 3)
	for _, file := range []string{
		filepath.Join(partition, "snapshot.json"), filepath.Join(partition, "snapshot.json.tmp"), filepath.Join(partition, "snapshot.json.123"),
		filepath.Join(dir, "broker", "topics.json.tmp"), filepath.Join(dir, "broker", "groups.log.tmp"),
	} {
		if err := os.WriteFile(file, []byte(`{"version":1,"hi`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantValues(t, open(t, dir).Connection(), "orders", "0", "1", "2")
}
