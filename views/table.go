package views

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal/files"
)

// Table is a readable copy of one table. S is what its rows hold. Its methods may be called at once from anywhere.
type Table[S any] struct {
	name    string
	dir     string
	files   files.FS
	conn    broker.Broker
	log     *slog.Logger
	decode  func(row []byte) (codecs.Head, S, error)
	watches watches[S]
	folds   string // the log that it is the fold of
	feed    feed
	index   index[S] // for lists; it is set before the table is run

	mu         sync.RWMutex // guards what follows; held to read for as long as a row is read
	partitions []*partition // of the view that runs now, nil when none does
	effects    []*effects   // of the partitions; they outlive a view
	obstacle   string       // why none does
	recovered  chan struct{}
	broken     context.CancelCauseFunc // ends the view that runs now
}

// Row is what a table holds of a key. Found is false, and State the zero State, when it holds nothing.
type Row[S any] struct {
	Head  codecs.Head
	State S
	Found bool
}

// ErrRecovering says that a table can't be read yet, or no longer.
type ErrRecovering struct {
	Table string
	Waits string // for what, in words
}

func (e *ErrRecovering) Error() string {
	return fmt.Sprintf("%s can't be read yet: it waits for %s", e.Table, e.Waits)
}

// NewTable returns the table of that name on the logs behind conn, with its copy in a directory of its own under
// dir. decode reads one of its rows.
func NewTable[S any](name string, decode func([]byte) (codecs.Head, S, error), conn broker.Broker,
	dir string, log *slog.Logger) *Table[S] {
	return &Table[S]{
		name: name, dir: filepath.Join(dir, name), files: files.OS(), conn: conn, decode: decode,
		log:       log.With("table", name),
		folds:     strings.TrimSuffix(name, "-table") + "-events",
		obstacle:  "its start",
		recovered: make(chan struct{}),
		broken:    func(error) {},
	}
}

// Get returns the row of key, as new as anything the table has taken in. The error is an *ErrRecovering when the
// table can't be read, else something that the row's bytes have at fault.
func (t *Table[S]) Get(key string) (Row[S], error) {
	data, err := t.read(key)
	if err != nil || data == nil {
		return Row[S]{}, err
	}
	head, state, err := t.decode(data)
	if err != nil {
		return Row[S]{}, fmt.Errorf("decoding the row of %q in %s: %w", key, t.name, err)
	}
	return Row[S]{Head: head, State: state, Found: true}, nil
}

// read holds the lock until the row is read, so that no store is closed under it.
func (t *Table[S]) read(key string) ([]byte, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.waitsLocked(); err != nil {
		return nil, err
	}
	data, err := t.partitionOf(key).Get(key)
	if err != nil {
		return nil, t.unread(err)
	}
	return data, nil
}

// unread is what is said of a store that can't be read. It is opened again, and set aside if it is damaged; until then the
// table is one that recovers.
func (t *Table[S]) unread(err error) error {
	t.broken(fmt.Errorf("reading from %s: %w", t.name, err)) // who is told of it there writes it into the log
	return &ErrRecovering{t.name, "its store to be opened again"}
}

// partitionOf returns the partition that key is on. The caller holds mu, and there are partitions.
func (t *Table[S]) partitionOf(key string) *partition {
	return t.partitions[broker.Partition([]byte(key), int32(len(t.partitions)))]
}

// Recovered reports whether the table can be read.
func (t *Table[S]) Recovered() bool { return t.waits() == nil }

// WaitRecovered returns nil as soon as the table can be read, or the error of ctx when it ends before.
func (t *Table[S]) WaitRecovered(ctx context.Context) error {
	t.mu.RLock()
	recovered := t.recovered
	t.mu.RUnlock()
	select {
	case <-recovered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Table[S]) waits() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.waitsLocked()
}

// waitsLocked returns an *ErrRecovering that says what the table waits for, or nil. The caller holds mu.
func (t *Table[S]) waitsLocked() error {
	if t.partitions == nil {
		return &ErrRecovering{t.name, t.obstacle}
	}
	var unread []int
	for i, p := range t.partitions {
		if !p.recovered {
			unread = append(unread, i)
		}
	}
	if unread == nil {
		return nil
	}
	return &ErrRecovering{t.name, fmt.Sprintf("partitions %d of %d to be read from the changelog", unread, len(t.partitions))}
}
