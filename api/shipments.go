package api

import (
	"context"
	"net/http"

	"stockflow/codecs"
	"stockflow/machines/shipment"
	"stockflow/processors"
	"stockflow/views"
)

type shipmentState = shipment.State

func shipmentResource(t *views.Tables) resource[shipmentState] {
	return resource[shipmentState]{
		table: t.Shipments, log: processors.ShipmentEvents, path: "/v1/shipments/", what: "shipment",
		known:  func(s shipment.State) bool { return s.Status != shipment.None },
		show:   func(id string, h codecs.Head, s shipment.State) any { return showShipment(id, h, s) },
		decode: codecs.DecodeShipmentRow,
	}
}

func (s *Server) shipment(_ context.Context, id string) (reply, error) { return s.parcels.get(id) }

func (s *Server) shipmentAt(ctx context.Context, m moment) (reply, error) {
	return past(ctx, s, s.parcels, m)
}

// parcel answers dispatches and deliveries.
func (s *Server) parcel(ctx context.Context, c command) (reply, error) {
	return decide(ctx, s, s.parcels, c, once)
}

func readDispatch(r *http.Request) (command, error) {
	var m shipment.Dispatch
	id, err := readRow(r, "order_id", fields{
		{"carrier", text(&m.Carrier)}, {"tracking_number", text(&m.TrackingNumber)},
	}, func() error { return codecs.CheckDispatch(m).Err() })
	if err != nil {
		return command{}, err
	}
	return command{output(processors.ShipmentEvents, id, m, codecs.EncodeShipmentEvent), idempotent}, nil
}

func readDeliver(r *http.Request) (command, error) {
	id, err := readRow(r, "order_id", fields{}, func() error { return nil })
	if err != nil {
		return command{}, err
	}
	return command{output(processors.ShipmentEvents, id, shipment.Deliver{}, codecs.EncodeShipmentEvent), idempotent}, nil
}
