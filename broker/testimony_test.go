package broker

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// testimony is what a broker tells of a log to those who ask in every way there is.
type testimony struct {
	Records    []kgo.Record
	Sarama     []string                            // the records as the other client sees them
	From       map[int64]int64                     // by the offset from which is read, the first that comes
	Start, End kadm.ListedOffset                   //
	Latest     kadm.ListedOffset                   // by time
	Times      map[int64]kadm.ListedOffset         // by the time that is asked for
	Epochs     map[int32]kadm.OffsetForLeaderEpoch // by leader's epoch
}

func hear(t *testing.T, c Connection) testimony {
	t.Helper()
	a, ctx := admin(t, c), t.Context()
	listed := func(all kadm.ListedOffsets, err error) kadm.ListedOffset {
		t.Helper()
		if err != nil || all.Error() != nil {
			t.Fatal(err, all.Error())
		}
		return all["orders"][0]
	}
	says := testimony{From: map[int64]int64{}, Times: map[int64]kadm.ListedOffset{}, Epochs: map[int32]kadm.OffsetForLeaderEpoch{},
		Start: listed(a.ListStartOffsets(ctx, "orders")), End: listed(a.ListEndOffsets(ctx, "orders")),
		Latest: listed(a.ListMaxTimestampOffsets(ctx, "orders"))}
	for _, r := range consume(t, c, "orders", int(says.End.Offset-says.Start.Offset)) {
		r.ProducerID, r.ProducerEpoch, r.Context = 0, 0, nil
		says.Records = append(says.Records, *r)
	}
	for _, m := range consumeSarama(t, c, "orders", len(says.Records)) {
		says.Sarama = append(says.Sarama, fmt.Sprint(m.Offset, m.Timestamp.UnixMilli(), m.Key, m.Value, len(m.Headers)))
	}
	for _, i := range []int{0, len(says.Records) / 3, len(says.Records) / 2, len(says.Records) - 1} {
		r := says.Records[i]
		for _, time := range []int64{r.Timestamp.UnixMilli() - 1, r.Timestamp.UnixMilli(), r.Timestamp.UnixMilli() + 1} {
			says.Times[time] = listed(a.ListOffsetsAfterMilli(ctx, time, "orders"))
		}
		var ask kadm.OffsetForLeaderEpochRequest
		ask.Add("orders", 0, r.LeaderEpoch)
		ends, err := a.OffsetForLeaderEpoch(ctx, ask)
		if err != nil {
			t.Fatal(err)
		}
		says.Epochs[r.LeaderEpoch] = ends["orders"][0]
		err = Read(ctx, c, "orders", 0, r.Offset, r.Offset+1, func(first *kgo.Record) error { says.From[r.Offset] = first.Offset; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	return says
}

// Whatever the log, a broker tells the same of the merged one as of the other: after kill -9 and after an orderly stop, of what it had and of
// what it is given then.
func TestABrokerTellsTheSameOfAMergedLog(t *testing.T) {
	random := rapid.Custom(func(r *rapid.T) (files [][]byte) {
		at := place{time: 1_700_000_000_000}
		for range rapid.IntRange(2, 4).Draw(r, "files") {
			files = append(files, drawFile(r, &at, 40))
		}
		return files
	})
	merges := 0
	for seed := range 10 {
		plain, partition := filled(t, random.Example(seed)...)
		p, err := readPartition(partition)
		if err != nil {
			t.Fatal(err)
		}
		clock := stopped(1_800_000_000_000)
		if seed%2 == 0 {
			closeBroker(t, open(t, plain, Unmerged(), clock))
		}
		merged, partition := copied(t, plain)
		e, m := open(t, plain, Unmerged(), clock), open(t, merged, clock)
		if now, _ := readPartition(partition); batchesIn(now) < batchesIn(p) {
			merges++
		}
		sameTestimony(t, hear(t, e.Connection()), hear(t, m.Connection()))
		produce(t, e.Connection(), "orders", "more", "and more")
		produce(t, m.Connection(), "orders", "more", "and more")
		closeBroker(t, m)
		m = open(t, merged, clock)
		sameTestimony(t, hear(t, e.Connection()), hear(t, m.Connection()))
		closeBroker(t, e)
		closeBroker(t, m)
	}
	if merges < 5 {
		t.Errorf("only %d of 10 logs have files that were worth it", merges)
	}
}

func sameTestimony(t *testing.T, want, got testimony) {
	t.Helper()
	a, b := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			t.Fatalf("%s:\n%+v\nmerged:\n%+v", a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}
