package cli

import "testing"

// ledger is the month on paper: the rules of the trade in plain maps, written from the book of rules and not from the
// machines. It knows one thing at a time, and everything that follows from it happens at once. What it says and what
// Stockflow says must agree.
type ledger struct {
	stock map[string]*pile // by SKU
	sales map[string]*sale // by order id
}

// pile is the stock of one SKU.
type pile struct {
	sku              string
	known            bool // a receipt or an adjustment was taken
	onHand, reserved int64
	queue            []wish // first in, first out

	received, adjusted, shipped int64 // what flowed, which onHand must add up to
}

// wish is a line that waits.
type wish struct {
	sale  *sale
	units int64
}

// sale is an order.
type sale struct {
	policy, status string
	asked, given   map[string]int64 // units by SKU
	from           []*pile          // that were asked
}

// longestQueue is how many lines may wait for one SKU.
const longestQueue = 1000

func newLedger() *ledger { return &ledger{stock: map[string]*pile{}, sales: map[string]*sale{}} }

func (p *pile) available() int64 { return p.onHand - p.reserved }

// serve gives the first in the queue what they wait for, as long as there is enough for the very first.
func (p *pile) serve() {
	for len(p.queue) > 0 && p.queue[0].units <= p.available() {
		first := p.queue[0]
		p.queue = p.queue[1:]
		first.sale.take(p, first.units)
		if first.sale.complete() {
			first.sale.status = "confirmed"
		}
	}
}

// pile returns the stock of a SKU. Of one that nobody knows there is nothing, but it may be waited for.
func (l *ledger) pile(sku string) *pile {
	if l.stock[sku] == nil {
		l.stock[sku] = &pile{sku: sku}
	}
	return l.stock[sku]
}

func (l *ledger) receive(sku string, units int64) {
	p := l.pile(sku)
	p.known = true
	p.onHand += units
	p.received += units
	p.serve()
}

// adjust returns whether the adjustment was taken: it is not when less would be left than there is reserved, which
// is never less than nothing.
func (l *ledger) adjust(sku string, units int64) bool {
	p := l.pile(sku)
	if p.onHand+units < p.reserved {
		return false
	}
	p.known = true
	p.onHand += units
	p.adjusted += units
	p.serve()
	return true
}

// place decides an order whose lines ask for units by SKU.
func (l *ledger) place(id, policy string, asked map[string]int64) *sale {
	s := &sale{policy: policy, asked: asked, given: map[string]int64{}}
	l.sales[id] = s
	refused := 0
	for sku, units := range asked {
		if !s.ask(l.pile(sku), units) {
			refused++
		}
	}
	switch {
	case policy == "partial" && refused == len(asked), policy != "partial" && refused > 0:
		s.status = "rejected"
		s.giveBack()
	case policy == "backorder" && !s.complete():
		s.status = "backordered"
	default:
		s.status = "confirmed"
	}
	return s
}

// ask returns false when the line is refused: it was given nothing and doesn't wait either. While others wait, no
// newcomer is given anything.
func (s *sale) ask(p *pile, units int64) bool {
	s.from = append(s.from, p)
	free := p.available()
	if len(p.queue) > 0 {
		free = 0
	}
	switch {
	case units <= free:
		s.take(p, units)
	case s.policy == "partial" && free > 0:
		s.take(p, free)
	case s.policy == "backorder" && len(p.queue) < longestQueue:
		p.queue = append(p.queue, wish{s, units})
	default:
		return false
	}
	return true
}

func (s *sale) take(p *pile, units int64) {
	p.reserved += units
	s.given[p.sku] += units
}

func (s *sale) complete() bool {
	for sku, units := range s.asked {
		if s.given[sku] < units {
			return false
		}
	}
	return true
}

// giveBack leaves every queue and returns every unit, to whoever waits for it.
func (s *sale) giveBack() {
	for _, p := range s.from {
		var others []wish
		for _, w := range p.queue {
			if w.sale != s {
				others = append(others, w)
			}
		}
		p.queue = others
		p.reserved -= s.given[p.sku]
		delete(s.given, p.sku)
		p.serve()
	}
}

// dispatch takes the units of a confirmed order out of the house.
func (l *ledger) dispatch(id string) {
	s := l.sales[id]
	s.status = "shipped"
	for sku, units := range s.given {
		p := l.stock[sku]
		p.onHand -= units
		p.reserved -= units
		p.shipped += units
	}
}

// outcomes counts the orders by status.
func (l *ledger) outcomes() map[string]int {
	count := map[string]int{}
	for _, s := range l.sales {
		count[s.status]++
	}
	return count
}

// TestTheLedgerKnowsTheRules is the book of rules, one sentence a row: the ledger would be no judge without it.
func TestTheLedgerKnowsTheRules(t *testing.T) {
	type lines = map[string]int64
	for _, c := range []struct {
		rule, policy string
		lines        lines
		status       string
		lamp, desk   int64 // reserved afterwards
	}{
		{"enough for all", "all_or_nothing", lines{"lamp": 5, "desk": 1}, "confirmed", 5, 1},
		{"a rejection gives back what was reserved", "all_or_nothing", lines{"lamp": 5, "desk": 2}, "rejected", 0, 0},
		{"each line what there is", "partial", lines{"lamp": 9, "desk": 2, "door": 1}, "confirmed", 5, 1},
		{"nothing at all", "partial", lines{"door": 1}, "rejected", 0, 0},
		{"a line may wait", "backorder", lines{"lamp": 5, "desk": 2}, "backordered", 5, 0},
		{"what nobody knows is not there", "all_or_nothing", lines{"lamp": 5, "door": 1}, "rejected", 0, 0},
		{"and may be waited for", "backorder", lines{"lamp": 5, "door": 1}, "backordered", 5, 0},
	} {
		l := newLedger()
		l.receive("lamp", 5)
		l.receive("desk", 1)
		s := l.place("o", c.policy, c.lines)
		if lamp, desk := l.stock["lamp"].reserved, l.stock["desk"].reserved; s.status != c.status || lamp != c.lamp || desk != c.desk {
			t.Errorf("%s: %s with %d lamps and %d desks reserved, expected %s with %d and %d", c.rule, s.status, lamp, desk, c.status, c.lamp, c.desk)
		}
	}
}

// TestTheLedgerServesItsQueueInOrder is the rest of the rules: the queue, and what an adjustment may do.
func TestTheLedgerServesItsQueueInOrder(t *testing.T) {
	l := newLedger()
	l.receive("lamp", 1)
	first := l.place("first", "backorder", map[string]int64{"lamp": 3})
	second := l.place("second", "backorder", map[string]int64{"lamp": 1})
	newcomer := l.place("newcomer", "partial", map[string]int64{"lamp": 1})
	l.receive("lamp", 1)
	if got := first.status + second.status + newcomer.status; got != "backorderedbackorderedrejected" {
		t.Errorf("with 2 there and 3 wanted first, the orders are %s", got)
	}
	if !l.adjust("lamp", 1) || first.status != "confirmed" || second.status != "backordered" {
		t.Errorf("with 3 there, the orders are %s and %s", first.status, second.status)
	}
	if l.adjust("lamp", -1) || l.adjust("door", -1) || l.pile("door").known {
		t.Error("an adjustment took what is reserved, or what was never there")
	}
	l.dispatch("first")
	if p := l.stock["lamp"]; p.onHand != 0 || p.reserved != 0 || p.received+p.adjusted-p.shipped != p.onHand {
		t.Errorf("after the dispatch the stock is %+v", *p)
	}
}
