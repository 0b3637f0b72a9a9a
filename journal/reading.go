package journal

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// OpenReading opens the journal in another process's directory for reading, up to a position that is durable, or all of
// it that is durable if the position is negative. What is sealed is read even if it lies behind the position: Durable says
// where reading ends. Both horizons show the same, and never more. Appending fails with ErrReadOnly.
func OpenReading(dir string, upTo Position, o Options) (*Journal, error) {
	var err error
	for range maxReadingTries {
		j := newJournal(dir, o)
		j.readOnly = true
		if err = j.startReading(upTo); err == nil {
			return j, nil
		}
		j.abandon()
		if !mayHaveMoved(err) {
			break
		}
		time.Sleep(readingPause)
	}
	return nil, fmt.Errorf("open journal %s for reading: %w", dir, err)
}

// maxReadingTries is how often reading begins again when files were sealed or written meanwhile, and readingPause how long it
// waits before.
const (
	maxReadingTries = 10
	readingPause    = 10 * time.Millisecond
)

var errMoved = errors.New("files were sealed meanwhile")

// mayHaveMoved says whether an error may come from the process that writes.
func mayHaveMoved(err error) bool {
	var damage *DamageError
	return errors.Is(err, errMoved) || absent(err) || errors.As(err, &damage)
}

func (j *Journal) startReading(upTo Position) error {
	var err error
	if j.manifest, err = readManifest(j.options.Files, j.dir); err != nil {
		return err
	}
	if j.id, err = j.manifest.id(); err != nil {
		return err
	}
	if err := j.openArchive(); err != nil {
		return err
	}
	r := recovery{j: j, upTo: upTo, all: upTo < 0}
	if r.all {
		r.upTo = math.MaxInt64
	}
	if err := r.read(); err != nil {
		return err
	}
	if err := j.checkManifest(); err != nil {
		return err
	}
	if j.appended < upTo {
		return fmt.Errorf("position %d: %w: the journal ends at %d", upTo, ErrOutOfRange, j.appended)
	}
	if r.all {
		if err := j.syncTails(); err != nil {
			return err
		}
	}
	j.epoch = r.epoch
	j.foundDurable()
	j.clock = startClock(j.options.Clock, j.options.Clock.Wall())
	return nil
}

// checkManifest returns an error if other files count now than did at first: then some may have been used again while they
// were read.
func (j *Journal) checkManifest() error {
	m, err := readManifest(j.options.Files, j.dir)
	if err != nil {
		return err
	}
	if m.FirstTail != j.manifest.FirstTail {
		return errMoved
	}
	return nil
}

// syncTails makes durable what was read.
func (j *Journal) syncTails() error {
	for _, t := range j.tails {
		if err := t.file.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", t.name, err)
		}
	}
	return nil
}
