package benchmarks

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// producer writes many records in large batches, to the partitions that they name.
type producer struct {
	testing.TB
	client *kgo.Client
	failed atomic.Pointer[error] // the first, if any
}

func newProducer(t testing.TB, conn broker.Connection) *producer {
	t.Helper()
	client, err := conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	return &producer{TB: t, client: client}
}

// send hands a record over. It blocks while too many are under way.
func (p *producer) send(r *kgo.Record) {
	p.client.Produce(p.Context(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			p.failed.CompareAndSwap(nil, &err)
		}
	})
}

// close returns when the log has all of it.
func (p *producer) close() {
	p.Helper()
	if err := p.client.Flush(p.Context()); err != nil {
		p.Fatal(err)
	}
	if err := p.failed.Load(); err != nil {
		p.Fatal(*err)
	}
	p.client.Close()
}
