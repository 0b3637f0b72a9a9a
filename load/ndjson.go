package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxObject is how many bytes a line of NDJSON may have: as many as a body.
const maxObject = 1 << 20

// objects reads NDJSON, one JSON object a line. One of orders is a body of POST /v1/orders; one of stock is a movement.
type objects struct {
	lines *lines
	kind  string
	keys  keys
	seen  seen
}

func newObjects(from io.Reader, kind string, k keys) *objects {
	return &objects{lines: newLines(from, maxObject), kind: kind, keys: k}
}

func (o *objects) header() []string { return []string{"json"} }

func (o *objects) next() (*entry, error) {
	for {
		line, err := o.lines.next()
		if err != nil {
			return nil, err
		}
		text := bytes.TrimSpace(line.text)
		if len(text) == 0 && !line.cut {
			continue
		}
		e := &entry{end: line.end, rows: []fileRow{{line: line.number, cells: []string{string(text)}}}}
		f := &e.rows[0]
		switch {
		case line.cut:
			f.add("", fmt.Sprintf("the line is longer than %d bytes", maxObject))
		case !utf8.Valid(text):
			f.add("", "the line is not UTF-8")
		case o.kind == Stock:
			o.readMovement(e, text)
		default:
			o.readOrder(e, text)
		}
		return e, nil
	}
}

// readOrder leaves it to Stockflow to read an order; all that it needs to know is whether it has an id.
func (o *objects) readOrder(e *entry, text []byte) {
	var fields map[string]json.RawMessage
	f := &e.rows[0]
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		f.add("", "the line is not a JSON object"+because(err))
		return
	}
	e.path, e.body = ordersPath, text
	var id *string
	if given := fields["order_id"]; given != nil {
		if err := json.Unmarshal(given, &id); err != nil {
			f.add("order_id", "must be text")
			return
		}
	}
	if id == nil {
		e.key = o.keys.at(f.line)
	} else if at := o.seen.before(*id, f.line); at > 0 && *id != "" { // an empty id is for Stockflow to refuse
		f.add("order_id", cameBefore(*id, at))
	}
}

func (o *objects) readMovement(e *entry, text []byte) {
	var m movement
	f := &e.rows[0]
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&m)
	if err == nil && text[0] != '{' {
		err = errors.New("it begins with " + shown(string(text[:1])))
	}
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows the object")
	}
	if err != nil {
		f.add("", "the line is not a movement of stock"+because(err))
		return
	}
	for _, v := range m.check() {
		f.add(v.Field, v.Problem)
	}
	m.address(e, o.keys.at(f.line))
}

// because is what a decoder has to say, without its own name.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + strings.TrimPrefix(err.Error(), "json: ")
}
