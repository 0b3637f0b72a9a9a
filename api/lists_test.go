package api

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestABadQueryNamesEveryBadField(t *testing.T) {
	d := newDesk(t)
	orders := cursor{nameOf("/v1/orders\x00status=\x00customer="), "o-1"}.stamp([]byte("realm"))
	for _, c := range []struct{ path, want string }{
		{"/v1/orders?status=sold", "[status]"},
		{"/v1/orders?status=", "[status]"},
		{"/v1/orders?status=pending&status=pending", "[status]"},
		{"/v1/orders?status=Pending&customer=a/b&limit=0&cursor=x&color=1", "[color status customer limit cursor]"},
		{"/v1/orders?customer=%ff", "[customer]"},
		{"/v1/orders?customer=" + strings.Repeat("x", 65), "[customer]"},
		{"/v1/orders?limit=201", "[limit]"},
		{"/v1/orders?limit=-1", "[limit]"},
		{"/v1/orders?limit=%2B5", "[limit]"},
		{"/v1/orders?limit=5.0", "[limit]"},
		{"/v1/orders?limit=99999999999999999999", "[limit]"},
		{"/v1/orders?limit=18446744073709551617", "[limit]"},
		{"/v1/orders?prefix=a", "[prefix]"},
		{"/v1/orders?%", "[query]"},
		{"/v1/orders?a;b", "[query]"},
		{"/v1/orders?status=pending&cursor=" + orders, "[cursor]"},
		{"/v1/orders?customer=c&cursor=" + orders, "[cursor]"},
		{"/v1/shipments?cursor=" + orders, "[cursor]"},
		{"/v1/orders?cursor=" + orders[1:], "[cursor]"},
		{"/v1/orders?cursor=", "[cursor]"},
		{"/v1/inventory?status=pending", "[status]"},
		{"/v1/inventory?max_available=-1&prefix=a/", "[max_available prefix]"},
		{"/v1/inventory?max_available=1e3", "[max_available]"},
		{"/v1/inventory?max_available=1000000000000001", "[max_available]"},
		{"/v1/inventory?prefix=" + strings.Repeat("x", 65), "[prefix]"},
		{"/v1/inventory?prefix=%0a", "[prefix]"},
		{"/v1/shipments?status=pending", "[status]"},
		{"/v1/shipments?customer=c", "[customer]"},
		{"/v1/notifications?status=shipped", "[status]"},
		{"/v1/orders?after=x", "[after]"},
		{"/v1/orders?wait=x&wait=y", "[wait wait]"},
	} {
		p := wantProblem(t, d.send("GET", c.path, ""), 400, "invalid")
		var names []string
		for _, e := range p.Errors {
			names = append(names, e.Field)
			if e.Problem == "" {
				t.Errorf("%s says nothing of %s", c.path, e.Field)
			}
		}
		if got := fmt.Sprint(names); got != c.want {
			t.Errorf("%s names %s, expected %s", c.path, got, c.want)
		}
	}
}

func TestAGoodQueryIsTakenToTheTable(t *testing.T) {
	d := newDesk(t)
	orders := cursor{nameOf("/v1/orders\x00status=pending\x00customer="), "o-1"}.stamp([]byte("realm"))
	for _, path := range []string{
		"/v1/orders", "/v1/orders?", "/v1/orders?limit=1", "/v1/orders?limit=200&status=backordered&customer=c%201",
		"/v1/orders?status=pending&limit=7&cursor=" + orders,
		"/v1/inventory?prefix=BANK%20&max_available=0", "/v1/inventory?max_available=1000000000000000",
		"/v1/inventory?prefix=" + strings.Repeat("x", 64),
		"/v1/shipments?status=scheduled", "/v1/notifications?status=failed",
	} {
		wantProblem(t, d.send("GET", path, ""), 503, "recovering")
	}
}

func TestWhatIsToldOfABadQueryIsBounded(t *testing.T) {
	d := newDesk(t)
	q := url.Values{}
	for i := range 1000 {
		q.Set(fmt.Sprint("x", i), "1")
	}
	if p := wantProblem(t, d.send("GET", "/v1/orders?"+q.Encode(), ""), 400, "invalid"); len(p.Errors) != maxBad {
		t.Errorf("%d fields are named", len(p.Errors))
	}
}

// FuzzListQuery looks for a query that is neither taken nor refused by name.
func FuzzListQuery(f *testing.F) {
	for _, query := range []string{
		"", "status=pending&customer=c&limit=5", "prefix=a&max_available=9", "cursor=x", "%", "a;b", "limit=+1&limit", "&&=&",
	} {
		f.Add(query)
	}
	s := &Server{}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/v1/orders", nil)
		r.URL.RawQuery = query
		orders, orderErr := s.readOrders(r)
		stock, stockErr := s.readInventory(r)
		for _, l := range []struct {
			limit int
			err   error
		}{{orders.limit, orderErr}, {stock.limit, stockErr}} {
			f := faultOf(l.err)
			if l.err == nil && (l.limit < 1 || l.limit > maxLimit) {
				t.Errorf("%q is taken with the limit %d", query, l.limit)
			}
			if l.err != nil && (f.code != "invalid" || len(f.problem().Errors) == 0) {
				t.Errorf("%q is refused with %v", query, f)
			}
		}
	})
}
