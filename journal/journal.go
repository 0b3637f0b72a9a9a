package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Journal is an open journal. Its methods may be called at once.
type Journal struct {
	dir      string
	options  Options
	manifest manifest // changed by changeManifest alone
	id       [16]byte
	epoch    uint64
	readOnly bool
	sealer   sealer // nil: full files stay

	manifestMu sync.Mutex

	topics atomic.Pointer[map[string]*topic] // by name; whoever adds one, with the mutex, stores another map

	mu      sync.Mutex // guards what follows
	work    *sync.Cond // the writer waits on it for something to write
	room    *sync.Cond // those who append wait on it for room
	prepare *sync.Cond // the preparer waits on it for something to do

	// What all entries come to, but for the records.
	appended, durable Position
	time              int64 // of the last record, or what Now said since
	clock             clock
	inOrder           []*topic
	partitions        []*Partition
	commits           [2]groups // by horizon
	producerIDs       producerIDs
	producers         int   // how many are remembered
	stateBytes        int64 // what topics and commits take in a checkpoint, at most

	// Where it is.
	tails   []*tailFile // oldest first; the last is appended to
	next    *tailFile   // to go on with; nil while it is prepared
	retired []*tailFile // sealed, to be used again
	archive archive     // what was sealed; nil if nothing was
	recent  frameCache  // frames that were written lately
	loaded  frameCache  // frames that were read back
	pending []*frame    // those that aren't durable, oldest first
	ahead   int64       // bytes of these
	writing int         // how many of them are being written: 0 or 1
	newest  *frame      // the last that was begun; nil at first

	// How it is.
	closing      bool
	ending       bool  // nothing is prepared or sealed any more
	err          error // why nothing is written any more
	full         error // why nothing is appended now
	damage       error // what can't be read
	silent       bool
	silenced     chan struct{} // closed when silent
	silence      *time.Timer
	writeStarted time.Time
	background   map[string]error // work whose last try failed
	free         int64
	syncs        uint64
	syncTime     time.Duration
	lastSync     time.Duration

	done     chan struct{} // closed when err is set
	stop     chan struct{} // closed with ending
	fullTail chan struct{} // tells the sealer
	written  chan struct{} // closed when the writer has ended
	ended    sync.WaitGroup
}

func newJournal(dir string, o Options) *Journal {
	o = o.withDefaults()
	j := &Journal{
		dir:        dir,
		options:    o,
		commits:    [2]groups{{}, {}},
		recent:     frameCache{limit: o.MaxRecent},
		loaded:     frameCache{limit: o.MaxRecent},
		background: make(map[string]error),
		silenced:   make(chan struct{}),
		done:       make(chan struct{}),
		stop:       make(chan struct{}),
		fullTail:   make(chan struct{}, 1),
		written:    make(chan struct{}),
	}
	j.topics.Store(&map[string]*topic{})
	j.work, j.room, j.prepare = sync.NewCond(&j.mu), sync.NewCond(&j.mu), sync.NewCond(&j.mu)
	return j
}

// Close makes durable what was appended, and ends the journal. Appending, reading and waiting for records then fail with
// ErrClosed. It returns why something isn't durable. Only the first call does anything.
func (j *Journal) Close() error {
	j.mu.Lock()
	again, last := j.closing, j.appended
	j.closing = true
	j.work.Broadcast()
	j.mu.Unlock()
	if again {
		return nil
	}
	err := j.WaitDurable(context.Background(), last)
	j.mu.Lock()
	j.endWork()
	j.mu.Unlock()
	if errors.Is(err, ErrSilent) {
		return err // the writer hangs, with the file
	}
	if !j.readOnly {
		<-j.written
		j.ended.Wait()
	}
	return errors.Join(err, j.closeFiles())
}

func (j *Journal) closeFiles() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, t := range append(append(j.tails, j.retired...), j.next) {
		if t != nil {
			errs = append(errs, t.file.Close())
		}
	}
	j.tails, j.retired, j.next = nil, nil, nil
	if j.archive != nil {
		j.archive.release()
		j.archive = nil
	}
	return errors.Join(errs...)
}

// ID returns the journal's id: 32 hexadecimal digits.
func (j *Journal) ID() string { return hex.EncodeToString(j.id[:]) }

// Epoch returns the number of this opening for writing. It is larger than that of the last one.
func (j *Journal) Epoch() uint64 { return j.epoch }

// Deployment returns the id of the deployment: a restored backup has the journal's id and another deployment.
func (j *Journal) Deployment() string {
	j.manifestMu.Lock()
	defer j.manifestMu.Unlock()
	return j.manifest.Deployment
}

// Appended returns the end of what was appended.
func (j *Journal) Appended() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.appended
}

// Durable returns the end of what is durable.
func (j *Journal) Durable() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// WaitDurable returns nil once all before p is durable. It fails with ErrSilent when the disk hasn't answered for a
// while and ErrBroken when the journal can't be written any more: then it isn't known whether p will be durable. It fails
// with ErrOutOfRange if p was never appended.
func (j *Journal) WaitDurable(ctx context.Context, p Position) error {
	if err := j.waitDurable(ctx, p); err != nil {
		return fmt.Errorf("wait for position %d: %w", p, err)
	}
	return nil
}

func (j *Journal) waitDurable(ctx context.Context, p Position) error {
	f, settled, silenced, err := j.settling(p)
	if f == nil {
		return err
	}
	select {
	case <-settled:
		return f.err
	case <-silenced:
	case <-ctx.Done():
	}
	select {
	case <-settled: // meanwhile
		return f.err
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrSilent
}

// settling returns the frame that p waits for, nil if there is none, and the channels that tell how it ends.
func (j *Journal) settling(p Position) (f *frame, settled, silenced <-chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p <= j.durable {
		return nil, nil, nil, nil
	}
	if j.err != nil {
		return nil, nil, nil, j.err
	}
	for _, f := range j.pending {
		if p <= f.end() {
			return f, f.wait(), j.silenced, nil
		}
	}
	return nil, nil, nil, fmt.Errorf("%w: the journal ends at %d", ErrOutOfRange, j.appended)
}

// Done is closed when the journal can't be written any more, because of an error; Err says which.
func (j *Journal) Done() <-chan struct{} { return j.done }

// Err returns why the journal can't be written any more, an ErrBroken, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Health returns nil, or why the journal doesn't do now what it is for: ErrBroken, ErrSilent, what can't be read, or
// ErrFull.
func (j *Journal) Health() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.err != nil:
		return j.err
	case j.silent:
		return ErrSilent
	case j.damage != nil:
		return j.damage
	case j.full != nil:
		return j.full
	case j.readOnly:
		return nil
	}
	return j.stalled()
}

// Now returns the journal's time, in ms since 1970. It never goes back.
func (j *Journal) Now() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.time = max(j.time, j.clock.ms())
	return j.time
}

// writable returns why nothing is appended, or nil.
func (j *Journal) writable() error {
	if j.readOnly {
		return ErrReadOnly
	}
	if err := j.readable(); err != nil {
		return err
	}
	return j.full
}

// readable returns why there will be nothing new to read, or nil.
func (j *Journal) readable() error {
	if j.err != nil {
		return j.err
	}
	if j.closing {
		return ErrClosed
	}
	return nil
}
