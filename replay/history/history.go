package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/journal/files"
	"stockflow/replay"
)

// History is that of all logs. Its methods may be called at once from anywhere.
type History struct {
	conn       broker.Broker
	partitions int32
	log        *slog.Logger
	annals     map[string][]*partitionHistory // by log and partition
	gathering  time.Duration                  // how long the follower lets records gather
	wanted     chan struct{}                  // has a token when somebody waits for what the follower has not read yet

	mu     sync.Mutex              // guards what follows
	begun  chan struct{}           // closed while a follower runs, nil before Run
	kept   broker.Broker           // of the follower that runs now
	broken context.CancelCauseFunc // ends the follower that runs now
}

// Behind says that a history has not read far enough yet.
type Behind struct {
	Log       string
	Partition int32
	Next, End int64 // where it is and where it has to be; End is 0 while that isn't known
}

func (b *Behind) Error() string {
	if b.Log == "" {
		return "the history can't be read yet: it waits for its start"
	}
	if b.End == 0 {
		return fmt.Sprintf("the history of %s/%d can't be read yet: it waits for its start", b.Log, b.Partition)
	}
	return fmt.Sprintf("the history of %s/%d can't be read up to there yet: it is at offset %d and waits for %d", b.Log, b.Partition, b.Next, b.End)
}

// ErrNone says that the history isn't run.
var ErrNone = errors.New("no history is kept here")

// ErrUnreachable says that the broker could not be asked where its logs end.
var ErrUnreachable = errors.New("the broker can't be asked where its logs end")

// Open returns the history of the logs behind conn, which have so many partitions, kept under dir. It answers nothing
// before it is run.
func Open(conn broker.Broker, dir string, partitions int32, log *slog.Logger) *History {
	h := &History{conn: conn, partitions: partitions, log: log, annals: map[string][]*partitionHistory{},
		gathering: gatherTime, wanted: make(chan struct{}, 1), broken: func(error) {}}
	writing := new(writing) // all are written by one follower
	for _, m := range replay.Machines {
		for p := range partitions {
			a := newPartitionHistory(m, p, partitions, Dir(dir, m.Log, p), log.Warn)
			a.broken, a.hurry, a.writing = h.fail, h.hurry, writing
			h.annals[m.Log] = append(h.annals[m.Log], a)
		}
	}
	return h
}

// Files has the files of the history go through a layer. It is to be called before Run.
func (h *History) Files(fsys files.FS) {
	for _, all := range h.annals {
		for _, a := range all {
			a.files = fsys
		}
	}
}

// Dir is where the history of a partition is kept.
func Dir(dir, log string, partition int32) string {
	return filepath.Join(dir, log, strconv.Itoa(int(partition)))
}

// open opens all annals, and returns from where on each partition is to be read.
func (h *History) open(ctx context.Context, conn broker.Broker) (map[string]map[int32]int64, error) {
	bounds, err := boundsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	from := map[string]map[int32]int64{engine.DeadLetters: {}}
	for p := range h.partitions {
		letters := bounds.end(engine.DeadLetters, p)
		for log, all := range h.annals {
			a := all[p]
			if err := a.open(bounds); err != nil {
				return nil, err
			}
			if from[log] == nil {
				from[log] = map[int32]int64{}
			}
			m := a.at()
			from[log][p] = m.Next
			letters = min(letters, m.Letters)
		}
		from[engine.DeadLetters][p] = letters
	}
	return from, nil
}

func (h *History) close() error {
	var errs []error
	for _, all := range h.annals {
		for _, a := range all {
			errs = append(errs, a.close())
		}
	}
	return errors.Join(errs...)
}

// begin says who asks the broker, and how to end the follower that runs now.
func (h *History) begin(conn broker.Broker, broken context.CancelCauseFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept, h.broken = conn, broken
	close(h.begun)
}

func (h *History) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept, h.broken, h.begun = nil, func(error) {}, make(chan struct{})
}

// asker returns who asks the broker, once there is a follower: the annals are open then.
func (h *History) asker(ctx context.Context) (broker.Broker, error) {
	h.mu.Lock()
	begun := h.begun
	h.mu.Unlock()
	if begun == nil {
		return nil, ErrNone
	}
	select {
	case <-begun:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept == nil {
		return nil, new(Behind)
	}
	return h.kept, nil
}

// fail ends the follower that runs now, so that all is opened again: what is damaged is set aside then.
func (h *History) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken(err)
}

// of returns the annals that a key of a log is in.
func (h *History) of(log, key string) *partitionHistory {
	return h.annals[log][broker.Partition([]byte(key), h.partitions)]
}
