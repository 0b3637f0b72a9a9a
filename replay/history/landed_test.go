package history

import (
	"bytes"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"stockflow/broker"
	"stockflow/codecs"
)

// What a message sent is found where it landed first, among the first messages of its key and far behind them; what was
// never sent is not.
func TestWhatWasSentIsFoundWhereItLanded(t *testing.T) {
	w := newWorld(t, 11, 2)
	w.live(1000)
	all := w.openAll(t.TempDir())
	w.takeAll(all, 40)
	early, late := 0, 0
	for log, was := range w.was {
		for _, then := range was {
			for i, o := range then.step.Outputs {
				origin := codecs.Origin{Log: log, Partition: then.partition, Offset: then.offset, Index: int32(i)}
				a := all[o.Log][broker.Partition([]byte(o.Key), w.partitions)]
				want, position := w.landed(a, o.Key, origin)
				if got := landedIn(t, a, o.Key, origin); got != want {
					t.Fatalf("%v landed at %d of %s, not at %d", origin, want, a.name(), got)
				}
				if position < stretch {
					early++
				} else {
					late++
				}
				origin.Index += 100
				if got := landedIn(t, a, o.Key, origin); got != -1 {
					t.Fatalf("%v was never sent, and landed at %d of %s", origin, got, a.name())
				}
			}
		}
	}
	if early < 100 || late < 50 {
		t.Errorf("%d landed among the first %d messages of their keys, %d behind them", early, stretch, late)
	}
	for _, as := range all {
		for _, a := range as {
			must(t, a.close())
		}
	}
}

// landed looks through a log for the first message of a key with an origin, and counts those of the key before it.
func (w *world) landed(a *partitionHistory, key string, o codecs.Origin) (offset int64, position int) {
	for _, r := range w.logs[a.machine.Log][a.partition] {
		if string(r.Key) != key {
			continue
		}
		if e := entryOf(r, 0); e.Redrive == nil && bytes.Equal(e.Origin, codecs.EncodeOrigin(o)) {
			return r.Offset, position
		}
		position++
	}
	return -1, position
}

func landedIn(t *testing.T, a *partitionHistory, key string, o codecs.Origin) (offset int64) {
	t.Helper()
	must(t, a.view(func(r leveldb.Reader) (err error) {
		offset, err = a.landed(r, key, o)
		return err
	}))
	return offset
}
