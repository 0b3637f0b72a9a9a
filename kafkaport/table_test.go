package kafkaport

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// jumping is a clock that can be put forward.
type jumping struct {
	start time.Time
	ahead atomic.Int64
}

func (c *jumping) Boot() time.Duration { return time.Since(c.start) + time.Duration(c.ahead.Load()) }
func (c *jumping) Wall() time.Time     { return c.start.Add(c.Boot()) }

// TestACompactedTableIsRead: offsets have gaps, and the newest row of each key is there.
func TestACompactedTableIsRead(t *testing.T) {
	t.Parallel()
	clock := &jumping{start: time.Now()}
	p := openOn(t, openJournalWith(t, journal.Options{TailBytes: 64 << 10, Reserve: -1, Clock: clock}), "127.0.0.1:0", Limits{Fetch: 50_000})
	const keys, rows = 50, 3000
	newest := make(map[string]string)
	write := func(n int) {
		for i := range n {
			key, value := fmt.Sprint("key-", i%keys), make([]byte, 1000)
			_, _ = rand.Read(value) // so that it can't be compressed; it never fails
			p.append(table, 0, journal.Record{Key: []byte(key), Value: value})
			newest[key] = string(value)
		}
	}
	write(rows)
	clock.ahead.Store(int64(25 * time.Hour))
	write(100) // there are files to be sealed, so that the journal looks what may go
	gone := func() bool {
		var n int
		if err := p.journal.Partition(table, 0).Read(t.Context(), 0, 1<<60, journal.Durable, func(journal.Record) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n < rows
	}
	for end := time.Now().Add(time.Minute); !gone(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the table is not compacted in a minute")
		}
	}
	consumer := p.client(kgo.ConsumeTopics(table), kgo.FetchMaxBytes(20_000))
	read, last, gaps := make(map[string]string), int64(-1), 0
	for last < rows+100-1 {
		for _, r := range consume(t, consumer, 1) {
			if r.Offset <= last {
				t.Fatalf("offset %d comes after %d", r.Offset, last)
			}
			if r.Offset > last+1 {
				gaps++
			}
			last, read[string(r.Key)] = r.Offset, string(r.Value)
		}
	}
	if gaps == 0 || len(read) != keys {
		t.Errorf("%d gaps, %d keys", gaps, len(read))
	}
	for key, value := range newest {
		if read[key] != value {
			t.Errorf("%s is read as %x, expected %x", key, read[key], value)
		}
	}
}
