package journal

import "fmt"

// archive is what was sealed: the records of each partition below its unsealed ones. An archive doesn't change; when more
// is sealed another one takes its place. Its methods may be called at once, by those who retained it, under no lock.
// What can't be read is a *DamageError.
type archive interface {
	// read returns records of a partition with offsets from from to before before, as many as are at hand but at least
	// one if there is one, and the offset to go on at: before if there are no more.
	read(p *Partition, from, before int64) (records []Record, next int64, err error)

	// findTime returns the offset and time of the first record at or after a time in ms, false if there is none.
	findTime(p *Partition, ms int64) (offset, at int64, found bool, err error)

	// size returns how many files there are, and their bytes.
	size() (files int, bytes int64)

	retain()  // is called under the journal's mutex, while the archive is in place
	release() // undoes one retain; after the last, the files of the archive may be closed
}

// sealer rewrites full tail files in the background.
type sealer interface {
	// run works until the journal ends. full is told whenever another tail file is full, and at the start.
	run(full <-chan struct{}, stop <-chan struct{})
}

// fullTails returns the tail files that may be sealed, oldest first. A start can do without them: the first frame of the
// file behind each is durable, and has a checkpoint.
func (j *Journal) fullTails() []*tailFile {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for n+1 < len(j.tails) && j.tails[n+1].end > tailHeader {
		n++
	}
	return append([]*tailFile(nil), j.tails[:n]...)
}

// tailFull tells the sealer.
func (j *Journal) tailFull() {
	select {
	case j.fullTail <- struct{}{}:
	default:
	}
}

// scanTail calls each with the entries of a tail file up to the end of a durable frame, in order, with the position of each.
func (j *Journal) scanTail(t *tailFile, end int64, each func(at Position, kind entryKind, body []byte) error) error {
	content, err := t.read(nil)
	if err != nil {
		return err
	}
	var position Position
	for at := int64(tailHeader); at < end; {
		head, frame, ok := readFrame(j.id, t.number, at, content[at:])
		if !ok {
			return &DamageError{File: t.name, Position: position, What: fmt.Sprintf("the frame at %d isn't valid any more", at)}
		}
		position = head.first
		err := eachEntry(frame, func(_ int64, kind entryKind, body []byte) error {
			position++
			return each(position-1, kind, body)
		})
		if err != nil {
			return err
		}
		at += align(head.size())
	}
	return nil
}

// sealedTails puts an archive in place that has all records of the tail files up to a number. The manifest that says so is
// durable. The files are used again once nobody reads them.
func (j *Journal) sealedTails(through uint64, a archive) {
	j.mu.Lock()
	for len(j.tails) > 0 && j.tails[0].number <= through {
		j.retired = append(j.retired, j.tails[0])
		j.recent.drop(j.tails[0])
		j.loaded.drop(j.tails[0])
		j.tails[0].frames = nil
		j.tails = j.tails[1:]
	}
	for _, p := range j.partitions {
		for len(p.runs) > 0 && p.runs[0].tail.number <= through {
			p.unsealed = p.runs[0].end()
			p.runs = p.runs[1:]
		}
	}
	old := j.exchangeArchive(a)
	j.prepare.Signal()
	j.room.Broadcast()
	j.mu.Unlock()
	release(old)
}

// sealedAgain puts an archive in place that has what the one before has.
func (j *Journal) sealedAgain(a *sealedSet) {
	j.mu.Lock()
	old := j.exchangeArchive(a)
	j.mu.Unlock()
	release(old)
}

// release releases an archive, nil if the journal has been closed meanwhile.
func release(a archive) {
	if a != nil {
		a.release()
	}
}

// exchangeArchive takes over the one reference that a begins with, and hands out that of the archive before, which the caller
// releases without the mutex: that may remove files, and so take as long as the disk does.
func (j *Journal) exchangeArchive(a archive) (old archive) {
	old, j.archive = j.archive, a
	return old
}
