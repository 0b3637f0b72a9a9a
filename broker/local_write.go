package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// Producer implements Broker. Its promises are kept before Produce returns: what is appended is acknowledged, as what
// survives a power cut is a prefix.
func (l Local) Producer(largest int) (Producer, error) {
	return &localProducer{local: l, largest: largest}, nil
}

type localProducer struct {
	local   Local
	largest int

	mu     sync.Mutex // guards failed
	failed error      // the first error
}

func (p *localProducer) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	promise(r, p.append(ctx, r))
}

// append appends one record. It holds no lock meanwhile: two that are produced at once may come in any order.
func (p *localProducer) append(ctx context.Context, r *kgo.Record) error {
	p.mu.Lock()
	failed := p.failed
	p.mu.Unlock()
	if failed != nil {
		return failed
	}
	err := ctx.Err()
	if err == nil {
		_, err = p.local.append(r, p.largest)
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.failed == nil {
			p.failed = err
		}
	}
	return err
}

func (p *localProducer) Flush(ctx context.Context) error { return p.local.Sync(ctx) }

func (p *localProducer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = journal.ErrClosed
	}
}

// append appends a record and sets its offset. It returns what has to be durable so that the record is.
func (l Local) append(r *kgo.Record, largest int) (journal.Position, error) {
	if size := len(r.Key) + len(r.Value); size > largest+64<<10 {
		return 0, fmt.Errorf("a record of %d bytes for %s: %w", size, r.Topic, journal.ErrTooLarge)
	}
	p, err := l.partition(r.Topic, r.Partition)
	if err != nil {
		return 0, err
	}
	var room [headersRoom]byte
	first, at, err := p.Append(journal.Record{Key: r.Key, Value: r.Value, Headers: storedHeaders(room[:], r.Headers)})
	r.Offset = first
	return at, err
}

// Writer implements Broker.
func (l Local) Writer() (Writer, error) { return localWriter{l}, nil }

type localWriter struct{ local Local }

// Write waits for the disk. The journal says after a while that the disk is silent, so it doesn't wait for ever.
func (w localWriter) Write(ctx context.Context, r *kgo.Record) error {
	at, err := w.local.append(r, LargestMessage)
	if err != nil {
		return errors.Join(ErrUnreachable, err)
	}
	if err := w.local.journal.WaitDurable(ctx, at); err != nil {
		return errors.Join(ErrUnknown, err)
	}
	return nil
}

func (w localWriter) Waiting() []string {
	if err := w.local.journal.Health(); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Close has nothing to wait for: the journal makes durable what it has when it is closed.
func (localWriter) Close() {}
