package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/order"
	"stockflow/processors"
	"stockflow/views"
)

type orderState = order.State

func orderResource(t *views.Tables) resource[orderState] {
	return resource[orderState]{
		table: t.Orders, log: processors.OrderEvents, path: "/v1/orders/", what: "order",
		known:  func(s order.State) bool { return s.Status != order.None },
		show:   func(id string, h codecs.Head, s order.State) any { return showOrder(id, h, s) },
		decode: codecs.DecodeOrderRow,
	}
}

func (s *Server) order(_ context.Context, id string) (reply, error) { return s.orders.get(id) }

func (s *Server) orderAt(ctx context.Context, m moment) (reply, error) {
	return past(ctx, s, s.orders, m)
}

// placement is an order on its way into the log.
type placement struct {
	command
	id     string
	placed order.Placed
	named  bool   // the client chose the id or what it is derived from, so the order may be there already
	key    string // the Idempotency-Key, "" for none
	prefer preference
}

// readPlacement reads an order. Its id is the client's, or derived from the client's Idempotency-Key, so that a
// repeated request is the same order, or else a new one.
func readPlacement(r *http.Request) (placement, error) {
	text, err := body(r)
	if err != nil {
		return placement{}, err
	}
	var b orderBody
	bad, err := fill(text, b.fields())
	if err != nil {
		return placement{}, err
	}
	key, keyErr := repeatKey(r)
	p := placement{named: b.id != "" || key != "", key: key, prefer: parsePrefer(r.Header.Values("Prefer"))}
	p.id = orderID(b.id, key)
	p.placed = b.placed
	if b.id != "" && key != "" {
		p.placed.RepeatKey = hashOfKey(key)
	}
	p.placed.Policy, err = codecs.ParsePolicy(b.policy)
	if err := merge(bad, keyErr, codecs.CheckID("order_id", p.id), err, codecs.CheckPlacement(p.placed).Err()); err != nil {
		return placement{}, err
	}
	p.output = output(processors.OrderEvents, p.id, p.placed, codecs.EncodeOrderEvent)
	p.again = placedOnce
	return p, nil
}

// placedOnce is how to find out about a placement.
func placedOnce(id string) string {
	return fmt.Sprintf("GET %s tells whether it was placed. Or repeat the request with the order_id %q, or with the same "+
		"Idempotency-Key if it had one: the same order is placed once, however often it is sent.", orderPath(id), id)
}

// orderBody is what a body says of an order.
type orderBody struct {
	id, policy string
	placed     order.Placed
	line       order.PlacedLine // that is read
}

func (b *orderBody) fields() fields {
	customer, line := &b.placed.Customer, &b.line
	return fields{
		{"order_id", name(&b.id)},
		{"customer", fields{{"id", text(&customer.ID)}, {"name", text(&customer.Name)}, {"email", text(&customer.Email)}}},
		{"ship_to", text(&b.placed.ShipTo)},
		{"policy", text(&b.policy)},
		{"lines", list(fields{{"sku", text(&line.SKU)}, {"quantity", whole(&line.Quantity)}}, b.addLine)},
	}
}

// addLine takes in the line that was read.
func (b *orderBody) addLine() {
	b.placed.Lines = append(b.placed.Lines, b.line)
	b.line = order.PlacedLine{}
}

// orderID returns the id of an order whose client gave id, or key, or neither.
func orderID(id, key string) string {
	switch {
	case id != "":
		return id
	case key != "":
		sum := sha256.Sum256([]byte("stockflow order\x00" + key))
		return hex.EncodeToString(sum[:16])
	}
	return randomID()
}

// randomID returns an id that nothing else has.
func randomID() string { return strings.ToLower(rand.Text()) }

// place puts an order on the log. It answers as soon as the log has it; or, when the client named the order, when it
// is sure that no other order has the name; or, when the client prefers to wait, when the outcome is known.
func (s *Server) place(ctx context.Context, p placement) (reply, error) {
	claim, err := s.claim(p.key, p.id)
	if err != nil {
		return reply{}, err
	}
	row, err := s.put(ctx, p)
	if !errors.Is(err, errOpen) && !errors.Is(err, engine.ErrUnknown) {
		s.keys.end(claim)
	}
	switch {
	case errors.Is(err, errOpen):
		return p.pending(), nil
	case errors.Is(err, views.ErrOverrun):
		return reply{}, unknown(p.again(p.id), err)
	case err != nil:
		return reply{}, err
	case !p.prefer.given:
		return p.pending(), nil
	}
	return reply{http.StatusCreated, p.header(), showOrder(p.id, row.Head, row.State)}, nil
}

// put puts an order on the log and waits for as much of its row as place answers with. The errors are those of settle
// and of emit.
func (s *Server) put(ctx context.Context, p placement) (row views.Row[orderState], err error) {
	if !p.named && !p.prefer.given {
		_, err = s.emit(ctx, p.command)
		return row, cmp.Or(err, errOpen)
	}
	came := time.Now()
	watch, err := s.orders.table.Watch(p.id)
	if err != nil {
		return row, err
	}
	defer watch.Close()
	at, err := s.emit(ctx, p.command)
	if err != nil {
		return row, err
	}
	taken, cancel := s.waiting(ctx, p.timeout())
	defer cancel()
	row, err = settle(taken, watch, at, once)
	switch {
	case errors.Is(err, errOpen):
		return row, cmp.Or(s.foreseen(p), errOpen)
	case err == nil && p.prefer.given: // the wait began when the request came
		outcome, cancel := s.waiting(ctx, p.prefer.wait-time.Since(came))
		defer cancel()
		return outcomeOf(outcome, watch)
	}
	return row, err
}

// foreseen returns the refusal of a placement that no machine has taken in yet, if the row that can be seen tells: another
// order has the id, and will have it for ever. It is nil while nobody knows.
func (s *Server) foreseen(p placement) error {
	row, err := s.orders.table.Get(p.id)
	if err != nil {
		return nil // the log has the placement all the same
	}
	r := order.Apply(row.State, order.Message{OrderID: p.id, RulesVersion: order.RulesVersion, Event: p.placed})
	if r.Refusal == "" {
		return nil
	}
	return refused(r.Refusal)
}

// outcomeOf waits until the outcome of an order is known.
func outcomeOf(ctx context.Context, w *views.Watch[order.State]) (views.Row[order.State], error) {
	row, err := w.Until(ctx, func(r views.Row[order.State]) bool { return r.State.Status > order.Pending })
	if err != nil {
		err = open(err)
	}
	return row, err
}

// timeout is how long the row may take to take the placement in. A conflict is worth waiting for even if the client
// would rather not.
func (p placement) timeout() time.Duration {
	if p.named {
		return max(decisionTimeout, p.prefer.wait)
	}
	return p.prefer.wait
}

func orderPath(id string) string { return resource[orderState]{path: "/v1/orders/"}.where(id) }

func (p placement) header() headers {
	h := headers{{"Location", orderPath(p.id)}}
	if p.prefer.given {
		h = append(h, headers{{"Preference-Applied", p.prefer.applied()}}...)
	}
	return h
}

// pending is the answer before the outcome is known, or to those who did not ask for it.
func (p placement) pending() reply {
	return reply{http.StatusAccepted, p.header(), placedRow{p.id, order.Pending.String()}}
}

type placedRow struct {
	OrderID string `json:"order_id"`
	Status  string `json:"status"`
}

func readCancel(r *http.Request) (command, error) {
	var cancel order.Cancel
	id, err := readRow(r, "order_id", fields{{"reason", text(&cancel.Reason)}}, func() error { return codecs.CheckCancel(cancel).Err() })
	if err != nil {
		return command{}, err
	}
	return command{output(processors.OrderEvents, id, cancel, codecs.EncodeOrderEvent), idempotent}, nil
}

// idempotent is how to find out about a command that changes nothing the second time.
func idempotent(string) string {
	return "Repeat the request: it is done once, however often it is sent."
}

// cancel cancels an order. While the parcel may be leaving, the shipment has the last word.
func (s *Server) cancel(ctx context.Context, c command) (reply, error) {
	return decide(ctx, s, s.orders, c, func(o order.State) (bool, string) {
		switch o.Status {
		case order.Shipped, order.Delivered:
			return true, order.RefusalAlreadyShipped
		}
		return !o.Cancelling, ""
	})
}
