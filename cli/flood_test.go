package cli

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stockflow/stockflowtest"
)

// Of a thousand bodies of a MiB that come at once, those for which there is no memory are turned away before they are in it, and then
// orders are taken as before.
func TestAFloodLeavesMemoryBounded(t *testing.T) {
	t.Parallel()
	const flood, size, bound = 1000, 1 << 20, 400 << 20
	p := stockflowtest.Spawn(t, []string{"GOGC=100"}, "serve", "--http", "127.0.0.1:0", "--data", t.TempDir())
	s := ready(t, p)
	before := stockflowtest.Memory(p.Cmd.Process.Pid)
	if before == 0 || slowed > 1 {
		t.Skip("the system, or the race detector, doesn't let us see how much memory a process has")
	}
	head := "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n"
	unfinished := head + strings.Repeat(" ", size-1)
	var sent sync.WaitGroup
	var conns []net.Conn
	for range flood {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.HTTP, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		sent.Go(func() {
			_ = c.SetDeadline(time.Now().Add(generous))
			_, _ = io.WriteString(c, unfinished) // most are turned away while they still send
		})
	}
	sent.Wait()
	if grown := stockflowtest.MostMemory(p.Cmd.Process.Pid) - before; grown > bound {
		t.Errorf("%d MiB more are resident", grown>>20)
	} else {
		t.Logf("at most %d MiB more were resident than the %d MiB before", grown>>20, before>>20)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	s.want("POST", "/v1/inventory/X/receipts", `{"quantity": 1}`, 200)
	if refused := s.send("GET", "/metrics", "").text; strings.Contains(refused, `stockflow_http_refused_total{reason="memory"} 0`) {
		t.Error("none was turned away for want of memory")
	}
}
