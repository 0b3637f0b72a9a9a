package api

import (
	"testing"

	"stockflow/engine"
	"stockflow/processors"
)

func TestATokenIsOfItsRealm(t *testing.T) {
	mine, yours := []byte("mine"), []byte("yours")
	for _, want := range []token{
		{processors.OrderEvents, "o-1", engine.Position{Partition: 7, Offset: 1 << 40}},
		{processors.InventoryEvents, "BANK CHARGES", engine.Position{}},
	} {
		text := want.stamp(mine)
		if got, err := parseToken(mine, text); err != nil || got != want {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
		if _, err := parseToken(yours, text); err == nil {
			t.Error("a token of another realm was taken")
		}
	}
}

func FuzzToken(f *testing.F) {
	realm := []byte("realm")
	good := token{processors.OrderEvents, "o-1", engine.Position{Partition: 7, Offset: 99}}.stamp(realm)
	f.Add(good)
	f.Add(good + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseToken(realm, text)
		if err == nil && got.stamp(realm) != text {
			t.Errorf("%q is read as %+v, which is written %q", text, got, got.stamp(realm))
		}
	})
}
