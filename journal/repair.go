package journal

import (
	"bytes"
	"fmt"
)

// repair makes what was read the truth. It may die anywhere and be run again: what it changes lies behind the last valid
// frame, or is that frame itself, as it was.
//
// Only one write was under way when the process ended, so only the last frame may be in the page cache and not on the disk,
// and at most one frame's length behind it may have something of another.
func (r *recovery) repair() error {
	j := r.j
	if err := r.removeStrays(); err != nil {
		return err
	}
	if n := len(j.tails); n > 0 && !j.options.flaws.trustCache {
		t := j.tail()
		if err := r.wipe(t, t.end); err != nil {
			return err
		}
		if err := r.rewriteLast(t); err != nil {
			return err
		}
	}
	if err := r.keepUnused(); err != nil {
		return err
	}
	return j.options.Files.SyncDir(j.dir)
}

// wipe overwrites with zeros what a frame may have left behind a place of a file.
func (r *recovery) wipe(t *tailFile, from int64) error {
	b, zeros := make([]byte, wipeBytes), make([]byte, wipeBytes)
	for end := min(t.size, from+largestFrame); from < end; from += int64(len(b)) {
		b = b[:min(wipeBytes, end-from)]
		if n, err := t.file.ReadAt(b, from); n < len(b) {
			return fmt.Errorf("read behind the end of %s: %w", t.name, err)
		}
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if _, err := t.file.WriteAt(zeros[:len(b)], from); err != nil {
			return fmt.Errorf("overwrite what is behind the end of %s: %w", t.name, err)
		}
	}
	return nil
}

// wipeBytes is how much is read at once.
const wipeBytes = 256 << 10

// rewriteLast writes the last frame again, for the page cache may show what a sync that failed has not put on the disk.
func (r *recovery) rewriteLast(t *tailFile) error {
	_, err := t.file.WriteAt(r.last, r.lastAt)
	if err == nil {
		err = t.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the last frame of %s again: %w", t.name, err)
	}
	return nil
}

// keepUnused makes the file behind the last one with frames the next one, if it was prepared for that.
func (r *recovery) keepUnused() error {
	t, j := r.unused, r.j
	if t == nil {
		return nil
	}
	if t.size != j.options.TailBytes {
		return r.replaceUnused(t)
	}
	err := r.wipe(t, tailHeader)
	if err == nil {
		err = t.file.Sync()
	}
	if err != nil {
		return err
	}
	j.next = t
	return nil
}

// replaceUnused makes a file of the right size. If it is the first one it is needed at once.
func (r *recovery) replaceUnused(t *tailFile) (err error) {
	if err := r.j.discard(t); err != nil || len(r.j.tails) > 0 {
		return err
	}
	r.j.next, err = makeTail(&r.j.options, r.j.dir, r.j.id, t.number)
	return err
}

// removeStrays removes tail files that don't count: sealed ones that were not used again, and those whose preparation
// wasn't finished.
func (r *recovery) removeStrays() error {
	j := r.j
	numbers, err := tailNumbers(j.options.Files, j.dir)
	if err != nil {
		return err
	}
	last := j.manifest.FirstTail + uint64(len(j.tails))
	for _, n := range numbers {
		if n >= j.manifest.FirstTail && (n < last || n == last && r.unused != nil) {
			continue
		}
		if err := j.options.Files.Remove(tailName(j.dir, n)); err != nil {
			return err
		}
	}
	return nil
}
