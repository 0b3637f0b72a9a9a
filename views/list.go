package views

import (
	"container/heap"
	"fmt"

	"stockflow/engine"
)

// What a page costs is bounded by more than its rows.
const (
	// pageMisses is how many rows are looked at that are not in the list: those of the last eighth of StockUpTo, and those
	// that exist for nobody, as a message came to an order or a SKU before it did.
	pageMisses = 1000
	// pageBytes is how many bytes of rows are enough for a page. A row can have 256 KiB, and most have a few hundred bytes.
	pageBytes = 1 << 20
)

// List returns rows of a selection in the order of their keys, from the first after the key after on; "" is before
// them all. There are at most limit, and fewer or even none where a page would cost too much. next is the key after
// which the list goes on, "" if it is over.
//
// A page is as new as anything the table has taken in; each partition is seen at one moment, and different ones at
// different moments. As a key never changes, whoever walks from page to page sees each row that is selected during the
// whole walk exactly once, however long it takes and whatever is written or restarted meanwhile.
//
// The error is an *ErrRecovering when the table can't be read, else something that a row's bytes have at fault.
func (t *Table[S]) List(sel Selection[S], after string, limit int) (page []Entry[S], next string, err error) {
	t.mu.RLock() // until the rows are read, so that no store is closed under them
	defer t.mu.RUnlock()
	if err := t.waitsLocked(); err != nil {
		return nil, "", err
	}
	m, err := t.merge(sel, after)
	defer m.release()
	if err != nil {
		return nil, "", t.unread(err)
	}
	return t.collect(m, sel.match, limit)
}

// collect takes a page from a merge.
func (t *Table[S]) collect(m *merge, match func(S) bool, limit int) (page []Entry[S], last string, err error) {
	size := 0
	for looked := 0; m.Len() > 0; looked++ {
		if len(page) == limit || size >= pageBytes || looked == limit+pageMisses {
			return page, last, nil
		}
		key, data, err := m.next()
		if err != nil {
			return nil, "", t.unread(err)
		}
		head, state, err := t.decode(data)
		if err != nil {
			return nil, "", fmt.Errorf("decoding the row of %q in %s: %w", key, t.name, err)
		}
		if last = key; match == nil || match(state) {
			page = append(page, Entry[S]{key, Row[S]{Head: head, State: state, Found: true}})
			size += len(data)
		}
	}
	return page, "", nil
}

// merge walks over what was found in all partitions, under all terms, in the order of the keys. It is a heap of those
// that have a next key. Each key is there once: it is in one partition, and under one of the terms in its snapshot.
type merge struct {
	snapshots []*engine.Snapshot
	found     []*found // with release
	heap      []*found
}

// found are the rows under one term in one partition.
type found struct {
	*engine.Found
	key string // the next one
}

// merge begins a walk. Its result is to be released, also when there is an error. The caller holds mu, and there are
// partitions.
func (t *Table[S]) merge(sel Selection[S], after string) (*merge, error) {
	m := &merge{}
	for _, p := range t.partitions {
		snapshot, err := p.indexed.Snapshot()
		if err != nil {
			return m, err
		}
		m.snapshots = append(m.snapshots, snapshot)
		for _, f := range sel.find(snapshot, after) {
			m.found = append(m.found, f)
			if f.Next() {
				f.key = f.Key()
				m.heap = append(m.heap, f)
			} else if err := f.Err(); err != nil {
				return m, err
			}
		}
	}
	heap.Init(m)
	return m, nil
}

// find finds what is selected in one partition.
func (sel Selection[S]) find(in *engine.Snapshot, after string) (all []*found) {
	if len(sel.terms) == 0 {
		return []*found{{Found: in.All(sel.prefix, after)}}
	}
	for _, term := range sel.terms {
		all = append(all, &found{Found: in.Find(term, sel.prefix, after)})
	}
	return all
}

// next returns the next key and its row. The caller has seen that there is one.
func (m *merge) next() (key string, row []byte, err error) {
	first := m.heap[0]
	key = first.key
	if row, err = first.Row(); err != nil {
		return key, nil, err
	}
	if first.Next() {
		first.key = first.Key()
		heap.Fix(m, 0)
		return key, row, nil
	}
	heap.Pop(m)
	return key, row, first.Err()
}

func (m *merge) release() {
	for _, f := range m.found {
		f.Release()
	}
	for _, s := range m.snapshots {
		s.Release()
	}
}

// A merge is a heap.Interface over what has a next key.

func (m *merge) Len() int           { return len(m.heap) }
func (m *merge) Less(i, j int) bool { return m.heap[i].key < m.heap[j].key }
func (m *merge) Swap(i, j int)      { m.heap[i], m.heap[j] = m.heap[j], m.heap[i] }

// Push is not used: what has come to its end doesn't come back.
func (m *merge) Push(x any) { m.heap = append(m.heap, x.(*found)) }

// Pop takes out the last.
func (m *merge) Pop() any {
	last := m.heap[len(m.heap)-1]
	m.heap = m.heap[:len(m.heap)-1]
	return last
}
