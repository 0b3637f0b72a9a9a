package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// answer is what was answered to a request.
type answer struct {
	status      int
	contentType string
	text        []byte
	retryAfter  time.Duration
}

func (a answer) String() string { return fmt.Sprintf("the answer is %d %.200q", a.status, a.text) }

// outcome is what became of an entry.
type outcome struct {
	status    string // of an order; "taken" for a movement of stock, "pending" if its decision is open
	refused   string // why it was refused, "" if it was taken
	bad       bool   // it was refused because it is not valid
	shows     string // the path at which the outcome will show, if it is open
	undecided string // if patience ended before the decision came: that it did, and where it will show
}

// open reports whether the log has a command, and no machine has decided it yet: it may still be refused.
func (o outcome) open() bool { return o.status == pending }

const pending = "pending"

// problem is what Stockflow answers when it does not do what it is asked to.
type problem struct {
	Type   string `json:"type"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Problem string `json:"problem"`
	} `json:"errors"`
}

func (p problem) String() string {
	text := p.Code
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf(" %s: %s.", e.Field, e.Problem)
	}
	return text
}

// settle judges an answer. If it is neither settled nor wrong, the same request must be sent again, also when the
// outcome is open: what is sent again counts once, and is answered with the decision. wrong says that there is no use in
// sending anything.
func settle(a answer, err error) (o outcome, settled bool, wrong error) {
	if err != nil {
		return o, false, nil // the request may have been taken, and its answer lost
	}
	switch {
	case a.status >= 500, a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly:
		return o, false, nil
	case a.status >= 200 && a.status < 300:
		o, err := taken(a)
		return o, err == nil && !o.open(), err
	}
	p, ok := problemOf(a)
	if !ok || p.Code == "not_found" || p.Code == "method_not_allowed" {
		return o, false, fmt.Errorf("--url: that is not the Stockflow that this version knows: %v", a)
	}
	return outcome{refused: p.String(), bad: a.status != http.StatusConflict && a.status != http.StatusNotFound}, true, nil
}

func problemOf(a answer) (problem, bool) {
	var p problem
	err := json.Unmarshal(a.text, &p)
	return p, err == nil && strings.HasPrefix(a.contentType, "application/problem+json") && strings.HasPrefix(p.Type, "urn:stockflow:problem:")
}

// taken reads the status of what was taken. A row of stock has none.
func taken(a answer) (outcome, error) {
	var row struct {
		Status  string `json:"status"`
		SKU     string `json:"sku"`
		OrderID string `json:"order_id"`
		See     string `json:"see"`
	}
	if err := json.Unmarshal(a.text, &row); err != nil || row.Status == "" && row.SKU == "" {
		return outcome{}, errors.Join(fmt.Errorf("--url: that is not Stockflow: %v", a), err)
	}
	switch row.Status {
	case "":
		return outcome{status: "taken"}, nil
	case "accepted":
		return outcome{status: pending, shows: row.See}, nil
	case pending:
		return outcome{status: pending, shows: ordersPath + "/" + url.PathEscape(row.OrderID)}, nil
	}
	return outcome{status: row.Status}, nil
}

// add counts an entry and what became of it.
func (c *Counts) add(e *entry, o outcome) {
	rows := int64(len(e.rows))
	c.Rows += rows
	if o.undecided != "" {
		c.Undecided++
		c.UndecidedRows += rows
	}
	switch {
	case o.bad:
		c.BadRows += rows
	case o.refused != "":
		c.Refused++
		c.RefusedRows += rows
	case e.path == ordersPath:
		c.Orders++
		*c.of(o.status)++
	case o.open():
		c.Pending++
	case strings.HasSuffix(e.path, "/receipts"):
		c.Receipts++
	default:
		c.Adjustments++
	}
}

// of is where orders of a status are counted.
func (c *Counts) of(status string) *int64 {
	switch status {
	case "confirmed", "shipped", "delivered":
		return &c.Confirmed
	case "backordered":
		return &c.Backordered
	case "rejected":
		return &c.Rejected
	case "cancelled":
		return &c.Cancelled
	}
	return &c.Pending
}
