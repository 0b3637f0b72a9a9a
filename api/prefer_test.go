package api

import (
	"strings"
	"testing"
	"time"
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
