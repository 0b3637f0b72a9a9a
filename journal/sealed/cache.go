package sealed

import (
	"container/list"
	"sync"
)

// Cache keeps the lists of blocks that were used last, of all readers that share it. Its methods may be called at once.
type Cache struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	items map[cacheKey]*list.Element // of *cached
	order *list.List                 // used last first
}

type cacheKey struct {
	reader    *Reader
	partition uint32
}

type cached struct {
	key  cacheKey
	refs []blockRef
}

const refMemory = 32 // bytes that a blockRef takes

func (c *cached) bytes() int64 { return int64(len(c.refs))*refMemory + 256 }

// NewCache returns a cache that takes about as many bytes, and one list more.
func NewCache(bytes int64) *Cache {
	return &Cache{limit: bytes, items: map[cacheKey]*list.Element{}, order: list.New()}
}

func (c *Cache) get(k cacheKey) ([]blockRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).refs, true
}

func (c *Cache) put(k cacheKey, refs []blockRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok { // two readers of the list met
		return
	}
	item := &cached{k, refs}
	c.items[k] = c.order.PushFront(item)
	c.bytes += item.bytes()
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.remove(c.order.Back())
	}
}

// forget drops all lists of a reader.
func (c *Cache) forget(r *Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range r.entries {
		if item, ok := c.items[cacheKey{r, e.Partition}]; ok {
			c.remove(item)
		}
	}
}

func (c *Cache) remove(e *list.Element) {
	item := c.order.Remove(e).(*cached)
	delete(c.items, item.key)
	c.bytes -= item.bytes()
}
