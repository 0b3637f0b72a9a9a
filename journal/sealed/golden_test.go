package sealed

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file again")

const golden = "testdata/format-1"

// goldenContents has a block that is compressed, one that is not, and one that is large.
func goldenContents() contents {
	var rows []Record
	for i := range int64(300) {
		rows = append(rows, Record{Offset: 2 * i, Time: 1_764_000_000_000 + i/7, Data: fmt.Appendf(nil, "row %d of the golden file", i)})
	}
	return contents{
		0: {{Offset: 17, Time: 5, Data: []byte{1}}},
		3: rows,
		9: {{Offset: 0, Time: 1, Data: make([]byte, blockMax)}, {Offset: 1, Time: 1, Data: []byte("behind a large one")}},
	}
}

// Files of this format stay readable. (What is written may differ: a compressor that is better is welcome.)
func TestTheGoldenFileIsRead(t *testing.T) {
	want := goldenContents()
	if *update {
		if err := os.WriteFile(golden, write(t, want).b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, &memory{b: bytes.Clone(b)})
	if err := r.Verify(t.Context()); err != nil || r.Meta() != testMeta {
		t.Fatalf("%+v: %v", r.Meta(), err)
	}
	for p, rs := range want {
		if got, err := read(r, p, 0); err != nil || !reflect.DeepEqual(got, rs) {
			t.Errorf("partition %d: %d records, want %d: %v", p, len(got), len(rs), err)
		}
	}
}
