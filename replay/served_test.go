package replay

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"stockflow/processors"
)

// asked returns a work whose HTTP lists orders as list does.
func asked(t *testing.T, partitions int32, list func(each func(key string, version int64, body []byte) error) error) *work {
	w := &work{reach: collected{partitions: partitions}, spill: spill{under: t.TempDir()}}
	w.Machines = Machines
	for _, m := range Machines {
		for n := range partitions {
			w.parts = append(w.parts, &part{work: w, machine: m, partition: n, rows: w.spill.scratch(rowsRoom)})
		}
	}
	t.Cleanup(func() {
		if err := w.spill.close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(w.spill.under); len(left) > 0 || err != nil {
			t.Errorf("on disk there is left %v, %v", left, err)
		}
	})
	w.Served = &Served{List: func(_ context.Context, table string, each func(string, int64, []byte) error) (bool, error) {
		if table != processors.OrderTable {
			return false, nil
		}
		return true, list(each)
	}}
	return w
}

// TestWhatHTTPServesTakesBoundedMemory, however many partitions it is divided among, and all of it is there when they are folded,
// word for word.
func TestWhatHTTPServesTakesBoundedMemory(t *testing.T) {
	const rows, partitions = 400_000, 64
	var w *work
	held := func() (all int) {
		for _, p := range w.parts {
			all += p.rows.young.size
		}
		return all
	}
	most := 0
	body := func(key string) []byte { return fmt.Appendf(nil, `{"order_id":%q,"mails":[]}`, key) }
	w = asked(t, partitions, func(each func(string, int64, []byte) error) error {
		for i := range rows {
			key := fmt.Sprintf("o-%06d", i)
			if err := each(key, int64(i), body(key)); err != nil {
				return err
			}
			if i%10_000 == 0 {
				most = max(most, held())
			}
		}
		return nil
	})
	if err := w.readServed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if most = max(most, held()); most > servedRoom {
		t.Errorf("there were %d bytes in memory, expected at most %d", most, servedRoom)
	}
	n := 0
	for _, p := range w.parts[:partitions] {
		err := p.rows.each(kindServed, func(key string, value []byte) error {
			n++
			l := readListed(value)
			got, err := w.bodies.get(l)
			if string(got) != string(body(key)) || fmt.Sprintf("o-%06d", l.version) != key {
				t.Errorf("of %s there is version %d, %s", key, l.version, got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != rows {
		t.Errorf("%d of %d rows are there", n, rows)
	}
}

// TestARowThatHTTPListsTwice is a difference, whatever comes between. Lists that go back and forth are not.
func TestARowThatHTTPListsTwice(t *testing.T) {
	for _, c := range []struct{ list, twice string }{{"a b c", ""}, {"c a b", ""}, {"a a b", "a"}, {"b c a b d", "b"}, {"a d b c d b", "b d"}} {
		w := asked(t, 4, func(each func(string, int64, []byte) error) error {
			for i, key := range strings.Fields(c.list) {
				if err := each(key, 0, fmt.Append(nil, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err := w.readServed(t.Context()); err != nil {
			t.Fatal(err)
		}
		var twice []string
		for _, p := range w.parts {
			for _, d := range p.differences {
				twice = append(twice, d.Key)
				if last := strings.LastIndex(c.list, d.Key) / 2; string(d.HTTP.Served) != fmt.Sprint(last) {
					t.Errorf("of %q %s is told as the second one of %s", c.list, d.HTTP.Served, d.Key)
				}
			}
		}
		if slices.Sort(twice); strings.Join(twice, " ") != c.twice {
			t.Errorf("of %q %q are told to be there twice, expected %q", c.list, twice, c.twice)
		}
	}
}
