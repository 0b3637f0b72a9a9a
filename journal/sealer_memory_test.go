package journal

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
)

// generate makes a journal of so many MiB of records, all but the last sealed, and returns it as it is after a start.
func generate(t *testing.T, mib int) *Journal {
	o := Options{TailBytes: 1 << 20, MaxRecent: 64 << 10, Log: slog.New(slog.DiscardHandler), tidyByHand: true}
	dir := t.TempDir()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]Kind{"events": Log, "rows": Table} {
		if _, err := j.CreateTopic(name, kind, 8); err != nil {
			t.Fatal(err)
		}
	}
	a := j.sealer.(*archiver)
	for range mib {
		appendMiB(t, j)
		for did := true; did; {
			if did, err = a.step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(dir, o); err != nil {
		t.Fatal(err)
	}
	return j
}

// appendMiB appends a MiB of records that don't compress well.
func appendMiB(t testing.TB, j *Journal) {
	const size = 512
	var at Position
	for i := range 1 << 20 / size / 16 {
		for _, topic := range []string{"events", "rows"} {
			rs := make([]Record, 8)
			for k := range rs {
				value := make([]byte, size)
				for b := 0; b < size; b += 16 { // half of it is zeros
					binary.LittleEndian.PutUint64(value[b:], rand.Uint64())
				}
				rs[k] = Record{Key: value[:16], Value: value}
			}
			var err error
			if _, at, err = j.Partition(topic, int32(i%8)).Append(rs...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.WaitDurable(context.Background(), at); err != nil {
		t.Fatal(err)
	}
}

// heapOf returns the memory that a journal takes once all of it was read, and in how many files it is.
func heapOf(t *testing.T, mib int) (heap int64, files int) {
	before := heapAtRest()
	j := generate(t, mib)
	for _, p := range j.partitionsOf(Log) {
		if err := readError(p, 0); err != nil {
			t.Fatal(err)
		}
	}
	after := heapAtRest()
	files = j.Stats().SealedFiles
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return after - before, files
}

// heapAtRest collects until nothing more goes. One collection doesn't do: pools live through it, and what other tests left
// in them would be taken for memory that this one gave back.
func heapAtRest() int64 {
	var m runtime.MemStats
	for last := uint64(1 << 62); ; last = m.HeapAlloc {
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc+16<<10 > last {
			return int64(m.HeapAlloc)
		}
	}
}

// What a journal takes of memory doesn't grow with its history.
func TestMemoryDoesNotGrowWithHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes a hundred megabytes, tail files with them")
	}
	heapOf(t, 2) // what is made once
	small, _ := heapOf(t, 6)
	large, files := heapOf(t, 24)
	for range 2 { // a decoder more is made when two happen to read at once, and stays: that is no growth, and doesn't come again
		if large <= small+512<<10 {
			break
		}
		small, _ = heapOf(t, 6)
		large, files = heapOf(t, 24)
	}
	t.Logf("%d KiB with 6 MiB of records, %d KiB with 24 in %d files", small>>10, large>>10, files)
	if large > small+512<<10 {
		t.Errorf("memory grew from %d KiB to %d", small>>10, large>>10)
	}
	if files > 4*mergeAtOnce {
		t.Errorf("there are %d files", files)
	}
}
