package codecs

import (
	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
)

// EncodeInventoryRow returns a row of inventory-table. The largest legal one is under 256 KiB.
func EncodeInventoryRow(h Head, s inventory.State) []byte {
	m := wire.InventoryRowFromVTPool()
	m.Known = s.Known
	m.Received, m.Adjusted, m.Shipped = s.Received, s.Adjusted, s.Shipped
	for _, l := range s.Locations {
		stock := next(&m.Locations)
		stock.Location, stock.OnHand, stock.Reserved = l.Location, l.OnHand, l.Reserved
	}
	for _, w := range s.Queue {
		waiting := next(&m.Queue)
		waiting.OrderId, waiting.Quantity, waiting.Since = w.OrderID, w.Quantity, w.Since
	}
	for _, r := range s.Remembered {
		remembered := next(&m.Remembered)
		remembered.Id, remembered.Content = r.ID, r.Content
	}
	return encodeRow(h, m)
}

// DecodeInventoryRow reads a row of inventory-table.
func DecodeInventoryRow(row []byte) (Head, inventory.State, error) {
	return decodeRow(row, wire.InventoryRowFromVTPool(), inventoryState)
}

func inventoryState(m *wire.InventoryRow) (inventory.State, error) {
	return inventory.State{Known: m.Known,
		Locations:  stocks(m.Locations),
		Queue:      queue(m.Queue),
		Remembered: remembered(m.Remembered),
		Received:   m.Received, Adjusted: m.Adjusted, Shipped: m.Shipped,
	}, nil
}

func stocks(list []*wire.Stock) []inventory.Stock {
	if len(list) == 0 {
		return nil
	}
	stocks := make([]inventory.Stock, len(list))
	for i, l := range list {
		stocks[i] = inventory.Stock{Location: l.Location, OnHand: l.OnHand, Reserved: l.Reserved}
	}
	return stocks
}

func queue(list []*wire.Waiting) []inventory.Waiting {
	if len(list) == 0 {
		return nil
	}
	queue := make([]inventory.Waiting, len(list))
	for i, w := range list {
		queue[i] = inventory.Waiting{OrderID: w.OrderId, Quantity: w.Quantity, Since: w.Since}
	}
	return queue
}

func remembered(list []*wire.Remembered) []inventory.Remembered {
	if len(list) == 0 {
		return nil
	}
	remembered := make([]inventory.Remembered, len(list))
	for i, r := range list {
		remembered[i] = inventory.Remembered{ID: r.Id, Content: r.Content}
	}
	return remembered
}
