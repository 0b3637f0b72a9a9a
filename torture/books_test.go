package torture

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
)

// books are what clients were told, by whoever answered. They may be used by many goroutines at once.
type books struct {
	mu       sync.Mutex // guards what follows
	orders   map[string]told
	moves    map[string]move  // receipts and adjustments that were answered, by id
	versions map[string]int64 // the highest that was seen, by path
	wrong    []string
	answers  map[string]int // how many there were, by what was asked and the status
}

// told is what the client of an order knows of it.
type told struct {
	status string // the last
	placed uint64 // a checksum of what was asked for
}

// move is a receipt or an adjustment.
type move struct {
	sku   string
	units int64
	taken bool
	sent  int // how often
}

func newBooks() *books {
	return &books{orders: map[string]told{}, moves: map[string]move{}, versions: map[string]int64{}, answers: map[string]int{}}
}

// wrongf notes an answer that nobody should ever get.
func (b *books) wrongf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) <= enough {
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
}

// tell notes what a client was told of an order. The first time it says what was asked for.
func (b *books) tell(id, status string, placed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.orders[id]
	if before.status != "" && placed != 0 && before.placed != placed {
		b.wrong = append(b.wrong, fmt.Sprintf("order %s is the answer to two different placements", id))
	}
	if placed == 0 {
		placed = before.placed
	}
	if before.status != "" && status == "pending" {
		status = before.status // a retry is answered without a look at the outcome
	}
	// Of two answers at once either may come first.
	if before.status != "" && !mayFollow(before.status, status) && !mayFollow(status, before.status) {
		b.wrong = append(b.wrong, fmt.Sprintf("order %s is %s, and was %s", id, status, before.status))
	}
	b.orders[id] = told{status, placed}
}

// moved notes what a client was told of a receipt or an adjustment.
func (b *books) moved(id string, m move) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moves[id] = m
}

// floor returns the highest version of a row that anybody was answered with.
func (b *books) floor(path string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.versions[path]
}

// saw notes the version of a row in an answer to a request that was sent when floor was the highest.
func (b *books) saw(path string, version, floor int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.versions[path] = max(b.versions[path], version)
	if version < floor {
		b.wrong = append(b.wrong, fmt.Sprintf("%s has gone back from version %d to %d", path, floor, version))
	}
}

func (b *books) answered(what string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[fmt.Sprintf("%s %d", what, status)]++
}

func (b *books) placed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.orders)
}

// summary says how often what was answered.
func (b *books) summary() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(b.answers)) {
		all = append(all, fmt.Sprintf("%s: %d", what, b.answers[what]))
	}
	return strings.Join(all, ", ")
}

// compare holds the books against the ledger: every order and every movement of stock that was told of is there once,
// as it was told, and there are no others. unsure are movements that were refused and may have been taken later.
func (b *books) compare(l *ledger, unsure func(move) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		l.addf("a client was told: %s", w)
	}
	for id, t := range b.orders {
		o, there := l.orders[id]
		switch {
		case !there:
			l.addf("order %s was acknowledged as %s, and isn't there", id, t.status)
		case o.status == "pending" || !mayFollow(t.status, o.status):
			l.addf("order %s was acknowledged as %s, and is %s", id, t.status, o.status)
		case t.placed != o.placed:
			l.addf("order %s isn't what was ordered", id)
		}
	}
	for id := range l.orders {
		if _, known := b.orders[id]; !known {
			l.addf("there is an order %s that no client placed", id)
		}
	}
	for id, m := range b.moves {
		want := m.units
		if !m.taken {
			want = 0
		}
		if got := l.counted[id]; got != want && (m.taken || !unsure(m)) {
			l.addf("the movement %s of %d units of %s (taken: %t) counted %d", id, m.units, m.sku, m.taken, got)
		}
	}
	for id := range l.counted {
		if _, known := b.moves[id]; !known {
			l.addf("a movement %q counted that no client sent", id)
		}
	}
}

// mayFollow reports whether an order of which a client was told one status may have the other in the end.
func mayFollow(told, now string) bool {
	next := map[string]string{
		"pending":     "pending confirmed backordered rejected shipped delivered cancelled",
		"confirmed":   "confirmed shipped delivered cancelled",
		"backordered": "backordered confirmed shipped delivered cancelled",
		"rejected":    "rejected",
		"shipped":     "shipped delivered",
		"delivered":   "delivered",
		"cancelled":   "cancelled",
	}
	return slices.Contains(strings.Fields(next[told]), now)
}

// placedSum is a checksum of a placement, from either end.
func placedSum(policy string, units map[string]int64) uint64 {
	text := policy
	for _, sku := range slices.Sorted(maps.Keys(units)) {
		text += fmt.Sprintf(" %s %d", sku, units[sku])
	}
	return sumOf(text)
}

func sumOf(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // it never fails
	return max(h.Sum64(), 1)
}
