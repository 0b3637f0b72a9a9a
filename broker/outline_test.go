package broker

import (
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// reach is all that a reader asks of a log: where partitions begin and end, what a group has committed, and the records.
type reach struct {
	Starts, Ends kadm.ListedOffsets
	Committed    kadm.OffsetResponses
	Records      []string
}

func reachOf(t *testing.T, c Connection) (r reach) {
	t.Helper()
	var err error
	if r.Starts, err = admin(t, c).ListStartOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Ends, err = admin(t, c).ListEndOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Committed, err = admin(t, c).FetchOffsets(t.Context(), "group"); err != nil {
		t.Fatal(err)
	}
	start, _ := r.Starts.Lookup("orders", 0)
	end, _ := r.Ends.Lookup("orders", 0)
	r.Records = readAll(t, c, start.Offset, end.Offset)
	return r
}

// TestAnOutlineReachesAsFarAsTheLog: also of a log that a crash has left, whose first records were deleted, and which has
// topics that nothing was ever written to, and partitions. Nothing is left behind, and the log is as it was.
func TestAnOutlineReachesAsFarAsTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	c := e.Connection()
	remakeSmall(t, c)
	ensure(t, c, 3, Topic{"others", Log}, Topic{"empty", Table})
	produce(t, c, "orders", "a", "b", "c", "d", "e")
	produce(t, c, "others", "f", "g")
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 3, -1)
	offsets.AddOffset("others", 1, 1, -1)
	if _, err := admin(t, c).CommitOffsets(t.Context(), "group", offsets); err != nil {
		t.Fatal(err)
	}
	deleted := kadm.Offsets{}
	deleted.AddOffset("orders", 0, 2, -1)
	if _, err := admin(t, c).DeleteRecords(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	want := reachOf(t, c)
	killed, _ := copied(t, dir)
	closeBroker(t, e)
	for name, log := range map[string]string{"stopped": dir, "killed": killed} {
		work := t.TempDir()
		o, err := OpenReading(log, work, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if !o.Connection().outline {
			t.Errorf("%s: the log was opened whole", name)
		}
		if got := reachOf(t, o.Connection()); name == "stopped" && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: it reaches\n%+v\nnot\n%+v", name, got, want)
		} else if !reflect.DeepEqual(got.Ends, want.Ends) || !reflect.DeepEqual(got.Committed, want.Committed) {
			t.Errorf("%s: it ends at\n%+v\nnot\n%+v", name, got, want)
		}
		err = Read(t.Context(), o.Connection(), "orders", 0, 2, 6, func(*kgo.Record) error { return nil })
		wantError(t, err, "orders/0", "from offset 5 on")
		_, _, err = Find(log)
		wantError(t, err, "is being opened or closed")
		closeBroker(t, o)
		if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
	again := open(t, dir)
	produce(t, again.Connection(), "orders", "more")
	if got := reachOf(t, again.Connection()); !slices.Equal(got.Records[:3], want.Records) || len(got.Records) != 4 {
		t.Errorf("afterwards it has %v", got.Records)
	}
}

// TestALogWithTransactionsIsOpenedWhole: what became of them stands between the records.
func TestALogWithTransactionsIsOpenedWhole(t *testing.T) {
	t.Parallel()
	dir, _ := diedInATransaction(t)
	o, err := OpenReading(dir, t.TempDir(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer closeBroker(t, o)
	wantValues(t, o.Connection(), "orders", "a")
}
