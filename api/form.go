package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"stockflow/codecs"
)

// form reads a JSON body, one value after the other, and remembers everything that is wrong with it, so that a
// client learns of all bad fields at once. encoding/json alone would stop at the first, take a field that is given
// twice, and not tell 1.5 from "x". What it reads is known to be JSON, so it looks for no faults of that kind.
type form struct {
	left []byte // of the body
	path []byte // of the value that is read, as in lines[0].sku
	bad  codecs.Invalid
}

// field is what the value that comes next in a form is read into. null is as good as no field: many clients write it for
// one.
type field interface{ read(f *form) }

// fields are the fields that an object may have.
type fields []struct {
	name string
	into field
}

// usualPath is for how many bytes of a path there is room at first.
const usualPath = 64

// maxBad is how many bad fields are told of; more would only help to fill the line.
const maxBad = 100

// fill reads body, an object with the given fields, none of them twice and nothing behind it. An empty body is an
// empty object. The error is a *fault that says where the JSON breaks off; what is wrong with the fields comes back
// as codecs.Invalid.
func fill(body []byte, fs fields) (codecs.Invalid, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, &fault{code: "bad_json", detail: "The body is not UTF-8."}
	}
	if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
		if err := breakOf(body); err != nil {
			return nil, err
		}
	}
	f := form{left: body, path: make([]byte, 0, usualPath)}
	fs.read(&f)
	return f.bad, nil
}

// breakOf says where a body stops to be one JSON object. It returns nil for an object that is nested deeper than
// json.Valid follows.
func breakOf(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	token, err := dec.Token()
	if err == nil && token != json.Delim('{') {
		return &fault{code: "bad_json", detail: "The body must be a JSON object."}
	}
	for depth := 1; err == nil && depth > 0; depth += step(token) {
		token, err = dec.Token()
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	} else if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err == nil {
		return nil
	}
	return &fault{code: "bad_json", detail: fmt.Sprintf("The body is not JSON: %v, at byte %d.", err, dec.InputOffset())}
}

// step is how much deeper a token leads.
func step(token json.Token) int {
	switch token {
	case json.Delim('{'), json.Delim('['):
		return 1
	case json.Delim('}'), json.Delim(']'):
		return -1
	}
	return 0
}

// next takes the token that comes next: a bracket, or a whole string, number or word.
func (f *form) next() []byte {
	f.toToken()
	n := 1
	switch f.left[0] {
	case '{', '}', '[', ']':
	case '"':
		for ; f.left[n] != '"'; n++ {
			if f.left[n] == '\\' {
				n++ // what is escaped ends nothing
			}
		}
		n++
	default:
		for !isBetween(f.left[n]) && f.left[n] != '}' && f.left[n] != ']' {
			n++
		}
	}
	token := f.left[:n]
	f.left = f.left[n:]
	return token
}

// unquoted returns what a JSON string says.
func unquoted(token []byte) []byte {
	if bytes.IndexByte(token, '\\') < 0 {
		return token[1 : len(token)-1]
	}
	var s string
	_ = json.Unmarshal(token, &s) // it is a string
	return []byte(s)
}

// toToken skips what stands between two tokens.
func (f *form) toToken() {
	for isBetween(f.left[0]) {
		f.left = f.left[1:]
	}
}

// isBetween reports whether a character of JSON stands between tokens, and is none.
func isBetween(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ':'
}

// more reports whether the object or list that is read goes on.
func (f *form) more() bool {
	f.toToken()
	return f.left[0] != '}' && f.left[0] != ']'
}

// skip reads the rest of the value that token begins.
func (f *form) skip(token []byte) {
	for depth := 0; ; token = f.next() {
		switch token[0] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

// wrong says what is wrong with the value that is read.
func (f *form) wrong(problem string) {
	if len(f.bad) < maxBad {
		f.bad = append(f.bad, codecs.FieldError{Field: string(f.path), Problem: problem})
	}
}

// begin takes a bracket, and reports whether one was there. Another value is skipped, and wrong unless it is null.
func (f *form) begin(bracket byte, problem string) bool {
	token := f.next()
	if token[0] != bracket && token[0] != 'n' {
		f.wrong(problem)
		f.skip(token)
	}
	return token[0] == bracket
}

// read reads an object.
func (fs fields) read(f *form) {
	if !f.begin('{', "must be an object") {
		return
	}
	outer := len(f.path)
	given := make([]bool, len(fs))
	for f.more() {
		name := unquoted(f.next())
		f.path = below(f.path, name)
		switch i := fs.find(name); {
		case i < 0:
			f.wrong("is not a field of this request")
			f.skip(f.next())
		case given[i]:
			f.wrong("is given twice")
			f.skip(f.next())
		default:
			given[i] = true
			fs[i].into.read(f)
		}
		f.path = f.path[:outer]
	}
	f.next() // the brace
}

// find returns which field has a name, -1 if none.
func (fs fields) find(name []byte) int {
	for i := range fs {
		if fs[i].name == string(name) {
			return i
		}
	}
	return -1
}

// below appends to the path of an object the name of one of its fields. A name may be anything a sender wrote, so it is
// cut.
func below(path, name []byte) []byte {
	const most = 64
	if len(path) > 0 {
		path = append(path, '.')
	}
	if utf8.RuneCount(name) <= most {
		return append(path, name...)
	}
	return append(path, string([]rune(string(name))[:most])+"..."...)
}

// merge adds to what is wrong with the form of a body what is wrong with its content, but for fields that could not
// be read in the first place: of "two" there is no use in saying that it is less than 1. It returns nil when nothing
// is wrong.
func merge(form codecs.Invalid, content ...error) error {
	all := form
	for _, err := range content {
		if err == nil {
			continue
		}
		var more codecs.Invalid
		if !errors.As(err, &more) {
			return err
		}
		for _, m := range more {
			if len(all) < maxBad && !covered(form, m.Field) {
				all = append(all, m)
			}
		}
	}
	return all.Err()
}

func covered(form codecs.Invalid, name string) bool {
	for _, f := range form {
		if rest, ok := strings.CutPrefix(name, f.Field); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}
