package api

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a field of a form can be read into.

// list reads a list, each of its elements into one and the same field; add is called after each.
func list(element field, add func()) field { return &listField{element, add} }

type listField struct {
	element field
	add     func()
}

func (l *listField) read(f *form) {
	if !f.begin('[', "must be a list") {
		return
	}
	outer := len(f.path)
	for i := int64(0); f.more(); i++ {
		f.path = append(strconv.AppendInt(append(f.path, '['), i, 10), ']')
		l.element.read(f)
		l.add()
		f.path = f.path[:outer]
	}
	f.next() // the bracket
}

// text reads a string into s.
func text(s *string) field { return (*textField)(s) }

type textField string

func (s *textField) read(f *form) { f.text((*string)(s)) }

// name reads a string that is not empty into s. A sender that lost its own id must not be given a new one each time it
// tries.
func name(s *string) field { return (*nameField)(s) }

type nameField string

func (s *nameField) read(f *form) {
	if given := f.text((*string)(s)); given && *s == "" {
		f.wrong("is empty")
	}
}

// text reports whether a string was there.
func (f *form) text(s *string) bool {
	token := f.next()
	switch token[0] {
	case '"':
		if *s = string(unquoted(token)); strings.ContainsRune(*s, utf8.RuneError) {
			f.wrong("holds a character that Unicode does not have")
		}
		return true
	case 'n':
	default:
		f.wrong("must be text")
		f.skip(token)
	}
	return false
}

// whole reads a number without fraction into n.
func whole(n *int64) field { return (*wholeField)(n) }

type wholeField int64

func (n *wholeField) read(f *form) {
	token := f.next()
	switch c := token[0]; {
	case c == 'n':
	case c == '-' || '0' <= c && c <= '9':
		number, err := strconv.ParseInt(string(token), 10, 64)
		if *n = wholeField(number); errors.Is(err, strconv.ErrRange) {
			f.wrong("is out of range")
		} else if err != nil {
			f.wrong("must be a whole number, without fraction or exponent")
		}
	default:
		f.wrong("must be a whole number")
		f.skip(token)
	}
}

// truth reads true or false into b.
func truth(b *bool) field { return (*truthField)(b) }

type truthField bool

func (b *truthField) read(f *form) {
	token := f.next()
	switch token[0] {
	case 'n':
	case 't', 'f':
		*b = token[0] == 't'
	default:
		f.wrong("must be true or false")
		f.skip(token)
	}
}

// base64Bytes reads text in base64 into b, which is nil only if there was none.
func base64Bytes(b *[]byte) field { return (*base64Field)(b) }

type base64Field []byte

func (b *base64Field) read(f *form) {
	var text string
	if !f.text(&text) {
		return
	}
	var err error
	if *b, err = base64.StdEncoding.DecodeString(text); err != nil {
		f.wrong("must be in base64")
	}
}

// rawObject makes b an object as it stands in the body.
func rawObject(b *[]byte) field { return (*rawField)(b) }

type rawField []byte

func (b *rawField) read(f *form) {
	f.toToken()
	from := f.left
	if !f.begin('{', "must be an object") {
		return
	}
	f.skip(from[:1])
	*b = from[:len(from)-len(f.left)]
}
