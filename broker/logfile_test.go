package broker

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// crashed returns a directory as kill -9 leaves it: a log of n records, a file for every two of them.
func crashed(t *testing.T, n int) (dir, partition string) {
	t.Helper()
	dir = t.TempDir()
	e := open(t, dir)
	remakeSmall(t, e.Connection())
	for i := range n {
		produce(t, e.Connection(), "orders", fmt.Sprint(i))
	}
	return copied(t, dir)
}

func copied(t *testing.T, dir string) (to, partition string) {
	t.Helper()
	to = t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "broker"), os.DirFS(filepath.Join(dir, "broker"))); err != nil {
		t.Fatal(err)
	}
	return to, filepath.Join(to, "broker", "partitions", "orders-0")
}

func remakeSmall(t *testing.T, c Connection) {
	t.Helper()
	bytes := "100" // a batch of one record has more than half of it
	if _, err := admin(t, c).CreateTopic(t.Context(), 1, 1, map[string]*string{"segment.bytes": &bytes}, "orders"); err != nil {
		t.Fatal(err)
	}
}

func lastFile(t *testing.T, partition string) string {
	t.Helper()
	p, err := readPartition(partition)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(partition, fmt.Sprint(p.segments[len(p.segments)-1].base, segmentSuffix))
}

func change(t *testing.T, file string, by func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, by(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenAfterACrash(t *testing.T) {
	dir, partition := crashed(t, 5)
	if s, _ := readSnapshot(partition); s.Version != 0 {
		t.Fatal("there is a snapshot, so this is no crash")
	}
	e := open(t, dir)
	if s, err := readSnapshot(partition); err != nil || s.HighWatermark != 5 || len(s.Segments) != 3 {
		t.Errorf("snapshot %+v, %v", s, err)
	}
	produce(t, e.Connection(), "orders", "5")
	wantValues(t, e.Connection(), "orders", "0", "1", "2", "3", "4", "5")

	again, _ := copied(t, dir) // the snapshot is older than the log now
	wantValues(t, open(t, again).Connection(), "orders", "0", "1", "2", "3", "4", "5")
}

func TestTornTails(t *testing.T) {
	for name, tail := range map[string]func(whole []byte) []byte{
		"half a batch":     func(b []byte) []byte { return b[:len(b)/2] },
		"half a header":    func(b []byte) []byte { return b[:5] },
		"one byte":         func(b []byte) []byte { return b[:1] },
		"zeros":            func(b []byte) []byte { return make([]byte, 2*len(b)) },
		"a batch of zeros": func(b []byte) []byte { return append(b[:batchRecords], make([]byte, len(b)-batchRecords)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, partition := crashed(t, 3)
			change(t, lastFile(t, partition), func(b []byte) []byte { return append(b, tail(slices.Clone(b))...) })
			e := open(t, dir)
			produce(t, e.Connection(), "orders", "3")
			wantValues(t, e.Connection(), "orders", "0", "1", "2", "3")
		})
	}
}

func TestDamageIsRefused(t *testing.T) {
	for name, damage := range map[string]struct {
		file string
		by   func([]byte) []byte
		want string
	}{
		"a bit in an old file":         {"0.dat", flip(70), "0.dat at byte 0, offset 0"},
		"a size in an old file":        {"0.dat", flip(batchLength), "0.dat at byte 0, offset 0"},
		"an old file that is short":    {"2.dat", func(b []byte) []byte { return b[:len(b)-3] }, "2.dat at byte"},
		"an old file that is empty":    {"2.dat", func([]byte) []byte { return nil }, "4.dat should begin at offset 2"},
		"a bit before the last batch":  {"4.dat", flip(70), "4.dat at byte 0, offset 4"},
		"a size before the last batch": {"4.dat", flip(batchLength), "4.dat at byte 0, offset 4"},
		"an offset that jumps":         {"4.dat", func(b []byte) []byte { binary.BigEndian.PutUint64(b, 9); return b }, "4.dat at byte 0, offset 4"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, partition := crashed(t, 6)
			file := filepath.Join(partition, damage.file)
			before, _ := os.ReadFile(file)
			change(t, file, damage.by)
			_, err := OpenEmbedded(dir, quiet())
			wantError(t, err, "damaged", damage.want)
			change(t, file, func([]byte) []byte { return before }) // nothing was cut: mended, it opens
			wantValues(t, open(t, dir).Connection(), "orders", "0", "1", "2", "3", "4", "5")
		})
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 1
		return b
	}
}

func TestAnOldFileThatIsGone(t *testing.T) {
	dir, partition := crashed(t, 6)
	if err := os.Remove(filepath.Join(partition, "2.dat")); err != nil {
		t.Fatal(err)
	}
	_, err := OpenEmbedded(dir, quiet())
	wantError(t, err, "4.dat should begin at offset 2")
}

// The start of a log that was moved by hand is only in a snapshot.
func TestDeletedRecordsStayDeleted(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	produce(t, e.Connection(), "orders", "0", "1", "2")
	var upTo kadm.Offsets
	upTo.AddOffset("orders", 0, 2, -1)
	if _, err := admin(t, e.Connection()).DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, e)
	e = open(t, dir)
	produce(t, e.Connection(), "orders", "3")
	after, _ := copied(t, dir)
	wantValues(t, open(t, after).Connection(), "orders", "2", "3")
}

// diedInATransaction returns a directory as a broker leaves it that dies with a committed record and an open transaction,
// and the one partition in it.
func diedInATransaction(t *testing.T) (after, partition string) {
	t.Helper()
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e.Connection(), 1, Topic{"orders", Log})
	produce(t, e.Connection(), "orders", "a")
	cl := client(t, e.Connection(), kgo.TransactionalID("t"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	return copied(t, dir)
}

// A transaction that was open when the broker died isn't seen by readers of what is committed.
func TestAnOpenTransactionOverACrash(t *testing.T) {
	after, _ := diedInATransaction(t)
	e := open(t, after)
	produce(t, e.Connection(), "orders", "b")
	wantValues(t, e.Connection(), "orders", "a", "b")
}
