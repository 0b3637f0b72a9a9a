package journal

import (
	"flag"
	"runtime"
	"testing"
	"time"
)

var mib = flag.Int("mib", 0, "how many MiB of records BenchmarkOpenLarge writes before it starts; 0 leaves it out")

// BenchmarkOpenLarge is what a start takes with a long history: after a clean stop, and after a kill in the midst of writing. It
// tells the bytes on disk, and the memory that an open journal holds.
func BenchmarkOpenLarge(b *testing.B) {
	if *mib == 0 {
		b.Skip("it takes long: say how many -mib")
	}
	for b.Loop() {
		before := heapAtRest()
		dir := b.TempDir()
		j, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		for name, kind := range map[string]Kind{"events": Log, "rows": Table} {
			if _, err := j.CreateTopic(name, kind, 8); err != nil {
				b.Fatal(err)
			}
		}
		began := time.Now()
		for range *mib {
			appendMiB(b, j)
		}
		b.Logf("%d MiB written in %s, sealing with it", *mib, time.Since(began).Round(time.Second))
		j.abandon()
		<-j.written
		j = timedOpen(b, dir, "after a kill")
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
		j = timedOpen(b, dir, "after a clean stop")
		s := j.Stats()
		b.Logf("%d MiB in %d sealed files, %d MiB of tail; %d KiB of heap held", s.SealedBytes>>20, s.SealedFiles, s.TailBytes>>20, (heapAtRest()-before)>>10)
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// timedOpen opens a journal, and reads the last record of each partition.
func timedOpen(b *testing.B, dir, when string) *Journal {
	runtime.GC()
	began := time.Now()
	j, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Since(began)
	for _, kind := range []Kind{Log, Table} {
		for _, p := range j.partitionsOf(kind) {
			_, end := p.Bounds(Durable)
			if err := p.Read(b.Context(), end-1, end, Durable, func(Record) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Logf("opened %s in %s, and read the ends in %s", when, opened.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	return j
}
