package api

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"stockflow/processors/order"
	"stockflow/views"
)

// recentKeys is how many Idempotency-Keys are remembered at least, so that those of orders which the view doesn't have
// yet are among them. Twice that many are at most, some 10 MiB.
const recentKeys = 50_000

// keys remembers for which orders the Idempotency-Keys of late were used. The zero value remembers none. Its methods
// may be called at once.
type keys struct {
	mu            sync.Mutex // guards what follows
	recent, older map[uint64]string
}

// claim returns the order that a key was used for, which is id if it was for none.
func (k *keys) claim(key uint64, id string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, known := range []map[uint64]string{k.recent, k.older} {
		if owner, used := known[key]; used {
			return owner
		}
	}
	if k.recent == nil || len(k.recent) == recentKeys {
		k.older, k.recent = k.recent, map[uint64]string{}
	}
	k.recent[key] = id
	return id
}

// hashOfKey is what an order remembers of an Idempotency-Key. 0 means none.
func hashOfKey(key string) uint64 {
	sum := sha256.Sum256([]byte("stockflow key\x00" + key))
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

// claim refuses a key that was used for another order. An order that has an id of its own remembers the key; one
// whose id was derived from the key is where that points. What the view doesn't have yet is known to this process, so
// two requests at once get by only at two processes.
func (s *Server) claim(key, id string) error {
	if key == "" {
		return nil
	}
	hash := hashOfKey(key)
	if derived := orderID("", key); derived != id {
		row, err := s.orders.table.Get(derived)
		if err != nil {
			return err
		}
		if row.State.Status != order.None {
			return conflict(derived)
		}
	}
	for after, more := "", true; more; more = after != "" {
		var others []views.Entry[order.State]
		var err error
		if others, after, err = s.orders.table.List(views.OrdersOf(hash), after, 2); err != nil {
			return err
		}
		for _, other := range others {
			if other.Key != id {
				return conflict(other.Key)
			}
		}
	}
	if owner := s.keys.claim(hash, id); owner != id {
		return conflict(owner)
	}
	return nil
}

// conflict says for which order an Idempotency-Key was used.
func conflict(owner string) error {
	return &fault{code: "key_conflict", detail: fmt.Sprintf("Nothing was changed. The Idempotency-Key was used for the order %q.", owner)}
}
