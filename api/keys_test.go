package api

import (
	"fmt"
	"testing"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/views"
)

// TestAClaimLastsAsLongAsAnyPlacementHoldsIt, or one that fails would open the key to others while another is under way.
func TestAClaimLastsAsLongAsAnyPlacementHoldsIt(t *testing.T) {
	var k keys
	first, second := k.claim(1, "a"), k.claim(1, "a")
	k.end(first)
	if c := k.claim(1, "b"); c.order != "a" {
		t.Errorf("while a placement holds the key for a, it is claimed for %s", c.order)
	}
	k.end(second)
	third := k.claim(1, "b")
	if third.order != "b" {
		t.Errorf("when nobody holds the key, it is claimed for %s", third.order)
	}
	k.void(first) // which has ended
	if c := k.claim(1, "c"); c.order != "b" {
		t.Errorf("with what is no more a claim, another one went")
	}
}

// TestOldClaimsGiveWayToNewerOnes, so that what is remembered stays bounded.
func TestOldClaimsGiveWayToNewerOnes(t *testing.T) {
	var k keys
	for hash := range uint64(2*recentKeys + 1) {
		k.claim(hash, "a")
	}
	if n := len(k.recent) + len(k.older); n > 2*recentKeys {
		t.Errorf("%d claims are remembered", n)
	}
	for hash, want := range map[uint64]string{0: "b", recentKeys: "a", 2 * recentKeys: "a"} {
		if c := k.claim(hash, "b"); c.order != want {
			t.Errorf("the key %d is claimed for %s, expected %s", hash, c.order, want)
		}
	}
}

// TestAKeyIsClaimedForWhatMayHaveBeenWritten, and for nothing else: not for a placement that was certainly not written,
// and not once the order can be seen and has another key.
func TestAKeyIsClaimedForWhatMayHaveBeenWritten(t *testing.T) {
	g := newGallery(t, nil)
	place := func(key, id string, written error, status int, code string) {
		t.Helper()
		g.log.mu.Lock()
		g.log.err = written
		g.log.mu.Unlock()
		body := fmt.Sprintf(`{"order_id":%q,"lines":[{"sku":"lamp","quantity":2}]}`, id)
		wantProblem(t, g.send("POST", "/v1/orders", body, keyHeader+": "+key), status, code)
	}
	place("k-1", "o-1", engine.ErrUnreachable, 503, "log_unreachable")
	place("k-1", "o-2", engine.ErrUnknown, 503, "outcome_unknown")
	place("k-1", "o-1", engine.ErrUnreachable, 409, "key_conflict")
	place("k-1", "o-2", engine.ErrUnreachable, 503, "log_unreachable") // which says nothing about the first time
	place("k-1", "o-1", engine.ErrUnreachable, 409, "key_conflict")

	watch, err := g.tables.Orders.Watch("o-2")
	must(t, err)
	defer watch.Close()
	row := codecs.EncodeOrderRow(codecs.Head{Applied: 1}, order.State{Status: order.Pending, RepeatKey: hashOfKey("k-2")})
	g.put(processors.OrderTable, "o-2", row)
	_, err = watch.Until(t.Context(), func(r views.Row[order.State]) bool { return r.Found })
	must(t, err)
	place("k-1", "o-1", engine.ErrUnknown, 503, "outcome_unknown")
	place("k-1", "o-2", engine.ErrUnknown, 409, "key_conflict")

	g.keys.claim(hashOfKey("k-2"), "o-1") // by somebody who is about to be told that it is the key of o-2
	place("k-2", "o-2", engine.ErrUnreachable, 503, "log_unreachable")
	place("k-2", "o-3", engine.ErrUnreachable, 409, "key_conflict")
}
