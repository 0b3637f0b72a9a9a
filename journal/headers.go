package journal

import "iter"

// Headers are what a record carries beside its key and value, in the order in which they were added. They are encoded as
// the journal stores them: of each the length of its name, the name, the length of its value + 1 or 0 for none, the value.
// The zero Headers are none.
type Headers struct{ encoded []byte }

// HeadersIn returns no headers, with the memory of buf for those that are added.
func HeadersIn(buf []byte) Headers { return Headers{buf[:0]} }

// With returns the headers and one more, as append does. A nil value is none, which differs from an empty one.
func (h Headers) With(name string, value []byte) Headers {
	return Headers{appendOptional(appendString(h.encoded, name), value)}
}

// All yields name and value of each header. Both share the memory of the headers.
func (h Headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		d := decoder{b: h.encoded}
		for len(d.b) > 0 {
			name, value := d.bytes(), d.optional()
			if d.failed || !yield(name, value) {
				return
			}
		}
	}
}

// Len returns how many headers there are.
func (h Headers) Len() (n int) {
	d := decoder{b: h.encoded}
	for len(d.b) > 0 {
		d.bytes()
		d.optional()
		n++
	}
	return n
}
