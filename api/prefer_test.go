package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stockflow/codecs"
)

func TestPreferIsReadAsItsRFCWants(t *testing.T) {
	none := preference{}
	for _, c := range []struct {
		lines string // of the header, separated by |
		want  preference
	}{
		{"", none},
		{"wait=5", preference{5 * time.Second, true}},
		{"wait=0", preference{0, true}},
		{"Wait = 5 ", preference{5 * time.Second, true}},
		{`wait="5"`, preference{5 * time.Second, true}},
		{"respond-async, wait=5", preference{5 * time.Second, true}},
		{"respond-async; x=y, wait=5; foo=bar", preference{5 * time.Second, true}},
		{"respond-async|wait=5", preference{5 * time.Second, true}},
		{`x="a, wait=3", wait=5`, preference{5 * time.Second, true}},
		{`x="a\", wait=3", wait=5`, preference{5 * time.Second, true}},
		{"wait=3, wait=5", preference{3 * time.Second, true}},
		{"wait=10", preference{10 * time.Second, true}},
		{"wait=11", preference{10 * time.Second, true}},
		{"wait=99999999999999999999999", preference{10 * time.Second, true}},
		{"wait", none}, {"wait=", none}, {"wait=-1", none}, {"wait=+1", none}, {"wait=1.5", none}, {"wait=5s", none},
		{"wait=٥", none}, {"waiting=5", none}, {`wait="5`, none}, {"=5", none}, {",;,=", none},
	} {
		if got := parsePrefer(strings.Split(c.lines, "|")); got != c.want {
			t.Errorf("%q is read as %+v, expected %+v", c.lines, got, c.want)
		}
	}
}

// FuzzRepeatKey: whatever an Idempotency-Key is, it makes an id that an order can have, the same every time, and a hash.
func FuzzRepeatKey(f *testing.F) {
	f.Add("k-1", "k-2")
	f.Add("\x00/\xff", "")
	f.Fuzz(func(t *testing.T, one, two string) {
		r := &http.Request{Header: http.Header{keyHeader: {one}}}
		key, err := repeatKey(r)
		if (err != nil) != (one == "") || err == nil && key != one {
			t.Fatalf("%q is read as %q, %v", one, key, err)
		}
		r.Header.Add(keyHeader, two)
		if _, err := repeatKey(r); err == nil {
			t.Fatalf("%q and %q are both taken", one, two)
		}
		id := orderID("", one)
		if err := codecs.CheckID("order_id", id); err != nil || one != "" && id != orderID("", one) {
			t.Fatalf("%q makes the id %q: %v", one, id, err)
		}
		if one != two && one != "" && two != "" && id == orderID("", two) || hashOfKey(one) == 0 {
			t.Fatalf("%q and %q are the same to us", one, two)
		}
	})
}

func FuzzPrefer(f *testing.F) {
	f.Add(`x="a\", wait=3", wait=5; y`, "wait=1")
	f.Add(`"`, "")
	f.Fuzz(func(t *testing.T, one, two string) {
		p := parsePrefer([]string{one, two})
		if p.wait < 0 || p.wait > maxWait || !p.given && p.wait != 0 {
			t.Fatalf("%q, %q is read as %+v", one, two, p)
		}
		if again := parsePrefer([]string{p.applied()}); p.given && again != p {
			t.Fatalf("%+v is answered as %q, which is read as %+v", p, p.applied(), again)
		}
	})
}
