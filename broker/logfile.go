package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The server reads its log when it starts, and at the first batch whose checksum is wrong it cuts the file. At the end
// of a log that is right: it is what a crash left of the last write. Anywhere else it would take away what
// was acknowledged, without a word. And after a crash it holds the whole log in memory while it reads.
//
// So the log is looked at before the server sees it: damage is an error that names the place, a torn tail is cut, and a
// snapshot is written for each partition that has none, as the server does when it stops in good order; with it, the
// server reads a file at a time.
//
// A torn tail and a damaged last batch look alike. What tells them apart is written behind a batch: an entry in the index and, at a
// start or an orderly stop, the snapshot. Whoever has either was acknowledged, and is not cut.

// prepare makes the log in data ready for the server, and says whether there are transactions in it, and what it had to mend
// that matters. If there is no log yet, nothing is to be done.
func prepare(data string, m *merger) (transactions bool, warnings []string, err error) {
	if err := forgetMembers(data); err != nil {
		return false, nil, err
	}
	if transactions, err = preparePartitions(data, m); err != nil {
		return false, nil, err
	}
	warnings, err = mendEntries(data)
	return transactions, warnings, err
}

func preparePartitions(data string, m *merger) (transactions bool, err error) {
	dirs, err := filepath.Glob(filepath.Join(data, "partitions", "*"))
	if err != nil {
		return false, err
	}
	free := make(chan struct{}, runtime.GOMAXPROCS(0)) // each reads a file into memory
	wrong, some := make([]error, len(dirs)), make([]bool, len(dirs))
	var all sync.WaitGroup
	for i, dir := range dirs {
		free <- struct{}{}
		all.Go(func() {
			some[i], wrong[i] = preparePartition(dir, m)
			<-free
		})
	}
	all.Wait()
	return slices.Contains(some, true), errors.Join(wrong...)
}

// forgetMembers removes what an orderly stop wrote about the members of consumer groups. They were in processes that are
// gone or have to join again anyway; remembered, they would hold up the next ones for a session time-out.
func forgetMembers(data string) error {
	err := os.Remove(filepath.Join(data, "session_state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func preparePartition(dir string, m *merger) (transactions bool, err error) {
	p, err := readPartition(dir)
	if err != nil {
		return false, err
	}
	old, err := readSnapshot(dir)
	if err != nil {
		return false, err
	}
	if old.HighWatermark > max(p.end, old.LogStartOffset) { // all of it may have been deleted
		return false, fmt.Errorf("the log is damaged: %s ends at offset %d, and ended at %d before: restore it from a backup, or remove %s to do without",
			dir, p.end, old.HighWatermark, filepath.Join(dir, snapshotName))
	}
	if len(p.segments) == 0 {
		return false, nil
	}
	if err := p.finish(dir); err != nil || p.transactions {
		return p.transactions, err // the server finds out by itself which transactions were open
	}
	if err := m.partition(dir, &p); err != nil || old.holds(p) {
		return false, err
	}
	return false, writeSnapshot(dir, old.after(p))
}

// finish mends what a crash may have left behind the last batch.
func (p *partition) finish(dir string) error {
	for i, s := range p.segments {
		end := p.end
		if i+1 < len(p.segments) {
			end = p.segments[i+1].base
		}
		if err := checkIndex(dir, s, end); err != nil {
			return err
		}
	}
	last := p.segments[len(p.segments)-1]
	if last.torn > 0 {
		if err := cut(last.file(dir), last.size); err != nil {
			return err
		}
	}
	return p.dropEmpty(dir)
}

// dropEmpty removes files that were begun at the end of the log and got nothing. The server would write on in the file before them,
// if it isn't full, and past the offset that their names promise.
func (p *partition) dropEmpty(dir string) error {
	for n := len(p.segments); n > 1 && p.segments[n-1].size == 0; n-- {
		last := p.segments[n-1]
		if err := os.Remove(last.index(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := errors.Join(os.Remove(last.file(dir)), syncDir(dir)); err != nil {
			return err
		}
		p.segments = p.segments[:n-1]
	}
	return nil
}

// partition is what the files of a partition hold.
type partition struct {
	segments     []segment // by offset
	end          int64     // the offset after the last record
	epoch        int32     // of the last batch
	transactions bool      // there are batches of transactions
}

// segment is one file of a partition's log, and the offset that it begins with.
type segment struct {
	base, size int64
	torn       int // bytes behind the last whole batch
	batches    []noted
	merged     forecast // what the batches would come to
}

// noted is what the index has of a batch.
type noted struct {
	epoch int32
	open  bool // in a transaction, and not its end
}

func (s segment) file(dir string) string {
	return filepath.Join(dir, strconv.FormatInt(s.base, 10)+segmentSuffix)
}

const segmentSuffix = ".dat"

func readPartition(dir string) (partition, error) {
	var p partition
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		return p, err
	}
	for _, f := range files {
		base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(f), segmentSuffix), 10, 64)
		if err == nil { // others aren't the server's
			p.segments = append(p.segments, segment{base: base})
		}
	}
	slices.SortFunc(p.segments, func(a, b segment) int { return int(a.base - b.base) })
	for i := range p.segments {
		if err := p.read(dir, i); err != nil {
			return p, err
		}
	}
	return p, nil
}

// read takes in segment i. Only the last one may have a torn tail, which is left there.
func (p *partition) read(dir string, i int) error {
	s := &p.segments[i]
	file := s.file(dir)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if i > 0 && s.base != p.end {
		return fmt.Errorf("the log is damaged: %s should begin at offset %d: restore it from a backup", file, p.end)
	}
	p.end = s.base
	rest := p.batches(b, s)
	s.size, s.torn = int64(len(b)-len(rest)), len(rest)
	if s.torn > 0 && (i < len(p.segments)-1 || holdsBatch(rest[1:])) {
		return fmt.Errorf("the log is damaged: %s at byte %d, offset %d: restore it from a backup", file, s.size, p.end)
	}
	return nil
}

// batches takes in batches as long as they are whole and follow each other, and returns the rest.
func (p *partition) batches(b []byte, s *segment) []byte {
	for {
		raw, rest, ok := cutBatch(b)
		if !ok || int64(binary.BigEndian.Uint64(raw)) != p.end {
			return b
		}
		h := headOf(raw)
		p.end, p.epoch = endOf(raw), h.epoch
		p.transactions = p.transactions || h.attributes&bitTransaction != 0
		s.batches = append(s.batches, noted{h.epoch, h.attributes&(bitTransaction|bitControl) == bitTransaction})
		s.merged.add(h)
		b = rest
	}
}

// cutBatch returns the batch that b begins with and what follows it; ok is false if there is no whole one.
func cutBatch(b []byte) (batch, rest []byte, ok bool) {
	if len(b) < batchRecords || b[batchMagic] != 2 {
		return nil, b, false
	}
	size := int64(binary.BigEndian.Uint32(b[batchLength:])) + batchLength + 4
	if size < batchRecords || size > int64(len(b)) || checksum(b[:size]) != binary.BigEndian.Uint32(b[batchCRC:]) {
		return nil, b, false
	}
	return b[:size], b[size:], true
}

// holdsBatch reports whether there is a whole batch anywhere in b: a torn tail has none, as each batch is on the disk
// before the next one is written.
func holdsBatch(b []byte) bool {
	for ; len(b) >= batchRecords; b = b[1:] {
		if _, _, ok := cutBatch(b); ok {
			return true
		}
	}
	return false
}

// cut takes away a torn tail. It was never acknowledged.
func cut(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}
