package journal

import "fmt"

// Append appends records one after the other, with nothing between them, and returns the offset of the first and the
// position that has to be durable for all to be. It sets their Offset and Time. After a crash all of them are there, or
// none.
//
// It waits while too much is appended that isn't durable or sealed. It fails with ErrTooLarge, ErrFull, ErrSilent,
// ErrBroken, ErrReadOnly or ErrClosed, and then has appended nothing.
func (p *Partition) Append(rs ...Record) (first int64, at Position, err error) {
	first, at, err = p.append(nil, rs)
	if err != nil {
		err = fmt.Errorf("append to %s: %w", p, err)
	}
	return first, at, err
}

// AppendFrom is Append for a batch of an idempotent producer, which the journal takes once. A batch that it has is
// refused with ErrDuplicate, and the offset and position of then. Other refusals are ErrOutOfOrder, ErrFenced and
// ErrUnknownProducer.
func (p *Partition) AppendFrom(b ProducerBatch, rs ...Record) (first int64, at Position, err error) {
	batch := producerBatch{b, int32(len(rs))}
	first, at, err = p.append(&batch, rs)
	if err != nil {
		err = fmt.Errorf("append to %s: %w", p, err)
	}
	return first, at, err
}

func (p *Partition) append(batch *producerBatch, rs []Record) (first int64, at Position, err error) {
	size, err := sizeOf(rs)
	if err != nil {
		return 0, 0, err
	}
	j := p.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(size); err != nil {
		return 0, 0, err
	}
	if len(rs) == 0 {
		return p.end[Appended], j.appended, nil
	}
	if batch != nil {
		if before, err := p.checkProducer(batch); err != nil {
			return before.offset, before.at, err
		}
	}
	j.time = max(j.time, j.clock.ms())
	first = p.write(j.frameFor(size), batch, rs)
	return first, j.appended, nil
}

// write puts records into a frame that has room for them, and returns the offset of the first.
func (p *Partition) write(f *frame, batch *producerBatch, rs []Record) int64 {
	first := p.end[Appended]
	for i := range rs {
		rs[i].Offset, rs[i].Time = p.end[Appended], p.j.time
		at := f.at + int64(len(f.buf))
		if batch != nil && i == 0 {
			f.buf = appendRecord(f.buf, p.number, &rs[i], batch)
			p.remember(batch, first, p.j.time, p.j.appended+Position(len(rs)))
		} else {
			f.buf = appendRecord(f.buf, p.number, &rs[i], nil)
		}
		p.index(f.tail, at)
		p.j.took(f)
	}
	f.touch(p)
	p.wakeUp(Appended)
	return first
}

// sizeOf returns what records take at most.
func sizeOf(rs []Record) (int, error) {
	total := 0
	for i := range rs {
		n := rs[i].payload()
		if n > maxRecord {
			return 0, fmt.Errorf("%w: a record of %d bytes, more than %d", ErrTooLarge, n, maxRecord)
		}
		total += n + recordOverhead
	}
	if total > maxAppend {
		return 0, fmt.Errorf("%w: %d records of %d bytes, more than %d", ErrTooLarge, len(rs), total, maxAppend)
	}
	return total, nil
}

// admit waits until an entry of a size may be appended, and returns why it may not. When it returns nil, frameFor has a
// frame for it at once, as long as the mutex is held.
func (j *Journal) admit(size int) error {
	if int64(size) > j.capacity()/2 {
		return fmt.Errorf("%w: %d bytes, more than half of a file", ErrTooLarge, size)
	}
	for {
		if err := j.writable(); err != nil {
			return err
		}
		if j.ahead == 0 || j.ahead+int64(size) <= j.options.MaxAhead {
			if j.fits(size) {
				return nil
			}
			if j.next != nil && !j.tooMuchTail() {
				j.rotate()
				continue
			}
		}
		if err := j.stalled(); err != nil {
			return err
		}
		j.room.Wait()
	}
}

// stalled returns why waiting for room is of no use now, or nil.
func (j *Journal) stalled() error {
	if j.silent {
		return ErrSilent
	}
	if err := j.background[preparing]; err != nil && j.next == nil {
		return fmt.Errorf("%w: prepare the next file: %w", ErrFull, err)
	}
	if err := j.background[sealing]; err != nil && j.tooMuchTail() {
		return fmt.Errorf("%w: seal what is there: %w", ErrFull, err)
	}
	return nil
}

// capacity is what the frames of a tail file may have, without the header of the first.
func (j *Journal) capacity() int64 { return j.options.TailBytes - tailHeader - frameHeader }

// maxState bounds a checkpoint, so that it leaves half a file for the entry it was made for.
func (j *Journal) maxState() int64 { return j.capacity() / 2 }

// keeps refuses what would make checkpoints too large. Producers have the other half.
func (j *Journal) keeps(more int64) error {
	if more > 0 && j.stateBytes+more > j.maxState()/2 {
		return fmt.Errorf("%w: topics and commits have %d bytes", ErrTooLarge, j.stateBytes)
	}
	return nil
}

// tooMuchTail says that another tail file has to wait until one is sealed.
func (j *Journal) tooMuchTail() bool {
	return j.sealer != nil && int64(len(j.tails)+1)*j.options.TailBytes > j.options.MaxTail
}

// openFrame returns the frame that entries may be added to, or nil.
func (j *Journal) openFrame() *frame {
	if n := len(j.pending); n > j.writing {
		if f := j.pending[n-1]; f.tail == j.tail() && len(f.buf) < maxFrame {
			return f
		}
	}
	return nil
}

// tail is the file that is appended to.
func (j *Journal) tail() *tailFile { return j.tails[len(j.tails)-1] }

// fileEnd is where the next frame begins in the file that is appended to.
func (j *Journal) fileEnd() int64 {
	if n := len(j.pending); n > 0 && j.pending[n-1].tail == j.tail() {
		return j.pending[n-1].fileEnd()
	}
	return j.tail().end
}

// fits says whether an entry of a size fits in the file that is appended to.
func (j *Journal) fits(size int) bool {
	end := j.fileEnd() + frameHeader
	if f := j.openFrame(); f != nil {
		end = f.at + int64(len(f.buf))
	}
	return end+int64(size) <= j.tail().size
}

// rotate goes on to the next file, with a checkpoint at its start.
func (j *Journal) rotate() {
	j.forgetProducers()
	j.tails = append(j.tails, j.next)
	j.next = nil
	j.prepare.Signal()
	f := j.newFrame(0)
	f.buf = j.appendCheckpoint(f.buf)
	j.took(f)
}

// frameFor returns the frame that an entry of a size goes to, which fits.
func (j *Journal) frameFor(size int) *frame {
	if f := j.openFrame(); f != nil {
		f.reserve(size)
		return f
	}
	return j.newFrame(size)
}

// newFrame begins a frame at the end of the file, with room for an entry of a size.
func (j *Journal) newFrame(size int) *frame {
	t := j.tail()
	f := &frame{tail: t, slot: len(t.frames), at: j.fileEnd(), first: j.appended}
	f.buf = j.newest.rest(frameHeader + size)[:frameHeader]
	j.newest = f
	t.frames = append(t.frames, frameAt{uint32(f.at), f})
	j.pending = append(j.pending, f)
	j.ahead += frameHeader
	f.counted = frameHeader
	return f
}

// took counts an entry that was put into the frame, and has it written.
func (j *Journal) took(f *frame) {
	f.entries++
	j.appended++
	j.ahead += int64(len(f.buf)) - f.counted
	f.counted = int64(len(f.buf))
	j.work.Signal()
}
