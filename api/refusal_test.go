package api

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

func TestEveryRefusalOfTheMachinesHasAProblem(t *testing.T) {
	for _, refusal := range []string{
		order.RefusalIDConflict, order.RefusalUnknownOrder, order.RefusalAlreadyShipped, order.RefusalRejected,
		inventory.RefusalIDConflict, inventory.RefusalBelowZero, inventory.RefusalBelowReserved, inventory.RefusalTooMany,
		inventory.RefusalTooManyLocations,
		shipment.RefusalUnknownShipment, shipment.RefusalCancelled, shipment.RefusalNotDispatched, shipment.RefusalDispatchedOtherwise,
	} {
		var f *fault
		if !errors.As(refused(refusal), &f) || f.code != refusal || f.problem().Status < 400 || f.problem().Title == "" {
			t.Errorf("%s is answered with %+v", refusal, f)
		}
	}
	var f *fault
	if !errors.As(refused("a refusal of the future"), &f) || f.problem().Status != 409 {
		t.Errorf("a refusal of the future is answered with %+v", f)
	}
}

// A page in somebody's browser, on another site, must not order anything.
func TestAPageOfAnotherSiteMayNotWrite(t *testing.T) {
	d := newDesk(t)
	for origin, want := range map[string]int{"https://elsewhere.example": 403, "null": 403, "http://example.com": 400, "": 400} {
		r := httptest.NewRequest("POST", "http://example.com/v1/orders", strings.NewReader("{}"))
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		d.handler().ServeHTTP(w, r)
		if w.Code != want || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("from %q: %d %s, want %d", origin, w.Code, w.Body, want)
		}
	}
}
