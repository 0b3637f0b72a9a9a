package codecs

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// TestJSON reads what people and their programs write.
func TestJSON(t *testing.T) {
	one := order.Placed{Lines: []order.PlacedLine{{SKU: "lamp", Quantity: 2}}}
	for _, c := range []struct {
		decode func([]byte) (Decoded, error)
		json   string
		want   Decoded
	}{
		{DecodeOrderEvent, `{"placed":{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}}`, Decoded{Type: "placed", Key: "o-1", Event: one}},
		{DecodeOrderEvent, `{"placed":{"lines":[{"sku":"lamp","quantity":"2"}]}}`, Decoded{Type: "placed", Event: one}},
		{DecodeOrderEvent, `{"placed":{"orderId":"o-1","policy":"all_or_nothing","lines":[{"sku":"lamp","quantity":2.0}]},"rules":1}`, Decoded{Type: "placed", Key: "o-1", Event: one}},
		{DecodeOrderEvent, `{"placed":{"order_id":"o-1","customer":{"id":"c-17","name":"Zoë 渡辺 \ud83d\ude42","email":"zoe@example.org"},
			"ship_to":"1 High Street\nLondon","policy":"backorder",
			"lines":[{"sku":"table","quantity":1},{"sku":"lamp","quantity":2},{"sku":"table","quantity":3}]}}`, Decoded{Type: "placed", Key: "o-1", Event: fullPlacement}},
		{DecodeOrderEvent, `{"cancel":{"order_id":"o-1","reason":"late"}}`, Decoded{Type: "cancel", Key: "o-1", Event: order.Cancel{Reason: "late"}}},
		{DecodeOrderEvent, `{"rules":0,"cancel":{}} `, Decoded{Type: "cancel", Event: order.Cancel{}}},
		{DecodeInventoryEvent, `{"receive":{"sku":"lamp","quantity":5,"location":"main","reference":"note 7","id":"r-1"}}`,
			Decoded{Type: "receive", Key: "lamp", Event: inventory.Receive{ID: "r-1", Quantity: 5, Location: "main", Reference: "note 7"}}},
		{DecodeInventoryEvent, `{"adjust":{"sku":"BANK CHARGES","quantity":-5,"reason":"damage","location":"main","id":"a-1"}}`,
			Decoded{Type: "adjust", Key: "BANK CHARGES", Event: inventory.Adjust{ID: "a-1", Quantity: -5, Reason: "damage", Location: "main"}}},
		{DecodeShipmentEvent, `{"dispatch":{"order_id":"o-1","carrier":"DHL","tracking_number":"X1"}}`,
			Decoded{Type: "dispatch", Key: "o-1", Event: shipment.Dispatch{Carrier: "DHL", TrackingNumber: "X1"}}},
		{DecodeShipmentEvent, `{"deliver":{"order_id":"o-1"}}`, Decoded{Type: "deliver", Key: "o-1", Event: shipment.Deliver{}}},
		{DecodeNotificationEvent, `{"resend":{"order_id":"o-1","kind":"shipped"}}`,
			Decoded{Type: "resend", Key: "o-1", Event: notification.Resend{Kind: notification.Shipped}}},
	} {
		c.want.RulesVersion = 1
		if got, err := c.decode([]byte(c.json)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.json, got, err, c.want)
		}
	}
}

// TestKeyInBinary reads the key that the encoders leave out and other programs may write.
func TestKeyInBinary(t *testing.T) {
	value := mustMarshal(&wire.ShipmentEvent{Event: &wire.ShipmentEvent_Deliver{Deliver: &wire.Deliver{OrderId: "o-1"}}})
	if got, err := DecodeShipmentEvent(value); err != nil || got.Key != "o-1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestPoison has a row for each way in which a value can be wrong, with the reason as a dead letter shows it.
func TestPoison(t *testing.T) {
	placed := func(p *wire.Placed) string {
		return string(mustMarshal(&wire.OrderEvent{Event: &wire.OrderEvent_Placed{Placed: p}}))
	}
	reserved := func(takes ...*wire.Take) string {
		return string(mustMarshal(&wire.OrderEvent{Event: &wire.OrderEvent_Reserved{Reserved: &wire.Reserved{Sku: "lamp", Takes: takes}}}))
	}
	line := []*wire.PlacedLine{{Sku: "lamp", Quantity: 1}}
	main := &wire.Take{Location: "main", Quantity: 1}
	long := strings.Repeat("x", 1_001)
	for _, c := range []struct{ name, value, want string }{
		{"empty", "", "the value is empty"},
		{"noise", "\xff\xff\xff", "not Protobuf of this log: unexpected EOF"},
		{"cut", placed(&wire.Placed{Lines: line})[:5], "not Protobuf of this log: unexpected EOF"},
		{"wrong wire type", "\x10\x01", "not Protobuf of this log: wrong wireType = 0 for field Placed"},
		{"no event", "\x08\x01", "event: must be one of placed, cancel"},
		{"unknown event", "\xfa\x07\x00", "event: must be one of placed, cancel"},
		{"empty JSON", "{}", "event: must be one of placed, cancel"},
		{"null event", `{"placed":null}`, "event: must be one of placed, cancel"},
		{"cut JSON", `{"placed":{`, "not JSON of this log: unexpected EOF"},
		{"two JSONs", `{"cancel":{}}{}`, "not JSON of this log: syntax error (line 1:14): unexpected token {"},
		{"unknown event in JSON", `{"shipped":{}}`, `not JSON of this log: (line 1:2): unknown field "shipped"`},
		{"unknown field in JSON", `{"cancel":{"why":1}}`, `not JSON of this log: (line 1:12): unknown field "why"`},
		{"repeated field in JSON", `{"cancel":{"order_id":"a","orderId":"b"}}`, `not JSON of this log: (line 1:27): duplicate field "orderId"`},
		{"two events in JSON", `{"cancel":{},"placed":{}}`, `not JSON of this log: (line 1:14): error parsing "placed", oneof stockflow.v1.OrderEvent.event is already set`},
		{"fraction in JSON", `{"placed":{"lines":[{"sku":"lamp","quantity":1.5}]}}`, "not JSON of this log: (line 1:46): invalid value for int64 field quantity: 1.5"},
		{"too big for JSON", `{"placed":{"lines":[{"sku":"lamp","quantity":9223372036854775808}]}}`, "not JSON of this log: (line 1:46): invalid value for int64 field quantity: 9223372036854775808"},
		{"deep JSON", `{"placed":{"lines":[` + strings.Repeat("[", 100_000), "not JSON of this log: syntax error (line 1:21): unexpected token ["},
		{"not UTF-8 in JSON", "{\"cancel\":{\"order_id\":\"\xff\"}}", `not JSON of this log: syntax error (line 1:23): invalid UTF-8 in string`},
		{"null line", `{"placed":{"lines":[null]}}`, "not JSON of this log: syntax error (line 1:21): unexpected token null"},

		{"not UTF-8", placed(&wire.Placed{ShipTo: "\xff", Lines: line}), "ship_to: must be UTF-8"},
		{"key", placed(&wire.Placed{OrderId: "a/b", Lines: line}), "order_id: must not contain a slash"},
		{"policy", placed(&wire.Placed{Policy: "häufig", Lines: line}), `policy: must be all_or_nothing, partial or backorder, is "h\u00e4ufig"`},
		{"no lines", placed(&wire.Placed{}), "lines: must be 1 to 1200 lines, is 0"},
		{"too many lines", placed(&wire.Placed{Lines: repeated(line[0], 1_201)}), "lines: must be 1 to 1200 lines, is 1201"},
		{"a line", placed(&wire.Placed{Lines: []*wire.PlacedLine{line[0], {Quantity: -5}}}), "lines[1].sku: is missing; lines[1].quantity: must be 1 to 1000000000, is -5"},
		{"an empty line", placed(&wire.Placed{Lines: []*wire.PlacedLine{{}}}), "lines[0].sku: is missing; lines[0].quantity: must be 1 to 1000000000, is 0"},
		{"more than a line of errors", placed(&wire.Placed{Lines: repeated(&wire.PlacedLine{Sku: "lamp"}, 13)}), "...; and 3 more"},
		{"header injection", placed(&wire.Placed{Customer: &wire.Customer{Email: "a@b\r\nBcc: c@d"}, Lines: line}), "customer.email: must not contain the character U+000D"},
		{"name", placed(&wire.Placed{Customer: &wire.Customer{Id: " ", Name: long[:201]}, Lines: line}), "customer.id: must not begin or end with a blank; customer.name: must be at most 200 characters, is 201"},
		{"address", placed(&wire.Placed{ShipTo: long, Lines: line}), "ship_to: must be at most 1000 characters, is 1001"},
		{"control character in address", placed(&wire.Placed{ShipTo: "\x1b[2J", Lines: line}), "ship_to: must not contain the character U+001B"},

		{"no takes", reserved(), "takes: must be 1 to 64 locations, is 0"},
		{"too many takes", reserved(repeated(main, 65)...), "takes: must be 1 to 64 locations, is 65"},
		{"a location twice", reserved(main, main), `takes[1].location: must come after "main"`},
		{"nothing taken", reserved(&wire.Take{Location: "main"}), "takes[0].quantity: must be 1 to 1000000000000000, is 0"},
		{"unknown refusal", `{"refused":{"sku":"lamp","reason":"mood","available":-1}}`, `reason: is not known: "mood"; available: must be 0 to 1000000000000000, is -1`},
		{"no refusal", `{"refused":{"sku":"lamp"}}`, `reason: is not known: ""`},
		{"answer without SKU", `{"queued":{}}`, "sku: is missing"},
		{"withdrawn without SKU", `{"withdrawn":{}}`, "sku: is missing"},
		{"not waiting without SKU", `{"not_waiting":{}}`, "sku: is missing"},
		{"dispatched by nobody", `{"dispatched":{"tracking_number":" "}}`, "carrier: is missing; tracking_number: is missing"},
	} {
		checkPoison(t, c.name, c.value, c.want, DecodeOrderEvent)
	}
	if _, err := DecodeOrderEvent(nil); err == nil || err.Error() != "no value" {
		t.Errorf("nil: %v", err)
	}
}

// TestReadable: a reason is text, short, and the same in every build.
func TestReadable(t *testing.T) {
	for _, text := range []string{"proto: no", "proto:\u00a0no", "no"} {
		if got := readable("JSON", errors.New(text)).Error(); got != "not JSON of this log: no" {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	_, err := DecodeOrderEvent([]byte(`{"` + strings.Repeat("渡", 100_000) + `":1}`))
	if err == nil || len(err.Error()) > 400 || !utf8.ValidString(err.Error()) {
		t.Errorf("a long name becomes %v", err)
	}
}

// TestPoisonOfOtherLogs has what the order's log cannot show.
func TestPoisonOfOtherLogs(t *testing.T) {
	for _, c := range []struct {
		name, value, want string
		decode            func([]byte) (Decoded, error)
	}{
		{"receipt", `{"receive":{"sku":"a/b","quantity":1000000001,"location":"/","id":" x","reference":"\u0007"}}`,
			"quantity: must be 1 to 1000000000, is 1000000001; location: must not contain a slash; reference: must not contain the character U+0007; " +
				"id: must not begin or end with a blank; sku: must not contain a slash", DecodeInventoryEvent},
		{"adjustment", `{"adjust":{"sku":"lamp","location":"/","id":"/"}}`,
			`quantity: must not be 0; reason: must be one of damage, loss, count, return, correction, is ""; ` +
				"location: must not contain a slash; id: must not contain a slash", DecodeInventoryEvent},
		{"too large an adjustment", `{"adjust":{"sku":"lamp","quantity":-1000000001,"reason":"loss"}}`,
			"quantity: must be -1000000000 to 1000000000, is -1000000001", DecodeInventoryEvent},
		{"reservation", `{"reserve":{}}`, "quantity: must be 1 to 1000000000000000, is 0; mode: is not known: 0; order_id: is missing", DecodeInventoryEvent},
		{"mode", `{"reserve":{"order_id":"o","quantity":1,"mode":4}}`, "mode: is not known: 4", DecodeInventoryEvent},
		{"release", `{"release":{}}`, "takes: must be 1 to 64 locations, is 0; order_id: is missing", DecodeInventoryEvent},
		{"ship", `{"ship":{}}`, "takes: must be 1 to 64 locations, is 0; order_id: is missing", DecodeInventoryEvent},
		{"withdraw", `{"withdraw":{}}`, "order_id: is missing", DecodeInventoryEvent},
		{"no inventory event", `{}`, "event: must be one of receive, adjust", DecodeInventoryEvent},
		{"schedule", `{"schedule":{}}`, "lines: must be 1 to 1200 lines, is 0", DecodeShipmentEvent},
		{"unsorted parcel", `{"schedule":{"lines":[{"sku":"b","quantity":1},{"sku":"a"}]}}`,
			`lines[1].sku: must come after "b"; lines[1].quantity: must be 1 to 1000000000000000, is 0`, DecodeShipmentEvent},
		{"dispatch", `{"dispatch":{"order_id":"/","carrier":"\u0001","tracking_number":"` + strings.Repeat("x", 101) + `"}}`,
			"carrier: must not contain the character U+0001; tracking_number: must be at most 100 characters, is 101; order_id: must not contain a slash", DecodeShipmentEvent},
		{"deliver", `{"deliver":{"order_id":"/"}}`, "order_id: must not contain a slash", DecodeShipmentEvent},
		{"no shipment event", `{}`, "event: must be one of dispatch, deliver", DecodeShipmentEvent},
		{"notify", `{"notify":{"kind":7,"name":"\n","email":"\r","reason":"\u0000","carrier":"\n","tracking_number":"\n","lines":[{"allocated":-1}]}}`,
			"kind: is not known: 7; name: must not contain the character U+000A; email: must not contain the character U+000D; reason: must not contain the character U+0000; " +
				"carrier: must not contain the character U+000A; tracking_number: must not contain the character U+000A; " +
				"lines[0].sku: is missing; lines[0].quantity: must be 1 to 1000000000000000, is 0; lines[0].allocated: must be 0 to 1000000000000000, is -1", DecodeNotificationEvent},
		{"no notification event", `{}`, "event: must be one of sent, failed, resend, begin", DecodeNotificationEvent},
		{"sent", `{"sent":{"order_id":"/","kind":"Shipped"}}`, `kind: must be confirmed, backordered, rejected, shipped, delivered or cancelled, is "Shipped"; ` +
			"round: must be 1 to 1000000000, is 0; attempts: must be 1 to 1000000000, is 0; order_id: must not contain a slash", DecodeNotificationEvent},
		{"failed", `{"failed":{"kind":"shipped","round":-1,"attempts":1000000001,"reason":"\n"}}`,
			"round: must be 1 to 1000000000, is -1; attempts: must be 1 to 1000000000, is 1000000001; reason: must not contain the character U+000A", DecodeNotificationEvent},
		{"resend", `{"resend":{"order_id":"o-1"}}`,
			`kind: must be confirmed, backordered, rejected, shipped, delivered or cancelled, is ""`, DecodeNotificationEvent},
	} {
		checkPoison(t, c.name, c.value, c.want, c.decode)
	}
}

// checkPoison wants an error of that text, or one that ends with what follows "...".
func checkPoison(t *testing.T, name, value, want string, decode func([]byte) (Decoded, error)) {
	t.Helper()
	got, err := decode([]byte(value))
	if err == nil || !reflect.DeepEqual(got, Decoded{}) {
		t.Errorf("%s: got %+v, %v", name, got, err)
		return
	}
	end, open := strings.CutPrefix(want, "...")
	if open && !strings.HasSuffix(err.Error(), end) || !open && err.Error() != want {
		t.Errorf("%s:\n got %s\nwant %s", name, err, want)
	}
}

func repeated[T any](x T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = x
	}
	return list
}

// TestRulesOfTomorrow: a number that is not known is told, even if nothing else of the message can be read, as
// long as it is a message at all.
func TestRulesOfTomorrow(t *testing.T) {
	binary := func(m *wire.OrderEvent) string { return string(mustMarshal(m)) }
	cancel := &wire.OrderEvent_Cancel{Cancel: &wire.CancelOrder{}}
	for _, c := range []struct {
		value string
		want  uint32 // 0: poison
	}{
		{binary(&wire.OrderEvent{Rules: 2, Event: cancel}), 2},
		{binary(&wire.OrderEvent{Rules: 1<<32 - 1}), 1<<32 - 1},
		{binary(&wire.OrderEvent{Rules: 7}) + "\x10\x01", 7},     // placed is a number now
		{"\x10\x01" + binary(&wire.OrderEvent{Rules: 7}), 7},     // the same, in another order
		{binary(&wire.OrderEvent{Rules: 7}) + "\xfa\x07\x00", 7}, // an event of tomorrow
		{binary(&wire.OrderEvent{Rules: 7}) + "\x12\x05", 0},     // cut
		{binary(&wire.OrderEvent{Rules: 7}) + "\xff", 0},         // cut within a tag
		{"\x08\xff\xff", 0}, // cut within the number
		{`{"rules":2,"cancel":{}}`, 2},
		{`{"rules":2,"placed":3,"what":[{}]}`, 2},
		{`{"rules":2,"placed":`, 0},
		{`{"rules":"many","cancel":{}}`, 0},
		{`{"rules":-1,"cancel":{}}`, 0},
	} {
		got, err := DecodeOrderEvent([]byte(c.value))
		if want := (Decoded{RulesVersion: c.want}); (err != nil) != (c.want == 0) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", c.value, got, err)
		}
	}
}

// TestUnknownFieldsInBinary are skipped: a newer program wrote them, under rules that are known here.
func TestUnknownFieldsInBinary(t *testing.T) {
	_, value := EncodeOrderEvent(order.Cancel{Reason: "late"})
	value = append(value, "\xfa\x07\x00"...)
	if got, err := DecodeOrderEvent(value); err != nil || !reflect.DeepEqual(got.Event, order.Cancel{Reason: "late"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestEncodersPanic on what is not of their log: the mistake shall show in the first test that makes it.
func TestEncodersPanic(t *testing.T) {
	for _, l := range logs {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes a string", l.log)
				}
			}()
			l.encode("hello")
		}()
	}
}

// TestEncodersAgree: what is generated for speed is what the Protobuf library writes.
func TestEncodersAgree(t *testing.T) {
	for _, l := range logs {
		for _, x := range l.events {
			_, value := l.encode(x.event)
			m := l.message()
			if err := proto.Unmarshal(value, m); err != nil {
				t.Fatal(err)
			}
			slow, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil || string(slow) != string(value) {
				t.Errorf("%s/%s: %x, but the library writes %x (%v)", l.log, x.golden, value, slow, err)
			}
		}
	}
}
