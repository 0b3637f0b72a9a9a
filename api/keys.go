package api

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"stockflow/machines/order"
	"stockflow/views"
)

// A key belongs to the order that was placed with it first. The orders say so themselves: one that has an id of its own
// remembers the key, and one whose id was derived from the key is where that points. So the answers are the same after a
// restart. Only of placements that the view doesn't have yet this process has to know itself: they claim their key.

// recentKeys is how many claims are remembered at least. Most end with their request; those stay of which nobody knows
// what became. Twice that many are at most, some 10 MiB.
const recentKeys = 50_000

// keys are the claims on Idempotency-Keys. The zero value has none. Its methods may be called at once.
type keys struct {
	mu            sync.Mutex // guards what follows, and the claims in it
	recent, older map[uint64]*claim
}

// claim says that placements of an order which the view may not have yet use a key.
type claim struct {
	hash  uint64 // of the key
	order string
	held  int // by so many placements
}

// claim returns the claim on a key. If that is for the order id, the caller holds it too, until it calls end.
func (k *keys) claim(hash uint64, id string) *claim {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := cmp.Or(k.recent[hash], k.older[hash])
	if c == nil {
		if k.recent == nil || len(k.recent) == recentKeys {
			k.older, k.recent = k.recent, map[uint64]*claim{}
		}
		c = &claim{hash: hash, order: id}
		k.recent[hash] = c
	}
	if c.order == id {
		c.held++
	}
	return c
}

// end is for a holder of a claim whose placement didn't get into the log, or can be seen. The last ends the claim. nil is
// none.
func (k *keys) end(c *claim) {
	if c == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.held--; c.held == 0 {
		k.forgetLocked(c)
	}
}

// void ends a claim, whoever holds it.
func (k *keys) void(c *claim) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetLocked(c)
}

// forgetLocked leaves alone a newer claim on the same key. The caller holds mu.
func (k *keys) forgetLocked(c *claim) {
	for _, known := range []map[uint64]*claim{k.recent, k.older} {
		if known[c.hash] == c {
			delete(known, c.hash)
		}
	}
}

// hashOfKey is what an order remembers of an Idempotency-Key. 0 means none.
func hashOfKey(key string) uint64 {
	sum := sha256.Sum256([]byte("stockflow key\x00" + key))
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

// claim claims a key for a placement of the order id, and refuses one that is another order's. There is nothing to claim,
// and the claim is nil, without a key or when the order has the key already. Two requests at once with one key and two
// ids get by only at two processes.
func (s *Server) claim(key, id string) (*claim, error) {
	for key != "" {
		// The claim comes before the look at the view: another claim that ends meanwhile leaves an order to be seen.
		c := s.keys.claim(hashOfKey(key), id)
		owner, err := s.ownerOf(key, id)
		if err == nil && owner == "" && c.order == id {
			return c, nil
		}
		if c.order == id {
			s.keys.end(c)
		}
		switch {
		case err != nil:
			return nil, err
		case owner == id:
			return nil, nil
		case owner != "":
			return nil, conflict(owner)
		}
		if err := s.challenge(c); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// challenge voids a claim whose order can be seen, for that says itself whether the key is its own. One whose order can't
// be seen yet stands.
func (s *Server) challenge(c *claim) error {
	row, err := s.orders.table.Get(c.order)
	switch {
	case err != nil:
		return err
	case row.State.Status == order.None:
		return conflict(c.order)
	}
	s.keys.void(c)
	return nil
}

// ownerOf returns the order that a key belongs to, as far as the view has it, "" if to none. If several have it, as two
// processes can bring about, and id is one of them, it is id: each may be repeated.
func (s *Server) ownerOf(key, id string) (owner string, err error) {
	derived := orderID("", key)
	row, err := s.orders.table.Get(derived)
	if err != nil {
		return "", err
	}
	if row.State.Status != order.None {
		owner = derived
	}
	for after, more := "", owner != id; more; more = after != "" {
		var found []views.Entry[order.State]
		if found, after, err = s.orders.table.List(views.OrdersOf(hashOfKey(key)), after, 2); err != nil {
			return "", err
		}
		for _, o := range found {
			if o.Key == id {
				return id, nil
			}
			owner = cmp.Or(owner, o.Key)
		}
	}
	return owner, nil
}

// conflict says for which order an Idempotency-Key was used.
func conflict(owner string) error {
	return &fault{code: "key_conflict", detail: fmt.Sprintf("Nothing was changed. The Idempotency-Key was used for the order %q.", owner)}
}
