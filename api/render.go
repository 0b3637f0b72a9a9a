package api

import (
	"encoding/json"

	"stockflow/processors"
	"stockflow/views"
)

// Render returns what GET answers of a row of a table, as JSON; shown is false for a row that is answered with 404, and
// for nil. The tables are those of orders, stock, shipments and mails.
func Render(table, key string, row []byte) (body []byte, shown bool, err error) {
	none := &views.Tables{}
	switch table {
	case processors.OrderTable:
		return render(orderResource(none), key, row)
	case processors.InventoryTable:
		return render(inventoryResource(none), key, row)
	case processors.ShipmentTable:
		return render(shipmentResource(none), key, row)
	case processors.NotificationTable:
		return render(notificationResource(none), key, row)
	}
	return nil, false, nil
}

func render[S any](sh resource[S], key string, row []byte) ([]byte, bool, error) {
	seen, err := sh.shown(key, row)
	if err != nil || seen == nil {
		return nil, false, err
	}
	body, err := json.Marshal(seen)
	return body, true, err
}
