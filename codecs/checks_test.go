package codecs

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

func TestCheckID(t *testing.T) {
	for _, c := range []struct{ id, want string }{
		{"o-1", ""},
		{"BANK CHARGES", ""},
		{"渡辺", ""},
		{strings.Repeat("x", 64), ""},
		{strings.Repeat("渡", 64), ""}, // 192 bytes
		{"", "is missing"},
		{strings.Repeat("x", 65), "must be at most 64 characters, is 65"},
		{strings.Repeat("🙂", 49), "must be at most 192 bytes, is 196"},
		{"a/b", "must not contain a slash"},
		{" a", "must not begin or end with a blank"},
		{"a ", "must not begin or end with a blank"},
		{"a\tb", "must not contain the character U+0009"},
		{"a\u00a0b", "must not contain the character U+00A0"}, // looks like a blank and isn't
		{"a\u200bb", "must not contain the character U+200B"}, // looks like nothing
		{"a\x00", "must not contain the character U+0000"},
		{"\xff", "must be UTF-8"},
	} {
		err := CheckID("sku", c.id)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != "sku: "+c.want) {
			t.Errorf("%q: %v, want %q", c.id, err, c.want)
		}
	}
}

// TestChecks: machine types are checked as they are, for those who don't come by way of a decoder.
func TestChecks(t *testing.T) {
	line := []order.PlacedLine{{SKU: "lamp", Quantity: 1}}
	for _, c := range []struct {
		got  Invalid
		want Invalid
	}{
		{CheckPlaced(fullPlacement), nil},
		{CheckPlaced(order.Placed{Lines: repeated(line[0], order.MaxLines), ShipTo: strings.Repeat("渡", 1_000)}), nil},
		{CheckPlaced(order.Placed{Policy: 3, Lines: line}), Invalid{{"policy", "is not known"}}},
		{CheckPlaced(order.Placed{Lines: []order.PlacedLine{line[0], {SKU: "/"}}}),
			Invalid{{"lines[1].sku", "must not contain a slash"}, {"lines[1].quantity", "must be 1 to 1000000000, is 0"}}},
		{CheckCancel(order.Cancel{}), nil},
		{CheckCancel(order.Cancel{Reason: strings.Repeat("x", 201)}), Invalid{{"reason", "must be at most 200 characters, is 201"}}},
		{CheckReceive(inventory.Receive{Quantity: inventory.MaxQuantity}), nil},
		{CheckReceive(inventory.Receive{Reference: "\n"}),
			Invalid{{"quantity", "must be 1 to 1000000000, is 0"}, {"reference", "must not contain the character U+000A"}}},
		{CheckAdjust(inventory.Adjust{Quantity: -inventory.MaxQuantity, Reason: "loss"}), nil},
		{CheckAdjust(inventory.Adjust{Reason: "loss"}), Invalid{{"quantity", "must not be 0"}}},
		{CheckDispatch(shipment.Dispatch{Carrier: "DHL", TrackingNumber: "X 1"}), nil},
		{CheckDispatch(shipment.Dispatch{Carrier: " "}), Invalid{{"carrier", "is missing"}, {"tracking_number", "is missing"}}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for name, want := range map[string]order.Policy{"": 0, "all_or_nothing": 0, "partial": 1, "backorder": 2} {
		if got, err := ParsePolicy(name); err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	var invalid Invalid
	if _, err := ParsePolicy(strings.Repeat("\xff", 65)); !errors.As(err, &invalid) || invalid[0].Field != "policy" ||
		!strings.HasSuffix(invalid[0].Problem, `\xff"...`) {
		t.Errorf("got %v", err)
	}
}
