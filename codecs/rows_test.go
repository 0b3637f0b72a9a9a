package codecs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
)

// TestOrderLineIsSmall: an order of 675 lines, as there is in the shop's real month, takes at most 40 bytes a line,
// SKU and all, wherever the line stands.
func TestOrderLineIsSmall(t *testing.T) {
	for name, line := range map[string]order.Line{
		"reserved":         {Quantity: 12, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "main", Quantity: 12}}},
		"reserved in part": {Quantity: 4_800, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "main", Quantity: 144}}, Available: 144},
		"from two places":  {Quantity: 12, Status: order.LineReserved, Allocations: []inventory.Allocation{{Location: "main", Quantity: 7}, {Location: "north", Quantity: 5}}},
		"refused":          {Quantity: 12, Status: order.LineRefused, Available: 144, Reason: inventory.RefusalHeld},
		"a billion": {Quantity: inventory.MaxQuantity, Status: order.LineReserved, Available: inventory.MaxOnHand,
			Allocations: []inventory.Allocation{{Location: "main", Quantity: inventory.MaxQuantity - 1}}},
	} {
		s := order.State{}
		empty := len(EncodeOrderRow(Head{}, s))
		for i := range 675 {
			line.SKU = fmt.Sprintf("%05dA", 20_000+i)
			s.Lines = append(s.Lines, line)
		}
		const locations = 2 * (2 + len("north"))
		size := float64(len(EncodeOrderRow(Head{}, s))-empty-locations) / 675
		t.Logf("%s: %.1f bytes a line", name, size)
		if size > 40 {
			t.Errorf("%s: %.1f bytes a line", name, size)
		}
	}
}

// TestEachLocationIsNamedOnce, be they few or too many to look through.
func TestEachLocationIsNamedOnce(t *testing.T) {
	for n := range 30 {
		var s order.State
		for i := range 3 * n {
			s.Lines = append(s.Lines, order.Line{Allocations: []inventory.Allocation{{Location: fmt.Sprint(i % n), Quantity: 1}}})
		}
		var m wire.OrderRow
		row := EncodeOrderRow(Head{}, s)
		if err := m.UnmarshalVT(row); err != nil || len(m.Locations) != n {
			t.Errorf("%d locations are named as %v, %v", n, m.Locations, err)
		}
		checkRow(t, row, Head{}, s, DecodeOrderRow)
	}
}

// TestLargestInventoryRow stays under the 256 KiB that the bounds of the inventory machine are made for.
func TestLargestInventoryRow(t *testing.T) {
	id := strings.Repeat("渡", maxID)
	if CheckID("order_id", id) != nil || CheckID("order_id", id+"x") == nil || len(id) != maxIDBytes {
		t.Fatal("this is not the largest id")
	}
	s := inventory.State{Known: true, Received: math.MaxInt64, Adjusted: math.MinInt64, Shipped: math.MaxInt64,
		Locations: repeated(inventory.Stock{Location: id, OnHand: inventory.MaxOnHand, Reserved: inventory.MaxOnHand}, inventory.MaxLocations),
		Queue: repeated(inventory.Waiting{OrderID: id, Quantity: order.MaxLines * inventory.MaxQuantity,
			Since: 253_402_300_799_999}, inventory.MaxQueue), // the end of the year 9999
		Remembered: repeated(inventory.Remembered{ID: math.MaxUint64, Content: math.MaxUint64}, inventory.MaxRemembered),
	}
	h := Head{Rebuilt: math.MaxInt64, Applied: math.MaxInt64, Redriven: repeated(uint64(math.MaxUint64), 100)}
	for p := range int32(256) {
		h.Seen = append(h.Seen, Origin{Log: "order-events", Partition: p, Offset: math.MaxInt64, Index: order.MaxLines})
	}
	row := EncodeInventoryRow(h, s)
	t.Logf("%d bytes", len(row))
	if len(row) >= 256<<10 {
		t.Errorf("%d bytes", len(row))
	}
	checkRow(t, row, h, s, DecodeInventoryRow)
}

// TestLargestNotificationRow: an order has up to five e-mails, and the machine bounds the lines of each.
func TestLargestNotificationRow(t *testing.T) {
	wide := strings.Repeat("渡", maxText)
	mail := notification.Mail{Notify: notification.Notify{Kind: 1, Name: wide, Email: wide, Reason: wide,
		Carrier: wide[:3*maxShipping], TrackingNumber: wide[:3*maxShipping],
		Lines: repeated(notification.Line{SKU: wide[:maxIDBytes], Quantity: math.MaxInt64, Allocated: math.MaxInt64}, notification.ShownLines)},
		More: order.MaxLines, Status: notification.StatusFailed, Round: maxTries, Attempts: maxTries,
		Failure: strings.Repeat("渡", notification.MaxReason), Asked: math.MaxInt64, Since: math.MaxInt64}
	row := EncodeNotificationRow(Head{}, notification.State{Mails: repeated(mail, 5)})
	t.Logf("%d bytes", len(row))
	if len(row) >= 48<<10 {
		t.Errorf("%d bytes", len(row))
	}
}

// TestRefusalsAreKnown: an order's row writes every reason that the inventory machine may give.
func TestRefusalsAreKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../machines/inventory/message.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var found int
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || !strings.HasPrefix(g.Doc.Text(), "Why a reservation is refused") {
			continue
		}
		for _, spec := range g.Specs {
			reason := strings.Trim(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value, `"`)
			if _, known := wireRefusal(reason); !known {
				t.Errorf("%s has no number", reason)
			}
			found++
		}
	}
	if found != len(refusals)-1 {
		t.Errorf("the machine has %d reasons, rows have %d", found, len(refusals)-1)
	}
}

// TestTornRows: a row that is damaged is an error that says where, never a panic: what has no name is refused
// here, before anything asks for its name.
func TestTornRows(t *testing.T) {
	head := &wire.Head{}
	orderLine := func(l *wire.OrderLine) []byte {
		return mustMarshal(&wire.OrderRow{Head: head, Policy: 1, Lines: []*wire.OrderLine{l}})
	}
	for _, c := range []struct {
		row  []byte
		want string
	}{
		{nil, "row: does not begin with a head"},
		{[]byte{0x10, 1}, "row: does not begin with a head"},
		{[]byte{0x0a, 5, 1}, "row: head: unexpected EOF"},
		{mustMarshal(&wire.OrderRow{Head: head}), "row: policy: is not known: 0"},
		{mustMarshal(&wire.OrderRow{Head: head, Policy: 4}), "row: policy: is not known: 4"},
		{mustMarshal(&wire.OrderRow{Head: head, Policy: 1, Status: 8}), "row: status: is not known: 8"},
		{mustMarshal(&wire.OrderRow{Head: head, Policy: 1, Status: -1}), "row: status: is not known: -1"},
		{mustMarshal(&wire.OrderRow{Head: head, Policy: 1, Fingerprint: []byte{1}}), "row: fingerprint: must be 16 bytes, is 1"},
		{mustMarshal(&wire.OrderRow{Head: head, Policy: 1, Fingerprint: make([]byte, 17)}), "row: fingerprint: must be 16 bytes, is 17"},
		{mustMarshal(&wire.OrderRow{Head: head, Policy: 1, History: []*wire.OrderChange{{}, {Status: 8}}}), "row: history[1].status: is not known: 8"},
		{orderLine(&wire.OrderLine{}), "row: lines[0].status: is not known: 0"},
		{orderLine(&wire.OrderLine{Status: 9}), "row: lines[0].status: is not known: 9"},
		{orderLine(&wire.OrderLine{Status: 1, Refusal: 6}), "row: lines[0].refusal: is not known: 6"},
		{orderLine(&wire.OrderLine{Status: 1, AllAt: 1}), "row: lines[0].location: is place 0 of 0"},
		{orderLine(&wire.OrderLine{Status: 1, AllAt: math.MaxUint32}), "row: lines[0].location: is place 4294967294 of 0"},
		{orderLine(&wire.OrderLine{Status: 1, Takes: []*wire.OrderTake{{}}}), "row: lines[0].location: is place 0 of 0"},
		{orderLine(&wire.OrderLine{Status: 1, AllAt: 1, Takes: []*wire.OrderTake{{}}}), "row: lines[0].takes: must be none beside all_at"},
	} {
		if _, _, err := DecodeOrderRow(c.row); err == nil || err.Error() != c.want {
			t.Errorf("%x: %v, want %s", c.row, err, c.want)
		}
	}
	if _, _, err := DecodeShipmentRow(mustMarshal(&wire.ShipmentRow{Head: head, Status: 5})); err == nil {
		t.Error("status 5 of a shipment is taken")
	}
	if _, _, err := DecodeShipmentRow(mustMarshal(&wire.ShipmentRow{Head: head, History: []*wire.ShipmentChange{{Status: 5}}})); err == nil {
		t.Error("status 5 in the history of a shipment is taken")
	}
	for _, m := range []*wire.Mail{{}, {Status: 1}, {Status: 1, Notify: &wire.Notify{Kind: 7}}, {Notify: &wire.Notify{Kind: 1}}, {Status: 4, Notify: &wire.Notify{Kind: 1}}} {
		if _, s, err := DecodeNotificationRow(mustMarshal(&wire.NotificationRow{Head: head, Mails: []*wire.Mail{m}})); err == nil {
			t.Errorf("an e-mail is taken as %+v", s)
		}
	}
	for _, row := range [][]byte{nil, {0x10, 1}, {0x0a, 5, 1}, {0x0a, 1, 0xff}} {
		if h, err := DecodeHead(row); err == nil {
			t.Errorf("%x: head %v", row, h)
		}
	}
}

// TestTakesAreApart: a machine that appends to the takes of one line must not write into the next one's.
func TestTakesAreApart(t *testing.T) {
	_, s, err := DecodeOrderRow(EncodeOrderRow(Head{}, orderRow))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(s.Lines[0].Allocations, inventory.Allocation{Location: "elsewhere"})
	if got := s.Lines[1].Allocations[0]; got != orderRow.Lines[1].Allocations[0] {
		t.Errorf("the next line now takes %v", got)
	}
}

// TestRowsAreApart: what was decoded stays as it was when the next row is decoded by way of the same pool.
func TestRowsAreApart(t *testing.T) {
	first := EncodeOrderRow(seenBy, orderRow)
	other := EncodeOrderRow(Head{Redriven: []uint64{7, 7}, Seen: []Origin{{Log: "x"}}}, order.State{Lines: []order.Line{{SKU: "x"}}})
	for range 20 { // a pool may forget what it was given
		h, s, _ := DecodeOrderRow(first)
		if _, _, err := DecodeOrderRow(other); err != nil || !reflect.DeepEqual(h, seenBy) || !reflect.DeepEqual(s, orderRow) {
			t.Fatalf("it is now %+v %+v (%v)", h, s, err)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	t.Run("order", rapid.MakeCheck(func(t *rapid.T) {
		roundTrip(t, anyOrder(t), EncodeOrderRow, DecodeOrderRow)
	}))
	t.Run("inventory", rapid.MakeCheck(func(t *rapid.T) {
		roundTrip(t, anyInventory(t), EncodeInventoryRow, DecodeInventoryRow)
	}))
	t.Run("shipment", rapid.MakeCheck(func(t *rapid.T) {
		roundTrip(t, anyShipment(t), EncodeShipmentRow, DecodeShipmentRow)
	}))
	t.Run("notification", rapid.MakeCheck(func(t *rapid.T) {
		roundTrip(t, anyNotification(t), EncodeNotificationRow, DecodeNotificationRow)
	}))
}

// roundTrip also writes the row twice, with another one between: what a pool keeps must not show.
func roundTrip[S any](t *rapid.T, s S, encode func(Head, S) []byte, decode func([]byte) (Head, S, error)) {
	h := anyHead(t)
	row := encode(h, s)
	checkRow(t, row, h, s, decode)
	encode(seenBy, s)
	if again := encode(h, s); string(again) != string(row) {
		t.Fatalf("written again it is\n%x, and was\n%x", again, row)
	}
}

// TestManyAtOnce shares the pools between goroutines.
func TestManyAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			h := Head{Applied: int64(i), Seen: []Origin{{Log: "order-events", Offset: int64(i)}}}
			s := order.State{ShipTo: fmt.Sprint(i), Lines: repeated(order.Line{SKU: fmt.Sprint(i),
				Allocations: []inventory.Allocation{{Location: fmt.Sprint(i), Quantity: 1}}}, i)}
			if i == 0 {
				s.Lines = nil
			}
			want := string(EncodeOrderRow(h, s))
			for range 200 {
				if row := EncodeOrderRow(h, s); string(row) != want {
					t.Errorf("goroutine %d: %x, want %x", i, row, want)
					return
				}
				if got, gotS, err := DecodeOrderRow([]byte(want)); err != nil || got.Applied != h.Applied || gotS.ShipTo != s.ShipTo || len(gotS.Lines) != i {
					t.Errorf("goroutine %d: %+v %+v, %v", i, got, gotS, err)
					return
				}
			}
		})
	}
	all.Wait()
}
