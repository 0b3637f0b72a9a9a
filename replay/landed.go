package replay

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
)

// landed is how far what one partition of a log sent has come to one partition of another: the highest origin. What is
// sent there lands in order and without a hole, so everything up to there has.
type landed map[route]codecs.Origin

// route is from a partition of a log to one of another, or of the same.
type route struct {
	from string
	part int32
	to   string
	into int32
}

// has reports whether an output has landed.
func (l landed) has(o codecs.Origin, log string, partition int32) bool {
	last, any := l[route{o.Log, o.Partition, log, partition}]
	return any && (o.Offset < last.Offset || o.Offset == last.Offset && o.Index <= last.Index)
}

// landed reads all logs for what has landed in them. It is needed, and told, only where a group has not committed.
func (w *work) landed(ctx context.Context) (landed, error) {
	l := landed{}
	lost := false
	for _, p := range w.parts {
		lost = lost || p.committed < 0
	}
	if !lost {
		return l, nil
	}
	logs, err := w.admin.extents(ctx, logsOf(Machines)...)
	if err != nil {
		return nil, err
	}
	for log, extents := range logs {
		for n, e := range extents {
			w.Progress.expect(e.end - e.start)
			err := broker.Read(ctx, w.Conn, log, int32(n), e.start, e.end, func(r *kgo.Record) error {
				w.Progress.add(1)
				o, err := codecs.ParseOrigin(RecordOf(r).Origin)
				if err != nil || !reaches(logs, o) {
					return nil // it came from outside, or claims what can't be
				}
				at := route{o.Log, o.Partition, log, int32(n)}
				if last, any := l[at]; !any || o.Offset > last.Offset || o.Offset == last.Offset && o.Index > last.Index {
					l[at] = o
				}
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("reading %s/%d: %w", log, n, err)
			}
		}
	}
	return l, nil
}

// reaches reports whether a log reaches beyond an origin.
func reaches(logs map[string][]extent, o codecs.Origin) bool {
	list := logs[o.Log]
	return o.Partition >= 0 && int(o.Partition) < len(list) && o.Offset < list[o.Partition].end
}
