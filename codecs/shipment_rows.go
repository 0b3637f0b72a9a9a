package codecs

import (
	"fmt"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/shipment"
)

// EncodeShipmentRow returns a row of shipment-table.
func EncodeShipmentRow(h Head, s shipment.State) []byte {
	m := wire.ShipmentRowFromVTPool()
	m.Status = wire.ShipmentStatus(s.Status)
	m.Carrier, m.TrackingNumber = s.Carrier, s.TrackingNumber
	for _, l := range s.Lines {
		line := next(&m.Lines)
		line.Sku, line.Quantity = l.SKU, l.Quantity
	}
	for _, c := range s.History {
		change := next(&m.History)
		change.Status, change.At = wire.ShipmentStatus(c.Status), c.At
	}
	return encodeRow(h, m)
}

// DecodeShipmentRow reads a row of shipment-table.
func DecodeShipmentRow(row []byte) (Head, shipment.State, error) {
	return decodeRow(row, wire.ShipmentRowFromVTPool(), shipmentState)
}

func shipmentState(m *wire.ShipmentRow) (s shipment.State, err error) {
	if err := knownShipmentStatus(m.Status); err != nil {
		return s, err
	}
	s = shipment.State{Status: shipment.Status(m.Status), Lines: shipmentLines(m.Lines),
		Carrier: m.Carrier, TrackingNumber: m.TrackingNumber}
	s.History, err = shipmentHistory(m.History)
	return s, err
}

func shipmentHistory(list []*wire.ShipmentChange) ([]shipment.Change, error) {
	if len(list) == 0 {
		return nil, nil
	}
	history := make([]shipment.Change, len(list))
	for i, c := range list {
		if err := knownShipmentStatus(c.Status); err != nil {
			return nil, fmt.Errorf("history[%d].%w", i, err)
		}
		history[i] = shipment.Change{Status: shipment.Status(c.Status), At: c.At}
	}
	return history, nil
}

func knownShipmentStatus(status wire.ShipmentStatus) error {
	return knownNumber("status", status,
		wire.ShipmentStatus_SHIPMENT_STATUS_UNSPECIFIED, wire.ShipmentStatus_SHIPMENT_STATUS_CANCELLED)
}
