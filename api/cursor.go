package api

import (
	"crypto/sha256"
)

// A cursor says which list it is of, with all that was asked of the list, and the key after which it goes on. That is
// all: nothing is kept for it anywhere, so it is good for ever, and over restarts. It carries a code as a token does, so
// that a damaged one is not taken for another place in the list. Keys stay where they are when logs are moved, so those of before are good too.

// listName stands for a list and what was asked of it.
type listName [8]byte

const (
	cursorVersion = 0x81 // no token begins with it
	// maxCursor is longer than any cursor: a key has at most 192 bytes.
	maxCursor = 512
)

// nameOf makes a list's name of its path and filters.
func nameOf(list string) (name listName) {
	sum := sha256.Sum256([]byte(list))
	copy(name[:], sum[:])
	return name
}

type cursor struct {
	list  listName
	after string
}

// stamp writes a cursor down. realm is what this Stockflow has and others don't.
func (c cursor) stamp(realm []byte) string {
	b := append([]byte{cursorVersion}, c.list[:]...)
	return seal(realm, append(b, c.after...))
}

// parseCursor reads a cursor of this realm, and returns false if it is none.
func parseCursor(realm []byte, text string) (c cursor, ok bool) {
	if len(text) > maxCursor {
		return c, false
	}
	b, ok := unseal(realm, text)
	if !ok || len(b) <= 1+len(c.list) || b[0] != cursorVersion {
		return c, false
	}
	n := copy(c.list[:], b[1:])
	c.after = string(b[1+n:])
	return c, true
}
