package codecs

import (
	"encoding/json"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
)

// benchPlacement is an order as a shop sends it, about 390 bytes of JSON.
var benchPlacement = order.Placed{
	Customer: order.Customer{ID: "17850", Name: "Ada Lovelace", Email: "ada.lovelace@example.org"},
	ShipTo:   "12 St James's Square\nLondon SW1Y 4LE\nUnited Kingdom",
	Lines: []order.PlacedLine{
		{SKU: "22423", Quantity: 6}, {SKU: "47566", Quantity: 12}, {SKU: "71053", Quantity: 6},
		{SKU: "84029E", Quantity: 24}, {SKU: "84406B", Quantity: 8}, {SKU: "85123A", Quantity: 6},
	},
}

func benchMessage() *wire.OrderEvent {
	return &wire.OrderEvent{Event: &wire.OrderEvent_Placed{Placed: wirePlaced(benchPlacement)}}
}

func BenchmarkEncodePlaced(b *testing.B) {
	b.Run("stockflow", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			EncodeOrderEvent(benchPlacement)
		}
	})
	b.Run("protobuf-go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := proto.Marshal(benchMessage()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(benchPlacement); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodePlaced(b *testing.B) {
	_, value := EncodeOrderEvent(benchPlacement)
	text, err := json.Marshal(benchPlacement)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes of Protobuf, %d of JSON", len(value), len(text))
	b.Run("stockflow", func(b *testing.B) { // checks and converts, too
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeOrderEvent(value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protobuf-go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m wire.OrderEvent
			if err := proto.Unmarshal(value, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var p order.Placed
			if err := json.Unmarshal(text, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchRow is a row of an order of n lines, all of them reserved.
func benchRow(n int) order.State {
	s := orderRow
	s.Lines = nil
	for i := range n {
		s.Lines = append(s.Lines, order.Line{SKU: fmt.Sprintf("%05dA", 20_000+i), Quantity: 12, Status: order.LineReserved,
			Allocations: []inventory.Allocation{{Location: "main", Quantity: 12}}})
	}
	return s
}

func BenchmarkOrderRow(b *testing.B) {
	for _, n := range []int{1, 6, 675} {
		benchRows(b, fmt.Sprintf("lines=%d", n), benchRow(n), EncodeOrderRow, DecodeOrderRow)
	}
}

func BenchmarkInventoryRow(b *testing.B) {
	cold := inventory.State{Known: true, Locations: []inventory.Stock{{Location: "main", OnHand: 5}}, Received: 5}
	benchRows(b, "cold", cold, EncodeInventoryRow, DecodeInventoryRow)
	full := cold
	full.Remembered = repeated(inventory.Remembered{ID: 1, Content: 1}, inventory.MaxRemembered)
	benchRows(b, "full", full, EncodeInventoryRow, DecodeInventoryRow)
}

func BenchmarkShipmentRow(b *testing.B) {
	benchRows(b, "row", shipmentRow, EncodeShipmentRow, DecodeShipmentRow)
}

// benchRows compares with encoding/json on the same state, without a head.
func benchRows[S any](b *testing.B, name string, s S, encode func(Head, S) []byte, decode func([]byte) (Head, S, error)) {
	row := encode(seenBy, s)
	text, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	run := func(what string, f func() error) {
		b.Run(name+"/"+what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("encode", func() error { encode(seenBy, s); return nil })
	run("decode", func() error { _, _, err := decode(row); return err })
	run("head", func() error { _, err := DecodeHead(row); return err })
	run("encode-json", func() error { _, err := json.Marshal(s); return err })
	run("decode-json", func() error { var s S; return json.Unmarshal(text, &s) })
}
