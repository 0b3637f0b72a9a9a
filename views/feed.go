package views

import (
	"sync"

	"stockflow/broker"
)

// feed tells of every row that comes in.
type feed struct {
	mu        sync.RWMutex // guards what follows
	listeners []func(arrival)
}

// arrival is a row that came in, and from where in the changelog.
type arrival struct {
	key       string
	partition int32
	offset    int64
	row       []byte // nil if it was older than the one that was there, which stayed
}

func (f *feed) tell(a arrival) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, told := range f.listeners {
		told(a)
	}
}

// listen has told called with every row that comes in from now on, after it is in its place, and maybe again when the
// table is opened again. It is called from the goroutines that follow the changelog, which stand still for as long,
// so it must neither block nor keep the row's bytes. It can't be taken back.
func (f *feed) listen(told func(arrival)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners = append(f.listeners, told)
}

// Subscribe has told called with the key of every row that comes in from now on, after the row is in its place: who
// then asks for it gets it or a newer one. It is called from the goroutines that follow the changelog, which stand
// still for as long, so it must not block. It can't be taken back.
func (t *Table[S]) Subscribe(told func(key string)) {
	t.feed.listen(func(a arrival) { told(a.key) })
}

// Entry is a row and its key.
type Entry[S any] struct {
	Key string
	Row Row[S]
}

// Partition returns the partition that a key is on, -1 while the table can't be read.
func (t *Table[S]) Partition(key string) int32 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.waitsLocked() != nil {
		return -1
	}
	return broker.Partition([]byte(key), int32(len(t.partitions)))
}
