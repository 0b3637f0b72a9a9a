package cli

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stockflow/processors"
	"stockflow/stockflowtest"
)

var verifications = flag.Int("verifications", 3, "of a Stockflow under load, none of which may raise a false alarm")

// TestVerifyUnderLoadRaisesNoFalseAlarm: while orders are placed, cancelled and dispatched and stock comes in, side by
// side and without a pause, everything is verified again and again.
func TestVerifyUnderLoadRaisesNoFalseAlarm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMill(t, dir)
	var done atomic.Bool
	var orders atomic.Int64
	var clients sync.WaitGroup
	begun := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for !done.Load() {
				n := int(orders.Add(1))
				bustle(m.client, n)
				if n == 40 {
					close(begun)
				}
			}
		})
	}
	<-begun
	for n := range *verifications {
		told(t, 0, []string{allEqual, "over HTTP"}, "verify", "--data="+dir)
		if t.Failed() {
			t.Logf("that was verification %d", n+1)
			break
		}
	}
	done.Store(true)
	clients.Wait()
	t.Logf("%d verifications, and %d orders meanwhile", *verifications, orders.Load())
}

// bustle does one thing after the other about an order; what is refused is as welcome as what isn't.
func bustle(client *shop, n int) {
	sku := fmt.Sprintf("sku-%d", n%7)
	policy := []string{"all_or_nothing", "partial", "backorder"}[n%3]
	for _, request := range [][2]string{
		{"/v1/inventory/" + sku + "/receipts", `{"quantity":3}`},
		{"/v1/orders", fmt.Sprintf(`{"order_id":"b-%d","policy":%q,"customer":{"id":"ada","email":"ada@example.org"},`+
			`"lines":[{"sku":%q,"quantity":2},{"sku":"sku-%d","quantity":1}]}`, n, policy, sku, (n+1)%7)},
		{fmt.Sprintf("/v1/shipments/b-%d/dispatch", n), `{"carrier":"DHL","tracking_number":"X1"}`},
		{fmt.Sprintf("/v1/orders/b-%d/cancel", n-n%2), ""},
	} {
		a, err := client.try("POST", request[0], request[1])
		for end := time.Now().Add(generous); err == nil && a.status == http.StatusServiceUnavailable && time.Now().Before(end); {
			a, err = client.try("POST", request[0], request[1]) // the machine is busy with the verification
		}
		if err != nil || a.status >= http.StatusInternalServerError {
			client.t.Errorf("%s is answered with %d %s, %v", request[0], a.status, a.text, err)
		}
	}
}

// TestRowsThatAreYoungerThanTheFirstLookAtTheLog: they come to be when HTTP is asked for its first list, and all lists have them. They are
// compared as any others.
func TestRowsThatAreYoungerThanTheFirstLookAtTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client := open(t, dir)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	quiet := newQuiet(t, server)
	var once sync.Once
	lists := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			once.Do(func() {
				client.want("POST", "/v1/inventory/desk/receipts", fiveUnits, 200)
				client.placed(lampOrder, orderPath, `"confirmed"`)
				quiet.wait(t)
			})
		}
		a := client.send("GET", r.URL.RequestURI(), "")
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.text))
	}))
	defer lists.Close()
	said := told(t, 0, []string{allEqual}, "verify", "--data="+dir, "--url="+lists.URL)
	for table, rows := range map[string]int{processors.OrderTable: 1, processors.InventoryTable: 2, processors.ShipmentTable: 1} {
		if !regexp.MustCompile(fmt.Sprintf(`%s .* %d rows, %d over HTTP`, table, rows, rows)).MatchString(said) {
			t.Errorf("%d rows of %s are not compared: %s", rows, table, said)
		}
	}
}

// TestAServerThatEndsWhileItIsVerified, by a signal or by kill -9: verify says that it could not verify, and takes nothing for a difference
// that it could not read. If it comes back at once, the journal is what it was and goes on, and so does verify.
func TestAServerThatEndsWhileItIsVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traded(t, dir)
	p, client := spawnServer(t, dir)
	for _, end := range []struct {
		at    string // the request with which it ends
		how   syscall.Signal
		again bool
	}{
		{"/readyz", syscall.SIGKILL, false},
		{"/v1/orders", syscall.SIGTERM, false},
		{"/v1/orders", syscall.SIGKILL, true},
		{"/v1/shipments", syscall.SIGKILL, true},
		{"/v1/shipments", syscall.SIGTERM, true},
	} {
		ended := p
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a, err := client.try("GET", r.URL.RequestURI(), "")
			if err != nil {
				panic(http.ErrAbortHandler) // as a server that isn't there does
			}
			if r.URL.Path == end.at && !stockflowtest.Was(ended.Ended) {
				ended.Signal(end.how)
				<-ended.Ended
				if end.again {
					p, client = spawnServer(t, dir)
				}
			}
			w.WriteHeader(a.status)
			_, _ = w.Write([]byte(a.text))
		}))
		var stdout, stderr strings.Builder
		code := run([]string{"verify", "--data=" + dir, "--url=" + proxy.URL}, &stdout, &stderr)
		proxy.Close()
		last := stderr.String()[strings.LastIndex(strings.TrimSpace(stderr.String()), "\n")+1:]
		t.Logf("%v at %s, again %v: %d %s", end.how, end.at, end.again, code, last)
		want, says := 2, ""
		if end.again {
			want, says = 0, allEqual
		}
		if code != want || !strings.Contains(stdout.String(), says) || strings.Contains(stdout.String(), "the log makes it") {
			t.Errorf("it ends with %d: %s%s", code, stdout.String(), stderr.String())
		}
		if stockflowtest.Was(p.Ended) {
			p, client = spawnServer(t, dir)
		}
		told(t, 0, []string{allEqual, "over HTTP"}, "verify", "--data="+dir)
	}
}
