package load

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"stockflow/codecs"
	"stockflow/machines/order"
)

const ordersPath = "/v1/orders"

// maxOrder is how many bytes of rows an order may have. It is what a body may have, and rows are longer than the lines
// that become of them.
const maxOrder = 1 << 20

// orderSheet makes orders of CSV: of the rows that follow each other with the same order id, or of each row when there
// is no column for one.
//
// An order is sent whole or not at all. So all rows of an order are rejected with a bad one; and a row of which nobody
// can say whose it is, as it can't be read or has no id, takes with it the order before it and the one behind it, as
// either may be the one that it is missing from.
type orderSheet struct {
	*sheet
	keys  keys
	seen  seen
	open  *openOrder // whose rows are being read, nil if none are
	stray int64      // the line of a row without an order, if the next order begins right behind it
	ready []*entry   // to be handed out before more is read
	ended bool
}

// openOrder is an order as far as its rows have been read.
type openOrder struct {
	id      string
	records []record
	rows    []fileRow // as many
	bytes   int
	tooBig  bool // its rows are rejected one by one
}

func (s *orderSheet) header() []string { return s.sheet.header }

func (s *orderSheet) next() (*entry, error) {
	for len(s.ready) == 0 {
		if s.ended {
			return nil, io.EOF
		}
		r, f, err := s.sheet.next()
		switch {
		case errors.Is(err, io.EOF):
			s.ended = true
			s.close()
		case err != nil:
			return nil, err
		default:
			s.take(r, f)
		}
	}
	e := s.ready[0]
	s.ready = s.ready[1:]
	return e, nil
}

// take puts a row where it belongs.
func (s *orderSheet) take(r record, f fileRow) {
	id, grouped := s.cell(r, "order_id"), s.has("order_id")
	if grouped && id == "" && f.reason == "" {
		f.add(s.called("order_id"), "is missing")
	}
	switch {
	case f.reason != "" && (!grouped || s.open == nil):
		s.ready = append(s.ready, &entry{rows: []fileRow{f}, end: r.end})
		s.stray = r.line
	case f.reason != "":
		s.grow(r, f)
		s.stray = r.line
	case grouped && s.open != nil && s.open.id == id:
		s.grow(r, f)
		s.stray = 0
	default:
		s.close()
		s.open = &openOrder{id: id}
		if s.stray > 0 && grouped {
			f.add("", fmt.Sprintf("nobody can say whether line %d, before it, is of this order", s.stray))
		}
		s.stray = 0
		s.grow(r, f)
	}
}

// grow adds a row to the open order, which gives up when it becomes too large.
func (s *orderSheet) grow(r record, f fileRow) {
	tooLarge := fmt.Sprintf("the order has more than %d rows or %d bytes", order.MaxLines, maxOrder)
	o := s.open
	if o.tooBig {
		f.add("", tooLarge)
		s.ready = append(s.ready, &entry{rows: []fileRow{f}, end: r.end})
		return
	}
	o.records, o.rows = append(o.records, r), append(o.rows, f)
	for _, c := range r.cells {
		o.bytes += len(c)
	}
	if len(o.rows) > order.MaxLines || o.bytes > maxOrder {
		s.burst(tooLarge)
	}
}

// burst rejects what there is of the open order, and will reject what follows of it.
func (s *orderSheet) burst(reason string) {
	o := s.open
	s.seen.before(o.id, o.rows[0].line)
	for i := range o.rows {
		o.rows[i].add("", reason)
	}
	s.ready = append(s.ready, &entry{rows: o.rows, end: o.end()})
	s.open = &openOrder{id: o.id, tooBig: true}
}

// close makes an entry of the open order.
func (s *orderSheet) close() {
	o := s.open
	s.open = nil
	if o == nil || o.tooBig {
		return
	}
	e := &entry{rows: o.rows, end: o.end()}
	if at := s.beganBefore(o); at > 0 {
		for i := range e.rows {
			e.rows[i].add(s.called("order_id"), cameBefore(o.id, at))
		}
	}
	placed := s.read(o)
	s.blame(o, codecs.CheckPlacement(placed))
	if e.isBad() {
		spoil(e.rows)
	} else {
		s.address(e, o, placed)
	}
	s.ready = append(s.ready, e)
}

func (o *openOrder) end() int64 { return o.records[len(o.records)-1].end }

func (s *orderSheet) beganBefore(o *openOrder) int64 {
	if o.id == "" {
		return 0
	}
	return s.seen.before(o.id, o.rows[0].line)
}

// read makes an order of its rows. What can't be read is noted with its row.
func (s *orderSheet) read(o *openOrder) order.Placed {
	first := o.records[0]
	p := order.Placed{ShipTo: s.cell(first, "ship_to")}
	p.Customer = order.Customer{
		ID: s.cell(first, "customer_id"), Name: s.cell(first, "customer_name"), Email: s.cell(first, "customer_email"),
	}
	var invalid codecs.Invalid
	policy, err := codecs.ParsePolicy(s.cell(first, "policy"))
	if p.Policy = policy; errors.As(err, &invalid) {
		o.rows[0].add(s.called("policy"), invalid[0].Problem)
	}
	if err := codecs.CheckID("order_id", o.id); o.id != "" && errors.As(err, &invalid) {
		o.rows[0].add(s.called("order_id"), invalid[0].Problem)
	}
	for i, r := range o.records {
		n, problem := wholeNumber(s.cell(r, "quantity"))
		if s.isWhole(r) && problem != "" {
			o.rows[i].add(s.called("quantity"), problem)
		}
		if s.isWhole(r) {
			s.compare(first, r, &o.rows[i])
		}
		p.Lines = append(p.Lines, order.PlacedLine{SKU: s.cell(r, "sku"), Quantity: n})
	}
	return p
}

// compare finds what is said twice about an order, and not the same. A later row may leave it out.
func (s *orderSheet) compare(first, r record, f *fileRow) {
	for _, field := range []string{"customer_id", "customer_name", "customer_email", "ship_to", "policy"} {
		if here, there := s.cell(r, field), s.cell(first, field); here != "" && here != there {
			f.add(s.called(field), fmt.Sprintf("is %s, and %s on line %d, of the same order", shown(here), shown(there), first.line))
		}
	}
}

var lineField = regexp.MustCompile(`^lines\[(\d+)\]\.(.*)$`)

// blame notes what is wrong with an order at the rows that it comes from. A row whose form is bad has nothing that could
// be judged, and a number that can't be read is not too small.
func (s *orderSheet) blame(o *openOrder, invalid codecs.Invalid) {
	for _, v := range invalid {
		at, field := 0, strings.Replace(v.Field, ".", "_", 1)
		if m := lineField.FindStringSubmatch(v.Field); m != nil {
			at, _ = strconv.Atoi(m[1]) // digits, and no more than there are rows
			field = m[2]
		}
		r := &o.rows[at]
		_, unread := wholeNumber(s.cell(o.records[at], field))
		if !s.isWhole(o.records[at]) || field == "quantity" && unread != "" {
			continue
		}
		r.add(s.called(field), v.Problem)
	}
}

// spoil gives a reason to the good rows of a bad order.
func spoil(rows []fileRow) {
	bad := int64(0)
	for _, r := range rows {
		if bad == 0 && r.reason != "" {
			bad = r.line
		}
	}
	for i := range rows {
		if rows[i].reason == "" {
			rows[i].add("", fmt.Sprintf("line %d of the same order is bad, and an order is sent whole or not at all", bad))
		}
	}
}

// address makes the request of an order.
func (s *orderSheet) address(e *entry, o *openOrder, p order.Placed) {
	e.path = ordersPath
	if o.id == "" {
		e.key = s.keys.at(e.rows[0].line)
	}
	body := orderBody{OrderID: o.id, ShipTo: p.ShipTo, Lines: []orderLine{}}
	if p.Customer != (order.Customer{}) {
		body.Customer = &orderCustomer{p.Customer.ID, p.Customer.Name, p.Customer.Email}
	}
	if s.cell(o.records[0], "policy") != "" {
		body.Policy = p.Policy.String()
	}
	for _, l := range p.Lines {
		body.Lines = append(body.Lines, orderLine{l.SKU, l.Quantity})
	}
	e.body = marshal(body)
}

// orderBody is the body of POST /v1/orders.
type orderBody struct {
	OrderID  string         `json:"order_id,omitempty"`
	Customer *orderCustomer `json:"customer,omitempty"`
	ShipTo   string         `json:"ship_to,omitempty"`
	Policy   string         `json:"policy,omitempty"`
	Lines    []orderLine    `json:"lines"`
}

type orderCustomer struct {
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

type orderLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}
