package engine

import (
	"errors"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/codecs"
	"stockflow/machines/inventory"
)

// refuse makes the broker refuse requests for a topic, with an error that clients try again at, until mend is
// called. met returns when a request has met it. A producer that has met it is refused for good: the last of what a life sent
// before it crashed may come to the broker only after mend.
func (b *bench) refuse(key kmsg.Key, topic string) (met, mend func()) {
	var mended atomic.Bool
	gone := map[int64]bool{} // producers; only the cluster uses it
	h := b.kafka.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{key}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: -1,
		When: func(r kmsg.Request) bool {
			id, produces := producerOf(r)
			if !mended.Load() && produces {
				gone[id] = true
			}
			return !mended.Load() || gone[id] && produces
		},
	})
	met = func() {
		if err := h.Wait(within(b.t), 1); err != nil {
			b.t.Fatalf("nobody asked for %v of %s", key, topic)
		}
	}
	return met, func() { mended.Store(true) }
}

// producerOf is the id of the producer of a request, if it has a batch.
func producerOf(r kmsg.Request) (id int64, ok bool) {
	produce, ok := r.(*kmsg.ProduceRequest)
	if !ok {
		return 0, false
	}
	var batch kmsg.RecordBatch
	err := batch.ReadFrom(produce.Topics[0].Partitions[0].Records)
	return batch.ProducerID, err == nil
}

// runFlawed runs the machine with parts of the protocol off. crash ends it at once: what is not acknowledged is lost.
func (b *bench) runFlawed(f flaws) (crash func()) {
	g, stop := b.run(toyMachine(), func(g *Group) { g.base.flaws = f })
	return func() {
		g.mu.Lock()
		life := g.life
		g.mu.Unlock()
		if life != nil {
			go life.fail(errors.New("a crash"))
		}
		stop()
	}
}

// rowsUntilEnd sends a last message and returns the newest row of each key before its row.
func (b *bench) rowsUntilEnd() map[string]int64 {
	b.put(toyLog, "end", receive(1, ""))
	rows := map[string]int64{}
	b.follow(toyTable, func(r *kgo.Record) bool {
		_, s, err := codecs.DecodeInventoryRow(r.Value)
		if err != nil {
			b.t.Fatal(err)
		}
		rows[string(r.Key)] = s.Received
		return string(r.Key) == "end"
	})
	return rows
}

// Rule 1: a row is durable only with all its outputs. Else a crash in between leaves a row that says that its message
// was taken, and nobody ever sends its outputs.
func TestARowWaitsForItsOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		flaws flaws
		sink  int // outputs that arrive in the end
	}{
		"as it is":        {flaws{}, 2},
		"without waiting": {flaws{sendEarly: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			met, mend := b.refuse(kmsg.Produce, toySink)
			crash := b.runFlawed(c.flaws)
			b.put(toyLog, "k", receive(1, "out"))
			met()
			if c.flaws.sendEarly {
				b.sums(map[string]int64{"k": 1}) // the row is there, its output is not
			}
			crash()
			mend()
			b.run(toyMachine())
			b.put(toyLog, "k", receive(2, "out"))
			outputs := b.sink(c.sink)
			if last := outputs[len(outputs)-1]; last != "k=3" {
				t.Errorf("the last output is %s, want k=3", last)
			}
			if c.sink == 1 {
				t.Log("as expected of the flaw, the output k=1 was never sent")
			}
		})
	}
}

// Rule 2: the store on disk holds only what the changelog has. Else a row that the changelog never got is found there
// after a crash, its message is dropped as taken, and no reader of the table ever sees it.
func TestTheStoreHoldsOnlyWhatTheChangelogHas(t *testing.T) {
	for name, c := range map[string]struct {
		flaws flaws
		rows  map[string]int64
	}{
		"as it is":         {flaws{}, map[string]int64{"k": 1, "end": 1}},
		"store runs ahead": {flaws{storeEarly: true}, map[string]int64{"end": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			met, mend := b.refuse(kmsg.Produce, toyTable)
			crash := b.runFlawed(c.flaws)
			b.put(toyLog, "k", receive(1, ""))
			met()
			crash()
			mend()
			b.run(toyMachine())
			if rows := b.rowsUntilEnd(); !maps.Equal(rows, c.rows) {
				t.Errorf("the changelog holds %v, want %v", rows, c.rows)
			}
		})
	}
}

// Rule 3: an offset is marked when everything delivered before it is done. Else a message that is done quickly
// commits past one that is not, and a crash loses that one.
func TestOffsetsAreMarkedInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		flaws     flaws
		committed int64
		rows      map[string]int64
	}{
		"as it is":          {flaws{}, 0, map[string]int64{"k": 1, "end": 1}},
		"each as it's done": {flaws{markEarly: true}, 2, map[string]int64{"end": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			met, mend := b.refuse(kmsg.Produce, toySink)
			crash := b.runFlawed(c.flaws)
			b.put(toyLog, "k", receive(1, "out")) // waits for its output
			b.put(toyLog, "k", []byte("poison"))  // done as soon as its letter is there
			met()
			b.letters(1)
			if c.flaws.markEarly { // the group has to hear of the letter too before the crash, and marks it then
				eventually(t, "the letter is not marked", func() bool { return b.committed(0) == c.committed })
			}
			crash()
			if at := max(0, b.committed(0)); at != c.committed {
				t.Errorf("committed offset %d, want %d", at, c.committed)
			}
			mend()
			b.run(toyMachine())
			if rows := b.rowsUntilEnd(); !maps.Equal(rows, c.rows) {
				t.Errorf("the changelog holds %v, want %v", rows, c.rows)
			}
		})
	}
}

// A message that fails while the processor is stopping is not done. goka takes it for done: its Fail returns then,
// and the callback's end commits.
func TestAFailureWhileStoppingIsNotCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		flaws     flaws
		committed int64
	}{
		"as it is":     {flaws{}, 0},
		"left to goka": {flaws{failSoft: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			b.put(toySink, "x", []byte("a cause"))
			_, reserve := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: "o", Quantity: 5})
			b.put(toyLog, "k", reserve, kgo.RecordHeader{Key: codecs.HeaderOrigin, Value: []byte("sink/0/0/0")})
			met, mend := b.refuse(kmsg.ListOffsets, toySink) // so that the callback asks for sink's end in vain
			_, stop := b.run(toyMachine(), func(g *Group) { g.base.flaws = c.flaws })
			met()
			stop()
			if at := max(0, b.committed(0)); at != c.committed {
				t.Errorf("committed offset %d, want %d", at, c.committed)
			}
			mend()
			b.run(toyMachine())
			want := map[string]int64{"k": 5, "end": 1}
			if c.committed > 0 {
				delete(want, "k")
			}
			if rows := b.rowsUntilEnd(); !maps.Equal(rows, want) {
				t.Errorf("the changelog holds %v, want %v", rows, want)
			}
		})
	}
}

// A broker that does not know a topic yet is waited out, as any other outage: the group goes on in the life that it has.
func TestABrokerThatForgotATopicIsWaitedOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.kafka.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: toySink, Err: kerr.UnknownTopicOrPartition, Count: 6})
	g, _ := b.run(toyMachine())
	b.put(toyLog, "k", receive(1, "out"))
	b.sink(1)
	if n := testutil.ToFloat64(g.metrics.restarts); n > 0 {
		t.Errorf("%v lives have ended", n)
	}
}

// A row that can't be read is not a row that isn't there: its message is folded once it can be read.
func TestAMessageWaitsForADiskThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	g, _ := b.run(toyMachine())
	b.put(toyLog, "k", receive(5, "out"))
	b.sums(map[string]int64{"k": 5})
	g.mu.Lock()
	store := g.life.worker(0).store
	g.mu.Unlock()
	must(t, store.flush())
	must(t, store.db.Close()) // as if the disk were gone
	b.put(toyLog, "k", receive(1, "out"))
	b.sums(map[string]int64{"k": 6})
	b.sink(2)
}
