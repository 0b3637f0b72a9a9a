package move

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
)

// Log time never goes back, and once the move is finished it is the brokers'. So their clock must have come to the journal's
// last record by then.

// mostBehind is how far the brokers' clock may be behind the last record. As much is waited for.
const mostBehind = time.Minute

// checkClock refuses brokers whose clock is too far behind.
func (r *run) checkClock(ctx context.Context) error {
	for _, t := range r.Topics {
		if t.Kind == broker.Table {
			continue
		}
		ends, err := r.local.Ends(ctx, t.Name)
		if err != nil {
			return err
		}
		for at, end := range ends {
			err := r.local.Read(ctx, at.Topic, at.Partition, max(end-1, 0), end, func(last *kgo.Record) error {
				if last.Timestamp.After(r.last) {
					r.last = last.Timestamp
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	if behind := r.last.Sub(r.state.At); behind > mostBehind {
		return fmt.Errorf("the brokers' clock shows %s, and the journal's last record is of %s: set the brokers' clock",
			r.state.At.UTC().Format(time.RFC3339), r.last.UTC().Format(time.RFC3339))
	}
	return nil
}

// awaitClock waits until the brokers' clock has passed the journal's last record.
func (r *run) awaitClock(ctx context.Context) error {
	wait := time.NewTimer(r.last.Sub(r.state.At) - time.Since(r.noted))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}
