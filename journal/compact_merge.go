package journal

import (
	"context"
	"errors"
	"io"
	"slices"

	"stockflow/journal/sealed"
)

// filter returns, for a partition, a function that says which of its records go into a new file. The function is called
// for all of them in order.
type filter func(ctx context.Context, partition uint32) (keep func(sealed.Record) (bool, error), err error)

func keepAll(context.Context, uint32) (func(sealed.Record) (bool, error), error) {
	return func(sealed.Record) (bool, error) { return true, nil }, nil
}

// merge returns what adds the records of some files to one. The files are in the order of their set.
func merge(ctx context.Context, from []*sealedFile, f filter) func(*sealed.Writer) error {
	return func(w *sealed.Writer) error {
		for _, p := range partitionsOf(from) {
			keep, err := f(ctx, p)
			if err != nil {
				return err
			}
			if err := mergePartition(ctx, w, p, from, keep); err != nil {
				return err
			}
		}
		return nil
	}
}

func mergePartition(ctx context.Context, w *sealed.Writer, partition uint32, from []*sealedFile, keep func(sealed.Record) (bool, error)) error {
	for _, file := range from {
		err := file.each(ctx, partition, func(r sealed.Record) error {
			if wanted, err := keep(r); err != nil || !wanted {
				return err
			}
			return w.Add(partition, r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// partitionsOf returns the partitions that some files have records of, in order.
func partitionsOf(all []*sealedFile) (numbers []uint32) {
	for _, f := range all {
		for _, e := range f.reader.Extents() {
			numbers = append(numbers, e.Partition)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// each calls a function for the records of a partition.
func (f *sealedFile) each(ctx context.Context, partition uint32, call func(sealed.Record) error) error {
	for offset := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		rs, err := f.reader.Read(partition, offset)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damageOf(err)
		}
		for _, r := range rs {
			if err := call(r); err != nil {
				return err
			}
		}
		offset = rs[len(rs)-1].Offset + 1
	}
}

// Small files are merged, so that there are few. Files are told apart by tiers: those of one are up to 8 times as large as
// those of the tier below.
const (
	mergeAtOnce = 8
	mergeTiers  = 3       // a file above them is never merged
	lowestTier  = 8 << 20 // up to this a file is of the lowest tier
)

func tierOf(f *sealedFile) int {
	tier := 0
	for limit := int64(lowestTier); f.reader.Size() >= limit && tier < mergeTiers; limit *= mergeAtOnce {
		tier++
	}
	return tier
}

// toMerge returns files, at least two and one behind the other, that are to become one. It returns nil if there are few enough.
// So there are at most 8 of each tier between those that are large enough, and a record is written again once a tier.
func toMerge(all []*sealedFile, usable func(*sealedFile) bool) []*sealedFile {
	for tier := range mergeTiers {
		for _, tables := range []bool{false, true} {
			var run []*sealedFile
			for _, f := range all {
				switch {
				case f.Tables != tables:
				case f.Compacted || !usable(f) || tierOf(f) > tier || f.mostRecords() > compactionKeys/2:
					run = nil
				default:
					run = append(run, f)
				}
				if len(run) == mergeAtOnce {
					return withinBounds(run)
				}
			}
		}
	}
	return nil
}

// mostRecords returns how many records of one partition a file of tables has, at most: compaction wants to remember their keys.
// For logs it is 0.
func (f *sealedFile) mostRecords() (most int64) {
	if !f.Tables {
		return 0
	}
	for _, e := range f.reader.Extents() {
		most = max(most, e.Records)
	}
	return most
}

// withinBounds returns as many of the files, two at least, as don't make too large a file.
func withinBounds(run []*sealedFile) []*sealedFile {
	const limit = lowestTier * mergeAtOnce * mergeAtOnce * 2
	bytes, records := int64(0), int64(0)
	for i, f := range run {
		bytes, records = bytes+f.reader.Size(), records+f.mostRecords()
		if i >= 2 && (bytes > limit || records > compactionKeys) {
			return run[:i]
		}
	}
	return run
}
