package journal

import "fmt"

// frameCache keeps durable frames in memory, the newest up to a number of bytes. The journal's mutex guards it.
type frameCache struct {
	limit, bytes int64
	frames       []*frame // oldest first
}

func (c *frameCache) add(f *frame) {
	c.frames = append(c.frames, f)
	c.bytes += int64(len(f.buf))
	for c.bytes > c.limit && len(c.frames) > 0 {
		oldest := c.frames[0]
		c.frames[0] = nil
		c.frames = c.frames[1:]
		c.remove(oldest)
	}
}

// drop lets go of the frames of a file.
func (c *frameCache) drop(t *tailFile) {
	kept := c.frames[:0]
	for _, f := range c.frames {
		if f.tail == t {
			c.remove(f)
		} else {
			kept = append(kept, f)
		}
	}
	clear(c.frames[len(kept):])
	c.frames = kept
}

func (c *frameCache) remove(f *frame) {
	c.bytes -= int64(len(f.buf))
	f.tail.frames[f.slot].mem = nil
}

// load reads a frame that isn't in memory. The caller is counted among the readers of its file, until then.
func (j *Journal) load(t *tailFile, slot int, at, end int64) (*frame, error) {
	f, err := j.readFrameAt(t, slot, at, end)
	j.mu.Lock()
	defer j.mu.Unlock()
	t.readers--
	if t.readers == 0 && len(t.frames) == 0 {
		j.prepare.Signal() // it is retired, and may be used again
	}
	if err != nil && j.closing {
		return nil, ErrClosed
	}
	if err != nil {
		j.damaged(err)
		return nil, err
	}
	if len(t.frames) == 0 {
		return f, nil
	}
	if other := t.frames[slot].mem; other != nil {
		return other, nil
	}
	t.frames[slot].mem = f
	j.loaded.add(f)
	return f, nil
}

func (j *Journal) readFrameAt(t *tailFile, slot int, at, end int64) (*frame, error) {
	buf := make([]byte, end-at)
	if n, err := t.file.ReadAt(buf, at); n < len(buf) {
		return nil, fmt.Errorf("read a frame at %d of %s: %w", at, t.name, err)
	}
	head, buf, ok := readFrame(j.id, t.number, at, buf)
	if !ok {
		return nil, &DamageError{File: t.name, Position: head.first, What: fmt.Sprintf("the frame at %d isn't valid any more", at)}
	}
	return &frame{tail: t, slot: slot, at: at, first: head.first, entries: head.entries, buf: buf}, nil
}

// damaged remembers what can't be read any more, for Health.
func (j *Journal) damaged(err error) {
	if j.damage == nil {
		j.damage = err
		j.options.Log.Error("the journal can't be read", "dir", j.dir, "error", err)
	}
}

// reportDamage is damaged for those who don't hold the mutex.
func (j *Journal) reportDamage(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.damaged(err)
}
