package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"stockflow/broker"
	"stockflow/replay"
	"stockflow/replay/history"
	"stockflow/stockflowtest"
)

// TestAHistoryIsKilledWhileItIsWritten plays orders and receipts at a process that is killed with SIGKILL, while it
// follows the logs and while it reads them again from the beginning. What is there in the end says the same of each row
// at each offset as a fold of the log that has never seen a disk.
func TestAHistoryIsKilledWhileItIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 4 {
		if round == 2 { // all of it is read again, and the kill falls into that
			if err := os.RemoveAll(filepath.Join(dir, "history")); err != nil {
				t.Fatal(err)
			}
		}
		p, client := spawnServer(t, dir)
		if round != 2 {
			killUnderLoad(p, client, round)
		}
		p.Kill()
	}
	compared := 0
	opened(t, dir, func(b broker.Local) {
		for _, m := range replay.Machines[:2] {
			for _, key := range map[string][]string{"order": {"o-0-3", "o-1-20", "o-3-7"}, "inventory": {"lamp", "desk", "mug"}}[m.Name] {
				compared += sameHistory(t, b, dir, m, key)
			}
		}
	})
	if compared < 100 {
		t.Errorf("only %d rows were compared", compared)
	}
}

// killUnderLoad kills a server when some orders were acknowledged.
func killUnderLoad(p *stockflowtest.Process, client *shop, round int) {
	var acks atomic.Int64
	sideBySide(8, 120, func(i int) {
		sku := []string{"lamp", "desk", "mug"}[i%3]
		_, _ = client.try("POST", "/v1/inventory/"+sku+"/receipts", `{"quantity":2}`)
		body := fmt.Sprintf(`{"order_id":"o-%d-%d","policy":"backorder","customer":{"id":"ada","email":"ada@example.org"},"lines":[{"sku":%q,"quantity":3}]}`, round, i, sku)
		if a, err := client.try("POST", "/v1/orders", body, "Prefer: wait=1"); err == nil && a.status < http.StatusInternalServerError {
			if acks.Add(1) == 60 {
				p.Kill()
			}
		}
	})
}

// sameHistory compares the row of a key at each offset, as the directory has it, with a fold of the log alone.
func sameHistory(t *testing.T, conn broker.Broker, dir string, m replay.Machine, key string) (compared int) {
	t.Helper()
	recall := func(dir string) *history.Single {
		row, err := history.Recall(context.Background(), conn, history.Question{
			Machine: m, Key: key, Partitions: 8, Dir: dir, Log: func(msg string, args ...any) { t.Errorf("%s %v", msg, args) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = row.Close() })
		return row
	}
	kept, folded := recall(filepath.Join(dir, "history")), recall("")
	for offset := int64(0); ; offset++ {
		got, err1 := kept.AtOffset(offset)
		want, err2 := folded.AtOffset(offset)
		if fmt.Sprint(err1) != fmt.Sprint(err2) || got.Offset != want.Offset || !bytes.Equal(got.Row, want.Row) {
			t.Fatalf("the row of %s in %s after offset %d is %+v, %v; the log says %+v, %v", key, m.Table, offset, got, err1, want, err2)
		}
		if beyond := new(history.Beyond); err1 != nil && errors.As(err1, &beyond) {
			break
		}
		if want.Row != nil {
			compared++
		}
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
	return compared
}
