package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"stockflow/journal/files"
)

// Open opens the journal in a directory, which is made if it doesn't exist. The caller has a lock that keeps other
// processes from opening it too. What it finds is durable when it returns, and it has begun a new epoch. It fails with a
// DamageError when something is missing that was durable, and a ClockError when the clock can't be right; then it has changed
// nothing.
func Open(dir string, o Options) (*Journal, error) {
	j := newJournal(dir, o)
	if err := j.start(); err != nil {
		j.abandon()
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	return j, nil
}

// Bounds of TailBytes: an index has 32 bits for a place in a file.
const (
	minTailBytes = 16 << 10
	maxTailBytes = 1 << 30
)

func (j *Journal) start() error {
	if n := j.options.TailBytes; n < minTailBytes || n > maxTailBytes || n%tailHeader != 0 {
		return fmt.Errorf("tail files of %d bytes: must be a multiple of %d between %d and %d", n, tailHeader, minTailBytes, maxTailBytes)
	}
	if err := files.MakeDir(j.options.Files, j.dir); err != nil {
		return err
	}
	if err := j.loadManifest(); err != nil {
		return err
	}
	r := recovery{j: j, upTo: math.MaxInt64}
	if err := r.read(); err != nil {
		return err
	}
	if err := j.startClock(); err != nil {
		return err
	}
	if err := r.repair(); err != nil {
		return err
	}
	j.epoch = r.epoch + 1
	j.foundDurable()
	if j.manifest.Backup { // from now on it has entries of its own
		if err := j.changeManifest(func(m *manifest) { m.Backup = false }); err != nil {
			return err
		}
	}
	j.startWork()
	if err := j.beginEpoch(); err != nil {
		return err
	}
	j.checkRoom()
	return nil
}

// loadManifest reads the manifest, or begins a new journal if the directory has none.
func (j *Journal) loadManifest() error {
	m, err := readManifest(j.options.Files, j.dir)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = j.create()
	}
	if err != nil {
		return err
	}
	j.manifest = m
	if j.id, err = m.id(); err != nil {
		return err
	}
	return j.openArchive()
}

// create begins a new journal. Its first file is there before its manifest is, so that a manifest without files is damage,
// and without a manifest the file has nothing.
func (j *Journal) create() (manifest, error) {
	m, err := newManifest()
	if err != nil {
		return m, err
	}
	if err := j.checkUnused(); err != nil {
		return m, err
	}
	id, err := m.id()
	if err != nil {
		return m, err
	}
	t, err := makeTail(&j.options, j.dir, id, m.FirstTail)
	if err == nil {
		err = t.file.Close()
	}
	if err == nil {
		err = m.write(j.options.Files, j.dir)
	}
	return m, err
}

// checkUnused returns a DamageError if a directory without manifest has entries of a journal.
func (j *Journal) checkUnused() error {
	numbers, err := tailNumbers(j.options.Files, j.dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		t, err := openTail(&j.options, j.dir, n)
		if err != nil {
			return err
		}
		b, err := t.read(nil)
		if err := errors.Join(err, t.file.Close()); err != nil {
			return err
		}
		id, _, ok := readTailHead(b, n)
		if _, _, begun := readFrame(id, n, tailHeader, b[min(len(b), tailHeader):]); n != 1 || ok && begun {
			return &DamageError{File: manifestName(j.dir), What: "it is missing, but there are tail files"}
		}
	}
	return nil
}

// startClock begins with the time of the last record, or the clock's.
func (j *Journal) startClock() error {
	start := j.options.Clock.Wall()
	if j.time > 0 {
		var err error
		if start, err = startTime(start, time.UnixMilli(j.time), j.options.AcceptClock); err != nil {
			return err
		}
	}
	j.clock = startClock(j.options.Clock, start)
	return nil
}

// foundDurable says that all that was found is durable.
func (j *Journal) foundDurable() {
	j.durable = j.appended
	for _, p := range j.partitions {
		p.end[Durable] = p.end[Appended]
	}
	for g, offsets := range j.commits[Appended] {
		j.commits[Durable].take(commit{g, offsets})
	}
	j.producerIDs.next = j.producerIDs.end // what was left of the last block is never given out
}

// startWork starts the goroutines. Those of the background are counted in ended.
func (j *Journal) startWork() {
	j.silence = time.AfterFunc(time.Hour, j.fallSilent)
	j.silence.Stop()
	if len(j.tails) == 0 {
		j.rotate()
	}
	j.ended.Add(2)
	go j.writeFrames()
	go j.prepareTails()
	go j.guardRoom()
	if j.sealer != nil {
		j.ended.Go(func() { j.sealer.run(j.fullTail, j.stop) })
		j.tailFull()
	}
}

// beginEpoch makes the first entry of the epoch durable. Nothing that was cut can then count again.
func (j *Journal) beginEpoch() error {
	at, err := j.appendEpoch()
	if err == nil {
		err = j.WaitDurable(context.Background(), at)
	}
	if err != nil {
		return fmt.Errorf("begin epoch %d: %w", j.epoch, err)
	}
	return nil
}

func (j *Journal) appendEpoch() (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	const size = entryHeader + binary.MaxVarintLen64
	if err := j.admit(size); err != nil {
		return 0, err
	}
	f := j.frameFor(size)
	at := len(f.buf)
	f.buf = binary.AppendUvarint(beginEntry(f.buf, epochEntry), j.epoch)
	endEntry(f.buf, at)
	j.took(f)
	return j.appended, nil
}

// abandon ends what a start that failed has begun. It doesn't wait for a disk that may not answer.
func (j *Journal) abandon() {
	j.mu.Lock()
	j.closing = true
	if j.err == nil {
		j.err = ErrClosed // so that nothing more is written
	}
	j.endWork()
	writing := j.writing > 0
	j.mu.Unlock()
	if !writing {
		_ = j.closeFiles() // the error that is told is why the start failed
	}
}
