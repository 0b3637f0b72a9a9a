package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/journal/files"
	"stockflow/processors"
)

// openBroker takes the data directory, and reaches the brokers or opens the journal.
func (s *Server) openBroker(ctx context.Context) error {
	var release func() error
	err := afterLeaving(ctx, s.serve.Data, func() (err error) {
		release, err = broker.Hold(s.serve.Data)
		return err
	})
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part{"data directory", release})
	if err := withdraw(s.files(), s.serve.Data); err != nil { // what a process left that was killed
		return err
	}
	if len(s.serve.Brokers) == 0 {
		return s.openJournal(ctx)
	}
	return s.openKafka(ctx)
}

// instanceFile is where in the data directory it stands by which id the groups of a Kafka know this process.
const instanceFile = "instance"

// openKafka reaches the brokers. All parts that read share what reads there.
func (s *Server) openKafka(ctx context.Context) error {
	conn, err := s.serve.cluster().connect(ctx)
	if err != nil {
		return err
	}
	if conn.Instance, err = broker.Instance(s.files(), filepath.Join(s.serve.Data, instanceFile)); err != nil {
		return err
	}
	kept, end, err := conn.Keep()
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part{"broker", func() error { end(); return nil }})
	s.kafka, s.outside, s.inside, s.kafkaNote = &conn, kept, kept, strings.Join(conn.Brokers, ",")
	return nil
}

const (
	// leavingTimeout is how long a process that was killed may take to be gone.
	leavingTimeout = 15 * time.Second
	leavingAgain   = 20 * time.Millisecond
)

// afterLeaving does something that may fail because the process that has the data directory is not quite gone: it tries again
// for as long as that one is ending.
func afterLeaving(ctx context.Context, data string, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, leavingTimeout)
	defer cancel()
	for {
		leaving := broker.Leaving(data) // before it is tried, or it may be gone in between
		err := do()
		if err == nil || !leaving {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(leavingAgain):
		}
	}
}

// OnJournal returns s with a journal that is opened with o, as no flags say it: for tests, with a disk of their own.
func (s Serve) OnJournal(o journal.Options) Serve {
	s.journal = o
	return s
}

// openJournal opens the journal, whose end by itself is the server's.
func (s *Server) openJournal(ctx context.Context) error {
	if _, err := s.serve.cluster().connection(); err != nil {
		return err
	}
	if err := refuseOld(s.serve.Data); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if err := refuseMoved(s.files(), s.serve.Data); err != nil {
		return err
	}
	o := s.serve.journal
	o.Log, o.AcceptClock = s.log, s.serve.AcceptClock
	if err := s.restore(ctx, o); err != nil {
		return err
	}
	j, err := journal.Open(journalIn(s.serve.Data), o)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part{"journal", j.Close})
	local := broker.NewLocal(j)
	s.journal, s.outside, s.inside, s.deployment = j, local, local.Inside(), j.Deployment()
	if err := errors.Join(s.claimStores(), s.takeOver()); err != nil {
		return err
	}
	s.registry.MustRegister(journalMetrics{j, s.lastBackupAt})
	s.start("journal", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-j.Done():
			return j.Err()
		}
	})
	return nil
}

// files is the layer that all files in the data directory go through.
func (s *Server) files() files.FS { return cmp.Or(s.serve.journal.Files, files.OS()) }

// topicsFile is where in the data directory it stands which topics there were.
const topicsFile = "topics.json"

// remember is how often the ends of the logs are written down, for the check at the next start.
const remember = time.Minute

// lastRemember is how long that may take when the server stops.
const lastRemember = 2 * time.Second

// topics are all that Stockflow reads and writes.
func topics() []broker.Topic {
	return []broker.Topic{
		{Name: processors.OrderEvents, Kind: broker.Log},
		{Name: processors.InventoryEvents, Kind: broker.Log},
		{Name: processors.ShipmentEvents, Kind: broker.Log},
		{Name: processors.NotificationEvents, Kind: broker.Log},
		{Name: processors.OrderTable, Kind: broker.Table},
		{Name: processors.InventoryTable, Kind: broker.Table},
		{Name: processors.ShipmentTable, Kind: broker.Table},
		{Name: processors.NotificationTable, Kind: broker.Table},
		{Name: engine.DeadLetters, Kind: broker.Letters},
	}
}

// openTopics makes the topics that are missing, and refuses those that are not the ones the tables were made from.
func (s *Server) openTopics(ctx context.Context) error {
	if err := s.checkAccess(ctx); err != nil { // of topics that exist
		return err
	}
	if err := s.openMoved(ctx); err != nil {
		return err
	}
	if err := broker.CheckTables(ctx, s.outside, s.groupTables()); err != nil {
		return err
	}
	n, warnings, err := s.outside.Ensure(ctx, topics(), s.serve.Partitions)
	if err != nil {
		return err
	}
	if err := s.checkAccess(ctx); err != nil { // of those that were made
		return err
	}
	s.partitions = n
	file := filepath.Join(s.serve.Data, topicsFile)
	more, err := broker.CheckIdentity(ctx, s.outside, s.files(), file, topics())
	if err != nil {
		return err
	}
	for _, w := range append(warnings, more...) {
		s.log.Warn(w)
	}
	if err := broker.CheckCommitted(ctx, s.outside, groupLogs()); err != nil {
		return err
	}
	if err := broker.Remember(ctx, s.outside, s.files(), file, topics()); err != nil {
		return err
	}
	if s.deploymentID, err = deploymentOf(ctx, s.outside); err != nil {
		return err
	}
	s.start("topics", func(ctx context.Context) error { return s.keepRemembering(ctx, file) })
	return nil
}

// groupLogs are the logs of all groups, also of those that other processes are members of.
func groupLogs() map[string]string {
	logs := map[string]string{}
	for _, log := range processors.Logs {
		logs[processors.GroupOf(log)] = log
	}
	return logs
}

// keepRemembering writes the ends of the logs down from time to time, and once more when ctx ends, which is when nothing is
// processed any more. Logs that were cut meanwhile are its end: what is written to them would be passed over.
func (s *Server) keepRemembering(ctx context.Context, file string) error {
	tick := time.NewTicker(remember)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), lastRemember)
			defer cancel()
			return s.remember(ctx, file)
		case <-tick.C:
			if err := s.remember(ctx, file); err != nil {
				return err
			}
		}
	}
}

// remember returns an error if the logs are not what they were: that is not to be forgotten.
func (s *Server) remember(ctx context.Context, file string) error {
	err := s.outside.Sync(ctx)
	if err == nil {
		_, err = broker.CheckIdentity(ctx, s.outside, s.files(), file, topics())
	}
	if errors.Is(err, broker.ErrOtherTopics) {
		return err
	}
	if err == nil {
		err = broker.Remember(ctx, s.outside, s.files(), file, topics())
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the ends of the logs could not be remembered", "error", err)
	}
	return nil
}
