package cli

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	lampOrder  = `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`
	dhl        = `{"carrier":"DHL","tracking_number":"X1"}`
	fiveUnits  = `{"quantity": 5}`
	lampPath   = "/v1/inventory/lamp"
	orderPath  = "/v1/orders/o-1"
	parcelPath = "/v1/shipments/o-1"
)

// TestTheTourOfTheREADME is what a newcomer does first.
func TestTheTourOfTheREADME(t *testing.T) {
	t.Parallel()
	takeTheTour(t, Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 8})
}

// takeTheTour takes it on a Stockflow that has nothing yet, with a restart before its end. At its end it still runs.
func takeTheTour(t *testing.T, serve Serve) *Server {
	t.Helper()
	server, client := start(t, serve)
	quiet := newQuiet(t, server)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200, `"on_hand":5,"reserved":0,"available":5`)
	if a, err := client.insist("POST", "/v1/orders", lampOrder, "Prefer: wait=5"); err != nil || a.status != 201 || client.row(a).Status != "confirmed" {
		t.Errorf("the order is answered with %d %s, %v", a.status, a.text, err)
	}
	quiet.wait(t) // as long as it takes to type the next line
	client.wantStock("lamp", 5, 2)
	client.want("GET", parcelPath, "", 200, `"status":"scheduled","lines":[{"sku":"lamp","quantity":2}]`)
	client.want("POST", parcelPath+"/dispatch", dhl, 200, `"status":"dispatched"`, `"carrier":"DHL","tracking_number":"X1"`)
	quiet.wait(t)
	client.wantStock("lamp", 3, 0)
	client.want("GET", orderPath, "", 200, `"status":"shipped"`)
	before := everything(client)
	halt(t, server)

	server, client = start(t, serve)
	if after := everything(client); after != before {
		t.Errorf("after a restart there is %s\nexpected %s", after, before)
	}
	client.want("POST", parcelPath+"/deliver", "{}", 200, `"status":"delivered"`)
	return server
}

// everything is all that the tour has made, to the last byte.
func everything(client *shop) string {
	var all []string
	for _, path := range []string{lampPath, orderPath, parcelPath} {
		all = append(all, client.send("GET", path, "").text)
	}
	return strings.Join(all, "\n")
}

// TestNothingAcknowledgedIsLostToAKill kills a server right after it has acknowledged an order, some times over on
// the same directory. What the order had not come to before the kill, it comes to after it.
func TestNothingAcknowledgedIsLostToAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := spawnServer(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	for _, id := range []string{"o-1", "o-2", "o-3"} { // five lamps are enough for two of them
		order := strings.Replace(lampOrder, "o-1", id, 1)
		client.noted(order)
		server.Kill()
		server, client = spawnServer(t, dir)
		client.want("POST", "/v1/orders", order, 201, `"order_id":"`+id+`"`)
	}
	server.Signal(syscall.SIGTERM)
	if code := server.Exit(); code != 0 {
		t.Errorf("the exit code is %d: %s", code, server.Stderr.String())
	}

	last, client := open(t, dir)
	newQuiet(t, last).wait(t)
	for path, status := range map[string]string{"o-1": "confirmed", "o-2": "confirmed", "o-3": "rejected"} {
		client.want("GET", "/v1/orders/"+path, "", 200, `"status":"`+status+`"`)
	}
	client.wantStock("lamp", 5, 4)
}

// TestADirectoryIsForOneProcess: the second is told who has it, and the first goes on.
func TestADirectoryIsForOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, client := open(t, dir)
	second := spawn(t, "serve", "--http", "127.0.0.1:0", "--data", dir)
	if code := second.Exit(); code != 1 {
		t.Errorf("the exit code of a second process is %d", code)
	}
	if said := second.Stderr.String(); !strings.Contains(said, dir) || !strings.Contains(said, "in use by process") {
		t.Errorf("a second process says %q", said)
	}
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
}

// TestAPortThatIsTakenIsNamed, with the flag that names another.
func TestAPortThatIsTakenIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	var stdout, stderr strings.Builder
	if code := run([]string{"serve", "--http", address, "--data", t.TempDir()}, &stdout, &stderr); code != 1 {
		t.Errorf("the exit code is %d", code)
	}
	for _, want := range []string{"--http", address, "in use"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the error is %q, expected %q in it", stderr.String(), want)
		}
	}
}

// TestAStartThatFailsLeavesNothingOpen fails at a file that is no list of topics, when the broker runs already. As soon
// as the file is gone, another may open the directory.
func TestAStartThatFailsLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "topics.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 8}
	if _, err := serve.Start(t.Context(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("the start fails with %v, expected %s in it", err, file)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

// TestASignalEndsTheServerInGoodOrder: what it has is let go, so that another can begin where it ended.
func TestASignalEndsTheServerInGoodOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, client := spawnServer(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.want("POST", "/v1/orders", lampOrder, 201, `"confirmed"`)
	first.Signal(syscall.SIGTERM)
	if code := first.Exit(); code != 0 {
		t.Errorf("the exit code is %d: %s", code, first.Stderr.String())
	}
	address := strings.TrimPrefix(client.url, "http://")
	second := spawn(t, "serve", "--http", address, "--data", dir)
	ready(t, second).wantStock("lamp", 5, 2)
}
