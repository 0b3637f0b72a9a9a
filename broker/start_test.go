package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkStart opens a log of 500,000 messages that came one by one, of 330 bytes with their batch, as it was written, at the start that merges it, and
// after that: how long it takes, and what the broker holds on the heap then, in MiB.
func BenchmarkStart(b *testing.B) {
	const partitions, files, each = 4, 5, 25_000
	written := b.TempDir()
	e := open(b, written)
	ensure(b, e.Connection(), partitions, Topic{"orders", Log})
	closeBroker(b, e)
	for p := range partitions {
		dir := filepath.Join(written, "broker", "partitions", fmt.Sprint("orders-", p))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(f*each, segmentSuffix)), oneByOne(f*each, each), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	closeBroker(b, open(b, written, Unmerged())) // which gives it indexes and snapshots
	for b.Loop() {
		dir := b.TempDir()
		if err := os.CopyFS(dir, os.DirFS(written)); err != nil {
			b.Fatal(err)
		}
		took, heap := start(b, dir, Unmerged())
		b.ReportMetric(took.Seconds(), "s/before")
		b.ReportMetric(heap, "MiB/before")
		merging, _ := start(b, dir)
		b.ReportMetric(merging.Seconds(), "s/merging")
		took, heap = start(b, dir)
		b.ReportMetric(took.Seconds(), "s/after")
		b.ReportMetric(heap, "MiB/after")
	}
	b.ReportMetric(0, "ns/op") // it is of all three together, and the copying
}

func oneByOne(from, n int) (file []byte) {
	for i := range n {
		file = append(file, lay(place{offset: int64(from + i), time: int64(from + i), producer: 1}, recordOf(250))...)
	}
	return file
}

func start(b *testing.B, dir string, opts ...Option) (took time.Duration, heap float64) {
	b.Helper()
	before := heapMiB()
	began := time.Now()
	e := open(b, dir, opts...)
	took = time.Since(began)
	heap = heapMiB() - before
	closeBroker(b, e)
	return took, heap
}

func heapMiB() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
