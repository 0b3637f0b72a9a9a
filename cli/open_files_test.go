//go:build linux

package cli

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"stockflow/processors"
	"stockflow/stockflowtest"
)

// TestAtTheLimitOfOpenFiles connections take all descriptors that there are. Once they are gone, HTTP and the Kafka port
// answer as before, and what was acknowledged meanwhile is there.
func TestAtTheLimitOfOpenFiles(t *testing.T) {
	p, s := spawnServer(t, t.TempDir(), "--kafka", "127.0.0.1:0")
	s.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	limit := openFilesOf(t, p) + 20
	if err := unix.Prlimit(p.Cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: uint64(limit)}, nil); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for _, address := range []string{p.HTTP[len("http://"):], p.Kafka} {
		for range 40 {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
	}
	for openFilesOf(t, p) < limit { // it takes them as they come
		if ended(p) {
			t.Fatal("it ended: ", p.Stderr.String())
		}
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":3}`, 200)
	s.wantStock("lamp", 8, 0)
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka), kgo.ConsumeTopics(processors.InventoryEvents), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for read := 0; read < 2; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		read += fetches.NumRecords()
	}
}

// openFilesOf returns how many files a process has open.
func openFilesOf(t *testing.T, p *stockflowtest.Process) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func ended(p *stockflowtest.Process) bool {
	select {
	case <-p.Ended:
		return true
	default:
		return false
	}
}
