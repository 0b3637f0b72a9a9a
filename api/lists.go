package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/views"
)

// How many rows a page has at most, and when the client doesn't say.
const (
	maxLimit     = 200
	defaultLimit = 50
)

// listing asks for one page of a list.
type listing[S any] struct {
	rows  views.Selection[S]
	name  listName
	limit int
	after string // a key
}

// page is what a list is answered with.
type page struct {
	Items []any  `json:"items"`          // each as the GET of its key has it
	Next  string `json:"next,omitempty"` // the cursor of the next page; there is none behind the last
}

func (s *Server) listOrders(_ context.Context, l listing[orderState]) (reply, error) {
	return s.orders.list(l, s.realm)
}

func (s *Server) readOrders(r *http.Request) (listing[orderState], error) {
	q := readQuery(r, "status", "customer")
	status := statusOf(q, order.Pending, order.Cancelled)
	return listed(s, q, views.Orders(status, q.id("customer")))
}

func (s *Server) listInventory(_ context.Context, l listing[inventoryState]) (reply, error) {
	return s.stocks.list(l, s.realm)
}

func (s *Server) readInventory(r *http.Request) (listing[inventoryState], error) {
	q := readQuery(r, "prefix", "max_available")
	most := q.number("max_available", 0, inventory.MaxOnHand, inventory.MaxOnHand)
	return listed(s, q, views.StockUpTo(q.prefix("prefix"), most))
}

func (s *Server) listShipments(_ context.Context, l listing[shipmentState]) (reply, error) {
	return s.parcels.list(l, s.realm)
}

func (s *Server) readShipments(r *http.Request) (listing[shipmentState], error) {
	q := readQuery(r, "status")
	return listed(s, q, views.Shipments(statusOf(q, shipment.StatusScheduled, shipment.StatusCancelled)))
}

func (s *Server) listNotifications(_ context.Context, l listing[notificationState]) (reply, error) {
	return s.mails.list(l, s.realm)
}

func (s *Server) readNotifications(r *http.Request) (listing[notificationState], error) {
	q := readQuery(r, "status")
	return listed(s, q, views.Mails(statusOf(q, notification.StatusQueued, notification.StatusFailed)))
}

// list answers with a page.
func (sh resource[S]) list(l listing[S], realm []byte) (reply, error) {
	rows, next, err := sh.table.List(l.rows, l.after, l.limit)
	if err != nil {
		return reply{}, err
	}
	p := page{Items: make([]any, 0, len(rows))}
	for _, e := range rows {
		p.Items = append(p.Items, sh.show(e.Key, e.Row.Head, e.Row.State))
	}
	if next != "" {
		p.Next = cursor{l.name, next}.stamp(realm)
	}
	return reply{status: http.StatusOK, body: p}, nil
}

// query reads the parameters of a list, and remembers everything that is wrong with them.
type query struct {
	given url.Values
	bad   codecs.Invalid
	asked strings.Builder // what list it is: its path and each filter, in the order in which they are read
}

// readQuery begins to read a query, which may have these filters and what every list has.
func readQuery(r *http.Request, filters ...string) *query {
	q := &query{}
	q.asked.WriteString(r.URL.Path)
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		q.wrong("query", "is not written as a query wants it")
	}
	q.given = given
	known := slices.Concat(filters, []string{"limit", "cursor", "after", "wait"})
	for name, values := range given {
		switch {
		case !slices.Contains(known, name):
			q.wrong(name, "is not known; there are "+strings.Join(known, ", "))
		case len(values) > 1:
			q.wrong(name, "must not be given twice")
		case values[0] == "":
			q.wrong(name, "must not be empty; leave it out")
		}
	}
	slices.SortFunc(q.bad, func(a, b codecs.FieldError) int { return strings.Compare(a.Field, b.Field) })
	q.bad = q.bad[:min(len(q.bad), maxBad)]
	return q
}

func (q *query) wrong(name, problem string) {
	q.bad = append(q.bad, codecs.FieldError{Field: name, Problem: problem})
}

// filter returns the value of a parameter, "" if it isn't given. One that is given and empty was complained of.
func (q *query) filter(name string) string {
	value := q.given.Get(name)
	fmt.Fprintf(&q.asked, "\x00%s=%s", name, value)
	return value
}

// id returns a filter that must be an id, if it is given.
func (q *query) id(name string) string {
	id := q.filter(name)
	if id != "" {
		q.check(codecs.CheckID(name, id))
	}
	return id
}

// prefix returns a filter that must be the beginning of an id, if it is given. Unlike an id, it may end with a blank.
func (q *query) prefix(name string) string {
	prefix := q.filter(name)
	if prefix != "" {
		q.check(codecs.CheckID(name, strings.TrimRight(prefix, " ")))
	}
	return prefix
}

func (q *query) check(err error) {
	var more codecs.Invalid
	if errors.As(err, &more) {
		q.bad = append(q.bad, more...)
	}
}

// number returns a filter that must be a whole number from low to high, and without if it isn't given.
func (q *query) number(name string, low, high, without int64) int64 {
	text := q.filter(name)
	if text == "" {
		return without
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		q.wrong(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
	}
	return int64(n)
}

// statusOf returns the status that a list is asked for, 0 if for none in particular.
func statusOf[N interface {
	~uint8
	String() string
}](q *query, first, last N) N {
	given := q.filter("status")
	if given == "" {
		return 0
	}
	var names []string
	for n := first; n <= last; n++ {
		if n.String() == given {
			return n
		}
		names = append(names, n.String())
	}
	q.wrong("status", "must be one of "+strings.Join(names, ", "))
	return 0
}

// listed ends the reading of a query.
func listed[S any](s *Server, q *query, rows views.Selection[S]) (listing[S], error) {
	l := listing[S]{rows: rows, name: nameOf(q.asked.String())}
	l.limit = int(q.number("limit", 1, maxLimit, defaultLimit)) // behind the name, as it may change from page to page
	if text := q.given.Get("cursor"); text != "" {
		c, ok := parseCursor(s.realm, text)
		if !ok {
			c, ok = parseCursor(s.former, text)
		}
		switch {
		case !ok:
			q.wrong("cursor", "is not one that was given out here")
		case c.list != l.name && len(q.bad) == 0:
			q.wrong("cursor", "is of another list; what is asked for must be the same on every page, but for limit")
		}
		l.after = c.after
	}
	return l, q.bad.Err()
}
