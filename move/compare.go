package move

import (
	"context"
	"fmt"
	"sync"
)

// compare reads all of it back, and holds it against the journal.
func (r *run) compare(ctx context.Context) error {
	totals := make([]TopicReport, len(r.Topics))
	sums := make([]digest, len(r.Topics))
	var mu sync.Mutex // guards both
	err := r.each(ctx, func(ctx context.Context, p part) error {
		count, sum, err := p.compare(ctx)
		mu.Lock()
		defer mu.Unlock()
		totals[p.place].Records += count
		sums[p.place].join(sum)
		return err
	})
	for i, t := range r.Topics {
		totals[i].Topic, totals[i].Digest = t.Name, sums[i].String()
	}
	r.report.Topics = totals
	if err != nil {
		return err
	}
	return r.compareCommits(ctx)
}

func (p part) compare(ctx context.Context) (count int64, sum digest, err error) {
	if p.table {
		return p.compareRows(ctx)
	}
	if p.there != p.end {
		return 0, sum, &Difference{p.TopicPartition, min(p.there, p.end), fmt.Sprintf("the topic ends at %d, and the journal at %d", p.there, p.end)}
	}
	sum, err = p.match(ctx, 0, p.end)
	return p.end, sum, err
}

func (p part) compareRows(ctx context.Context) (count int64, sum digest, err error) {
	ours, err := p.rows(ctx, p.local, p.end)
	if err != nil {
		return 0, sum, err
	}
	theirs, err := p.rows(ctx, p.To, p.there)
	if err != nil {
		return 0, sum, err
	}
	for key, there := range theirs {
		if here, known := ours[key]; !there.gone && (!known || here.digest != there.digest) {
			return 0, sum, &Difference{p.TopicPartition, there.offset, fmt.Sprintf("the row of %q is not that of the journal", key)}
		}
	}
	for key, here := range ours {
		if here.gone {
			continue
		}
		there, known := theirs[key]
		if !known || there.gone {
			return 0, sum, &Difference{p.TopicPartition, p.there, fmt.Sprintf("the row of %q is missing", key)}
		}
		count++
		sum.join(there.digest)
	}
	p.done.Add(p.end)
	return count, sum, nil
}
