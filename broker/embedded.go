package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Embedded is a broker inside this process, with its log on disk. All of its methods may be called at once.
type Embedded struct {
	cluster *kfake.Cluster
	lock    *lock
	addr    string
	room    *room
	files   string       // where the log is of which it serves an outline, "" if it serves a log
	close   func() error // once
}

// Option changes how OpenEmbedded opens.
type Option func(*options)

type options struct {
	logger *slog.Logger
	now    func() time.Time
	free   func(dir string) (bytes uint64, err error)
	sync   bool
	merge  bool
}

// Logger is where the broker writes what it has to say; the default is slog.Default().
func Logger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// Unsynced leaves it to the operating system when to write to the disk: quicker, and what was acknowledged is still
// safe from kill -9, but not from a power cut. For tests and measurements.
func Unsynced() Option { return func(o *options) { o.sync = false } }

// Unmerged leaves the files of the log as they are, where the batches in them would be merged: for who only looks.
func Unmerged() Option { return func(o *options) { o.merge = false } }

// clock replaces the wall clock.
func clock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// space replaces the answer to how much room there is on the disk.
func space(free func(string) (uint64, error)) Option { return func(o *options) { o.free = free } }

func chosen(opts []Option) options {
	o := options{logger: slog.Default(), now: time.Now, free: freeBytes, sync: true, merge: true}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// OpenEmbedded opens the log under dir, which is created if there is none, and serves it on a port of 127.0.0.1
// that the system gives. It returns when the broker takes requests, which is after it has read the whole log once.
//
// While it is open no other process can open dir: it gets an error that names dir and this process. The lock ends
// with the process, however it ends, so nothing has to be cleaned up after a crash.
func OpenEmbedded(dir string, opts ...Option) (*Embedded, error) {
	o := chosen(opts)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	l, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	e, err := openLocked(dir, l, o)
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return e, nil
}

func openLocked(dir string, l *lock, o options) (*Embedded, error) {
	data := filepath.Join(dir, "broker")
	if _, err := o.prepare(data); err != nil {
		return nil, err
	}
	return openPrepared(data, l, o)
}

// prepare makes the log in data ready for a server. It reports whether there are transactions in it.
func (o options) prepare(data string) (transactions bool, err error) {
	m := &merger{off: !o.merge, patience: mergingPatience, check: newRoom(data, o.free).check}
	transactions, warnings, err := prepare(data, m)
	if err != nil {
		return false, fmt.Errorf("open the log in %s: %w", data, err)
	}
	for _, w := range warnings {
		o.logger.Warn(w)
	}
	m.report(o.logger)
	return transactions, nil
}

func openPrepared(data string, l *lock, o options) (*Embedded, error) {
	room := newRoom(data, o.free)
	cluster, err := kfake.NewCluster(o.kfake(data, room)...)
	if err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", data, err)
	}
	e := &Embedded{cluster: cluster, lock: l, addr: cluster.ListenAddrs()[0], room: room}
	e.close = sync.OnceValue(e.shut)
	if err := e.begin(o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// begin sets the clock of the log, and then tells where the broker is: nobody can write before the clock is right.
func (e *Embedded) begin(o options) error {
	last, err := e.lastTime()
	if err != nil {
		return fmt.Errorf("read the last time in the log: %w", err)
	}
	if ahead := time.UnixMilli(last).Sub(o.now()); ahead > time.Minute {
		o.logger.Warn("the clock is behind the log; until it has caught up, new records get the log's last time",
			"behind", ahead)
	}
	e.room.guard(e.cluster, &stamp{now: o.now, last: last})
	return e.lock.publish(e.addr)
}

// lastTime returns the latest time that any record in the log has, in milliseconds since 1970.
func (e *Embedded) lastTime() (int64, error) {
	cl, err := e.Connection().Client()
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	listed, err := kadm.NewClient(cl).ListMaxTimestampOffsets(ctx)
	if err != nil {
		return 0, err
	}
	var last int64
	listed.Each(func(o kadm.ListedOffset) { last = max(last, o.Timestamp) })
	return last, listed.Error()
}

// Addr returns host and port.
func (e *Embedded) Addr() string { return e.addr }

// Connection returns how to reach the broker.
func (e *Embedded) Connection() Connection {
	return Connection{Brokers: []string{e.addr}, Embedded: true, files: e.files, outline: e.files != ""}
}

// Room returns nil while the log can be written, or why not: ErrFull until there is room on the disk, ErrWrite for good.
func (e *Embedded) Room() error { return e.room.check(reserve) }

// Broken gets an error, an ErrWrite, when the log could not be written. The broker refuses everything from then on and
// should be closed: what was acknowledged is in the log, and the next start mends what the failure left behind it.
func (e *Embedded) Broken() <-chan error { return e.room.broken }

// Cluster returns the broker itself, for tests that make it fail.
func (e *Embedded) Cluster() *kfake.Cluster { return e.cluster }

// Close stops the broker and frees the directory. Clients should be closed before: what they still have in flight
// is not answered. To die instead of closing loses nothing but a little time at the next start.
func (e *Embedded) Close() error { return e.close() }

func (e *Embedded) shut() error {
	hidden := e.lock.hide() // first, so that nobody new comes
	e.cluster.Close()
	return errors.Join(hidden, e.lock.release()) // last, so that nobody opens what is still being written
}

// kfake returns the settings of the server that Embedded is made of.
func (o options) kfake(data string, r *room) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(listenKafka),
		kfake.DataDir(data),
		kfake.ClusterID(embeddedCluster),
		kfake.WithLogger(logger{o.logger, r}),
		kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.BrokerConfigs(keepEverything()),
	}
	if o.sync {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// keepEverything are the settings under which no record and no committed offset is ever removed, whatever the
// settings of the topics, which anyone may create. The server's compaction removes a partition's files before it
// writes the new ones, so it must never start.
func keepEverything() map[string]string {
	century := 100 * 365 * 24 * time.Hour // much more, and the server's arithmetic overflows and removes everything
	return map[string]string{
		"log.retention.ms":          "-1",
		"log.retention.bytes":       "-1",
		"log.cleaner.backoff.ms":    strconv.FormatInt(century.Milliseconds(), 10),
		"log.segment.bytes":         strconv.Itoa(segmentBytes()),
		"offsets.retention.minutes": strconv.FormatInt(int64(century/time.Minute), 10),
	}
}

// logger passes on what the server says. Its warnings are about the log on disk: a tail that was cut, a write that failed.
type logger struct {
	to   *slog.Logger
	room *room
}

// Logf is called by the server, from any of its goroutines.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	if level <= kfake.LogLevelWarn {
		to = slog.LevelWarn
		l.room.heed(format, args...)
	}
	if ctx := context.Background(); l.to.Enabled(ctx, to) {
		l.to.Log(ctx, to, "broker: "+fmt.Sprintf(format, args...))
	}
}
