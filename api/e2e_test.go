package api_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockflow/cli"
	"stockflow/journal"
	"stockflow/journal/files/powercut"
)

func TestAnOrderGoesFromReceiptToDelivery(t *testing.T) {
	h := newHouse(t)
	h.want("GET", "/v1/inventory/lamp", "", 404, "code=not_found")
	h.want("GET", "/v1/orders/o-1", "", 404, "code=not_found")
	h.want("GET", "/v1/shipments/o-1", "", 404, "code=not_found")
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200, "on_hand=5", "reserved=0", "available=5")

	order := `{"order_id":"o-1","customer":{"id":"c-1"},"lines":[{"sku":"lamp","quantity":2}]}`
	placed := h.want("POST", "/v1/orders", order, 201, "status=confirmed", "order_id=o-1", "policy=all_or_nothing")
	if placed.header.Get("Location") != "/v1/orders/o-1" || placed.header.Get("Preference-Applied") != "wait=10" {
		t.Errorf("the headers are %v", placed.header)
	}
	if got := h.want("GET", "/v1/orders/o-1", "", 200).field("lines"); got != "[map[allocated:2 quantity:2 sku:lamp status:reserved]]" {
		t.Errorf("the lines are %s", got)
	}
	h.want("GET", "/v1/inventory/lamp?wait=30&after="+placed.token(), "", 200, "on_hand=5", "reserved=2", "available=3",
		"locations=[map[available:3 location:main on_hand:5 reserved:2]]")

	h.want("POST", "/v1/shipments/o-1/deliver", `{}`, 409, "code=not_dispatched")
	dispatch := `{"carrier":"DHL","tracking_number":"X1"}`
	h.want("POST", "/v1/shipments/o-1/dispatch", dispatch, 200, "status=dispatched", "carrier=DHL", "tracking_number=X1",
		"lines=[map[quantity:2 sku:lamp]]")
	h.want("POST", "/v1/shipments/o-1/dispatch", dispatch, 200, "status=dispatched")
	h.want("POST", "/v1/shipments/o-1/dispatch", `{"carrier":"UPS","tracking_number":"X1"}`, 409, "code=dispatched_otherwise")
	h.want("POST", "/v1/shipments/o-1/deliver", ``, 200, "status=delivered")
	h.want("POST", "/v1/orders/o-1/cancel", ``, 409, "code=already_shipped")
	h.want("POST", "/v1/shipments/o-2/deliver", ``, 404, "code=unknown_shipment")
	h.want("POST", "/v1/orders/o-2/cancel", ``, 404, "code=unknown_order")
}

func TestARepeatedOrderIsTheSameAndAnotherOfItsNameAConflict(t *testing.T) {
	h := newHouse(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	order := `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`
	for range 3 {
		h.want("POST", "/v1/orders", order, 201, "status=confirmed")
	}
	other := `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":3}]}`
	h.want("POST", "/v1/orders", other, 409, "code=id_conflict")
	for _, prefer := range []string{"", "wait=0", "nonsense"} { // the conflict is worth waiting for
		if a := h.send("POST", "/v1/orders", other, "Prefer: "+prefer); a.status != 409 {
			t.Errorf("with Prefer %q a conflict is answered with %d %s", prefer, a.status, a.text)
		}
	}
	if a := h.send("POST", "/v1/orders", order); a.status != 202 || a.field("status") != "pending" || a.header.Get("Location") != "/v1/orders/o-1" {
		t.Errorf("without Prefer a repeated order is answered with %d %s", a.status, a.text)
	}

	body := `{"lines":[{"sku":"lamp","quantity":1}]}`
	first := h.insist(201, "POST", "/v1/orders", body, "Idempotency-Key: k-1", "Prefer: wait=10")
	again := h.insist(201, "POST", "/v1/orders", body, "Idempotency-Key: k-1", "Prefer: wait=10")
	if first.status != 201 || again.status != 201 || first.field("order_id") != again.field("order_id") {
		t.Errorf("a repeated key is answered with %s and %s", first.text, again.text)
	}
	if a := h.send("POST", "/v1/orders", `{"lines":[{"sku":"lamp","quantity":7}]}`, "Idempotency-Key: k-1"); a.field("code") != "id_conflict" {
		t.Errorf("a key with other content is answered with %d %s", a.status, a.text)
	}
	h.want("GET", "/v1/inventory/lamp?wait=30&after="+first.token(), "", 200, "reserved=3")
}

func TestAReceiptWithAKeyCountsOnce(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		path, body, key string
		status          int
		want            string
	}{
		{"receipts", `{"quantity":5}`, "r-1", 200, "on_hand=5"},
		{"receipts", `{"quantity":5}`, "r-1", 200, "on_hand=5"},
		{"receipts", `{"quantity":6}`, "r-1", 409, "code=id_conflict"},
		{"receipts", `{"quantity":5,"location":"north","reference":"PO 7"}`, "r-2", 200, "on_hand=10"},
		{"adjustments", `{"quantity":-11,"reason":"loss"}`, "a-1", 409, "code=below_zero"},
		{"adjustments", `{"quantity":-1,"reason":"loss"}`, "a-2", 200, "on_hand=9"},
		{"adjustments", `{"quantity":-1,"reason":"loss"}`, "a-2", 200, "on_hand=9"},
	} {
		a := h.insist(c.status, "POST", "/v1/inventory/BANK%20CHARGES/"+c.path, c.body, "Idempotency-Key: "+c.key)
		name, value, _ := strings.Cut(c.want, "=")
		if a.status != c.status || a.field(name) != value {
			t.Errorf("%s %s %s is answered with %d %s, expected %d %s", c.path, c.body, c.key, a.status, a.text, c.status, c.want)
		}
	}
	h.want("GET", "/v1/inventory/BANK%20CHARGES", "", 200, "sku=BANK CHARGES", "on_hand=9")
}

func TestACancelledOrderGivesBackWhatItHeld(t *testing.T) {
	h := newHouse(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":5}]}`, 201, "status=confirmed")
	h.want("POST", "/v1/orders", `{"order_id":"o-2","policy":"backorder","lines":[{"sku":"lamp","quantity":1}]}`, 201, "status=backordered")
	h.want("POST", "/v1/orders/o-1/cancel", `{"reason":"changed my mind"}`, 200, "status=cancelled")
	h.want("POST", "/v1/orders/o-1/cancel", ``, 200, "status=cancelled")
	h.want("POST", "/v1/orders/o-2/cancel", ``, 200, "status=cancelled")
	h.want("POST", "/v1/shipments/o-1/dispatch", `{"carrier":"c","tracking_number":"t"}`, 409, "code=shipment_cancelled")
	rejected := h.want("POST", "/v1/orders", `{"order_id":"o-3","lines":[{"sku":"lamp","quantity":9},{"sku":"desk","quantity":1}]}`, 201,
		"status=rejected", "reason=lines_refused")
	if got := rejected.field("lines"); got != "[map[allocated:0 available:0 quantity:1 reason:unknown_sku sku:desk status:refused] "+
		"map[allocated:0 available:5 quantity:9 reason:insufficient sku:lamp status:refused]]" {
		t.Errorf("the lines are %s", got)
	}
	h.want("POST", "/v1/orders/o-3/cancel", ``, 409, "code=already_rejected")
}

// A cancellation and a dispatch race: one of them wins, and each is told the truth.
func TestACancellationThatRacesADispatchIsToldTheTruth(t *testing.T) {
	h := newHouse(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":100}`, 200)
	for i := range 20 {
		id := fmt.Sprint("o-", i)
		h.want("POST", "/v1/orders", `{"order_id":"`+id+`","lines":[{"sku":"lamp","quantity":1}]}`, 201, "status=confirmed")
		var cancel, dispatch answer
		var both sync.WaitGroup
		both.Go(func() { cancel = h.insist(200, "POST", "/v1/orders/"+id+"/cancel", "") })
		both.Go(func() {
			dispatch = h.insist(200, "POST", "/v1/shipments/"+id+"/dispatch", `{"carrier":"c","tracking_number":"t"}`)
		})
		both.Wait()
		cancelled := cancel.status == 200 && cancel.field("status") == "cancelled" && dispatch.field("code") == "shipment_cancelled"
		shipped := cancel.field("code") == "already_shipped" && dispatch.status == 200
		if !cancelled && !shipped {
			t.Errorf("the cancellation is answered with %s, the dispatch with %s", cancel.text, dispatch.text)
		}
	}
}

func TestScarceGoodsAreNotSoldTwice(t *testing.T) {
	h := newHouse(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":10}`, 200)
	statuses := make([]string, 40)
	var clients sync.WaitGroup
	for i := range statuses {
		clients.Go(func() {
			a := h.insist(201, "POST", "/v1/orders", fmt.Sprintf(`{"order_id":"o-%d","lines":[{"sku":"lamp","quantity":1}]}`, i), "Prefer: wait=10")
			statuses[i] = a.field("status")
			h.want("GET", "/v1/inventory/lamp?wait=30&after="+a.token(), "", 200)
		})
	}
	clients.Wait()
	confirmed := slices.DeleteFunc(statuses, func(s string) bool { return s != "confirmed" })
	if len(confirmed) != 10 {
		t.Errorf("%d orders were confirmed, expected 10", len(confirmed))
	}
	h.want("GET", "/v1/inventory/lamp", "", 200, "on_hand=10", "reserved=10", "available=0")
}

// With nobody there to decide about stock, whatever needs it stays open.
func TestWhatIsNotDecidedInTimeIsAnsweredAsOpen(t *testing.T) {
	h := newHouse(t, "api", "order", "shipment")
	order := `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`
	for _, prefer := range []string{"wait=0", "wait=1"} {
		a := h.send("POST", "/v1/orders", order, "Prefer: "+prefer)
		if a.status != 202 || a.field("status") != "pending" || a.header.Get("Preference-Applied") != prefer || a.header.Get("Location") != "/v1/orders/o-1" {
			t.Errorf("with %s the answer is %d %v %s", prefer, a.status, a.header, a.text)
		}
	}
	h.want("GET", "/v1/orders/o-1", "", 200, "status=pending")
	receipt := h.want("POST", "/v1/inventory/a%20b/receipts", `{"quantity":1}`, 202, "status=accepted", "see=/v1/inventory/a%20b")
	if got := receipt.header.Get("Location"); got != "/v1/inventory/a%20b" {
		t.Errorf("the Location is %s", got)
	}
}

// TestAConflictThatCanBeSeenIsOne, though no machine has taken the placement in.
func TestAConflictThatCanBeSeenIsOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const placed = `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":1},{"sku":"lamp","quantity":1}]}`
	h, stop := settle(t, dir)
	h.want("POST", "/v1/orders", placed, 201)
	stop()
	h, stop = settle(t, dir, "api")
	defer stop()
	h.want("POST", "/v1/orders", `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":3}]}`, 409, "code=id_conflict")
	if a := h.send("POST", "/v1/orders", placed, "Prefer: wait=0"); a.status != 202 {
		t.Errorf("the same order is answered with %d %s", a.status, a.text)
	}
}

// What the disk has not acknowledged is no success, and no failure either; and until it is there nobody sees it.
func TestASilentDiskLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	h, hang := onDisk(t)
	goOn := hang()
	for path, body := range map[string]string{
		"/v1/orders":                  `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`,
		"/v1/inventory/lamp/receipts": `{"quantity":1}`,
	} {
		a := h.send("POST", path, body)
		if a.status != 503 || a.field("code") != "outcome_unknown" || a.header.Get("Retry-After") == "" || !strings.Contains(a.field("detail"), "GET /v1/") {
			t.Errorf("the answer is %d %v %s", a.status, a.header, a.text)
		}
	}
	h.want("GET", "/v1/orders/o-1", "", 404)
	h.want("GET", "/readyz", "", 503)
	if problem := h.system()["problem"]; problem == nil {
		t.Error("the system doesn't say that the disk is silent")
	}
	goOn()
	h.until(func() (bool, string) {
		a := h.send("GET", "/v1/orders/o-1", "")
		return a.status == 200, a.text
	})
	h.until(func() (bool, string) { return h.system()["problem"] == nil, "with a problem" })
}

// A full disk refuses what is written, by name, and takes it again when there is room.
func TestAFullDiskIsToldByName(t *testing.T) {
	t.Parallel()
	disk := powercut.New()
	disk.SetFree(1 << 30)
	h, stop := settled(t, cli.Serve{Data: t.TempDir()}.OnJournal(journal.Options{Files: disk, TailBytes: tailBytes, Reserve: 64 << 20}))
	defer stop()
	h.client.Transport = newContract(t)
	order := `{"order_id":"o-1","lines":[{"sku":"lamp","quantity":2}]}`
	disk.SetFree(32 << 20)
	h.until(func() (bool, string) {
		a := h.send("POST", "/v1/orders", order)
		return a.status == 503, fmt.Sprint(a.status, " ", a.text)
	})
	h.want("GET", "/readyz", "", 503)
	a := h.send("POST", "/v1/orders", `{"order_id":"o-2","lines":[{"sku":"lamp","quantity":2}]}`)
	if a.status != 503 || a.field("code") != "disk_full" || a.header.Get("Retry-After") == "" {
		t.Errorf("the answer is %d %s", a.status, a.text)
	}
	disk.SetFree(1 << 30)
	h.want("POST", "/v1/orders", order, 201)
	h.want("GET", "/v1/orders/o-2", "", 404)
}

// tailBytes is the size of a tail file on a disk in memory, which is slow to fill.
const tailBytes = 1 << 20

// onDisk returns a house on a disk in memory. hang keeps its journal from being written, until goOn is called.
func onDisk(t *testing.T) (h *house, hang func() (goOn func())) {
	t.Helper()
	disk := powercut.New()
	h, stop := settled(t, cli.Serve{Data: t.TempDir()}.OnJournal(journal.Options{Files: disk, TailBytes: tailBytes, Silence: 2 * time.Second}))
	t.Cleanup(stop)
	return h, func() func() {
		held := make(chan powercut.Fault)
		disk.Inject(func(op powercut.Operation) (f powercut.Fault) {
			if op.Kind.Changes() && strings.Contains(op.Name, "tail-") {
				f.Until = held
			}
			return f
		})
		goOn := sync.OnceFunc(func() { disk.Inject(nil); close(held) })
		t.Cleanup(goOn)
		return goOn
	}
}

// system returns what the system says of its journal.
func (h *house) system() map[string]any {
	h.t.Helper()
	j, _ := h.want("GET", "/v1/system", "", 200).json["journal"].(map[string]any)
	return j
}

// BenchmarkOrder is the time that a client waits for the outcome of an order.
func BenchmarkOrder(b *testing.B) {
	server, err := cli.Serve{HTTP: "127.0.0.1:0", Data: b.TempDir(), Partitions: 8}.Start(b.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	})
	if err := server.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	url := "http://" + server.HTTPAddr()
	post := func(path, body string) int {
		r, _ := http.NewRequest("POST", url+path, strings.NewReader(body))
		r.Header.Set("Prefer", "wait=10")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		return a.StatusCode
	}
	post("/v1/inventory/lamp/receipts", `{"quantity":1000000000}`)
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		if status := post("/v1/orders", `{"lines":[{"sku":"lamp","quantity":1}]}`); status != 201 {
			b.Fatalf("an order was answered with %d", status)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms/p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms/p99")
}
