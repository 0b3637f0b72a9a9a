package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal"
	"stockflow/journal/files"
)

// instance is one life of a group's goka processor in this process: from its building to its end, by a stop or by
// the first error. A new one starts from what is durable.
type instance struct {
	group, input, table string
	partitions          int32
	conn                broker.Broker
	dir                 string // where the stores are, one a partition
	files               files.FS
	eventSource         []byte // of what the group sends, as a CloudEvent says it
	log                 *slog.Logger
	metrics             groupMetrics
	flaws               flaws
	mostApplied         int // of its workers; 0 for maxTaken
	ends                *ends
	skips               *Skips
	life                context.Context         // ends with the processor
	stop                context.CancelCauseFunc // ends the processor
	sending             context.Context         // ends at the first error
	refuse              context.CancelFunc      // ends it
	changed             func()                  // is called when a partition is at work, or has stopped

	// workers are by partition, nil for those that aren't owned or recovered here, and failure is the first error. They are
	// read for every message, and written under mu.
	workers []atomic.Pointer[worker]
	failure atomic.Pointer[error]

	mu       sync.Mutex // guards what follows
	producer *producer
	halts    map[int32]string // partition to reason
	repairs  sync.WaitGroup
}

// errEnded is why rows are given up after a life has ended without an error.
var errEnded = errors.New("the processor has ended")

// worker returns the worker of a partition that this instance owns or recovers.
func (i *instance) worker(partition int32) *worker {
	return i.workers[partition].Load()
}

// owned returns the workers there are.
func (i *instance) owned() []*worker {
	var workers []*worker
	for p := range i.workers {
		if l := i.workers[p].Load(); l != nil {
			workers = append(workers, l)
		}
	}
	return workers
}

// fail ends this life at the first error: nothing is sent any more, so that what each partition has received stays
// a prefix of what was to be sent there.
func (i *instance) fail(err error) {
	i.mu.Lock()
	first := i.failure.CompareAndSwap(nil, &err)
	i.mu.Unlock()
	if !first {
		return
	}
	i.refuse()
	i.stop(err)
	for _, l := range i.owned() {
		l.fail(err)
	}
}

// failed returns the first error, nil if there was none.
func (i *instance) failed() error {
	if first := i.failure.Load(); first != nil {
		return *first
	}
	return nil
}

// buildStorage is goka's storage builder: the beginning of a worker.
func (i *instance) buildStorage(table string, partition int32) (storage.Storage, error) {
	store := NewStore(filepath.Join(i.dir, table, strconv.Itoa(int(partition))), i.log.Warn)
	store.Files(i.files)
	if !i.flaws.flushEarly {
		store.sync = func() error { return i.conn.Sync(context.Background()) }
	}
	store.Within(EndWithin(i.conn, table, partition))
	s, err := i.begin(partition, store)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// EndWithin returns what asks where a changelog of the journal ends, for [Store.Within]. On Kafka it is nil: a changelog that is
// shorter than it was has lost something, and that is for an operator to know.
func EndWithin(conn broker.Broker, table string, partition int32) func() (int64, error) {
	if _, local := conn.(interface{ Journal() *journal.Journal }); !local {
		return nil
	}
	return func() (int64, error) {
		ends, err := conn.Ends(context.Background(), table)
		return ends[broker.TopicPartition{Topic: table, Partition: partition}], err
	}
}

// begin begins a worker.
func (i *instance) begin(partition int32, store *Store) (*workerStore, error) {
	store.onError = i.fail
	l := newWorker(partition, store)
	l.foreign = i.foreign
	if i.mostApplied > 0 {
		l.mostApplied = i.mostApplied
	}
	l.flaws, store.early = i.flaws, i.flaws.storeEarly
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.failed(); err != nil {
		return nil, err
	}
	if int(partition) >= len(i.workers) {
		return nil, fmt.Errorf("%s has a partition %d, and the logs have %d partitions", i.table, partition, len(i.workers))
	}
	i.workers[partition].Store(l)
	return &workerStore{Store: store, worker: l, instance: i}, nil
}

// foreign has changelog records read that this instance did not write. That it can't be done for a worker that has ended
// meanwhile is no error: whoever owns the partition next meets the records.
func (i *instance) foreign(l *worker, from, to int64) {
	i.repairs.Go(func() {
		if err := i.readForeign(i.life, l, from, to); err != nil && !l.over() {
			i.fail(err)
		}
	})
}

// update is goka's update callback: one changelog record during the recovery.
func (i *instance) update(ctx goka.UpdateContext, _ storage.Storage, key string, value []byte) error {
	i.metrics.recovered.Inc()
	return i.worker(ctx.Partition()).recover(key, value, ctx.Offset())
}

// workerStore is a worker's store as goka sees it: the end of the recovery and of the worker come through it.
type workerStore struct {
	*Store
	worker   *worker
	instance *instance
}

// Open refuses a changelog that is shorter than what the store has of it: goka would ask again and again.
func (s *workerStore) Open() error {
	if err := s.Store.Open(); err != nil {
		return err
	}
	err := s.instance.checkChangelog(s.worker)
	if err != nil {
		s.instance.fail(err)
	}
	return err
}

// MarkRecovered makes the worker an owner, and starts it.
func (s *workerStore) MarkRecovered() error {
	if err := s.instance.skips.read(s.instance.life, s.worker.partition); err != nil {
		s.instance.fail(err)
		return err
	}
	if err := s.own(); err != nil {
		return err
	}
	s.worker.direct = true
	go s.worker.run()
	return nil
}

// own holds what the rows claim to have taken in against the logs, and makes the worker an owner.
func (s *workerStore) own() error {
	if err := s.instance.checkReach(s.worker); err != nil {
		s.instance.fail(err)
		return err
	}
	s.worker.send = s.instance.sendRow
	defer s.instance.changed()
	return s.worker.own()
}

// Close ends the worker. goka has waited for what was under way, or has given it up.
func (s *workerStore) Close() error {
	s.worker.fail(errEnded)
	s.worker.close()
	s.instance.leave(s.worker)
	return s.Store.Close()
}

// leave forgets a worker, and that it has halted: whoever owns the partition next finds out.
func (i *instance) leave(l *worker) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.workers[l.partition].CompareAndSwap(l, nil) {
		return
	}
	if _, halted := i.halts[l.partition]; halted {
		delete(i.halts, l.partition)
		i.metrics.all.halted.WithLabelValues(i.group, strconv.Itoa(int(l.partition))).Set(0)
	}
}

// checkChangelog refuses a changelog that ends before the last record that the worker's store has taken from it.
func (i *instance) checkChangelog(l *worker) error {
	offset, err := l.store.GetOffset(noOffset)
	if err != nil || offset == noOffset {
		return err
	}
	ends, err := i.ends.fetch(i.life, i.table)
	if err != nil {
		return err
	}
	if end := ends[source{i.table, l.partition}]; offset >= end {
		return fmt.Errorf("%w: the store of %s/%d has taken in offset %d of it, and it ends at %d", broker.ErrCut, i.table, l.partition, offset, end)
	}
	return nil
}

// checkReach refuses logs that are shorter than what was taken from them.
func (i *instance) checkReach(l *worker) error {
	err := i.checkClaims(l)
	if !errors.Is(err, broker.ErrCut) {
		return err
	}
	if err := l.claims(); err != nil {
		return err
	}
	return i.checkClaims(l)
}

func (i *instance) checkClaims(l *worker) error {
	claims := map[source]int64{{i.input, l.partition}: l.applied}
	for s, offset := range l.seen {
		claims[s] = max(claims[s], offset)
	}
	for s, offset := range claims {
		if offset == noOffset {
			continue
		}
		ok, err := i.ends.has(i.life, codecs.Origin{Log: s.log, Partition: s.partition, Offset: offset})
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: a row of %s/%d took in offset %d of %s/%d, which ends before it", broker.ErrCut, i.table, l.partition, offset, s.log, s.partition)
		}
	}
	return nil
}
