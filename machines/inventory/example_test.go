package inventory_test

import (
	"fmt"

	"stockflow/machines/inventory"
)

// Five lamps arrive, two orders ask for three each, and there is enough for the first.
func ExampleApply() {
	var row inventory.State
	for _, event := range []any{
		inventory.Receive{ID: "delivery-1", Quantity: 5},
		inventory.Reserve{OrderID: "o-1", Quantity: 3, Mode: inventory.Exact},
		inventory.Reserve{OrderID: "o-2", Quantity: 3, Mode: inventory.Exact},
	} {
		r := inventory.Apply(row, inventory.Message{SKU: "lamp", RulesVersion: 1, Event: event})
		row = r.State
		fmt.Println(row.OnHand(), "on hand,", row.Reserved(), "reserved")
		for _, o := range r.Outputs {
			fmt.Printf("to %s: %T %+v\n", o.OrderID, o.Answer, o.Answer)
		}
	}
	// Output:
	// 5 on hand, 0 reserved
	// 5 on hand, 3 reserved
	// to o-1: inventory.Reserved {SKU:lamp Allocations:[{Location:main Quantity:3}] Available:0}
	// 5 on hand, 3 reserved
	// to o-2: inventory.Refused {SKU:lamp Reason:held_by_others Available:2}
}

// A delivery that is reported twice counts once; another one of the same name is refused.
func ExampleApply_retry() {
	var row inventory.State
	for _, quantity := range []int64{5, 5, 6} {
		event := inventory.Receive{ID: "delivery-1", Quantity: quantity}
		r := inventory.Apply(row, inventory.Message{SKU: "lamp", RulesVersion: 1, Event: event})
		row = r.State
		fmt.Printf("%d on hand, refusal %q\n", row.OnHand(), r.Refusal)
	}
	// Output:
	// 5 on hand, refusal ""
	// 5 on hand, refusal ""
	// 5 on hand, refusal "id_conflict"
}
