package journal

import (
	"context"
	"errors"
	"fmt"
)

// Verify reads every checksum of what is durable, in sealed files and tail files, and sees whether a record of a log is missing
// between them. The error has all that was found, each a DamageError, and is told by Health too.
func (j *Journal) Verify(ctx context.Context) error {
	v := j.beginVerify()
	defer v.end()
	err := errors.Join(v.sealedFiles(ctx), v.logs(), v.tailFiles(ctx))
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("verify journal %s: %w", j.dir, err)
	}
	if err != nil {
		err = fmt.Errorf("verify journal %s: %w", j.dir, err)
		j.reportDamage(err)
	}
	return err
}

// verification is of the journal as it was at one moment. Meanwhile none of its files is removed or used again.
type verification struct {
	j        *Journal
	set      *sealedSet
	tails    []tailEnd
	unsealed []partitionEnd // up to where the set has the records
}

// tailEnd is a tail file, up to the end of its last durable frame.
type tailEnd struct {
	tail *tailFile
	end  int64
}

func (j *Journal) beginVerify() *verification {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := &verification{j: j}
	if archive := j.retainArchive(); archive != nil {
		v.set = archive.(*sealedSet)
	}
	for _, t := range j.tails {
		t.readers++
		v.tails = append(v.tails, tailEnd{t, t.end})
	}
	for _, p := range j.partitions {
		v.unsealed = append(v.unsealed, partitionEnd{p, p.unsealed})
	}
	return v
}

func (v *verification) end() {
	if v.set != nil {
		v.set.release()
	}
	v.j.mu.Lock()
	defer v.j.mu.Unlock()
	for _, t := range v.tails {
		t.tail.readers--
	}
	v.j.prepare.Signal() // they may be used again
}

func (v *verification) sealedFiles(ctx context.Context) (found error) {
	if v.set == nil {
		return nil
	}
	for _, f := range v.set.files {
		err := f.err
		if f.reader != nil {
			err = f.reader.Verify(ctx)
		}
		found = errors.Join(found, damageOf(err))
	}
	return found
}

// logs sees whether the sealed files have every record of the logs that isn't in the tail files.
func (v *verification) logs() (found error) {
	for _, u := range v.unsealed {
		if u.partition.topic.Kind == Log && v.set != nil {
			found = errors.Join(found, v.set.whole(u.partition, u.end))
		}
	}
	return found
}

// whole returns an error unless all records of a partition are there before an offset.
func (s *sealedSet) whole(p *Partition, before int64) error {
	next := int64(0)
	for _, f := range s.files {
		if f.reader == nil {
			if f.of(p) {
				return nil // it was told that the file can't be read
			}
			continue
		}
		e, ok := f.reader.Extent(p.number)
		if !ok {
			continue
		}
		if e.First != next || e.Records != e.Last-e.First+1 {
			return &DamageError{File: f.name, What: fmt.Sprintf("it has %d records of %s from %d to %d, %d was next", e.Records, p, e.First, e.Last, next)}
		}
		next = e.Last + 1
	}
	return p.mayLack(next, before, s)
}

func (v *verification) tailFiles(ctx context.Context) (found error) {
	for _, t := range v.tails {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := v.j.scanTail(t.tail, t.end, func(Position, entryKind, []byte) error { return nil })
		found = errors.Join(found, err)
	}
	return found
}
