package codecs

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestParseOrigin(t *testing.T) {
	for _, c := range []struct {
		text string
		want Origin // zero: refused
	}{
		{"order-events/3/1042/0", Origin{"order-events", 3, 1042, 0}},
		{"a.b_C-9/0/0/0", Origin{"a.b_C-9", 0, 0, 0}},
		{"order-events/2147483647/9223372036854775807/2147483647", Origin{"order-events", 1<<31 - 1, 1<<63 - 1, 1<<31 - 1}},
		{"order-events/2147483648/0/0", Origin{}},
		{"order-events/0/9223372036854775808/0", Origin{}},
		{"order-events/0/0/2147483648", Origin{}},
		{"order-events/03/1042/0", Origin{}},
		{"order-events/3/+1042/0", Origin{}},
		{"order-events/3/-1/0", Origin{}},
		{"order-events/3/-0/0", Origin{}},
		{"order-events/3/1042/", Origin{}},
		{"order-events/3/1042", Origin{}},
		{"order-events/3/1042/0/0", Origin{}},
		{"order-events/3/1_042/0", Origin{}},
		{"order-events/3/ 1042/0", Origin{}},
		{"order-events/3/1042/0\n", Origin{}},
		{"/3/1042/0", Origin{}},
		{"order events/3/1042/0", Origin{}},
		{"\xff/3/1042/0", Origin{}},
		{"", Origin{}},
	} {
		got, err := ParseOrigin([]byte(c.text))
		if got != c.want || (err != nil) != (c.want == Origin{}) {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
		if err == nil && string(EncodeOrigin(got)) != c.text {
			t.Errorf("%q is written as %q", c.text, EncodeOrigin(got))
		}
	}
	_, err := ParseOrigin([]byte("order-events/03/x/0"))
	want := `origin: partition: must be a number of 31 bits without sign or leading zeros, is "03"` + "\n" +
		`origin: offset: must be a number of 63 bits without sign or leading zeros, is "x"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestOriginRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Origin{Log: rapid.StringMatching("[a-zA-Z0-9._-]{1,249}").Draw(t, "log"), Partition: rapid.Int32Min(0).Draw(t, "partition"),
			Offset: rapid.Int64Min(0).Draw(t, "offset"), Index: rapid.Int32Min(0).Draw(t, "index")}
		if got, err := ParseOrigin(EncodeOrigin(o)); err != nil || got != o {
			t.Fatalf("%+v comes back as %+v, %v", o, got, err)
		}
	})
}

func TestTaken(t *testing.T) {
	for _, taken := range [][]Taken{nil, {{}}, {{Offset: -1, Refusal: "id_conflict"}}} {
		if got, err := DecodeTaken(EncodeTaken(taken)); err != nil || !reflect.DeepEqual(got, taken) {
			t.Errorf("%v comes back as %v, %v", taken, got, err)
		}
	}
	if got, err := DecodeTaken([]byte("\xff")); err == nil {
		t.Errorf("noise is %v", got)
	}
}

// TestDeadLetterKeepsAll that a record can hold; a reason may quote anything.
func TestDeadLetterKeepsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(name string) []byte { return filled(rapid.SliceOf(rapid.Byte()).Draw(t, name)) }
		d := DeadLetter{Topic: rapid.String().Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"),
			Offset: rapid.Int64().Draw(t, "offset"), At: rapid.Int64().Draw(t, "at"), Key: some("key"), Value: some("value"),
			NoValue: rapid.Bool().Draw(t, "no value"), Reason: rapid.String().Draw(t, "reason"),
			Headers: list(t, 3, func() Header { return Header{Key: string(some("header")), Value: some("its value")} })}
		if rapid.Bool().Draw(t, "note") {
			d.Redrive = &Redrive{ID: rapid.String().Draw(t, "id"), Repaired: rapid.Bool().Draw(t, "repaired"),
				Partition: rapid.Int32().Draw(t, "now in"), Offset: rapid.Int64().Draw(t, "now at")}
		}
		if rapid.Bool().Draw(t, "cut") {
			d.Cut = &Cut{Size: rapid.Int64().Draw(t, "size"), SHA256: some("hash"), Headers: rapid.Int32().Draw(t, "left out")}
		}
		if rapid.Bool().Draw(t, "skip") {
			d.Skip = &Skip{Asked: rapid.Int64().Draw(t, "asked"), Done: rapid.Bool().Draw(t, "done")}
		}
		if got, err := DecodeDeadLetter(EncodeDeadLetter(d)); err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("%+v comes back as %+v, %v", d, got, err)
		}
	})
	if got, _ := DecodeDeadLetter(EncodeDeadLetter(DeadLetter{Topic: "\xff", Reason: "not \xff"})); got.Topic != "\uFFFD" || got.Reason != "not \uFFFD" {
		t.Errorf("got %+v", got)
	}
	if got, err := DecodeDeadLetter([]byte("\xff")); err == nil {
		t.Errorf("noise is %+v", got)
	}
}
