package codecs

import (
	"strings"
	"testing"

	"stockflow/machines/order"
)

func TestOnlyOneAddressAloneCanBeWrittenTo(t *testing.T) {
	for email, ok := range map[string]bool{
		"ada@example.org": true, "ada+shop@example.org": true, "ada@localhost": true, "ada@[192.0.2.1]": true, "björn@example.org": true,
		"ada": false, "ada@": false, "@example.org": false, "ada at example.org": false, "ada@example..org": false, "a@b@c": false,
		"Ada <ada@example.org>": false, "<ada@example.org>": false, "ada@example.org (Ada)": false, " ada@example.org": false,
		"ada@example.org, eve@example.org": false, `"ada x"@example.org`: false,
	} {
		err := CheckEmail("customer.email", email)
		if (err == nil) != ok {
			t.Errorf("%q: %v", email, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "customer.email: ") || strings.Contains(err.Error(), "ada")) {
			t.Errorf("%q: %v", email, err)
		}
	}
}

// An address that can't be written to is refused to those who place an order, and taken from the log.
func TestABadAddressIsNoReasonToRefuseWhatIsInTheLog(t *testing.T) {
	placed := order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 1}}}
	for email, want := range map[string][2]int{"": {0, 0}, "ada@example.org": {0, 0}, "ada": {0, 1}, "a\n": {1, 1}} {
		placed.Customer.Email = email
		if got := [2]int{len(CheckPlaced(placed)), len(CheckPlacement(placed))}; got != want {
			t.Errorf("%q has %d problems in the log and when it is placed, expected %d", email, got, want)
		}
	}
}

// What a customer has written is quoted by the library that reads JSON.
func TestWhatDoesNotDecodeDoesNotShowAddresses(t *testing.T) {
	for _, value := range []string{
		`{"placed":{"customer":"ada@example.org"}}`,
		`{"placed":{"customer":{"email":"ada@example.org"},"policy":"ada\u0040example.org"}}`,
		`{"placed":{"ada@example.org":1}}`,
		`{"placed":{"customer":{"email":` + strings.Repeat(" ", longestReason) + `ada@example.org}}}`,
	} {
		if _, err := DecodeOrderEvent([]byte(value)); err == nil || strings.Contains(err.Error(), "example.org") {
			t.Errorf("%.60s: %v", value, err)
		}
	}
}

// A message may quote megabytes of itself, and a thousand such messages must not keep a partition busy.
func TestWhatIsSearchedForAddressesIsBounded(t *testing.T) {
	if got := RedactAddresses(strings.Repeat("x", 1<<20)); len(got) > longestRedacted+len("...") {
		t.Errorf("%d bytes are searched", len(got))
	}
}
