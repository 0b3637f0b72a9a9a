package move

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"stockflow/broker"
	"stockflow/journal"
)

// Move is a move of one journal. Nobody may write to the journal meanwhile.
type Move struct {
	From         *journal.Journal
	Dir          string // the data directory, for people
	DeploymentID []byte // that the journal's tokens are sealed with
	Topics       []broker.Topic
	To           broker.Connection
	// Left says that the data directory is marked already, and Leave marks it. When it returns nil the mark is on the disk.
	Left  bool
	Leave func() error
	Log   *slog.Logger

	done, all atomic.Int64
}

// Report is what a move came to.
type Report struct {
	Before bool // it was finished before, and nothing was done
	State  State
	Topics []TopicReport // in the order of the move's
	Groups []string      // whose offsets are there
}

// TopicReport is a topic that is the same on both sides.
type TopicReport struct {
	Topic   string
	Records int64  // of a table, rows
	Digest  string // of all of them, with offsets (but in tables), times, keys, values and headers
}

// Progress returns how many records were dealt with, of how many.
func (m *Move) Progress() (done, all int64) { return m.done.Load(), m.all.Load() }

// Run moves the journal, or what is left to be moved. It may be run again after it has ended in any way; once it has returned nil
// the move is finished.
func (m *Move) Run(ctx context.Context) (*Report, error) {
	state, known, err := Find(ctx, m.To)
	if err != nil {
		return nil, err
	}
	if known {
		if err := m.recognize(state); err != nil {
			return nil, err
		}
	}
	if known && state.Finished {
		return &Report{Before: true, State: state}, nil
	}
	if m.Left && !known {
		return nil, fmt.Errorf("%s says that it was moved to these brokers, and they know of no move: were their topics deleted?", m.Dir)
	}
	local := broker.NewLocal(m.From)
	r := &run{Move: m, local: local, state: state, report: &Report{Groups: m.From.Groups()}}
	if err := r.run(ctx, known); err != nil {
		return nil, err
	}
	return r.report, nil
}

// recognize refuses the move of another journal, and one from this journal as it was later.
func (m *Move) recognize(s State) error {
	switch {
	case s.Journal != m.From.ID() || s.Deployment != m.From.Deployment():
		return fmt.Errorf("these brokers are for another journal: that of %s (deployment %s)", s.From, s.Deployment)
	case s.Position > m.From.Durable():
		return fmt.Errorf("the journal was moved up to position %d, and ends at %d now: it was cut, or is an older copy", s.Position, m.From.Durable())
	case s.Finished && !m.Left:
		return fmt.Errorf("the journal was moved to these brokers at %s, from %s: %s is a copy of it that doesn't know",
			s.At.UTC().Format(time.RFC3339), s.From, m.Dir)
	}
	return nil
}

// run is one run of a move.
type run struct {
	*Move
	local  broker.Local
	state  State
	noted  time.Time // when state was noted, by the clock of this process
	last   time.Time // of the newest record of the logs
	report *Report
}

func (r *run) run(ctx context.Context, known bool) error {
	if !r.Left {
		if err := r.begin(ctx, known); err != nil {
			return err
		}
		if err := r.copy(ctx); err != nil {
			return err
		}
		if err := r.commit(ctx); err != nil {
			return err
		}
	}
	if err := r.compare(ctx); err != nil {
		return fmt.Errorf("comparing: %w", err)
	}
	if !r.Left {
		if err := r.awaitClock(ctx); err != nil {
			return err
		}
		if err := r.Leave(); err != nil {
			return fmt.Errorf("marking %s: %w", r.Dir, err)
		}
	}
	if err := r.To.EnsureMoved(ctx, r.Topics); err != nil {
		return err
	}
	r.state.Finished = true
	state, err := r.state.note(ctx, r.To)
	r.report.State = state
	return err
}

// begin notes that the move has begun, and makes the topics.
func (r *run) begin(ctx context.Context, known bool) error {
	if err := r.alone(ctx, known); err != nil {
		return err
	}
	if _, _, err := r.To.Ensure(ctx, []broker.Topic{topic}, 1); err != nil {
		return err
	}
	begun := State{
		Journal: r.From.ID(), Deployment: r.From.Deployment(), DeploymentID: r.DeploymentID, Position: r.From.Durable(), From: r.Dir,
	}
	state, err := begun.note(ctx, r.To)
	if err != nil {
		return err
	}
	r.state, r.noted = state, time.Now()
	if err := r.checkClock(ctx); err != nil {
		return err
	}
	partitions := r.From.Topics()[0].Partitions
	if err := r.To.EnsureMoving(ctx, r.Topics, partitions); err != nil {
		return err
	}
	// Of topics that don't exist nobody says what is allowed, and the last step must not be the one that isn't.
	return broker.CheckAccess(ctx, r.To, broker.Moving, r.Topics)
}

// alone refuses a Kafka on which somebody works, or which had something before the move.
func (r *run) alone(ctx context.Context, known bool) error {
	var wrong []error
	for _, group := range r.From.Groups() {
		members, err := r.To.Members(ctx, group)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			wrong = append(wrong, fmt.Errorf("group %s has members, %v: stop them", group, members))
		}
	}
	if known {
		return errors.Join(wrong...)
	}
	found, err := r.To.Topics(ctx, r.names()...)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		ends, err := r.To.Ends(ctx, name)
		if err != nil {
			return err
		}
		for p := range found[name].Partitions {
			if end := ends[broker.TopicPartition{Topic: name, Partition: p}]; end > 0 {
				wrong = append(wrong, fmt.Errorf("topic %s, partition %d has %d records that are not of this journal: delete the topic, or move to another Kafka", name, p, end))
			}
		}
	}
	return errors.Join(wrong...)
}

func (r *run) names() []string {
	names := make([]string, len(r.Topics))
	for i, t := range r.Topics {
		names[i] = t.Name
	}
	return names
}

// each does something for all partitions, as many at a time as there are processors.
func (r *run) each(ctx context.Context, do func(context.Context, part) error) error {
	ends, err := r.To.Ends(ctx, r.names()...)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for place, t := range r.Topics {
		for n := int32(0); ; n++ {
			journaled := r.From.Partition(t.Name, n)
			if journaled == nil {
				break
			}
			at := broker.TopicPartition{Topic: t.Name, Partition: n}
			_, end := journaled.Bounds(journal.Durable)
			r.all.Add(end)
			p := part{run: r, TopicPartition: at, table: t.Kind == broker.Table, place: place, end: end, there: ends[at]}
			g.Go(func() error { return do(ctx, p) })
		}
	}
	return g.Wait()
}

// part is a partition on both sides.
type part struct {
	*run
	broker.TopicPartition
	table bool
	place int   // of its topic among the move's
	end   int64 // in the journal
	there int64 // the end on Kafka, as it was last heard of
}

// copy copies what isn't there yet.
func (r *run) copy(ctx context.Context) error {
	return r.each(ctx, func(ctx context.Context, p part) error {
		if p.table {
			return p.copyRows(ctx)
		}
		return p.copyLog(ctx)
	})
}
