package journal

import (
	"bytes"
	"testing"
)

type header struct {
	name  string
	value []byte
}

func headersOf(all ...header) (h Headers) {
	for _, one := range all {
		h = h.With(one.name, one.value)
	}
	return h
}

func TestHeadersAreReadAsTheyWereAdded(t *testing.T) {
	for _, want := range [][]header{
		{},
		{{"a", []byte("1")}, {"", nil}, {"a", []byte{}}},
		{{"long", bytes.Repeat([]byte("x"), 300)}, {string(bytes.Repeat([]byte("n"), 200)), nil}, {"last", []byte("y")}},
	} {
		h := headersOf(want...)
		if h.Len() != len(want) {
			t.Errorf("%d headers, %d were added", h.Len(), len(want))
		}
		i := 0
		for name, value := range h.All() {
			if string(name) != want[i].name || !sameBytes(value, want[i].value) {
				t.Errorf("header %d is %q=%q, want %v", i, name, value, want[i])
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%d headers are read of %d", i, len(want))
		}
	}
}

// Headers that end early are never appended. Who reads them nevertheless gets those before.
func TestHeadersThatEndEarly(t *testing.T) {
	whole := headersOf(header{"a", []byte("1")}, header{"b", []byte("2")})
	for n := range len(whole.encoded) {
		cut, read := Headers{whole.encoded[:n]}, 0
		for range cut.All() {
			read++
		}
		if want := n / 4; read != want {
			t.Errorf("%d headers are read in %d bytes, want %d", read, n, want)
		}
	}
}
