package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/load"
	"stockflow/stockflowtest"
)

const monthColumns = "order_id=InvoiceNo,sku=StockCode,quantity=Quantity,customer_id=CustomerID,ship_to=Country"

// loaded runs stockflow load and returns its summary, expecting an exit code.
func loaded(t *testing.T, code int, args ...string) load.Summary {
	t.Helper()
	var stdout, stderr strings.Builder
	if got := run(append([]string{"load", "--json", "--patience", "30s"}, args...), &stdout, &stderr); got != code {
		t.Fatalf("load %v ends with %d, expected %d: %s", args, got, code, stderr.String())
	}
	var s load.Summary
	if err := json.Unmarshal([]byte(stdout.String()), &s); err != nil {
		t.Fatalf("load %v prints %q: %v", args, stdout.String(), err)
	}
	return s
}

// flaky stands before a Stockflow, and treats its clients badly: of ten requests it loses the answers to two after
// Stockflow has given them, cuts one short, and turns two away. It counts those that came through.
type flaky struct {
	*httptest.Server
	passed atomic.Int64
	onPass atomic.Pointer[func(n int64)] // called when a request was answered by Stockflow, and before its client knows
}

func newFlaky(t *testing.T, target string) *flaky {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	var came atomic.Int64
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			f.post(proxy, w, r, came.Add(1))
		} else {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { f.Close(); transport.CloseIdleConnections() })
	return f
}

func (f *flaky) post(proxy http.Handler, w http.ResponseWriter, r *http.Request, n int64) {
	switch n % 10 {
	case 3:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 6:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	answer := httptest.NewRecorder()
	proxy.ServeHTTP(answer, r)
	nth := f.passed.Add(1)
	if hook := f.onPass.Load(); hook != nil {
		(*hook)(nth)
	}
	switch n % 10 {
	case 1, 8:
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case 5:
		w.Header().Set("Content-Length", "100")
		_, _ = io.CopyN(w, answer.Body, 5)
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// beginningOf returns the first invoices of the month, and a copy of the file that ends behind them.
func beginningOf(t *testing.T, invoices int) ([]*invoice, string) {
	t.Helper()
	all := readMonth(t)[:invoices]
	rows := 1
	for _, v := range all {
		rows += len(v.lines)
	}
	text, err := os.ReadFile(findMonth(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfterN(text, []byte("\n"), rows+1)[:rows] // no row of the month has a line break
	return all, writeFile(t, "month.csv", string(bytes.Join(lines, nil)))
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoadingRealOrders loads the stock for the beginning of the month and its orders, through a proxy that loses
// answers. Every order is there, as the file has it, and holds its units once; every row that can't be of an order is
// rejected, with its line and the reason.
func TestLoadingRealOrders(t *testing.T) {
	t.Parallel()
	invoices, file := beginningOf(t, 80)
	server, client := open(t, t.TempDir())
	proxy := newFlaky(t, client.url)
	units := received(invoices)
	stock := "sku,quantity\n"
	for _, sku := range slices.Sorted(maps.Keys(units)) {
		stock += fmt.Sprintf("%s,%d\n", sku, units[sku])
	}
	s := loaded(t, 0, "stock", writeFile(t, "stock.csv", stock), "--url", proxy.URL)
	if int(s.Receipts) != len(units) || s.Rows != s.Receipts {
		t.Errorf("of %d receipts, %+v", len(units), s.Counts)
	}

	got := loaded(t, 1, "orders", file, "--url", proxy.URL, "--map", monthColumns)
	var orders, rows, bad int64
	want := [][]string{}
	for _, v := range invoices {
		for _, l := range v.lines {
			if rows++; v.kind != anOrder {
				bad++
				want = append(want, []string{fmt.Sprint(rows + 1), fmt.Sprintf("quantity (Quantity): must be 1 to 1000000000, is %d", l.Quantity), v.id, l.SKU})
			}
		}
		if v.kind == anOrder {
			orders++
		}
	}
	if got.Rows != rows || got.BadRows != bad || got.Orders != orders || got.Refused != 0 || got.Confirmed+got.Rejected != orders || got.Confirmed == 0 || got.Rejected == 0 {
		t.Errorf("of %d rows, %d of them bad, and %d orders: %+v", rows, bad, orders, got.Counts)
	}
	if rejects := rejectsOf(t, file); !slices.EqualFunc(rejects, want, slices.Equal) {
		t.Errorf("rejected are %q\nexpected %q", rejects, want)
	}
	if n := proxy.passed.Load(); n <= orders+int64(len(units)) {
		t.Errorf("%d requests came through, so none was repeated", n)
	}
	newQuiet(t, server).wait(t)
	wantHeld(client, invoices, units)
}

// rejectsOf returns of each reject the line, the reason, and the two columns behind.
func rejectsOf(t *testing.T, file string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(file + ".rejects.csv")
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all[1:] {
		rows = append(rows, r[:4])
	}
	return rows
}

// wantHeld expects of each order that it is as its invoice has it, and of each SKU that it was received once and that
// the orders hold what is reserved.
func wantHeld(client *shop, invoices []*invoice, units map[string]int64) {
	client.t.Helper()
	held := map[string]int64{}
	for _, v := range invoices {
		if v.kind != anOrder {
			client.want("GET", "/v1/orders/"+v.id, "", 404)
			continue
		}
		asked := v.asked()
		o := client.look("/v1/orders/" + v.id)
		for _, l := range o.Lines {
			if asked[l.SKU] != l.Quantity || o.Status == "confirmed" && l.Allocated != l.Quantity {
				client.t.Errorf("order %s is %s and has %+v, the invoice asks for %d", v.id, o.Status, l, asked[l.SKU])
			}
			held[l.SKU] += l.Allocated
		}
		if len(o.Lines) != len(asked) {
			client.t.Errorf("order %s has %d lines, the invoice %d", v.id, len(o.Lines), len(asked))
		}
	}
	skus := slices.Sorted(maps.Keys(units))
	sideBySide(at16, len(skus), func(i int) { client.wantStock(skus[i], units[skus[i]], held[skus[i]]) })
}

// TestOrdersWithoutIDsAreOrderedOnce, though many of their answers are lost.
func TestOrdersWithoutIDsAreOrderedOnce(t *testing.T) {
	t.Parallel()
	const orders = 60
	server, client := open(t, t.TempDir())
	client.want("POST", lampPath+"/receipts", `{"quantity":1000}`, 200)
	proxy := newFlaky(t, client.url)
	lines := writeFile(t, "orders.ndjson", strings.Repeat(`{"lines":[{"sku":"lamp","quantity":1}]}`+"\n", orders))
	rows := writeFile(t, "orders.csv", "sku,quantity\n"+strings.Repeat("lamp,1\n", orders))
	for _, file := range []string{lines, rows} {
		if s := loaded(t, 0, "orders", file, "--url", proxy.URL); s.Confirmed != orders || s.Orders != orders {
			t.Errorf("of %d orders in %s: %+v", orders, filepath.Base(file), s.Counts)
		}
	}
	newQuiet(t, server).wait(t)
	client.wantStock("lamp", 1_000, 2*orders)
	if n := proxy.passed.Load(); n <= 2*orders {
		t.Errorf("%d requests came through, so none was repeated", n)
	}
}

// TestALoadThatIsKilledGoesOn: with SIGKILL and with SIGTERM, where it was, and each row counts once, though all of them
// are of one SKU, which remembers the last hundred only.
func TestALoadThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	const rows = 400
	server, client := open(t, t.TempDir())
	proxy := newFlaky(t, client.url)
	text := "sku,quantity\n"
	for i := range rows {
		text += "lamp,1\n"
		if i%100 == 50 {
			text += "lamp,none\n"
		}
	}
	file := writeFile(t, "stock.csv", text)
	var victim *stockflowtest.Process
	var stopped string // what the second said in the end
	for i, end := range []func(){func() { victim.Kill() }, func() { victim.Signal(syscall.SIGTERM) }} {
		started, enough := make(chan struct{}), proxy.passed.Load()+150
		hook := func(n int64) {
			if n == enough {
				<-started
				end()
			}
		}
		proxy.onPass.Store(&hook)
		victim = spawn(t, "load", "stock", file, "--url", proxy.URL)
		close(started)
		if code, want := victim.Exit(), []int{-1, 2}[i]; code != want {
			t.Fatalf("the load ends with %d: %s", code, victim.Stderr.String())
		}
		stopped = victim.Stderr.String()
	}
	proxy.onPass.Store(nil)
	s := loaded(t, 1, "stock", file, "--url", proxy.URL)
	if s.Receipts != rows || s.BadRows != rows/100 {
		t.Errorf("of %d rows in three runs: %+v", rows, s)
	}
	if line := fmt.Sprintf("stopped behind line %d; the same command goes on from there", s.From); s.From <= 1 || !strings.Contains(stopped, line) {
		t.Errorf("a load that was stopped with %q goes on behind line %d", stopped, s.From)
	}
	if rejects := rejectsOf(t, file); len(rejects) != rows/100 || rejects[3][0] != "356" {
		t.Errorf("the rejects are %q", rejects)
	}
	newQuiet(t, server).wait(t)
	client.wantStock("lamp", rows, 0)
}

// TestWhatStockflowRefusesIsRejected, and what can't be run ends with 2.
func TestWhatStockflowRefusesIsRejected(t *testing.T) {
	t.Parallel()
	_, client := open(t, t.TempDir())
	client.want("POST", "/v1/orders", lampOrder, 201)
	file := writeFile(t, "orders.csv", "order_id,sku,quantity\no-1,lamp,3\no-2,lamp,1\n")
	if s := loaded(t, 1, "orders", file, "--url", client.url); s.Refused != 1 || s.RefusedRows != 1 || s.Rejected != 1 {
		t.Errorf("the summary is %+v", s.Counts)
	}
	if rejects := rejectsOf(t, file); len(rejects) != 1 || rejects[0][0] != "2" || !strings.HasPrefix(rejects[0][1], "id_conflict: ") {
		t.Errorf("the rejects are %q", rejects)
	}
	less := writeFile(t, "stock.ndjson", `{"sku":"lamp","quantity":-1,"reason":"loss"}`+"\n")
	if s := loaded(t, 1, "stock", less, "--url", client.url); s.Refused != 1 {
		t.Errorf("the summary is %+v", s.Counts)
	}
	for _, args := range [][]string{
		{"orders", filepath.Join(t.TempDir(), "none.csv")}, {"orders", file, "--url", "http://127.0.0.1:1"},
		{"orders", file, "--concurrency", "0"}, {"parcels", file}, {"orders", file, "--map", "order_id=Nr", "--restart", "--url", client.url},
	} {
		if code := run(append([]string{"load"}, args...), io.Discard, io.Discard); code != 2 {
			t.Errorf("load %v ends with %d", args, code)
		}
	}
}

// TestBrokersThatAreAwayUnderLoad: they take nothing for a while, in the middle of a load. Nothing that was acknowledged
// before, during or after that is lost, and what was not is loaded when they are back.
func TestBrokersThatAreAwayUnderLoad(t *testing.T) {
	t.Parallel()
	const orders = 200
	p := onKafka(t)
	server, client := start(t, p.serve())
	client.want("POST", lampPath+"/receipts", `{"quantity":1000}`, 200)
	away := make(chan func(), 1)
	refused := make(chan struct{}, 10*orders)
	var acknowledged atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a, err := client.try(r.Method, r.URL.RequestURI(), string(body), "Prefer: "+r.Header.Get("Prefer"), "Content-Type: application/json")
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		switch {
		case a.status == http.StatusServiceUnavailable:
			refused <- struct{}{}
		case a.status < 300 && acknowledged.Add(1) == orders/4:
			away <- p.kafka.Cluster().Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1,
			}).Remove
		}
		maps.Copy(w.Header(), a.header)
		w.Header().Del("Content-Length") // of the text before it was trimmed
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.text)
	}))
	defer front.Close()
	text := "order_id,sku,quantity\n"
	for i := range orders {
		text += fmt.Sprintf("o-%d,lamp,1\n", i)
	}
	healed := make(chan struct{})
	go func() {
		defer close(healed)
		back := <-away
		<-refused // there is somebody who was told to come again
		back()
	}()
	s := loaded(t, 0, "orders", writeFile(t, "orders.csv", text), "--url", front.URL)
	<-healed
	newQuiet(t, server).wait(t)
	if s.Orders != orders || s.Refused != 0 {
		t.Errorf("of %d orders: %+v", orders, s.Counts)
	}
	for i := range orders {
		client.want("GET", fmt.Sprintf("/v1/orders/o-%d", i), "", 200, `"status":"confirmed"`)
	}
	client.wantStock("lamp", 1_000, orders)
}

// TestAnInterruptIsHeard: Ctrl-C is SIGINT.
func TestAnInterruptIsHeard(t *testing.T) {
	t.Parallel()
	came := make(chan struct{}, 100)
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			came <- struct{}{}
			<-hang
		}
	}))
	defer s.Close()
	defer close(hang)
	p := spawn(t, "load", "stock", writeFile(t, "stock.csv", "sku,quantity\nlamp,1\n"), "--url", s.URL)
	<-came
	if err := p.Cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 2 || !strings.Contains(p.Stderr.String(), "stopped behind line 0; the same command goes on from there") {
		t.Errorf("the load ends with %d and %q", code, p.Stderr.String())
	}
}
