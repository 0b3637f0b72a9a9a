package move

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// row is the newest record of a key.
type row struct {
	offset int64
	digest digest
	gone   bool // it is a tombstone
	head   codecs.Head
}

// rows are those of a partition of a table, by key.
func (p part) rows(ctx context.Context, b broker.Broker, end int64) (map[string]row, error) {
	all := map[string]row{}
	err := b.Read(ctx, p.Topic, p.Partition, 0, end, func(r *kgo.Record) error {
		newest := row{offset: r.Offset, digest: digestOf(r), gone: r.Value == nil}
		if head, err := codecs.DecodeHead(r.Value); err == nil { // a row that doesn't decode is moved as it is
			newest.head = codecs.Head{Rebuilt: head.Rebuilt, Applied: head.Applied}
		}
		all[string(r.Key)] = newest
		return nil
	})
	return all, err
}

// copyRows appends the newest row of each key that isn't there, in the order of the journal.
func (p part) copyRows(ctx context.Context) error {
	ours, err := p.rows(ctx, p.local, p.end)
	if err != nil {
		return err
	}
	theirs, err := p.rows(ctx, p.To, p.there)
	if err != nil {
		return err
	}
	for key, there := range theirs {
		if what := foreign(ours[key], there); what != "" {
			return &Difference{p.TopicPartition, there.offset, fmt.Sprintf("the row of %q is %s", key, what)}
		}
	}
	return p.send(ctx, 0, func(r *kgo.Record) (wanted bool, at int64) {
		newest := ours[string(r.Key)]
		there, known := theirs[string(r.Key)]
		if newest.offset != r.Offset {
			return false, anywhere
		}
		if newest.gone { // what never was there needs no tombstone
			return known && !there.gone, anywhere
		}
		return newest.digest != there.digest, anywhere
	})
}

// foreign says why a row on Kafka can't be one that the journal had, "" if it can: a run of before has copied an older one.
func foreign(ours, there row) string {
	switch {
	case there.gone || there.digest == ours.digest:
		return ""
	case ours.digest == digest{}:
		return "not in the journal"
	case !ours.gone && !ours.head.Newer(there.head):
		return "neither that of the journal nor an older one"
	}
	return ""
}
