package load

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The fields that a row may have, by the names of the API.
var (
	orderFields = []string{"order_id", "customer_id", "customer_name", "customer_email", "ship_to", "policy", "sku", "quantity"}
	stockFields = []string{"sku", "quantity", "location", "reference", "reason", "id"}
	needed      = []string{"sku", "quantity"}
)

func fieldsOf(kind string) []string {
	if kind == Stock {
		return stockFields
	}
	return orderFields
}

// sheet is a CSV file whose columns are known.
type sheet struct {
	records *records
	header  []string
	columns map[string]int // of the fields that the file has
}

// openSheet reads the header and finds the column of each field: the one that is named for it, or the one of the same
// name.
func openSheet(from io.Reader, o Options) (*sheet, error) {
	s := &sheet{records: newRecords(from, []rune(o.Separator)[0]), columns: map[string]int{}}
	header, err := s.records.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty: its first line must name the columns", o.File)
	}
	if err != nil {
		return nil, err
	}
	if header.problem != "" {
		return nil, fmt.Errorf("%s: its first line must name the columns, and %s", o.File, header.problem)
	}
	s.header = header.cells
	var errs []error
	for _, field := range fieldsOf(o.Kind) {
		errs = append(errs, s.find(field, o.Columns))
	}
	return s, errors.Join(errs...)
}

func (s *sheet) find(field string, named map[string]string) error {
	name, isNamed := named[field]
	if !isNamed {
		name = field
	}
	at := slices.Index(s.header, name)
	required := slices.Contains(needed, field)
	switch {
	case isNamed && name == "" && !required:
	case at < 0 && (required || isNamed):
		return fmt.Errorf("--map: there is no column %q for %s; the columns are %s", name, field, s.names())
	case at >= 0 && slices.Contains(s.header[at+1:], name):
		return fmt.Errorf("--map: there are several columns %q, and %s needs one", name, field)
	case at >= 0:
		s.columns[field] = at
	}
	return nil
}

// names shows the columns, as far as they are worth showing.
func (s *sheet) names() string {
	const most = 40
	shown := s.header[:min(most, len(s.header))]
	text := fmt.Sprintf("%.40q", shown)
	if len(shown) < len(s.header) {
		text += fmt.Sprintf(" and %d more", len(s.header)-most)
	}
	return strings.Trim(text, "[]")
}

func (s *sheet) has(field string) bool {
	_, ok := s.columns[field]
	return ok
}

// cell returns a field of a row, "" if the row or the file hasn't it.
func (s *sheet) cell(r record, field string) string {
	at, ok := s.columns[field]
	if !ok || r.problem != "" || at >= len(r.cells) {
		return ""
	}
	return r.cells[at]
}

// next returns the next row as it stands in the rejects file, and with what is wrong with its form.
func (s *sheet) next() (record, fileRow, error) {
	r, err := s.records.next()
	f := fileRow{line: r.line, cells: r.cells}
	if r.problem != "" {
		f.add("", r.problem)
	} else if err == nil && !s.isWhole(r) {
		f.add("", fmt.Sprintf("the row has %d columns, the header has %d", len(r.cells), len(s.header)))
	}
	return r, f, err
}

// isWhole reports whether a row has a cell for each column.
func (s *sheet) isWhole(r record) bool { return r.problem == "" && len(r.cells) == len(s.header) }

// called names a field as the API does, and the column that it comes from if that is called otherwise.
func (s *sheet) called(field string) string {
	if at, ok := s.columns[field]; ok && s.header[at] != field {
		return fmt.Sprintf("%s (%s)", field, s.header[at])
	}
	return field
}
