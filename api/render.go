package api

import (
	"encoding/json"

	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/views"
)

// Render returns what GET answers of a row of a table, as JSON; shown is false for a row that is answered with 404, and
// for nil. The tables are those of orders, stock and shipments.
func Render(table, key string, row []byte) (body []byte, shown bool, err error) {
	none := &views.Tables{}
	switch table {
	case processors.OrderTable:
		return render(orderShelf(none), codecs.DecodeOrderRow, key, row)
	case processors.InventoryTable:
		return render(inventoryShelf(none), codecs.DecodeInventoryRow, key, row)
	case processors.ShipmentTable:
		return render(shipmentShelf(none), codecs.DecodeShipmentRow, key, row)
	}
	return nil, false, nil
}

func render[S any](sh shelf[S], decode func([]byte) (codecs.Head, S, error), key string, row []byte) ([]byte, bool, error) {
	if row == nil {
		return nil, false, nil
	}
	head, state, err := decode(row)
	if err != nil || !sh.known(state) {
		return nil, false, err
	}
	body, err := json.Marshal(sh.show(key, head, state))
	return body, true, err
}
