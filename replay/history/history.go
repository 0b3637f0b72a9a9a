package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/replay"
)

// History is that of all logs. Its methods may be called at once from anywhere.
type History struct {
	conn       broker.Connection
	partitions int32
	log        *slog.Logger
	annals     map[string][]*annals // by log and partition

	mu     sync.Mutex    // guards what follows
	begun  chan struct{} // closed while a follower runs, nil before Run
	admin  *kadm.Client
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
func Open(conn broker.Connection, dir string, partitions int32, log *slog.Logger) *History {
	h := &History{conn: conn, partitions: partitions, log: log, annals: map[string][]*annals{},
		broken: func(error) {}}
	for _, m := range replay.Machines {
		for p := range partitions {
			a := newAnnals(m, p, partitions, Dir(dir, m.Log, p), log.Warn)
			a.broken = h.fail
			h.annals[m.Log] = append(h.annals[m.Log], a)
		}
	}
	return h
}

// Dir is where the history of a partition is kept.
func Dir(dir, log string, partition int32) string {
	return filepath.Join(dir, log, strconv.Itoa(int(partition)))
}

// A follower that lost its broker or its disk tries again after so long.
const (
	againFirst = 100 * time.Millisecond
	againMost  = 2 * time.Second
)

// Run follows the logs until ctx ends, and begins anew whenever something breaks.
func (h *History) Run(ctx context.Context) error {
	h.mu.Lock()
	h.begun = make(chan struct{})
	h.mu.Unlock()
	for wait := againFirst; ; wait = min(2*wait, againMost) {
		began := time.Now()
		err := h.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > againMost {
			wait = againFirst
		}
		h.log.Warn("the history is opened again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// follow opens all annals and reads the logs into them until something breaks.
func (h *History) follow(ctx context.Context) (err error) {
	ctx, broken := context.WithCancelCause(ctx)
	defer broken(nil)
	asking, err := h.conn.Client()
	if err != nil {
		return err
	}
	defer asking.Close()
	admin := kadm.NewClient(asking)
	defer func() { err = errors.Join(err, h.close()) }()
	from, err := h.open(ctx, admin)
	if err != nil {
		return err
	}
	h.begin(admin, broken)
	defer h.end()
	client, err := h.conn.Client(append(following, kgo.ConsumePartitions(from))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if err := fetches.Err0(); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("reading %s/%d: %w", errs[0].Topic, errs[0].Partition, errs[0].Err)
		}
		if err := h.takeIn(fetches); err != nil {
			return err
		}
	}
}

// pollRecords is how many records are taken from the client at once.
const pollRecords = 4096

// following are the options of the follower's client. What it has read ahead is in memory, so that is little.
var following = []kgo.Opt{
	kgo.KeepControlRecords(), // they are what a gap at the end consists of
	kgo.FetchMaxBytes(4 << 20),
	kgo.FetchMaxPartitionBytes(1 << 20),
	kgo.FetchMinBytes(16 << 10), // rather a batch a little later than one for each message
	kgo.FetchMaxWait(25 * time.Millisecond),
}

func (h *History) takeIn(fetches kgo.Fetches) error {
	var errs []error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		switch {
		case len(p.Records) == 0:
		case p.Topic == engine.Letters:
			for _, all := range h.annals {
				errs = append(errs, all[p.Partition].takeLetters(p.Records))
			}
		default:
			errs = append(errs, h.annals[p.Topic][p.Partition].take(p.Records))
		}
	})
	return errors.Join(errs...)
}

// open opens all annals, and returns from where on each partition is to be read.
func (h *History) open(ctx context.Context, admin *kadm.Client) (map[string]map[int32]kgo.Offset, error) {
	bounds, err := boundsOf(ctx, admin)
	if err != nil {
		return nil, err
	}
	from := map[string]map[int32]kgo.Offset{engine.Letters: {}}
	for p := range h.partitions {
		letters := bounds.end(engine.Letters, p)
		for log, all := range h.annals {
			a := all[p]
			if err := a.open(bounds); err != nil {
				return nil, err
			}
			if from[log] == nil {
				from[log] = map[int32]kgo.Offset{}
			}
			m := a.at()
			from[log][p] = kgo.NewOffset().At(m.Next)
			letters = min(letters, m.Letters)
		}
		from[engine.Letters][p] = kgo.NewOffset().At(letters)
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
func (h *History) begin(admin *kadm.Client, broken context.CancelCauseFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admin, h.broken = admin, broken
	close(h.begun)
}

func (h *History) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admin, h.broken, h.begun = nil, func(error) {}, make(chan struct{})
}

// asker returns who asks the broker, once there is a follower: the annals are open then.
func (h *History) asker(ctx context.Context) (*kadm.Client, error) {
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
	if h.admin == nil {
		return nil, new(Behind)
	}
	return h.admin, nil
}

// fail ends the follower that runs now, so that all is opened again: what is damaged is set aside then.
func (h *History) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken(err)
}

// of returns the annals that a key of a log is in.
func (h *History) of(log, key string) *annals {
	return h.annals[log][broker.Partition([]byte(key), h.partitions)]
}
