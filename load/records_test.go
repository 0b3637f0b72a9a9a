package load

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// readAll returns the rows of a text, each as "line end cells problem".
func readAll(t *testing.T, text string) (all []record) {
	t.Helper()
	r := newRecords(strings.NewReader(text), ',')
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
}

func TestRowsOfCSV(t *testing.T) {
	long := strings.Repeat("x", maxRecord+1)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"plain", "a,b\nc,d", "1@4[a b] 2@7[c d]"},
		{"Windows", "a,b\r\nc,d\r\n", "1@5[a b] 2@10[c d]"},
		{"byte order mark", "\uFEFFa,b\n", "1@7[a b]"},
		{"empty lines", "\na\n\r\n\nb\n", "2@3[a] 5@8[b]"},
		{"quotes", `"a,""b""",c` + "\n", `1@12[a,"b" c]`},
		{"a row of three lines", "\"a\nb\n\",c\nd,e\n", "1@9[a\nb\n c] 4@13[d e]"},
		{"a quote in the middle", "5\" nail,3\nlamp,2\n", `1@10[5" nail,3]!a quote is opened and not closed 2@17[lamp 2]`},
		{"two quotes in the middle", "a 5\" nail,\"3\nlamp,2\n", `1@13[a 5" nail,"3]!bare " in non-quoted-field 2@20[lamp 2]`},
		{"a quote that stays open", "\"a,1\nb,2\nc,3\n", `1@5["a,1]!a quote is opened and not closed 2@9[b 2] 3@13[c 3]`},
		{"two quotes that stay open", "\"a,1\nb,2\n\"c,3\nd,4\n", "1@5[\"a,1]!extraneous or missing \" in quoted-field 2@9[b 2] 3@14[\"c,3]!a quote is opened and not closed 4@18[d 4]"},
		{"a long line", long + "\nb\n", fmt.Sprintf("1@%d[%s]!the line is longer than 65536 bytes 2@%d[b]", maxRecord+2, long[:maxRecord], maxRecord+4)},
		{"a long row", "\"a\n" + strings.Repeat("b\n", maxRecord/2) + "c\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, r := range readAll(t, c.text) {
				problem := ""
				if r.problem != "" {
					problem = "!" + r.problem
				}
				got = append(got, fmt.Sprintf("%d@%d%v%s", r.line, r.end, r.cells, problem))
			}
			if c.name == "a long row" { // each of its lines is read by itself
				if len(got) != maxRecord/2+2 || !strings.Contains(got[0], "not closed") {
					t.Errorf("got %d rows, the first is %.80s", len(got), got[0])
				}
				return
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got  %.300q\nwant %.300q", text, c.want)
			}
		})
	}
}

// FuzzRows: what encoding/csv can read is read as it does; and whatever a file holds, rows go forward, and no line that
// has something in it is passed over.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{
		"sku,quantity\nlamp,1\n", "\"a\nb\",c\r\n\r\nd", "a\"b,c\n\"d\n", "\uFEFFa,\"\"\n", "\"\"\"\n\"", ",\n,,\r", "\"a\"b\n\"c\"\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows := readAll(t, text)
		checkForward(t, text, rows)
		reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, byteOrderMark)))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		if err != nil || len(text) > maxRecord {
			return
		}
		if len(rows) != len(want) {
			t.Fatalf("%q has %d rows, encoding/csv finds %d", text, len(rows), len(want))
		}
		for i, r := range rows {
			if r.problem != "" || !slices.Equal(r.cells, want[i]) {
				t.Fatalf("row %d of %q is %q %s, encoding/csv reads %q", i, text, r.cells, r.problem, want[i])
			}
		}
	})
}

func checkForward(t *testing.T, text string, rows []record) {
	t.Helper()
	line, end := int64(0), int64(0)
	for _, r := range rows {
		if r.line <= line || r.end <= end || r.end > int64(len(text)) || len(r.cells) == 0 {
			t.Fatalf("behind line %d and offset %d comes %+v", line, end, r)
		}
		between := strings.TrimPrefix(text[end:r.end], byteOrderMark)
		skipped := int64(len(between) - len(strings.TrimLeft(between, "\r\n")))
		if first := int64(strings.Count(between[:skipped], "\n")); r.problem != "" && strings.Count(strings.TrimRight(between[skipped:], "\r\n"), "\n") > 0 {
			t.Fatalf("the bad row on line %d (%d empty before it) takes several lines with it: %q", r.line, first, between)
		}
		line, end = r.line, r.end
	}
	if rest := strings.Trim(strings.TrimPrefix(text[end:], byteOrderMark), "\r\n"); rest != "" {
		t.Fatalf("%q is passed over", rest)
	}
}

// TestAFileDoesNotFillTheMemory, be it one line from its beginning to its end.
func TestAFileDoesNotFillTheMemory(t *testing.T) {
	r := newRecords(io.MultiReader(strings.NewReader("\""), io.LimitReader(endless{}, 1<<28)), ',')
	got, err := r.next()
	if err != nil || got.problem == "" || len(got.cells[0]) > maxRecord || got.end != 1<<28+1 {
		t.Errorf("a line of 256 MiB is %d bytes of %d, %q %v", len(got.cells[0]), got.end, got.problem, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
