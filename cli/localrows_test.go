package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
)

// local is where a directory has its own copy of a row of the stock: as the machine uses it, or as HTTP reads it.
func local(dir, part, sku string) (store string, key []byte) {
	n := broker.Partition([]byte(sku), 8)
	return filepath.Join(dir, part, processors.InventoryTable, fmt.Sprint(n)), []byte("\x01" + sku)
}

// forged makes a row say that there is a unit more. The disk is in order, so only the log can tell.
func forged(t *testing.T, dir, part, sku string) {
	t.Helper()
	store, key := local(dir, part, sku)
	db, err := leveldb.OpenFile(store, nil)
	must(t, err)
	defer db.Close()
	row, err := db.Get(key, nil)
	must(t, err)
	head, state, err := codecs.DecodeInventoryRow(row)
	must(t, err)
	state.Locations[0].OnHand++
	must(t, db.Put(key, codecs.EncodeInventoryRow(head, state), nil))
}

// TestALocalRowThatIsWrongIsFound where HTTP serves it, and where a machine has gone on from it. Replay makes both right.
func TestALocalRowThatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	for part, says := range map[string]string{"views": "HTTP", "processors": "they part at offset"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			data := "--data=" + dir
			traded(t, dir)
			forged(t, dir, part, "sku-1")
			server, client := open(t, dir)
			if part == "processors" {
				client.want("POST", "/v1/inventory/sku-1/receipts", `{"quantity":1}`, 200)
			}
			text := told(t, 1, []string{`"sku-1"`, says}, "verify", data)
			if n := strings.Count(text, `inventory-table `); n == 0 || strings.Contains(text, `"sku-2"`) || strings.Contains(text, `"o-1"`) {
				t.Errorf("it names others too, or no table: %s", text)
			}
			halt(t, server)
			told(t, 0, nil, "replay", "--table", "inventory", "--yes", data)
			open(t, dir)
			told(t, 0, []string{allEqual, "over HTTP"}, "verify", data)
		})
	}
}

// TestDamagedStoresAreReadAgain: whatever has become of the files of the machines' and the views' stores, they are set aside, made anew from
// the changelogs, and right. One whose last batch is torn goes on from the batch before.
func TestDamagedStoresAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	damaged := map[string]bool{}
	torn := func(store string) { edited(t, store, "*.log", func(b []byte) []byte { return b[:len(b)-5] }) }
	for _, part := range []string{"views", "processors"} {
		store, _ := local(dir, part, "sku-4")
		torn(store)
		for i, damage := range []func(store string){
			func(store string) { edited(t, store, "*.log", flipped) },
			func(store string) { edited(t, store, "MANIFEST-*", flipped) },
			func(store string) { must(t, os.Remove(filepath.Join(store, "CURRENT"))) },
		} {
			store, _ := local(dir, part, fmt.Sprint("sku-", i+1))
			damage(store)
			damaged[store] = true
		}
	}
	_, client := open(t, dir)
	if aside, _ := filepath.Glob(filepath.Join(dir, "*", processors.InventoryTable, "*.damaged-1")); len(aside) != len(damaged) {
		t.Errorf("of %d damaged stores %v were set aside", len(damaged), aside)
	}
	for i := range 4 {
		client.want("POST", fmt.Sprintf("/v1/inventory/sku-%d/receipts", i+1), `{"quantity":1}`, 200)
	}
	told(t, 0, []string{allEqual, "over HTTP"}, "verify", "--data="+dir)
}

// edited changes those files of a store that have something in them.
func edited(t *testing.T, store, pattern string, change func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(store, pattern))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		if len(b) > 10 {
			must(t, os.WriteFile(f, change(b), 0o600))
		}
	}
}

func flipped(b []byte) []byte {
	b[len(b)/3] ^= 0x10
	return b
}
