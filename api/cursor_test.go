package api

import (
	"encoding/base64"
	"strings"
	"testing"

	"stockflow/engine"
	"stockflow/processors"
)

func TestACursorIsReadAsItWasWritten(t *testing.T) {
	mine, yours := []byte("mine"), []byte("yours")
	for _, after := range []string{"o-1", "BANK CHARGES", strings.Repeat("€", 64)} {
		want := cursor{nameOf("/v1/orders"), after}
		text := want.stamp(mine)
		if got, ok := parseCursor(mine, text); !ok || got != want {
			t.Errorf("%+v became %+v, %v", want, got, ok)
		}
		if _, ok := parseCursor(yours, text); ok {
			t.Error("a cursor of another realm was taken")
		}
	}
}

// Every bit of a cursor counts.
func TestADamagedCursorIsNone(t *testing.T) {
	deploymentID := []byte("realm")
	text := cursor{nameOf("/v1/orders"), "o-1"}.stamp(deploymentID)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	damaged := []string{"", text + "A", text[1:], text[:len(text)-1], text + "=", text + "\n", " " + text, strings.Repeat("A", 10_000),
		token{processors.OrderEvents, "a key that is long enough", engine.Position{}}.stamp(deploymentID)}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		damaged = append(damaged, base64.RawURLEncoding.EncodeToString(b))
		b[i/8] ^= 1 << (i % 8)
	}
	for _, d := range damaged {
		if c, ok := parseCursor(deploymentID, d); ok {
			t.Errorf("%q is read as %+v", d, c)
		}
	}
	if c, err := parseToken(deploymentID, text); err == nil {
		t.Errorf("a cursor is taken for the token %+v", c)
	}
}

func FuzzCursor(f *testing.F) {
	realm := []byte("realm")
	f.Add(cursor{nameOf("/v1/orders"), "o-1"}.stamp(realm))
	f.Add(cursor{nameOf("/v1/inventory\x00prefix="), "BANK CHARGES"}.stamp(realm))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseCursor(realm, text)
		if ok && (got.stamp(realm) != text || got.after == "") {
			t.Errorf("%q is read as %+v, which is written %q", text, got, got.stamp(realm))
		}
	})
}
