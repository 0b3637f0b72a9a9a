package api

import (
	"fmt"
	"slices"

	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/replay/history"
)

// enough says in a sentence what a line would have needed to be given all of its units at once.
func (d *decision) enough(quantity int64) string {
	more := fmt.Sprintf("%s more available", count(d.Short, "unit"))
	switch {
	case d.Reason == inventory.RefusalUnknownSKU && d.Waiting.Lines == 0:
		return fmt.Sprintf("a receipt of %s: none was ever received or counted", count(quantity, "unit"))
	case d.Reason == inventory.RefusalQueueFull:
		return fmt.Sprintf("a place in the queue, which had all its %d taken; to be served at once, %s", d.Waiting.Lines, more)
	case d.Waiting.Lines > 0:
		return fmt.Sprintf("%s: those who waited come first, with %s", more, count(d.Waiting.Units, "unit"))
	case d.Reason == inventory.RefusalHeld:
		return fmt.Sprintf("%s; %s held by other orders", more, isAre(d.Reserved))
	}
	return more
}

// count writes a number of things: "1 unit", "2 units".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func isAre(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return fmt.Sprintf("%d were", n)
}

// What a line can wait for.
const (
	waitsForRequest    = "request"    // for its units to be asked for
	waitsForDecision   = "decision"   // for inventory to come to the request
	waitsForAnswer     = "answer"     // for the order to come to the answer
	waitsForUnits      = "units"      // in the queue
	waitsForWithdrawal = "withdrawal" // for the answer that it has left the queue
)

// waitOf returns what a line waits for, nil if for nothing. step is what became of its request, if that was found.
func (s *Server) waitOf(st story, l order.Line, step history.Step, found bool) (*wait, error) {
	if l.Status != order.LinePending && l.Status != order.LineWaiting && l.Status != order.LineWithdrawing {
		return nil, nil
	}
	stock, err := s.stocks.table.Get(l.SKU)
	if err != nil {
		return nil, err
	}
	switch {
	case !found:
		return &wait{
			For: waitsForRequest, Since: showTime(st.placed.At),
			Detail: fmt.Sprintf("The request for its units is not in %s yet.", processors.InventoryEvents),
		}, nil
	case len(st.answers[l.SKU]) == 0 && (!stock.Found || stock.Head.Applied < step.Offset):
		return &wait{
			For: waitsForDecision, Since: showTime(step.At),
			Detail: fmt.Sprintf("Inventory has not taken in the request, %s/%d/%d.", processors.InventoryEvents, step.Partition, step.Offset),
		}, nil
	case l.Status == order.LineWithdrawing:
		return &wait{For: waitsForWithdrawal, Since: showTime(s.lastOf(st, l.SKU, step)), Detail: "It was asked to leave the queue, and the answer is under way."}, nil
	}
	if w := inQueue(st.id, l, stock.State); w != nil {
		return w, nil
	}
	return &wait{For: waitsForAnswer, Since: showTime(s.lastOf(st, l.SKU, step)), Detail: "Inventory has decided, and the answer is under way."}, nil
}

// lastOf returns when the last was heard of a line.
func (s *Server) lastOf(st story, sku string, step history.Step) int64 {
	if answers := st.answers[sku]; len(answers) > 0 {
		return answers[len(answers)-1].At
	}
	return step.At
}

// inQueue returns how a line stands in the queue of its SKU, nil if it doesn't.
func inQueue(id string, l order.Line, s inventory.State) *wait {
	i := slices.IndexFunc(s.Queue, func(w inventory.Waiting) bool { return w.OrderID == id })
	if i < 0 {
		return nil
	}
	ahead, place := queueUpTo(s, i), i+1
	short := max(0, ahead.Units+l.Quantity-s.Available())
	return &wait{
		For: waitsForUnits, Since: showTime(s.Queue[i].Since), Place: &place, LinesAhead: &ahead.Lines, UnitsAhead: &ahead.Units, Short: &short,
		Detail: fmt.Sprintf("It is number %d in the queue, with %s ahead of it; it is served when so many more are available: %d.",
			place, count(ahead.Units, "unit"), short),
	}
}
