package move

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// copyLog holds what is there of a log against the journal, and appends the rest. What a run of before had sent when it was
// killed may still arrive: so it looks again where the log ends until it has seen all of it.
func (p part) copyLog(ctx context.Context) error {
	for matched := int64(0); ; {
		if p.there > p.end {
			return &Difference{p.TopicPartition, p.end, fmt.Sprintf("the journal ends here, and the topic at %d", p.there)}
		}
		if _, err := p.match(ctx, matched, p.there); err != nil {
			return err
		}
		ends, err := p.To.Ends(ctx, p.Topic)
		if err != nil {
			return err
		}
		if ends[p.TopicPartition] == p.there {
			break
		}
		matched, p.there = p.there, ends[p.TopicPartition]
	}
	if p.there == p.end {
		return nil
	}
	next := p.there
	return p.send(ctx, p.there, func(r *kgo.Record) (wanted bool, at int64) {
		next++
		return true, next - 1
	})
}

// anywhere is the offset of a record that may come to lie at any.
const anywhere = -1

// send sends the records of the journal from an offset on that are wanted, in order, and returns when all are acknowledged. The
// error is a *[Difference] if one comes to lie elsewhere than it has to.
func (p part) send(ctx context.Context, from int64, wants func(*kgo.Record) (wanted bool, at int64)) error {
	producer, err := p.To.Producer(broker.LargestDeadLetter)
	if err != nil {
		return err
	}
	defer producer.Close()
	var failed firstError
	err = p.local.Read(ctx, p.Topic, p.Partition, from, p.end, func(r *kgo.Record) error {
		wanted, at := wants(r)
		if !wanted {
			return nil
		}
		offset := r.Offset
		copied := *r
		copied.Headers = slices.Clone(r.Headers)
		producer.Produce(ctx, &copied, func(sent *kgo.Record, err error) {
			switch {
			case err != nil:
				failed.set(fmt.Errorf("copying offset %d of %s: %w", offset, p.TopicPartition, err))
			case at != anywhere && sent.Offset != at:
				failed.set(&Difference{p.TopicPartition, at, fmt.Sprintf("the record came to lie at %d", sent.Offset)})
			}
		})
		return failed.get()
	})
	if err != nil {
		return err
	}
	if err := producer.Flush(ctx); err != nil {
		return fmt.Errorf("copying %s: %w", p.TopicPartition, err)
	}
	return failed.get()
}

// firstError keeps the first error of several, nil being none. Safe for concurrent use.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
