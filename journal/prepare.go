package journal

import (
	"errors"

	"stockflow/journal/files"
)

// prepareTails sees to it that a next tail file is there before the last one is full. It ends with the journal.
func (j *Journal) prepareTails() {
	defer j.ended.Done()
	for {
		number, old, ok := j.toPrepare()
		if !ok {
			return
		}
		t, err := j.prepareTail(number, old)
		j.prepared(t, err)
		for pause := firstPause; err != nil; {
			if pause, ok = j.pause(pause); !ok {
				return
			}
			t, err = j.prepareTail(number, nil)
			j.prepared(t, err)
		}
	}
}

// toPrepare waits until there is no next file, and returns its number and a file that may be used again for it, or nil. It
// removes those that nobody needs. It returns false when the journal ends.
func (j *Journal) toPrepare() (number uint64, old *tailFile, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.readable() == nil {
		if j.next == nil {
			return j.tail().number + 1, j.takeRetired(), true
		}
		if len(j.retired) > maxRetired {
			if t := j.takeRetired(); t != nil {
				j.mu.Unlock()
				err := j.discard(t)
				j.mu.Lock()
				j.inBackground(discarding, err)
				continue
			}
		}
		j.prepare.Wait()
	}
	return 0, nil, false
}

// maxRetired is how many files are kept to be used again.
const maxRetired = 1

// takeRetired returns a file that doesn't count any more and that no cursor is reading, or nil.
func (j *Journal) takeRetired() *tailFile {
	for i, t := range j.retired {
		if t.readers == 0 {
			j.retired = append(j.retired[:i], j.retired[i+1:]...)
			return t
		}
	}
	return nil
}

// prepareTail makes the next file. One that may be used again is, unless another process is still reading it.
func (j *Journal) prepareTail(number uint64, old *tailFile) (*tailFile, error) {
	if old == nil {
		return makeTail(&j.options, j.dir, j.id, number)
	}
	err := old.file.Lock(files.Exclusive)
	if err != nil || old.size != j.options.TailBytes {
		if err := j.discard(old); err != nil {
			return nil, err
		}
		return makeTail(&j.options, j.dir, j.id, number)
	}
	t, err := reuseTail(&j.options, j.dir, j.id, number, old)
	return t, errors.Join(err, old.file.Close())
}

func (j *Journal) discard(t *tailFile) error {
	err := errors.Join(t.file.Close(), j.options.Files.Remove(t.name))
	if err != nil {
		return err
	}
	return j.options.Files.SyncDir(j.dir)
}

func (j *Journal) prepared(t *tailFile, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inBackground(preparing, err)
	switch {
	case err == nil && j.closing:
		_ = t.file.Close() // nobody needs it
	case err == nil:
		j.next = t
	}
	j.room.Broadcast()
}
