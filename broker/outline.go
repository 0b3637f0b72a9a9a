package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A server that starts has a file of each partition in memory, which may be hundreds of megabytes, and keeps an index of every
// batch. Who only reads a log needs of it no more than what topics there are, where they begin and end, and what groups have
// committed. So it is given an outline: the files that say this, and of each partition the last batch alone. What is
// between is read from the files of the log itself.

// OpenReading opens the log under dir to be read, as OpenEmbedded does to be written, in a directory of its own below work that
// is removed in the end; "" is the system's for temporary files. Other processes can't open dir meanwhile, and don't find this
// broker. What its Connection writes is lost.
func OpenReading(dir, work string, opts ...Option) (*Embedded, error) {
	o := chosen(opts)
	l, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	e, err := openOutline(dir, work, l, o)
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return e, nil
}

func openOutline(dir, work string, l *lock, o options) (*Embedded, error) {
	data := filepath.Join(dir, "broker")
	o.merge = false
	transactions, err := o.prepare(data)
	if err != nil {
		return nil, err
	}
	if transactions { // the batches alone tell what became of them
		return openPrepared(data, l, o)
	}
	outline, err := os.MkdirTemp(work, "stockflow-outline-")
	if err != nil {
		return nil, fmt.Errorf("make room for the outline of a log: %w", err)
	}
	if err := writeOutline(data, outline); err != nil {
		o.logger.Debug("the log has no outline, and is opened whole", "error", err)
		if err := os.RemoveAll(outline); err != nil {
			return nil, err
		}
		return openPrepared(data, l, o)
	}
	e, err := serveOutline(data, outline, l, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the outline of the log in %s: %w", data, err), os.RemoveAll(outline))
	}
	return e, nil
}

func serveOutline(data, outline string, l *lock, o options) (*Embedded, error) {
	o.sync = false
	room := newRoom(outline, o.free)
	cluster, err := kfake.NewCluster(o.kfake(outline, room)...)
	if err != nil {
		return nil, err
	}
	e := &Embedded{cluster: cluster, lock: l, addr: cluster.ListenAddrs()[0], room: room, files: data}
	e.close = sync.OnceValue(func() error { return errors.Join(e.shut(), os.RemoveAll(outline)) })
	room.guard(cluster, &stamp{now: o.now})
	return e, nil
}

// outlined are the files of a log that say what there is beside the partitions.
var outlined = []string{"meta.json", "broker_configs.json", "topics.json", "groups.log"}

// writeOutline writes the outline of a log without transactions that was prepared.
func writeOutline(data, outline string) error {
	for _, name := range outlined {
		text, err := os.ReadFile(filepath.Join(data, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(outline, name), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	dirs, err := filepath.Glob(filepath.Join(data, "partitions", "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := outlinePartition(dir, filepath.Join(outline, "partitions", filepath.Base(dir))); err != nil {
			return err
		}
	}
	return nil
}

// outlinePartition writes the last batch of a partition, and the snapshot, which says where it begins and ends.
func outlinePartition(dir, to string) error {
	bases, err := basesOf(dir)
	if err != nil {
		return err
	}
	for len(bases) > 0 {
		last, err := lastBatch(segment{base: bases[len(bases)-1]}.file(dir))
		if err != nil {
			return err
		}
		if last != nil {
			return writeLast(dir, to, last)
		}
		bases = bases[:len(bases)-1]
	}
	return nil // nothing was ever written there
}

func writeLast(dir, to string, last []byte) error {
	s, err := readSnapshot(dir)
	if err != nil {
		return err
	}
	if endOf(last) != s.HighWatermark {
		return fmt.Errorf("%s ends at offset %d, and its snapshot at %d", dir, endOf(last), s.HighWatermark)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	base := int64(binary.BigEndian.Uint64(last))
	s.Segments = []snapshotSegment{{base, int64(len(last))}}
	if err := os.WriteFile(segment{base: base}.file(to), last, 0o600); err != nil {
		return err
	}
	return writeSnapshot(to, s)
}

// lastBatch returns the last batch of a file, nil if there is none.
func lastBatch(file string) (last []byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	r, in := segmentReader{}, bufio.NewReaderSize(f, segmentBuffer)
	for {
		_, err := r.readBatch(in)
		if errors.Is(err, io.EOF) {
			return r.batch, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
}
