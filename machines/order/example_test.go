package order_test

import (
	"fmt"

	"stockflow/machines/inventory"
	"stockflow/machines/order"
)

// An order of two SKUs is confirmed when both have answered.
func ExampleApply() {
	var row order.State
	for _, event := range []any{
		order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 2}, {SKU: "mug", Quantity: 1}}},
		inventory.Reserved{SKU: "mug", Allocations: []inventory.Allocation{{Location: "main", Quantity: 1}}},
		inventory.Reserved{SKU: "lamp", Allocations: []inventory.Allocation{{Location: "main", Quantity: 2}}},
	} {
		r := order.Apply(row, order.Message{OrderID: "o-1", RulesVersion: 1, Event: event})
		row = r.State
		fmt.Println(row.Status)
		for _, o := range r.Outputs {
			fmt.Printf("  %T for %s\n", o.Command, o.Key)
		}
	}
	// Output:
	// pending
	//   inventory.Reserve for lamp
	//   inventory.Reserve for mug
	// pending
	// confirmed
	//   shipment.Schedule for o-1
}
