package kafkaport

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
)

// kmsg trusts the numbers that a request begins its lists and tags with: it allocates as many elements, and goes through as
// many tags, before it sees that the bytes end sooner. So each request is walked along its layout first, which allocates
// nothing. layouts.go has the layouts.

// Bounds of one request, whatever its size.
const (
	maxElements = 20_000 // of all its lists; a commit of every partition there is needs fewer
	maxTags     = 200    // clients send none, or two
)

var errMalformed = errors.New("malformed request")

// A shape says how a field is written.
type shape uint8

const (
	fixed   shape = iota // size bytes
	text                 // a string: int16 length, or uvarint
	octets               // bytes: int32 length, or uvarint
	structs              // a list of structs, each with tags at its end in flexible versions
	values               // a list of one plain field
	tag                  // a tag that is a struct itself
)

// A field is a part of a request, in versions since to until.
type field struct {
	shape        shape
	since, until int16
	size         int     // of a fixed field, or the number of a tag
	of           []field // of an element of a list, or of a tag
}

func bytesOf(n int) field                 { return field{shape: fixed, until: maxVersion, size: n} }
func textField() field                    { return field{shape: text, until: maxVersion} }
func octetsField() field                  { return field{shape: octets, until: maxVersion} }
func listOf(of ...field) field            { return field{shape: structs, until: maxVersion, of: of} }
func valuesOf(of field) field             { return field{shape: values, until: maxVersion, of: []field{of}} }
func tagOf(number int, of ...field) field { return field{tag, 0, maxVersion, number, of} }

const maxVersion = 1<<15 - 1

// from returns the field as one of version v and later.
func (f field) from(v int16) field {
	f.since = v
	return f
}

// to returns the field as one of version v and before.
func (f field) to(v int16) field {
	f.until = v
	return f
}

// A walker goes through the bytes of one request.
type walker struct {
	kbin.Reader
	version  int16
	flexible bool
	elements int // that may still come
	tags     int // that may still come
}

// walk checks that the body of a request has the layout of its kind and version, within the bounds. Bytes behind its end are
// ignored, as Kafka does.
func walk(body []byte, version int16, flexible bool, layout []field) error {
	w := walker{Reader: kbin.Reader{Src: body}, version: version, flexible: flexible, elements: maxElements, tags: maxTags}
	return w.walkStruct(layout)
}

// walkStruct goes through fields and, in flexible versions, the tags behind them.
func (w *walker) walkStruct(fields []field) error {
	for i := range fields {
		if err := w.walkField(&fields[i]); err != nil {
			return err
		}
	}
	if w.flexible {
		return w.walkTags(fields)
	}
	return nil
}

func (w *walker) walkField(f *field) error {
	if w.version < f.since || w.version > f.until {
		return nil
	}
	switch f.shape {
	case fixed:
		w.Span(f.size)
	case text:
		w.skip(w.length(func() int { return int(w.Int16()) }))
	case octets:
		w.skip(w.length(func() int { return int(w.Int32()) }))
	case structs, values:
		return w.walkList(f)
	case tag: // walkTags comes to it
	}
	return w.ok()
}

// length reads how long what follows is; below 0: it is null.
func (w *walker) length(plain func() int) int {
	if w.flexible {
		return int(w.Uvarint()) - 1
	}
	return plain()
}

func (w *walker) skip(n int) {
	if n > 0 {
		w.Span(n)
	}
}

func (w *walker) walkList(f *field) error {
	n := w.length(func() int { return int(w.Int32()) })
	if w.elements -= max(n, 0); w.elements < 0 {
		return fmt.Errorf("%w: more than %d elements", errMalformed, maxElements)
	}
	for range n {
		var err error
		if f.shape == structs {
			err = w.walkStruct(f.of)
		} else {
			err = w.walkField(&f.of[0])
		}
		if err != nil {
			return err
		}
	}
	return w.ok()
}

// walkTags goes through the tags of a struct with these fields.
func (w *walker) walkTags(fields []field) error {
	n := int(w.Uvarint())
	if w.tags -= n; w.tags < 0 {
		return fmt.Errorf("%w: more than %d tags", errMalformed, maxTags)
	}
	for range n {
		number, content := int(w.Uvarint()), w.Span(int(w.Uvarint()))
		if err := w.ok(); err != nil {
			return err
		}
		for i := range fields {
			if fields[i].shape != tag || fields[i].size != number {
				continue
			}
			inside := *w
			inside.Src = content
			if err := inside.walkStruct(fields[i].of); err != nil {
				return err
			}
			w.tags = inside.tags
		}
	}
	return w.ok()
}

func (w *walker) ok() error {
	if !w.Ok() {
		return fmt.Errorf("%w: it ends too soon", errMalformed)
	}
	return nil
}
