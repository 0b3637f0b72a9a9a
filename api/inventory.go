package api

import (
	"context"
	"net/http"

	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/processors"
	"stockflow/views"
)

type inventoryState = inventory.State

func inventoryResource(t *views.Tables) resource[inventoryState] {
	return resource[inventoryState]{
		table: t.Inventory, log: processors.InventoryEvents, path: "/v1/inventory/", what: "SKU",
		known:  func(s inventory.State) bool { return s.Known },
		show:   func(sku string, h codecs.Head, s inventory.State) any { return showInventory(sku, h, s) },
		decode: codecs.DecodeInventoryRow,
	}
}

func (s *Server) inventory(_ context.Context, sku string) (reply, error) { return s.stocks.get(sku) }

func (s *Server) inventoryAt(ctx context.Context, m moment) (reply, error) {
	return past(ctx, s, s.stocks, m)
}

// stock answers receipts and adjustments.
func (s *Server) stock(ctx context.Context, c command) (reply, error) {
	return decide(ctx, s, s.stocks, c, once)
}

// readReceipt reads a receipt. Its Idempotency-Key is its id.
func readReceipt(r *http.Request) (command, error) {
	var m inventory.Receive
	key, keyErr := repeatKey(r)
	m.ID = key
	sku, err := readRow(r, "sku", fields{
		{"quantity", whole(&m.Quantity)}, {"location", text(&m.Location)}, {"reference", text(&m.Reference)},
	}, func() error { return merge(nil, keyErr, renamed(codecs.CheckReceive(m))) })
	if err != nil {
		return command{}, err
	}
	return command{output(processors.InventoryEvents, sku, m, codecs.EncodeInventoryEvent), counted(key)}, nil
}

// readAdjustment reads an adjustment. Its Idempotency-Key is its id.
func readAdjustment(r *http.Request) (command, error) {
	var m inventory.Adjust
	key, keyErr := repeatKey(r)
	m.ID = key
	sku, err := readRow(r, "sku", fields{
		{"quantity", whole(&m.Quantity)}, {"reason", text(&m.Reason)}, {"location", text(&m.Location)},
	}, func() error { return merge(nil, keyErr, renamed(codecs.CheckAdjust(m))) })
	if err != nil {
		return command{}, err
	}
	return command{output(processors.InventoryEvents, sku, m, codecs.EncodeInventoryEvent), counted(key)}, nil
}

// counted is how to find out about a command that counts each time it has no id.
func counted(id string) func(sku string) string {
	return func(sku string) string {
		if id != "" {
			return "Repeat the request with the same Idempotency-Key: it counts once."
		}
		where := resource[inventoryState]{path: "/v1/inventory/"}.where(sku)
		return "Look at GET " + where + " before you repeat it: without an Idempotency-Key it would count twice."
	}
}

// renamed calls the id what the client calls it.
func renamed(invalid codecs.Invalid) error {
	for i := range invalid {
		if invalid[i].Field == "id" {
			invalid[i].Field = keyHeader
		}
	}
	return invalid.Err()
}
