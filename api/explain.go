package api

import (
	"context"
	"net/http"
	"slices"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/replay/history"
	"stockflow/views"
)

// An explanation says of each line of an order what its decision saw, where that stands in the log, and what would have
// been enough. It is read from the same fold that decided.

// explanation is an order with the reasons for what became of it.
type explanation struct {
	OrderID string          `json:"order_id"`
	Status  string          `json:"status"`
	Reason  string          `json:"reason,omitempty"`
	Policy  string          `json:"policy"`
	Placed  logPlace        `json:"placed"`
	Lines   []lineExplained `json:"lines"`
	Version int64           `json:"version"`
}

// logPlace is where a message is.
type logPlace struct {
	Log       string `json:"log"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	At        string `json:"at"`
}

type lineExplained struct {
	SKU       string    `json:"sku"`
	Quantity  int64     `json:"quantity"`
	Status    string    `json:"status"`
	Allocated int64     `json:"allocated"`
	Decision  *decision `json:"decision,omitempty"` // there is none before the request for the units is in the log
	Served    *logPlace `json:"served,omitempty"`   // the message that gave a line its units that had waited for them
	Waits     *wait     `json:"waits,omitempty"`    // of a line that is open
}

// decision is what inventory answered, and the numbers it saw: those before the message at that place.
type decision struct {
	logPlace
	OnHand    int64  `json:"on_hand"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
	Waiting   queued `json:"waiting"`
	Answer    string `json:"answer"` // reserved, refused, queued
	Given     int64  `json:"given"`
	Reason    string `json:"reason,omitempty"`
	Short     int64  `json:"short"`
	Enough    string `json:"enough,omitempty"` // what would have been
}

// queued are those who wait for units of a SKU.
type queued struct {
	Lines int   `json:"lines"`
	Units int64 `json:"units"`
}

// wait is what a line waits for.
type wait struct {
	For        string `json:"for"` // request, decision, answer, units or withdrawal
	Detail     string `json:"detail"`
	Since      string `json:"since"`
	Place      *int   `json:"place,omitempty"` // in the queue, 1 for its head
	LinesAhead *int   `json:"lines_ahead,omitempty"`
	UnitsAhead *int64 `json:"units_ahead,omitempty"`
	Short      *int64 `json:"short,omitempty"` // units to come in until it is served, if nobody ahead leaves the queue
}

// explain answers with an explanation of an order as it is now.
func (s *Server) explain(ctx context.Context, id string) (reply, error) {
	row, err := s.orders.table.Get(id)
	if err != nil {
		return reply{}, err
	}
	if !s.orders.known(row.State) {
		return reply{}, &fault{code: "not_found", detail: "There is no such order."}
	}
	looking, cancel := s.waiting(ctx, lookTimeout)
	defer cancel()
	t, err := s.tell(looking, id, row)
	if err != nil {
		return reply{}, cause(ctx, err)
	}
	return reply{status: http.StatusOK, body: t}, nil
}

// story is what the log of the orders has of an order, up to its row.
type story struct {
	id      string
	placed  history.Step
	asked   map[string]codecs.Origin // by SKU: the request for its units, as an output of the placement
	answers map[string][]history.Step
}

func (s *Server) tell(ctx context.Context, id string, row views.Row[order.State]) (e explanation, err error) {
	now, err := s.history.Ends(ctx)
	if err != nil {
		return e, err
	}
	st := story{id: id, asked: map[string]codecs.Origin{}, answers: map[string][]history.Step{}}
	if err := s.history.Walk(ctx, processors.OrderEvents, id, row.Head.Applied, st.hear); err != nil {
		return e, err
	}
	e = explanation{
		OrderID: id, Status: row.State.Status.String(), Reason: row.State.Reason, Policy: row.State.Policy.String(),
		Placed: placeOf(processors.OrderEvents, st.placed), Lines: []lineExplained{}, Version: row.Head.Applied,
	}
	for _, l := range row.State.Lines {
		line, err := s.explainLine(ctx, st, l, now)
		if err != nil {
			return e, err
		}
		e.Lines = append(e.Lines, line)
	}
	return e, nil
}

// hear takes in what a message did to the order.
func (st *story) hear(step history.Step) error {
	if step.Disposition != engine.Applied {
		return nil
	}
	switch answer := step.Event.(type) {
	case order.Placed:
		for i, o := range step.Outputs {
			if _, asks := o.Event.(inventory.Reserve); asks {
				st.placed = step
				st.asked[o.Key] = codecs.Origin{Log: processors.OrderEvents, Partition: step.Partition, Offset: step.Offset, Index: int32(i)}
			}
		}
	case inventory.Reserved:
		st.answers[answer.SKU] = append(st.answers[answer.SKU], step)
	case inventory.Refused:
		st.answers[answer.SKU] = append(st.answers[answer.SKU], step)
	case inventory.Queued:
		st.answers[answer.SKU] = append(st.answers[answer.SKU], step)
	}
	return nil
}

func placeOf(log string, s history.Step) logPlace {
	return logPlace{log, s.Partition, s.Offset, showTime(s.At)}
}

func (s *Server) explainLine(ctx context.Context, st story, l order.Line, now history.Ends) (lineExplained, error) {
	e := lineExplained{SKU: l.SKU, Quantity: l.Quantity, Status: l.Status.String(), Allocated: l.Allocated()}
	step, found, err := s.decided(ctx, st, l.SKU, now)
	if err != nil {
		return e, err
	}
	if found {
		if e.Decision, err = decisionOf(st.id, l, step); err != nil {
			return e, err
		}
	}
	if answers := st.answers[l.SKU]; len(answers) > 1 && answers[1].Origin != nil {
		served, there, err := s.history.Step(ctx, processors.InventoryEvents, l.SKU, answers[1].Origin.Offset)
		if err != nil {
			return e, err
		}
		if there {
			at := placeOf(processors.InventoryEvents, served)
			e.Served = &at
		}
	}
	e.Waits, err = s.waitOf(st, l, step, found)
	return e, err
}

// decided returns what the request for the units of a line did to the row of their SKU. found is false while it isn't in
// the log.
func (s *Server) decided(ctx context.Context, st story, sku string, now history.Ends) (step history.Step, found bool, err error) {
	offset := int64(-1)
	if answers := st.answers[sku]; len(answers) > 0 && answers[0].Origin != nil {
		offset = answers[0].Origin.Offset
	} else if asked, has := st.asked[sku]; has {
		if _, offset, err = s.history.Landed(ctx, processors.InventoryEvents, sku, asked, now); err != nil {
			return step, false, err
		}
	}
	if offset < 0 {
		return step, false, nil
	}
	return s.history.Step(ctx, processors.InventoryEvents, sku, offset)
}

// decisionOf returns what a message to a SKU decided about a line of an order; nil if it decided nothing.
func decisionOf(id string, l order.Line, step history.Step) (*decision, error) {
	i := slices.IndexFunc(step.Outputs, func(o engine.Output) bool { return o.Key == id })
	if i < 0 {
		return nil, nil
	}
	var saw inventory.State
	if step.Before != nil {
		var err error
		if _, saw, err = codecs.DecodeInventoryRow(step.Before); err != nil {
			return nil, err
		}
	}
	d := &decision{
		logPlace: placeOf(processors.InventoryEvents, step),
		OnHand:   saw.OnHand(), Reserved: saw.Reserved(), Available: saw.Available(), Waiting: queueUpTo(saw, len(saw.Queue)),
	}
	switch answer := step.Outputs[i].Event.(type) {
	case inventory.Reserved:
		d.Answer = "reserved"
		for _, t := range answer.Allocations {
			d.Given += t.Quantity
		}
	case inventory.Refused:
		d.Answer, d.Reason = "refused", answer.Reason
	case inventory.Queued:
		d.Answer = "queued"
	}
	if d.Given < l.Quantity {
		d.Short = max(0, d.Waiting.Units+l.Quantity-d.Available)
		d.Enough = d.enough(l.Quantity)
	}
	return d, nil
}

// queueUpTo counts those who wait, the first n of them.
func queueUpTo(s inventory.State, n int) queued {
	q := queued{Lines: n}
	for _, w := range s.Queue[:n] {
		q.Units += w.Quantity
	}
	return q
}
