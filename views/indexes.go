package views

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// Selection says which rows of a table a list has. The zero Selection has them all.
type Selection[S any] struct {
	terms  []string     // the rows that are found under any of these; none is found under two of them. Without, all rows
	prefix string       // of the key
	match  func(S) bool // nil matches all
}

// index is an index of a table.
type index[S any] struct {
	version string // a new one whenever terms or holds means something else
	terms   func(S) []string
	// holds are the first bytes of the terms whose entries hold their rows: a page then costs the same however many rows
	// there are. It is for rows that are listed more than they change; ADR 0011 has what it costs.
	holds string
}

// The first byte of a term says what the rest of it is.
const (
	termStatus         = "s" // a status
	termCustomer       = "c" // a customer's id
	termCustomerStatus = "b" // a status and a customer's id
	termRepeatKey      = "r" // an Idempotency-Key's hash
	termOctave         = "o" // an octave of quantities
	termEighth         = "e" // an octave and an eighth of it
)

// orderIndex has a term for each combination of filters, so that none is looked for among the rows of another.
var orderIndex = index[order.State]{version: "orders 3", holds: termStatus + termCustomer + termCustomerStatus, terms: func(s order.State) []string {
	if s.Status == order.None {
		return nil
	}
	terms := []string{termStatus + char(s.Status)}
	if id := s.Customer.ID; id != "" {
		terms = append(terms, termCustomer+id, termCustomerStatus+char(s.Status)+id)
	}
	if s.RepeatKey != 0 {
		terms = append(terms, termRepeatKey+hashed(s.RepeatKey))
	}
	return terms
}}

// Orders selects the orders of a status and of a customer; order.None and "" are all of them.
func Orders(status order.Status, customer string) Selection[order.State] {
	switch {
	case status != order.None && customer != "":
		return under[order.State](termCustomerStatus + char(status) + customer)
	case status != order.None:
		return under[order.State](termStatus + char(status))
	case customer != "":
		return under[order.State](termCustomer + customer)
	}
	return Selection[order.State]{match: func(s order.State) bool { return s.Status != order.None }}
}

// OrdersOf selects the orders that have an id and were sent with an Idempotency-Key too, by order.State.RepeatKey.
func OrdersOf(repeatKey uint64) Selection[order.State] {
	return under[order.State](termRepeatKey + hashed(repeatKey))
}

// hashed writes a hash as the bytes of a term.
func hashed(hash uint64) string { return string(binary.BigEndian.AppendUint64(nil, hash)) }

var shipmentIndex = index[shipment.State]{version: "shipments 2", holds: termStatus, terms: func(s shipment.State) []string {
	if s.Status == shipment.None {
		return nil
	}
	return []string{termStatus + char(s.Status)}
}}

// Shipments selects the shipments of a status; shipment.None is all of them.
func Shipments(status shipment.Status) Selection[shipment.State] {
	if status == shipment.None {
		return Selection[shipment.State]{match: func(s shipment.State) bool { return s.Status != shipment.None }}
	}
	return under[shipment.State](termStatus + char(status))
}

// mailIndex finds an order's mails under each status that one of them has.
var mailIndex = index[notification.State]{version: "mails 1", terms: func(s notification.State) (terms []string) {
	for _, status := range notification.Statuses {
		if s.Has(status) {
			terms = append(terms, termStatus+char(status))
		}
	}
	return terms
}}

// Mails selects the rows with at least one mail of a status; 0 is all that have mails.
func Mails(status notification.Status) Selection[notification.State] {
	if status == 0 {
		return Selection[notification.State]{match: func(s notification.State) bool { return len(s.Mails) > 0 }}
	}
	return under[notification.State](termStatus + char(status))
}

// stockIndex sorts SKUs by how much is available, coarsely, as a list of those with little is to be in the order of SKUs:
// it is merged from the octaves below the most that is asked for, and from the eighths of the octave which that is in.
// Only the last eighth has rows with more, never more than an eighth more; and none if less than 16 is asked for.
// Most changes of a quantity leave its octave and eighth as they are, and so the index.
var stockIndex = index[inventory.State]{version: "stock 1", terms: func(s inventory.State) []string {
	if !s.Known {
		return nil
	}
	octave, eighth := octaveOf(s.Available())
	return []string{termOctave + char(octave), termEighth + char(octave) + char(eighth)}
}}

// octaveOf returns the number of bits of a quantity, and the three that follow the first of them.
func octaveOf(quantity int64) (octave, eighth int) {
	n := uint64(max(quantity, 0))
	octave = bits.Len64(n)
	return octave, int(n << (64 - octave) << 1 >> 61)
}

// Stock selects the SKUs that begin with prefix.
func Stock(prefix string) Selection[inventory.State] {
	return Selection[inventory.State]{prefix: prefix, match: func(s inventory.State) bool { return s.Known }}
}

// StockUpTo selects the SKUs that begin with prefix and of which at most so many units are available.
func StockUpTo(prefix string, available int64) Selection[inventory.State] {
	if available >= inventory.MaxOnHand {
		return Stock(prefix)
	}
	s := Selection[inventory.State]{prefix: prefix}
	octave, eighth := octaveOf(available)
	for o := range octave {
		s.terms = append(s.terms, termOctave+char(o))
	}
	for e := range eighth + 1 {
		s.terms = append(s.terms, termEighth+char(octave)+char(e))
	}
	s.match = func(s inventory.State) bool { return s.Available() <= available }
	return s
}

func under[S any](term string) Selection[S] { return Selection[S]{terms: []string{term}} }

// char writes a small number as a byte of a term.
func char[N ~uint8 | ~int](n N) string { return string([]byte{byte(n)}) }

// storeIndex is the table's index as its stores have it: of bytes, before they are decoded. What doesn't decode is
// found under nothing; it doesn't get into the table either.
func (t *Table[S]) storeIndex() engine.Index {
	if t.index.terms == nil {
		return engine.Index{}
	}
	terms := func(_ string, row []byte) []string {
		_, state, err := t.decode(row)
		if err != nil {
			return nil
		}
		return t.index.terms(state)
	}
	holds := func(term string) bool { return strings.IndexByte(t.index.holds, term[0]) >= 0 }
	return engine.Index{Version: t.index.version, Terms: terms, Holds: holds}
}
