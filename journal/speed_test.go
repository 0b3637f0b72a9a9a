package journal

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkAppendDurable is what it takes until a record of the size of an order's is durable, for one of so many who
// append at once. On a disk, not on tmpfs.
func BenchmarkAppendDurable(b *testing.B) {
	for _, appenders := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			j, p := benchmarkJournal(b)
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error, appenders)
			for range appenders {
				go func() {
					value := make([]byte, 300)
					for left.Add(-1) >= 0 {
						_, at, err := p.Append(Record{Key: value[:10], Value: value})
						if err == nil {
							err = j.WaitDurable(b.Context(), at)
						}
						if err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range appenders {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			s := j.Stats()
			b.ReportMetric(float64(b.N)/float64(s.Syncs), "records/sync")
		})
	}
}

// BenchmarkAppend is what appending costs those who don't wait.
func BenchmarkAppend(b *testing.B) {
	_, p := benchmarkJournal(b)
	value := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.Append(Record{Key: value[:10], Value: value}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFollow is what a record costs one who follows behind.
func BenchmarkFollow(b *testing.B) {
	_, p := benchmarkJournal(b)
	value := make([]byte, 300)
	rs := make([]Record, 1000)
	for i := range rs {
		rs[i] = Record{Key: value[:10], Value: value}
	}
	for range 20 {
		if _, _, err := p.Append(rs...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		c := p.Follow(0, Appended)
		for c.Offset() < 20_000 && n < b.N {
			rs, err := c.Next(b.Context(), 64<<10)
			if err != nil {
				b.Fatal(err)
			}
			n += len(rs)
		}
	}
}

func benchmarkJournal(b *testing.B) (*Journal, *Partition) {
	b.Helper()
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := j.CreateTopic("orders", Log, 1); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	return j, j.Partition("orders", 0)
}

// BenchmarkOpen is what a start takes with a tail that is not sealed, of 256 MiB.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	o := Options{tidyByHand: true, MaxTail: 1 << 40}
	j, err := Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := j.CreateTopic("orders", Log, 8); err != nil {
		b.Fatal(err)
	}
	rs := make([]Record, 20)
	for j.Stats().TailBytes < 240<<20 {
		for n := range int32(8) {
			for i := range rs {
				rs[i] = Record{Key: make([]byte, 12), Value: make([]byte, 200)}
			}
			if _, _, err := j.Partition("orders", n).Append(rs...); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if j, err = Open(dir, o); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
