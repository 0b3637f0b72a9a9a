package api

import (
	"time"

	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// The rows as clients see them. They are a contract: fields may be added, and never change or go.

type orderRow struct {
	OrderID  string       `json:"order_id"`
	Status   string       `json:"status"`
	Reason   string       `json:"reason,omitempty"`
	Policy   string       `json:"policy"`
	Customer customerJSON `json:"customer"`
	Lines    []orderLine  `json:"lines"`
	History  []change     `json:"history"`
	Version  int64        `json:"version"`
}

type customerJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

type orderLine struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	Status    string `json:"status"`
	Allocated int64  `json:"allocated"`
	Available *int64 `json:"available,omitempty"` // there only for a line that was given less than it asked for
	Reason    string `json:"reason,omitempty"`
}

type change struct {
	Status string `json:"status"`
	At     string `json:"at"`
}

func showOrder(id string, head codecs.Head, s order.State) orderRow {
	row := orderRow{
		OrderID: id, Status: s.Status.String(), Reason: s.Reason, Policy: s.Policy.String(),
		Customer: customerJSON(s.Customer),
		Lines:    []orderLine{}, History: []change{}, Version: head.Applied,
	}
	for _, l := range s.Lines {
		row.Lines = append(row.Lines, showLine(l))
	}
	for _, c := range s.History {
		row.History = append(row.History, change{c.Status.String(), showTime(c.At)})
	}
	return row
}

func showLine(l order.Line) orderLine {
	line := orderLine{SKU: l.SKU, Quantity: l.Quantity, Status: l.Status.String(), Allocated: l.Allocated(), Reason: l.Reason}
	if l.Available > 0 || l.Status == order.LineRefused {
		line.Available = &l.Available
	}
	return line
}

// showTime writes a LogAppendTime: RFC 3339, in UTC, always with milliseconds.
func showTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

type inventoryRow struct {
	SKU       string     `json:"sku"`
	OnHand    int64      `json:"on_hand"`
	Reserved  int64      `json:"reserved"`
	Available int64      `json:"available"`
	Locations []location `json:"locations"`
	Version   int64      `json:"version"`
}

type location struct {
	Location  string `json:"location"`
	OnHand    int64  `json:"on_hand"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
}

func showInventory(sku string, head codecs.Head, s inventory.State) inventoryRow {
	row := inventoryRow{SKU: sku, Locations: []location{}, Version: head.Applied}
	for _, l := range s.Locations {
		row.OnHand += l.OnHand
		row.Reserved += l.Reserved
		row.Locations = append(row.Locations, location{l.Location, l.OnHand, l.Reserved, l.OnHand - l.Reserved})
	}
	row.Available = row.OnHand - row.Reserved
	return row
}

type shipmentRow struct {
	OrderID        string         `json:"order_id"`
	Status         string         `json:"status"`
	Lines          []shipmentLine `json:"lines"`
	Carrier        string         `json:"carrier,omitempty"`
	TrackingNumber string         `json:"tracking_number,omitempty"`
	History        []change       `json:"history"`
	Version        int64          `json:"version"`
}

type shipmentLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

func showShipment(id string, head codecs.Head, s shipment.State) shipmentRow {
	row := shipmentRow{
		OrderID: id, Status: s.Status.String(), Carrier: s.Carrier, TrackingNumber: s.TrackingNumber,
		Lines: []shipmentLine{}, History: []change{}, Version: head.Applied,
	}
	for _, l := range s.Lines {
		row.Lines = append(row.Lines, shipmentLine(l))
	}
	for _, c := range s.History {
		row.History = append(row.History, change{c.Status.String(), showTime(c.At)})
	}
	return row
}
