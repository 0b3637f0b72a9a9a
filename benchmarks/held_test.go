package benchmarks

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
)

// heldRows is how many rows a partition has here.
const heldRows = 50_000

// BenchmarkHeldRows changes rows in a store, in batches as a view takes them in, with entries that lead to their rows and with
// entries that hold them: what the latter cost. Orders come in turn and change thrice each among the last ten thousand, and have
// the three terms of an order; SKUs are a thousand with all the receipts that one remembers, and have the two terms of a SKU.
func BenchmarkHeldRows(b *testing.B) {
	for _, held := range []bool{false, true} {
		b.Run(fmt.Sprintf("orders/held=%v", held), func(b *testing.B) { changes(b, held, ordersIndexed, orderChange, 4*heldRows) })
		b.Run(fmt.Sprintf("stock/held=%v", held), func(b *testing.B) { changes(b, held, stockIndexed, stockChange, 4*heldRows) })
	}
}

// changes makes so many of them in each round, in a store of its own.
func changes(b *testing.B, held bool, terms func(string, []byte) []string, change func(i int) (string, []byte), n int) {
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "0")
		s := engine.NewStore(dir, func(msg string, args ...any) { b.Log(append([]any{msg}, args...)...) })
		s.Index(engine.Index{Version: "1", Terms: terms, Holds: func(string) bool { return held }})
		if err := s.Open(); err != nil {
			b.Fatal(err)
		}
		began, wrote := cpuTime(), writtenBytes()
		for i := range n {
			key, row := change(i)
			if err := s.Set(key, row); err != nil {
				b.Fatal(err)
			}
			if err := s.SetOffset(int64(i)); err != nil {
				b.Fatal(err)
			}
			if i%512 == 511 { // or the store would take all of them in at once
				if err := snapshot(s); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64((cpuTime()-began).Microseconds())/float64(n), "cpu-µs/change")
		b.ReportMetric(float64(writtenBytes()-wrote)/float64(n), "B-written/change")
		b.ReportMetric(float64(bytesUnder(b, dir))/(1<<20), "MiB-on-disk")
	}
}

// snapshot has what was set written, as it does.
func snapshot(s *engine.Store) error {
	sn, err := s.Snapshot()
	if err == nil {
		sn.Release()
	}
	return err
}

func ordersIndexed(_ string, row []byte) []string {
	_, s, err := codecs.DecodeOrderRow(row)
	if err != nil {
		return nil
	}
	status := string([]byte{byte(s.Status)})
	return []string{"s" + status, "c" + s.Customer.ID, "b" + status + s.Customer.ID}
}

// orderChange is a new order at first and at every fourth change, and else one of the last, a step further.
func orderChange(i int) (string, []byte) {
	n := i / 4
	if i%4 > 0 {
		n = max(0, n-rand.IntN(10_000))
	}
	row := orderRow(n, heldRows)
	row.Status = order.Status(1 + i%4)
	return orderKey(n), codecs.EncodeOrderRow(codecs.Head{Applied: int64(i)}, row)
}

func stockIndexed(_ string, row []byte) []string {
	_, s, err := codecs.DecodeInventoryRow(row)
	if err != nil {
		return nil
	}
	return []string{"o" + fmt.Sprint(s.Available()/1024), "e" + fmt.Sprint(s.Available()/128)}
}

func stockChange(i int) (string, []byte) {
	n := rand.IntN(1000)
	row := stockRow(n+i%100, heldRows)
	for k := range inventory.MaxRemembered {
		h := uint64(k+1) * 0x9e3779b97f4a7c15
		row.Remembered = append(row.Remembered, inventory.Remembered{ID: h ^ uint64(n), Content: h + uint64(n)<<20})
	}
	return skuKey(n), codecs.EncodeInventoryRow(codecs.Head{Applied: int64(i)}, row)
}

// cpuTime is what this process has had of the processors: unlike time, it says the same when others use them too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// writtenBytes are those that this process has written to anything, 0 where the system doesn't say.
func writtenBytes() int64 {
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(io), "wchar: ")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(line, 10, 64)
	return n
}

func bytesUnder(b *testing.B, dir string) (n int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
