package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"stockflow/broker"
)

// Verification says what to verify, and against what.
type Verification struct {
	Conn     broker.Broker
	Machines []Machine // whose tables; what holds across tables is looked at only if all are there
	Dir      string    // where what is folded is kept meanwhile, in a directory of its own
	Served   *Served   // what HTTP serves; nil if it isn't to be asked
	Progress *Progress // nil if nobody watches
}

// Verify folds the logs of tables from their start, and compares the rows with those of the changelogs, and with what
// HTTP serves, each at the offset that it has taken in. Others may write meanwhile. It sends nothing.
//
// The error wraps ErrUncheckable if the logs are not all there, or are beyond this program; whatever else it is, nothing
// is known of the tables either.
func (v Verification) Verify(ctx context.Context) (report *Report, err error) {
	w, err := v.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	if err := w.collect(ctx); err != nil {
		return nil, err
	}
	if err := w.each(ctx, (*part).verify); err != nil {
		return nil, err
	}
	for _, p := range w.parts {
		w.report.add(p)
	}
	if len(v.Machines) == len(Machines) {
		if err := w.drain(ctx); err != nil {
			return nil, err
		}
	}
	return w.report, nil
}

// work is one verification, or one rebuilding, under way.
type work struct {
	Verification
	reach   collected
	admin   collector
	forget  func() // ends what is kept of the broker
	spill   spill
	letters *scratch
	bodies  *bodies // nil if HTTP isn't asked
	forged  bool    // one of the letters is about an origin that lay beyond its log
	skips   bool    // one of the letters is of a message that was skipped
	parts   []*part // in the order of the machines, then of the partitions
	report  *Report
	turns   atomic.Int64 // see turn
	late    atomic.Bool  // HTTP did not catch up in time; it isn't waited for again
}

func (v Verification) begin(ctx context.Context) (*work, error) {
	w := &work{Verification: v, forget: func() {}, report: &Report{Differences: []Difference{}}, spill: spill{under: v.Dir}}
	if err := w.use(v.Conn); err != nil {
		return nil, err
	}
	n, err := w.admin.partitionsOf(ctx, v.Machines)
	if err != nil {
		w.forget()
		return nil, err
	}
	w.reach.partitions = n
	w.letters = w.spill.scratch(smallRoom)
	for _, m := range v.Machines {
		for p := range n {
			rows := w.spill.scratch(max(smallRoom, rowsRoom/runtime.GOMAXPROCS(0)))
			w.parts = append(w.parts, &part{work: w, machine: m, partition: p, rows: rows})
		}
	}
	return w, nil
}

// use asks a broker from here on, and no other.
func (w *work) use(b broker.Broker) error {
	conn, forget, err := b.Keep()
	if err != nil {
		return err
	}
	w.forget()
	w.Conn, w.admin, w.forget = conn, collector{conn}, forget
	return nil
}

// end throws away what was folded.
func (w *work) end() error {
	w.forget()
	return w.spill.close()
}

// part returns the part of a key.
func (w *work) part(machine int, key string) *part {
	n := w.reach.partitions
	return w.parts[int32(machine)*n+broker.Partition([]byte(key), n)]
}

// each does something for all parts, as many at a time as there are processors.
func (w *work) each(ctx context.Context, do func(*part, context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range w.parts {
		g.Go(func() error {
			if err := do(p, ctx); err != nil {
				return fmt.Errorf("%s/%d: %w", p.machine.Table, p.partition, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// collect finds out how far everything reaches, in the order that collect wants, and takes in what HTTP serves and what
// became a dead letter.
func (w *work) collect(ctx context.Context) (err error) {
	s := &w.reach
	if s.committed, err = w.admin.committed(ctx, w.Machines, s.partitions); err != nil {
		return err
	}
	if err := w.readServed(ctx); err != nil {
		return err
	}
	if s.tables, err = w.admin.tables(ctx, w.Machines, s.partitions); err != nil {
		return err
	}
	for _, p := range w.parts {
		p.table = s.tables[p.machine.Table][p.partition]
		p.committed = s.committed[p.machine.Name][p.partition]
		w.Progress.expect(p.table.end - p.table.start)
	}
	if err := w.collectLogs(ctx); err != nil {
		return err
	}
	return w.hasCommitted()
}

// hasCommitted insists that the logs have what was committed of them. Nothing is known of tables whose log was cut: what their
// rows took in is gone.
func (w *work) hasCommitted() error {
	var wrong []error
	for _, p := range w.parts {
		if p.committed > p.log.end {
			wrong = append(wrong, fmt.Errorf("%w: the group %s has committed offset %d of %s/%d, which ends at %d; the log was cut, or is another",
				ErrUncheckable, p.machine.Name, p.committed, p.machine.Log, p.partition, p.log.end))
		}
	}
	return errors.Join(wrong...)
}

// collectLogs finds out how far the logs reach, and takes in what became a dead letter.
func (w *work) collectLogs(ctx context.Context) (err error) {
	s := &w.reach
	if err := w.logEnds(ctx); err != nil {
		return err
	}
	if err := whole(s.logs, logsOf(w.Machines)...); err != nil {
		return err
	}
	for _, p := range w.parts {
		p.log = s.logs[p.machine.Log][p.partition]
		w.Progress.expect(p.log.end - p.log.start)
	}
	return w.readDeadLetters(ctx)
}
