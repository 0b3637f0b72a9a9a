package engine

import (
	"fmt"
	"strconv"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
)

// flushLoop writes batches until the store is closed. A store without changes does nothing.
func (s *Store) flushLoop() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.begun:
		}
		age := time.NewTimer(batchAge)
		select {
		case <-s.stop:
		case <-s.full:
		case <-age.C:
		}
		age.Stop()
		if err := s.flush(); err != nil {
			s.onError(err)
		}
	}
}

// flush writes what is pending in one batch. If the process dies before or after, the disk is a prefix of the
// changelog: the shorter or the longer one.
func (s *Store) flush() error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	if len(s.pending) == 0 || s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	size := s.bytes
	s.flushing, s.pending, s.bytes = s.pending, map[string][]byte{}, 0
	offset := s.offset
	if s.pins > 0 {
		offset = noOffset
	}
	s.mu.Unlock()

	err := s.sync()
	var batch *leveldb.Batch
	if err == nil {
		batch, err = s.batchOf(s.flushing, size, offset)
	}
	if err == nil {
		flushBegins()
		err = s.commit(batch)
		flushEnds()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = fmt.Errorf("writing to the store %s: %w", s.dir, err)
		return s.failed // flushing stays readable
	}
	if !s.owned {
		s.flushing = nil
	}
	return nil
}

// commit writes a batch. A compaction that meets damage has goleveldb refuse every write from then on, with that error; no
// read may ever come to the place.
func (s *Store) commit(b *leveldb.Batch) error { return s.damaged(s.db.Write(b, nil)) }

// batchOf returns what makes of the rows on disk those that are given, which are of that size roughly, and their entries in
// the index with them.
func (s *Store) batchOf(rows map[string][]byte, size int, offset int64) (*leveldb.Batch, error) {
	b := leveldb.MakeBatch(size)
	var key []byte
	for k, v := range rows {
		if err := s.indexed(b, k, v); err != nil {
			return nil, err
		}
		key = append(append(key[:0], rowPrefix...), k...) // which the batch copies
		if v == nil {
			b.Delete(key)
			continue
		}
		b.Put(key, v)
	}
	if offset != noOffset {
		b.Put([]byte(offsetKey), strconv.AppendInt(nil, offset, 10))
	}
	return b, nil
}
