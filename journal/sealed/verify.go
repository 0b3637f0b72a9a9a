package sealed

import "context"

// Verify reads the whole file and checks every CRC in it, that what the index says is what the blocks hold, and that nothing lies
// between them. It uses no cache.
func (r *Reader) Verify(ctx context.Context) error {
	end := int64(headerSize) // of the block before
	for i := range r.entries {
		var err error
		if end, err = r.verifyPartition(ctx, &r.entries[i], end); err != nil {
			return err
		}
	}
	if len(r.entries) > 0 && r.entries[0].list != end || len(r.entries) == 0 && r.footer.directory != end {
		return r.damage(end, "the blocks do not end where the lists begin")
	}
	return nil
}

// verifyPartition checks the blocks of a partition, the first of which begins at start, and returns where the last one ends.
func (r *Reader) verifyPartition(ctx context.Context, e *entry, start int64) (end int64, err error) {
	refs, err := r.readList(e)
	if err != nil {
		return 0, err
	}
	got := Extent{Partition: e.Partition, Blocks: e.Blocks, First: refs[0].first, Last: refs[0].first - 1, Since: refs[0].time, Until: refs[0].time}
	end = start
	for _, ref := range refs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		rs, err := r.block(e, ref)
		if err != nil {
			return 0, err
		}
		if ref.position != end || rs[0].Offset <= got.Last || rs[0].Time < got.Until {
			return 0, r.damage(ref.position, "the block of partition %d, offset %d does not follow the one before", e.Partition, ref.first)
		}
		end += int64(ref.size)
		for _, rec := range rs {
			got.Bytes += int64(len(rec.Data))
		}
		got.Records += int64(len(rs))
		got.Last, got.Until = rs[len(rs)-1].Offset, rs[len(rs)-1].Time
	}
	if got != e.Extent {
		return 0, r.damage(e.list, "the directory says %+v, there is %+v", e.Extent, got)
	}
	return end, nil
}
