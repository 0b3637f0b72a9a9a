package engine

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
)

// A stale owner is an instance that was paused for longer than its session, and writes an older row after its
// successor's newer one. Whoever owns the partition writes the newer one again.

// aged runs the toy machine over three messages of k and returns the first row that it wrote.
func (b *bench) aged() (oldest []byte, stop func()) {
	_, stop = b.run(toyMachine())
	for n := range int64(3) {
		b.put(toyLog, "k", receive(n+1, ""))
		b.sums(map[string]int64{"k": []int64{1, 3, 6}[n]})
	}
	b.follow(toyTable, func(r *kgo.Record) bool { oldest = r.Value; return true })
	return oldest, stop
}

// newestAfter waits until the record that follows offset is the newest row of k.
func (b *bench) newestAfter(offset int64) {
	b.t.Helper()
	b.follow(toyTable, func(r *kgo.Record) bool {
		if r.Offset <= offset || string(r.Key) != "k" {
			return false
		}
		_, s, err := codecs.DecodeInventoryRow(r.Value)
		if err != nil || s.Received != 6 {
			b.t.Fatalf("the row after the stale one is %+v, %v", s, err)
		}
		return true
	})
}

func TestAStaleRowIsRepairedWhileIdle(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	oldest, _ := b.aged()
	stale := b.put(toyTable, "k", oldest)
	b.newestAfter(stale.Offset)
}

func TestAStaleRowIsRepairedUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	oldest, _ := b.aged()
	stale := b.put(toyTable, "k", oldest)
	b.put(toyLog, "other", receive(1, "")) // its row's offset shows the gap
	b.newestAfter(stale.Offset)
}

func TestAStaleRowIsRepairedAtRecovery(t *testing.T) {
	for name, dir := range map[string]func(*bench){
		"from the disk": func(*bench) {},
		"from the log":  func(b *bench) { b.dir = b.t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			oldest, stop := b.aged()
			stop()
			stale := b.put(toyTable, "k", oldest)
			dir(b)
			b.run(toyMachine())
			b.newestAfter(stale.Offset)
			b.put(toyLog, "k", receive(4, ""))
			b.sums(map[string]int64{"k": 10})
		})
	}
}
