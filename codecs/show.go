package codecs

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"stockflow/codecs/internal/wire"
)

// Shown is a message of a log for people, who want to see what is in it although no machine could take it. Nothing of
// it was checked but its form.
type Shown struct {
	Event string // the name of the event in it, "" if there is none that is known
	m     proto.Message
}

// JSON returns the message as indented JSON, in which its log would take it too. The error says that it holds texts
// that aren't UTF-8.
func (s Shown) JSON() ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(s.m)
	if err != nil {
		return nil, readable("JSON", err)
	}
	var indented bytes.Buffer // the library's own blanks change from build to build
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return nil, err
	}
	return indented.Bytes(), nil
}

// ShowOrderEvent reads a value of order-events, in either form. The error is that of a value in neither.
func ShowOrderEvent(value []byte) (Shown, error) { return show[wire.OrderEvent](value) }

// ShowInventoryEvent does it for inventory-events.
func ShowInventoryEvent(value []byte) (Shown, error) { return show[wire.InventoryEvent](value) }

// ShowShipmentEvent does it for shipment-events.
func ShowShipmentEvent(value []byte) (Shown, error) { return show[wire.ShipmentEvent](value) }

// ShowNotificationEvent does it for notification-events.
func ShowNotificationEvent(value []byte) (Shown, error) { return show[wire.NotificationEvent](value) }

func show[M any, P logEvent[M]](value []byte) (Shown, error) {
	m := P(new(M))
	if err := unmarshal(value, m); err != nil {
		return Shown{}, err
	}
	return Shown{eventOf(m), m}, nil
}

// eventOf returns which event of its log a message holds.
func eventOf(m proto.Message) string {
	r := m.ProtoReflect()
	if set := r.WhichOneof(r.Descriptor().Oneofs().ByName("event")); set != nil {
		return string(set.Name())
	}
	return ""
}

// ShowOrderRow returns a row of order-table for people, as indented JSON.
func ShowOrderRow(row []byte) ([]byte, error) { return showRow(row, new(wire.OrderRow)) }

// ShowInventoryRow does it for inventory-table.
func ShowInventoryRow(row []byte) ([]byte, error) { return showRow(row, new(wire.InventoryRow)) }

// ShowShipmentRow does it for shipment-table.
func ShowShipmentRow(row []byte) ([]byte, error) { return showRow(row, new(wire.ShipmentRow)) }

// ShowNotificationRow does it for notification-table.
func ShowNotificationRow(row []byte) ([]byte, error) { return showRow(row, new(wire.NotificationRow)) }

func showRow(row []byte, m interface {
	proto.Message
	UnmarshalVT([]byte) error
}) ([]byte, error) {
	if err := m.UnmarshalVT(row); err != nil {
		return nil, err
	}
	return Shown{m: m}.JSON()
}
