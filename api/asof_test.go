package api

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTimesThatCanBeLookedBackTo(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_500)
	for _, test := range []struct {
		text string
		ms   int64
		bad  bool
	}{
		{"2023-11-14T22:13:20Z", 1_700_000_000_000, false},
		{"2023-11-14T22:13:20.499Z", 1_700_000_000_499, false},
		{"2023-11-14T22:13:20.4999Z", 1_700_000_000_499, false},
		{"2023-11-14T23:13:20+01:00", 1_700_000_000_000, false},
		{"2023-11-14T23:13:20 01:00", 1_700_000_000_000, false}, // a plus that was not escaped
		{"1700000000500", 1_700_000_000_500, false},
		{"0", 0, false},
		{"1700000000501", 0, true},
		{"2023-11-14T22:13:21Z", 0, true},
		{"2023-11-14", 0, true},
		{"2023-11-14T22:13:20", 0, true},
		{"-1", 0, true},
		{"yesterday", 0, true},
		{"", 0, true},
		{"99999999999999999999", 0, true},
	} {
		ms, problem := parseTime(test.text, now)
		if (problem != "") != test.bad || !test.bad && ms != test.ms {
			t.Errorf("%q is %d, %q", test.text, ms, problem)
		}
	}
}

func TestLooksBackThatMakeNoSense(t *testing.T) {
	d := newDesk(t)
	for _, path := range []string{"/v1/orders/o-1", "/v1/inventory/lamp", "/v1/shipments/o-1", "/v1/notifications/o-1"} {
		for _, query := range []string{"at=", "at=x", "at=2999-01-01T00:00:00Z", "at=1&at=2", "at=1&after=x", "at=1&wait=1"} {
			p := wantProblem(t, d.send("GET", path+"?"+query, ""), 400, "invalid")
			if len(p.Errors) == 0 || p.Errors[0].Field != "at" {
				t.Errorf("%s?%s is answered with %+v", path, query, p)
			}
		}
		wantProblem(t, d.send("GET", path+"?at=1", ""), 404, "not_found") // nobody runs the history
	}
	for _, path := range []string{"/v1/orders/o-1/events", "/v1/inventory/lamp/events"} {
		for _, query := range []string{"after=x", "wait=x", "cursor=x", "limit=0", "limit=201", "status=x", "at=1"} {
			wantProblem(t, d.send("GET", path+"?"+query, ""), 400, "invalid")
		}
		wantProblem(t, d.send("GET", path, ""), 404, "not_found")
	}
	wantProblem(t, d.send("GET", "/v1/orders/%01/events", ""), 400, "invalid")
	wantProblem(t, d.send("GET", "/v1/orders/%01?at=1", ""), 400, "invalid")
	wantProblem(t, d.send("GET", "/v1/orders/o-1/explain", ""), 503, "recovering")
	wantProblem(t, d.send("GET", "/v1/orders/o-1/explain?after=x", ""), 400, "invalid")
	for _, name := range []string{"after", "wait"} {
		for _, path := range []string{"/v1/rows/order/o-1", "/v1/dead-letters"} {
			p := wantProblem(t, d.send("GET", path+"?"+name+"=1", ""), 400, "invalid")
			if len(p.Errors) != 1 || p.Errors[0].Field != name || !strings.Contains(p.Errors[0].Problem, "always as new as") {
				t.Errorf("%s with %s is answered with %+v", path, name, p)
			}
		}
	}
	wantProblem(t, d.send("POST", "/v1/orders/o-1/explain", ""), 405, "method_not_allowed")
}

func TestChangesAreOfTheFieldsThatDiffer(t *testing.T) {
	zero := int64(0)
	before := orderRow{OrderID: "o-1", Status: "pending", Lines: []orderLine{{SKU: "b", Quantity: 2}, {SKU: "a", Quantity: 1}}, History: []change{{"pending", "1"}}, Version: 1}
	after := orderRow{OrderID: "o-1", Status: "rejected", Reason: "x", Lines: []orderLine{{SKU: "b", Quantity: 2, Available: &zero}, {SKU: "a", Quantity: 1}}, History: []change{{"pending", "1"}, {"rejected", "2"}}, Version: 2}
	want := "[{history[1] <nil> map[at:2 status:rejected]} {lines[b].available <nil> 0} {reason <nil> x} {status pending rejected}]"
	if got := fmt.Sprint(changes(before, after)); got != want {
		t.Errorf("the changes are\n%s, expected\n%s", got, want)
	}
	if got := changes(before, before); got != nil {
		t.Errorf("nothing changed, and it is %v", got)
	}
	if got := fmt.Sprint(changes(nil, inventoryRow{SKU: "a", Locations: []location{}})); got != "[{available <nil> 0} {locations <nil> []} {on_hand <nil> 0} {reserved <nil> 0} {sku <nil> a}]" {
		t.Errorf("a new row is %s", got)
	}
}
