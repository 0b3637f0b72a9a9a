package broker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// various fills a topic of many small files with records of all kinds: without key, value, headers, or with empty ones;
// compressed in every way; several in a batch; and in the end transactions, one of which is aborted.
func various(t *testing.T, c Connection) {
	t.Helper()
	remakeSmall(t, c)
	send := func(cl *kgo.Client, records ...*kgo.Record) {
		t.Helper()
		if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		cl := client(t, c, kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic("orders"))
		send(cl, &kgo.Record{Value: []byte("alone")})
		send(cl, &kgo.Record{Key: []byte("key")}, &kgo.Record{Key: []byte{}, Value: []byte{}}, &kgo.Record{
			Key: []byte(fmt.Sprint("key", i)), Value: slices.Repeat([]byte("value"), 300),
			Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("b")}, {Key: "", Value: nil}, {Key: "c", Value: []byte{}}},
		}, &kgo.Record{Headers: []kgo.RecordHeader{{Key: "other", Value: []byte("d")}}})
	}
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		cl := client(t, c, kgo.TransactionalID("one"), kgo.DefaultProduceTopic("orders"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(cl, &kgo.Record{Value: []byte("in a transaction")})
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
	produce(t, c, "orders", "the last")
}

// TestWhatTheFilesSayIsWhatTheBrokerSends, from any offset to any other, also where the broker has to go on.
func TestWhatTheFilesSayIsWhatTheBrokerSends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	various(t, e.Connection())
	ends, err := admin(t, e.Connection()).ListEndOffsets(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	var last kadm.ListedOffset
	ends.Each(func(o kadm.ListedOffset) { last = o })
	all := readAll(t, e.Connection(), 0, last.Offset)
	if len(all) < 25 {
		t.Fatalf("%d records are sent", len(all))
	}
	if got := readAll(t, e.Connection().On(dir), 0, last.Offset); !reflect.DeepEqual(got, all) {
		t.Errorf("the files say\n%v\nand the broker\n%v", got, all)
	}
	for from := range int64(26) { // without the transactions, to be quick
		for to := from; to <= 25; to++ {
			var want []string
			if from < to {
				want = all[from:to]
			}
			if got := readAll(t, e.Connection().On(dir), from, to); !slices.Equal(got, want) {
				t.Errorf("from %d to %d the files say\n%v\nnot\n%v", from, to, got, want)
			}
		}
	}
}

func readAll(t *testing.T, c Connection, from, to int64) (all []string) {
	t.Helper()
	err := Read(t.Context(), c, "orders", 0, from, to, func(r *kgo.Record) error {
		all = append(all, fmt.Sprintf("%s/%d/%d at %d: %#v %#v %#v", r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value, append([]kgo.RecordHeader{}, r.Headers...)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReadingFilesEnds with the error of who is told, and with the context.
func TestReadingFilesEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	remakeSmall(t, e.Connection())
	produce(t, e.Connection(), "orders", "a", "b", "c")
	enough, told := errors.New("enough"), 0
	err := Read(t.Context(), e.Connection().On(dir), "orders", 0, 0, 3, func(*kgo.Record) error {
		told++
		return enough
	})
	if !errors.Is(err, enough) || told != 1 {
		t.Errorf("after %d records it ends with %v", told, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Read(ctx, e.Connection().On(dir), "orders", 0, 0, 3, func(*kgo.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("without a context it ends with %v", err)
	}
}

// TestDamagedFilesAreLeftToTheBroker: it is told what is before the damage, and then what the broker says.
func TestDamagedFilesAreLeftToTheBroker(t *testing.T) {
	t.Parallel()
	_, partition := crashed(t, 5)
	for _, damage := range []struct {
		what string
		to   func([]byte) []byte
		next int64
	}{
		{"a flipped bit", flip(70), 2},
		{"a torn batch", func(b []byte) []byte { return b[:len(b)-1] }, 3},
		{"a size beyond the file", func(b []byte) []byte { b[batchLength]++; return b }, 2},
		{"no byte", func([]byte) []byte { return nil }, 2},
	} {
		file := segment{base: 2}.file(partition)
		var whole []byte
		change(t, file, func(b []byte) []byte {
			whole = slices.Clone(b)
			return damage.to(b)
		})
		next, err := readSegments(t.Context(), partition, 0, 5, kgo.Record{}, func(*kgo.Record) error { return nil })
		if next != damage.next || err != nil {
			t.Errorf("%s: what the files say ends at %d with %v", damage.what, next, err)
		}
		change(t, file, func([]byte) []byte { return whole })
	}
	if next, err := readSegments(t.Context(), partition+"0", 0, 5, kgo.Record{}, nil); next != 0 || err != nil {
		t.Errorf("files that aren't there end at %d with %v", next, err)
	}
}
