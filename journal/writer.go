package journal

import (
	"fmt"
	"time"
)

// writeFrames is the writer: the only goroutine that writes frames. It ends when the journal is closed, and all is written,
// or broken.
func (j *Journal) writeFrames() {
	defer close(j.written)
	for f := j.nextFrame(); f != nil; f = j.nextFrame() {
		f.finish(j.id, j.durable, j.epoch) // only the writer changes durable
		if j.options.flaws.answerEarly {
			j.settle(f, nil)
		}
		_, err := f.tail.file.WriteAt(f.buf, f.at)
		if !j.options.flaws.answerEarly {
			j.settle(f, err)
		}
	}
}

// nextFrame waits for the oldest frame and takes it, so that nothing more is added to it. It returns nil when there
// will be none.
func (j *Journal) nextFrame() *frame {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.pending) == 0 && !j.closing && j.err == nil {
		j.work.Wait()
	}
	if len(j.pending) == 0 || j.err != nil {
		return nil
	}
	j.writing = 1
	j.writeStarted = time.Now()
	j.silence.Reset(j.options.Silence)
	return j.pending[0]
}

// settle ends the write of the oldest frame: what is in it is durable, or the journal is at its end.
func (j *Journal) settle(f *frame, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.silence.Stop()
	if err != nil && !j.options.flaws.ignoreErrors {
		j.fail(fmt.Errorf("%w: write %d bytes at %d of %s: %w", ErrBroken, len(f.buf), f.at, f.tail.name, err))
		return
	}
	j.synced(time.Since(j.writeStarted))
	j.pending[0] = nil
	j.pending, j.writing = j.pending[1:], 0
	j.ahead -= f.counted
	j.durable = f.end()
	f.tail.end = f.fileEnd()
	for _, e := range f.ends {
		e.partition.end[Durable] = e.end
		e.partition.wakeUp(Durable)
	}
	for _, c := range f.commits {
		j.commits[Durable].take(c)
	}
	if f.settled != nil {
		close(f.settled)
	}
	f.forget()
	j.recent.add(f)
	if f.slot == 0 {
		j.tailFull() // the file before it is, and a start can do without it
	}
	j.room.Broadcast()
}

// synced counts a write.
func (j *Journal) synced(took time.Duration) {
	j.syncs++
	j.syncTime += took
	j.lastSync = took
	if j.silent {
		j.silent, j.silenced = false, make(chan struct{})
		j.options.Log.Info("the disk answers again", "dir", j.dir, "after", took)
	}
}

// fallSilent tells those who wait that the write under way doesn't end.
func (j *Journal) fallSilent() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.writing == 0 || j.silent || j.err != nil || time.Since(j.writeStarted) < j.options.Silence {
		return // it was the write before
	}
	j.silent = true
	close(j.silenced)
	j.room.Broadcast()
	j.options.Log.Error("the disk doesn't answer", "dir", j.dir, "for", j.options.Silence)
}

// fail is the end: nothing is written any more, as nobody knows what the disk has of what was.
func (j *Journal) fail(err error) {
	if j.err != nil {
		return
	}
	j.err = err
	for _, f := range j.pending {
		f.err = err
		if f.settled != nil {
			close(f.settled)
		}
	}
	close(j.done)
	j.endWork()
	j.options.Log.Error("the journal can't be written any more", "dir", j.dir, "error", err)
}

// endWork ends the goroutines in the background and wakes all who wait, so that they see that the journal has ended.
func (j *Journal) endWork() {
	if j.ending {
		return
	}
	j.ending = true
	close(j.stop)
	j.work.Broadcast()
	j.prepare.Broadcast()
	j.room.Broadcast()
	for _, p := range j.partitions {
		p.wakeUp(Appended)
		p.wakeUp(Durable)
	}
}
