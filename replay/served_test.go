package replay

import (
	"context"
	"fmt"
	"testing"

	"stockflow/processors"
)

// TestWhatHTTPServesTakesBoundedMemory, however many partitions it is divided among, and all of it is there when they are folded.
func TestWhatHTTPServesTakesBoundedMemory(t *testing.T) {
	const rows, partitions = 400_000, 64
	w := &work{reach: survey{partitions: partitions}, spill: spill{under: t.TempDir()}}
	w.Machines = Machines
	for _, m := range Machines {
		for n := range int32(partitions) {
			w.parts = append(w.parts, &part{work: w, machine: m, partition: n, rows: w.spill.scratch(rowsRoom)})
		}
	}
	t.Cleanup(func() {
		if err := w.spill.close(); err != nil {
			t.Error(err)
		}
	})
	held := func() (all int) {
		for _, p := range w.parts {
			all += p.rows.young.size
		}
		return all
	}
	most := 0
	w.Served = &Served{List: func(_ context.Context, table string, each func(string, int64, []byte) error) (bool, error) {
		if table != processors.OrderTable {
			return false, nil
		}
		for i := range rows {
			if err := each(fmt.Sprint("o-", i), int64(i), []byte(`{}`)); err != nil {
				return true, err
			}
			if i%10_000 == 0 {
				most = max(most, held())
			}
		}
		return true, nil
	}}
	if err := w.readServed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if most = max(most, held()); most > servedRoom {
		t.Errorf("there were %d bytes in memory, expected at most %d", most, servedRoom)
	}
	n := 0
	for _, p := range w.parts[:partitions] {
		if err := p.rows.each(kindServed, func(string, []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n != rows {
		t.Errorf("%d of %d rows are there", n, rows)
	}
}
