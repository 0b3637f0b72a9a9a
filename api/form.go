package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"stockflow/codecs"
)

// form reads a JSON body, one value after the other, and remembers everything that is wrong with it, so that a
// client learns of all bad fields at once. encoding/json alone would stop at the first, take a field that is given
// twice, and not tell 1.5 from "x".
type form struct {
	dec   *json.Decoder
	bad   codecs.Invalid
	fault error // why there is no more to read: the body is no JSON
}

// field reads the value that comes next in a form, which is called path.
type field func(f *form, path string)

// fields are the fields that an object may have, by name.
type fields map[string]field

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
	f := &form{dec: json.NewDecoder(bytes.NewReader(body))}
	f.dec.UseNumber()
	if f.next() != json.Delim('{') && f.fault == nil {
		return nil, &fault{code: "bad_json", detail: "The body must be a JSON object."}
	}
	f.fields("", fs)
	f.end()
	if f.fault != nil {
		return nil, &fault{code: "bad_json", detail: fmt.Sprintf("The body is not JSON: %v, at byte %d.", f.fault, f.dec.InputOffset())}
	}
	return f.bad, nil
}

// next returns the token that comes next, and nil at null and behind a fault.
func (f *form) next() json.Token {
	if f.fault != nil {
		return nil
	}
	token, err := f.dec.Token()
	if errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	}
	f.fault = err
	return token
}

// end expects the body to be over.
func (f *form) end() {
	if f.fault != nil {
		return
	}
	if _, err := f.dec.Token(); !errors.Is(err, io.EOF) {
		f.fault = errors.New("something follows the object")
	}
}

func (f *form) more() bool { return f.fault == nil && f.dec.More() }

func (f *form) wrong(path, format string, args ...any) {
	if len(f.bad) < maxBad {
		f.bad = append(f.bad, codecs.FieldError{Field: path, Problem: fmt.Sprintf(format, args...)})
	}
}

// fields reads what is left of an object whose brace has been read.
func (f *form) fields(path string, fs fields) {
	given := map[string]bool{}
	for f.more() {
		name, _ := f.next().(string)
		at := below(path, name)
		read, known := fs[name]
		switch {
		case !known:
			f.wrong(at, "is not a field of this request")
			f.skip(f.next())
		case given[name]:
			f.wrong(at, "is given twice")
			f.skip(f.next())
		default:
			read(f, at)
		}
		given[name] = true
	}
	f.next() // the brace
}

// below names a field of the object at path. A name may be anything a sender wrote, so it is cut.
func below(path, name string) string {
	const most = 64
	if r := []rune(name); len(r) > most {
		name = string(r[:most]) + "..."
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// skip reads the rest of the value that token begins.
func (f *form) skip(token json.Token) {
	for depth := 0; ; token = f.next() {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 || f.fault != nil {
			return
		}
	}
}

// text reads a string into s. null is as good as no field, here and below: many clients write it for one.
func text(s *string) field {
	return func(f *form, path string) { f.text(s, path) }
}

// name reads a string that is not empty into s. A sender that lost its own id must not be given a new one each time it
// tries.
func name(s *string) field {
	return func(f *form, path string) {
		if given := f.text(s, path); given && *s == "" {
			f.wrong(path, "is empty")
		}
	}
}

// text reports whether a string was there.
func (f *form) text(s *string, path string) bool {
	switch v := f.next().(type) {
	case nil:
		return false
	case string:
		if *s = v; strings.ContainsRune(v, utf8.RuneError) {
			f.wrong(path, "holds a character that Unicode does not have")
		}
		return true
	default:
		f.wrong(path, "must be text")
		f.skip(v)
		return false
	}
}

// whole reads a number without fraction into n.
func whole(n *int64) field {
	return func(f *form, path string) {
		switch v := f.next().(type) {
		case nil:
		case json.Number:
			var err error
			if *n, err = strconv.ParseInt(v.String(), 10, 64); errors.Is(err, strconv.ErrRange) {
				f.wrong(path, "is out of range")
			} else if err != nil {
				f.wrong(path, "must be a whole number, without fraction or exponent")
			}
		default:
			f.wrong(path, "must be a whole number")
			f.skip(v)
		}
	}
}

// object reads an object with the given fields.
func object(fs fields) field {
	return func(f *form, path string) {
		switch v := f.next(); v {
		case nil:
		case json.Delim('{'):
			f.fields(path, fs)
		default:
			f.wrong(path, "must be an object")
			f.skip(v)
		}
	}
}

// list reads a list; each is called for each of its elements, and returns how to read it.
func list(each func() field) field {
	return func(f *form, path string) {
		switch v := f.next(); v {
		case nil:
		case json.Delim('['):
			for i := 0; f.more(); i++ {
				each()(f, fmt.Sprintf("%s[%d]", path, i))
			}
			f.next() // the bracket
		default:
			f.wrong(path, "must be a list")
			f.skip(v)
		}
	}
}

// merge adds to what is wrong with the form of a body what is wrong with its content, but for fields that could not
// be read in the first place: of "two" there is no use in saying that it is less than 1. It returns nil when nothing
// is wrong.
func merge(form codecs.Invalid, content ...error) error {
	all := form
	for _, err := range content {
		var more codecs.Invalid
		if err != nil && !errors.As(err, &more) {
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
