package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"stockflow/journal"
)

// A bit that turns in what was sealed is named by verify, with the file, and by a Stockflow that has to read it.
func TestVerifyReadsEveryChecksum(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8, journal: journal.Options{TailBytes: 64 << 10}}
	server, client := start(t, serve)
	client.want("POST", lampPath+"/receipts", `{"quantity": 1000}`, 200)
	for i := range 200 {
		client.placed(fmt.Sprintf(`{"order_id":"o-%d","lines":[{"sku":"lamp","quantity":1}]}`, i), fmt.Sprintf("/v1/shipments/o-%d", i))
	}
	halt(t, server)
	told(t, 0, []string{allEqual}, "verify", "--data="+dir)
	sealed, err := filepath.Glob(filepath.Join(journalIn(dir), "sealed-*"))
	if err != nil || len(sealed) == 0 {
		t.Fatalf("nothing was sealed: %v, %v", sealed, err)
	}
	content, err := os.ReadFile(sealed[0])
	must(t, err)
	content[len(content)/3] ^= 4
	must(t, os.WriteFile(sealed[0], content, 0o600))
	told(t, 2, []string{sealed[0], "damaged"}, "verify", "--data="+dir)
}
