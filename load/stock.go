package load

import (
	"errors"
	"net/url"

	"stockflow/codecs"
	"stockflow/machines/inventory"
)

// stockSheet makes movements of stock of CSV, one of each row: an adjustment if the row has a reason, else a receipt.
type stockSheet struct {
	*sheet
	keys keys
}

func (s *stockSheet) header() []string { return s.sheet.header }

func (s *stockSheet) next() (*entry, error) {
	r, f, err := s.sheet.next()
	if err != nil {
		return nil, err
	}
	e := &entry{end: r.end}
	if f.reason == "" {
		m := movement{
			SKU: s.cell(r, "sku"), Location: s.cell(r, "location"), Reference: s.cell(r, "reference"),
			Reason: s.cell(r, "reason"), ID: s.cell(r, "id"),
		}
		n, problem := wholeNumber(s.cell(r, "quantity"))
		m.Quantity = n
		for _, v := range m.check() {
			if v.Field != "quantity" || problem == "" { // a number that can't be read is not too small
				f.add(s.called(v.Field), v.Problem)
			}
		}
		if problem != "" {
			f.add(s.called("quantity"), problem)
		}
		m.address(e, s.keys.at(r.line))
	}
	e.rows = []fileRow{f}
	return e, nil
}

// movement is a receipt or an adjustment, as a file has it. A line of NDJSON has these fields.
type movement struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	Location  string `json:"location"`
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
	ID        string `json:"id"`
}

// check returns what is wrong with a movement.
func (m movement) check() codecs.Invalid {
	var invalid codecs.Invalid
	errors.As(codecs.CheckID("sku", m.SKU), &invalid)
	if m.Reason == "" {
		return append(invalid, codecs.CheckReceive(inventory.Receive{
			ID: m.ID, Quantity: m.Quantity, Location: m.Location, Reference: m.Reference,
		})...)
	}
	if m.Reference != "" {
		invalid = append(invalid, codecs.FieldError{Field: "reference", Problem: "is for receipts, and a row with a reason is an adjustment"})
	}
	return append(invalid, codecs.CheckAdjust(inventory.Adjust{
		ID: m.ID, Quantity: m.Quantity, Location: m.Location, Reason: m.Reason,
	})...)
}

// address makes the request of a movement.
func (m movement) address(e *entry, key string) {
	if e.key = m.ID; m.ID == "" {
		e.key = key
	}
	e.path = "/v1/inventory/" + url.PathEscape(m.SKU)
	if m.Reason == "" {
		e.path += "/receipts"
		e.body = marshal(receiptBody{m.Quantity, m.Location, m.Reference})
		return
	}
	e.path += "/adjustments"
	e.body = marshal(adjustmentBody{m.Quantity, m.Reason, m.Location})
}

type receiptBody struct {
	Quantity  int64  `json:"quantity"`
	Location  string `json:"location,omitempty"`
	Reference string `json:"reference,omitempty"`
}

type adjustmentBody struct {
	Quantity int64  `json:"quantity"`
	Reason   string `json:"reason"`
	Location string `json:"location,omitempty"`
}
