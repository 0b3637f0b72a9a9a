package replay

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/engine"
)

// logEnds finds out where the logs end, so that whatever lies before the ends was caused by what lies before them. Brokers
// that share the partitions tell of theirs one after the other, and meanwhile others write: a message may lie before the end
// that one of them tells, and its cause beyond the end that another one has told a moment earlier.
//
// So the ends are asked for three times. What lay before the first ones was there before the second ones were told, and so
// was what caused it. What lies between the two is looked at, and the second ones are put behind what caused it, and
// so on with what that takes in. All of it was there before the third ones were told; an origin beyond those is made up.
func (w *work) logEnds(ctx context.Context) (err error) {
	logs := logsOf(w.Machines)
	all := len(w.Machines) == len(Machines) // or else nothing is held against what caused it
	var before, latest map[string][]extent
	if all {
		if before, err = w.admin.extents(ctx, logs...); err != nil {
			return err
		}
	}
	if w.reach.logs, err = w.admin.extents(ctx, append(logs, deadLettersLog)...); err != nil || !all {
		return err
	}
	if latest, err = w.admin.extents(ctx, logs...); err != nil {
		return err
	}
	return w.includeCauses(ctx, before, latest)
}

// includeCauses puts the logs' ends behind what caused the messages before them. looked is up to where that is known to be
// so, and is moved on.
func (w *work) includeCauses(ctx context.Context, looked, latest map[string][]extent) error {
	for more := true; more; {
		more = false
		for _, m := range w.Machines {
			for n := range looked[m.Log] {
				from, to := looked[m.Log][n].end, w.reach.logs[m.Log][n].end
				if from >= to {
					continue
				}
				more, looked[m.Log][n].end = true, to
				err := w.Conn.Read(ctx, m.Log, int32(n), from, to, func(r *kgo.Record) error {
					return w.includeCause(m, RecordOf(r), latest)
				})
				if err != nil {
					return fmt.Errorf("reading the end of %s/%d: %w", m.Log, n, err)
				}
			}
		}
	}
	return nil
}

func (w *work) includeCause(m Machine, r engine.Record, latest map[string][]extent) error {
	in, ruling, err := m.admit(r, believing(w.reach.partitions, latest))
	if err != nil || ruling.Disposition != 0 || in.Origin == nil {
		return err
	}
	cause := &w.reach.logs[in.Origin.Log][in.Origin.Partition]
	cause.end = max(cause.end, in.Origin.Offset+1)
	return nil
}
