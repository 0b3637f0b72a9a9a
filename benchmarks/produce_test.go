package benchmarks

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// producer writes many records, to the partitions that they name.
type producer struct {
	testing.TB
	to     broker.Producer
	failed atomic.Pointer[error] // the first, if any
}

func newProducer(t testing.TB, b broker.Broker) *producer {
	t.Helper()
	to, err := b.Producer(broker.LargestMessage)
	if err != nil {
		t.Fatal(err)
	}
	return &producer{TB: t, to: to}
}

// send hands a record over. It blocks while too many are under way.
func (p *producer) send(r *kgo.Record) {
	p.to.Produce(p.Context(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			p.failed.CompareAndSwap(nil, &err)
		}
	})
}

// flush returns when the log has all of it.
func (p *producer) flush() {
	p.Helper()
	if err := p.to.Flush(p.Context()); err != nil {
		p.Fatal(err)
	}
	if err := p.failed.Load(); err != nil {
		p.Fatal(*err)
	}
}

// close is flush for the last time.
func (p *producer) close() {
	p.Helper()
	p.flush()
	p.to.Close()
}
