package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stockflow/journal/sealed"
)

// archiver keeps the history in sealed files, in the background: it seals full tail files, compacts tables, and merges small files.
// Each of these writes new files first, which nothing refers to. One durable change of the manifest puts them in the place of the
// old ones, and only then those are removed, or used again. If the process dies in between there are files that no manifest
// names; the next start removes them.
//
// Its fields belong to the goroutine that works, but for what they point to.
type archiver struct {
	j       *Journal
	dir     *sealedDir
	files   []*sealedFile // the archive that is in place
	number  uint64        // of the next file
	strays  []uint64      // files that were there at the start, and that no manifest names
	damaged map[*sealedFile]bool
	worth   int64 // bytes of newer rows from which on it is worth it to compact

	// unfinished is a change of the manifest that failed: nobody knows which manifest the disk has. So the files of both stay, and
	// it is tried again before anything else is done.
	unfinished *piece
}

// piece is a piece of work, and what it is shown as while it fails.
type piece struct {
	kind string
	do   func() error
}

// tidyEvery is how often it is looked whether there is something to compact: rows get old without anything happening.
const tidyEvery = time.Minute

// run works until the journal ends. full is told whenever there is another full tail file.
func (a *archiver) run(full, stop <-chan struct{}) {
	if a.j.options.tidyByHand {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // it ends with this function
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for a.workPatiently(ctx) {
		select {
		case <-full:
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// workPatiently does all there is to do, and tries again what fails. It returns false when the journal ends.
func (a *archiver) workPatiently(ctx context.Context) (ok bool) {
	pause := firstPause
	for {
		did, err := a.step(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			if pause, ok = a.j.pause(pause); !ok {
				return false
			}
		case did:
			pause = firstPause
		default:
			return true
		}
	}
}

// step does the most urgent piece of work, and returns false if there is none.
func (a *archiver) step(ctx context.Context) (did bool, err error) {
	a.removeStrays()
	p := a.next(ctx)
	if p == nil {
		a.j.reportBackground(tidying, nil)
		return false, nil
	}
	if err = p.do(); ctx.Err() == nil {
		a.j.reportBackground(p.kind, err)
	}
	return true, err
}

// next returns the most urgent piece of work, nil if there is none. Full tails come before the rest: appending waits for them.
func (a *archiver) next(ctx context.Context) *piece {
	if a.unfinished != nil {
		return a.unfinished
	}
	if tails := a.j.fullTails(); len(tails) > 0 {
		return &piece{sealing, func() error { return a.sealTail(ctx, tails[0]) }}
	}
	if files, compacted := toCompact(a.files, a.worth, a.passed); len(files) > 0 {
		return &piece{tidying, func() error { return a.compact(ctx, files, compacted) }}
	}
	if files := toMerge(a.files, a.usable); len(files) > 0 {
		return &piece{tidying, func() error { return a.merge(ctx, files) }}
	}
	return nil
}

// removeStrays removes what a process that died has left. What can't be removed takes room, and is left to the next start.
func (a *archiver) removeStrays() {
	for _, n := range a.strays {
		_ = a.dir.fsys.Remove(sealedName(a.dir.dir, n))
	}
	a.strays = nil
}

// usable reports whether a file is known to be whole, as far as it was read.
func (a *archiver) usable(f *sealedFile) bool { return f.reader != nil && !a.damaged[f] }

func (a *archiver) passed(f *sealedFile) bool { return a.usable(f) && a.j.passed(f) }

// sealTail writes what a tail file has into sealed files: one of logs, one of tables.
func (a *archiver) sealTail(ctx context.Context, t *tailFile) error {
	c := contents{j: a.j}
	if err := a.j.scanTail(t, t.end, c.add); err != nil {
		return a.found(err, nil)
	}
	logs, err := a.write(sealedEntry{}, c.fill(ctx, Log))
	if err != nil {
		return err
	}
	tables, err := a.write(sealedEntry{Tables: true}, c.fill(ctx, Table))
	if err != nil {
		a.discard(logs)
		return err
	}
	with := slices.Clone(a.files)
	for _, f := range []*sealedFile{logs, tables} {
		if f != nil {
			with = append(with, f)
		}
	}
	return a.exchange(sealing, with, func(m *manifest) { m.FirstTail = t.number + 1 }, func(s *sealedSet) { a.j.sealedTails(t.number, s) })
}

// compact puts one file of tables in the place of some.
func (a *archiver) compact(ctx context.Context, files []*sealedFile, compacted int) error {
	c := &compaction{files: files, compacted: compacted, followed: a.j.followed, dropped: make(map[uint32]int64)}
	made, err := a.write(sealedEntry{Tables: true, Compacted: true}, merge(ctx, files, c.filter))
	if err != nil {
		return a.found(err, files)
	}
	return a.exchange(tidying, inPlaceOf(a.files, files, made), func(m *manifest) { m.tombstonesGone(c.dropped) }, a.j.sealedAgain)
}

// merge puts one file in the place of some.
func (a *archiver) merge(ctx context.Context, files []*sealedFile) error {
	made, err := a.write(sealedEntry{Tables: files[0].Tables}, merge(ctx, files, keepAll))
	if err != nil {
		return a.found(err, files)
	}
	return a.exchange(tidying, inPlaceOf(a.files, files, made), func(*manifest) {}, a.j.sealedAgain)
}

// inPlaceOf returns all files with one in the place of some.
func inPlaceOf(all, old []*sealedFile, made *sealedFile) []*sealedFile {
	var with []*sealedFile
	for _, f := range all {
		if f == old[0] {
			with = append(with, made)
		}
		if !slices.Contains(old, f) {
			with = append(with, f)
		}
	}
	return with
}

// found sees to it that a damaged file is not tried again and again.
func (a *archiver) found(err error, files []*sealedFile) error {
	var d *DamageError
	if errors.As(err, &d) {
		a.j.reportDamage(err)
		for _, f := range files {
			if f.name == d.File {
				a.damaged[f] = true
			}
		}
	}
	return err
}

// write makes a file of the next number.
func (a *archiver) write(e sealedEntry, fill func(*sealed.Writer) error) (*sealedFile, error) {
	e.Number = a.number
	a.number++
	return a.dir.write(e, fill)
}

func (a *archiver) discard(f *sealedFile) {
	if f != nil {
		a.dir.discard(f)
	}
}

// exchange makes other files the archive: durably in the manifest, where change may change more, then in memory by install. If the
// manifest can't be changed, that is what is unfinished.
func (a *archiver) exchange(kind string, with []*sealedFile, change func(*manifest), install func(*sealedSet)) error {
	if a.j.options.flaws.reuseEarly {
		install(a.dir.set(with))
	}
	a.unfinished = &piece{kind, func() error {
		err := a.j.changeManifest(func(m *manifest) {
			m.Sealed = entriesOf(with)
			change(m)
		})
		if err != nil {
			return fmt.Errorf("change the manifest: %w", err)
		}
		a.unfinished = nil
		a.dir.drop(a.files, with)
		a.files = with
		install(a.dir.set(with))
		return nil
	}}
	return a.unfinished.do()
}

func entriesOf(files []*sealedFile) []sealedEntry {
	entries := make([]sealedEntry, len(files))
	for i, f := range files {
		entries[i] = f.sealedEntry
	}
	return entries
}

// contents are the records of a tail file, by number of their partition, as they are in it.
type contents struct {
	j       *Journal
	records map[uint32][]tailRecord
}

// tailRecord is a record and what follows its head in a tail file.
type tailRecord struct {
	offset, time int64
	flags        byte
	payload      []byte
}

func (c *contents) add(_ Position, kind entryKind, body []byte) error {
	if kind != recordEntry {
		return nil
	}
	d := decoder{b: body}
	var h recordHead
	if h.read(&d); d.failed {
		return errEntry
	}
	if c.records == nil {
		c.records = make(map[uint32][]tailRecord)
	}
	c.records[h.partition] = append(c.records[h.partition], tailRecord{h.offset, h.time, h.flags &^ hasProducer, d.b})
	return nil
}

// fill returns what adds the records of all topics of a kind to a sealed file.
func (c *contents) fill(ctx context.Context, k Kind) func(*sealed.Writer) error {
	return func(w *sealed.Writer) error {
		var data []byte
		for _, p := range c.j.partitionsOf(k) {
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, r := range c.records[p.number] {
				data = append(append(data[:0], r.flags), r.payload...)
				if err := w.Add(p.number, sealed.Record{Offset: r.offset, Time: r.time, Data: data}); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// partitionsOf returns the partitions of all topics of a kind, in order of their numbers.
func (j *Journal) partitionsOf(k Kind) (some []*Partition) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range j.partitions {
		if p.topic.Kind == k {
			some = append(some, p)
		}
	}
	return some
}
