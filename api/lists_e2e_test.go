package api_test

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// items returns the items of a page, and the query of the next, "" if there is none.
func (h *house) items(path string, query url.Values) (items []any, next string) {
	h.t.Helper()
	a := h.want("GET", path+"?"+query.Encode(), "", 200)
	items, ok := a.json["items"].([]any)
	if !ok {
		h.t.Fatalf("%s has no items: %s", path, a.text)
	}
	next, _ = a.json["next"].(string)
	return items, next
}

// walk returns the keys of a list, "a b c", in pages of limit. Each item must be what the GET of its key answers.
func (h *house) walk(path, key, filters string, limit int) string {
	h.t.Helper()
	query, err := url.ParseQuery(filters)
	if err != nil {
		h.t.Fatal(err)
	}
	query.Set("limit", fmt.Sprint(limit))
	var keys []string
	for {
		items, next := h.items(path, query)
		for _, item := range items {
			id := fmt.Sprint(item.(map[string]any)[key])
			if one := h.want("GET", path+"/"+url.PathEscape(id), "", 200); !reflect.DeepEqual(item, any(one.json)) {
				h.t.Errorf("%s lists %v as %v", path, one.json, item)
			}
			keys = append(keys, id)
		}
		if next == "" {
			return strings.Join(keys, " ")
		}
		query.Set("cursor", next)
	}
}

func TestListsAreOfTheRowsThatThereAre(t *testing.T) {
	h := newHouse(t)
	for _, sku := range []string{"lamp", "lamp 2", "desk", "bed"} {
		h.want("POST", "/v1/inventory/"+url.PathEscape(sku)+"/receipts", `{"quantity":10}`, 200)
	}
	h.want("POST", "/v1/inventory/bed/adjustments", `{"quantity":-4,"reason":"loss"}`, 200)
	settled := func(a answer) { // all that follows from it
		h.t.Helper()
		for _, list := range []string{"/v1/shipments", "/v1/orders", "/v1/inventory"} {
			h.want("GET", list+"?wait=30&after="+a.token(), "", 200)
		}
	}
	order := func(id, customer, sku string, quantity int, status string) {
		body := fmt.Sprintf(`{"order_id":%q,"customer":{"id":%q},"lines":[{"sku":%q,"quantity":%d}]}`, id, customer, sku, quantity)
		settled(h.want("POST", "/v1/orders", body, 201, "status="+status))
	}
	order("o-1", "ada", "lamp", 3, "confirmed")
	order("o-2", "bob", "chair", 1, "rejected")
	order("o-3", "ada", "bed", 7, "rejected")
	order("o-4", "ada", "lamp", 3, "confirmed")
	order("o-10", "bob", "desk", 1, "confirmed")
	settled(h.want("POST", "/v1/shipments/o-4/dispatch", `{"carrier":"c","tracking_number":"t"}`, 200))
	settled(h.want("POST", "/v1/shipments/o-10/dispatch", `{"carrier":"c","tracking_number":"t"}`, 200))
	// Their rows are there, and are shown to nobody.
	h.want("POST", "/v1/orders/o-5/cancel", ``, 404, "code=unknown_order")
	h.want("POST", "/v1/shipments/o-5/deliver", ``, 404, "code=unknown_shipment")

	for _, c := range []struct{ path, key, filters, want string }{
		{"/v1/orders", "order_id", "", "o-1 o-10 o-2 o-3 o-4"},
		{"/v1/orders", "order_id", "customer=ada", "o-1 o-3 o-4"},
		{"/v1/orders", "order_id", "status=rejected", "o-2 o-3"},
		{"/v1/orders", "order_id", "status=rejected&customer=ada", "o-3"},
		{"/v1/orders", "order_id", "status=cancelled", ""},
		{"/v1/orders", "order_id", "customer=nobody", ""},
		{"/v1/inventory", "sku", "", "bed desk lamp lamp 2"},
		{"/v1/inventory", "sku", "prefix=lamp", "lamp lamp 2"},
		{"/v1/inventory", "sku", "prefix=lamp%20", "lamp 2"},
		{"/v1/inventory", "sku", "max_available=6", "bed lamp"},
		{"/v1/inventory", "sku", "max_available=6&prefix=l", "lamp"},
		{"/v1/inventory", "sku", "max_available=0", ""},
		{"/v1/shipments", "order_id", "status=scheduled", "o-1"},
		{"/v1/shipments", "order_id", "status=dispatched", "o-10 o-4"},
		{"/v1/shipments", "order_id", "", "o-1 o-10 o-4"},
	} {
		for _, limit := range []int{1, 2, 200} {
			if got := h.walk(c.path, c.key, c.filters, limit); got != c.want {
				t.Errorf("%s?%s in pages of %d is %q, want %q", c.path, c.filters, limit, got, c.want)
			}
		}
	}
}

// A list that comes after a write has it, also where the write only leads to.
func TestAListComesAfterAWrite(t *testing.T) {
	h := newHouse(t)
	for i := range 50 {
		sku := fmt.Sprintf("s-%02d", i)
		h.want("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":1}`, 200)
		placed := h.send("POST", "/v1/orders", fmt.Sprintf(`{"order_id":"o-%02d","lines":[{"sku":%q,"quantity":1}]}`, i, sku))
		after := url.Values{"after": {placed.token()}, "wait": {"30"}, "status": {"scheduled"}, "limit": {"200"}}
		if items, _ := h.items("/v1/shipments", after); len(items) != i+1 {
			t.Fatalf("after %d orders there are %d shipments in the list", i+1, len(items))
		}
	}
}

// Whoever has a cursor goes on where the walk was, though Stockflow was stopped and others went on writing.
func TestACursorIsGoodAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, stop := settle(t, dir)
	receive := func(sku string) { h.want("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":1}`, 200) }
	for i := range 20 {
		receive(fmt.Sprintf("s-%02d", i))
	}
	query := url.Values{"limit": {"7"}, "prefix": {"s-"}, "max_available": {"5"}}
	first, next := h.items("/v1/inventory", query)
	stop()
	h, stop = settle(t, dir)
	defer stop()
	receive("s-00a")
	receive("s-19a")
	query.Set("cursor", next)
	query.Set("limit", "200")
	rest, next := h.items("/v1/inventory", query)
	if got := fmt.Sprint(len(first), len(rest), next); got != "7 14" {
		t.Errorf("the pages have %s", got)
	}
	query.Set("prefix", "s")
	if a := h.want("GET", "/v1/inventory?"+query.Encode(), "", 400, "code=invalid"); !strings.Contains(a.text, `"field":"cursor"`) {
		t.Errorf("a cursor of another list is answered with %s", a.text)
	}
}
