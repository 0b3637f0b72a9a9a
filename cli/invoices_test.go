package cli

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// invoice is one invoice of the month, and what it is to Stockflow.
type invoice struct {
	kind     kind
	id       string
	customer string
	country  string
	lines    []invoiceLine // as in the file: a code may come twice
	policy   string        // of an order
	leaves   bool          // an order that is confirmed leaves the house at once
}

type invoiceLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// kind is what becomes of an invoice.
type kind string

const (
	anOrder     kind = "order"
	aReturn     kind = "return"     // a cancellation: its goods come back
	aCorrection kind = "correction" // a negative quantity without cancellation: a write-off
)

const month = "online-retail-2010-12.csv"

// readMonth returns the invoices of the month in the order of the file, which is that of their dates.
func readMonth(t *testing.T) []*invoice {
	t.Helper()
	file, err := os.Open(findMonth(t))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var invoices []*invoice
	for _, r := range rows[1:] { // InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country
		quantity, err := strconv.ParseInt(r[3], 10, 64)
		if err != nil {
			t.Fatalf("invoice %s, %s: %v", r[0], r[1], err)
		}
		if n := len(invoices); n == 0 || invoices[n-1].id != r[0] {
			invoices = append(invoices, newInvoice(r[0], r[6], r[7], quantity))
		}
		last := invoices[len(invoices)-1]
		last.lines = append(last.lines, invoiceLine{r[1], quantity})
	}
	return invoices
}

// findMonth returns where the month is: in the directory STOCKFLOW_TEST_DATA, or beside this repository. Without it there
// is no scenario, unless STOCKFLOW_REQUIRE wants its "data".
func findMonth(t *testing.T) string {
	t.Helper()
	beside := filepath.Join("..", "..", "shared", "data", month)
	for _, path := range []string{filepath.Join(os.Getenv("STOCKFLOW_TEST_DATA"), month), beside} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	missing := "the month of orders is missing: " + month + " is neither in STOCKFLOW_TEST_DATA nor at " + beside
	if strings.Contains(os.Getenv("STOCKFLOW_REQUIRE"), "data") {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// newInvoice decides what an invoice is, by its number and the quantity of its first line. Of ten orders seven are
// all or nothing, two partial and one backorder; every fourth leaves the house as soon as it is confirmed.
func newInvoice(id, customer, country string, quantity int64) *invoice {
	v := &invoice{kind: anOrder, id: id, customer: customer, country: country}
	switch {
	case strings.HasPrefix(id, "C"):
		v.kind = aReturn
	case quantity < 0:
		v.kind = aCorrection
	default:
		last := id[len(id)-1]
		v.policy = map[byte]string{'3': "partial", '6': "partial", '9': "backorder"}[last]
		v.leaves = number(id)%4 == 0
	}
	return v
}

// number returns the number of an invoice, 0 if it isn't one.
func number(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

// asked returns the units that an invoice asks of each SKU.
func (v *invoice) asked() map[string]int64 {
	asked := map[string]int64{}
	for _, l := range v.lines {
		asked[l.SKU] += l.Quantity
	}
	return asked
}

// request is the body that places the order of an invoice.
func (v *invoice) request() string {
	return asJSON(map[string]any{
		"order_id": v.id, "customer": map[string]string{"id": v.customer}, "ship_to": v.country,
		"policy": v.policy, "lines": v.lines,
	})
}

// sold returns what the month sells of each SKU.
func sold(invoices []*invoice) map[string]int64 {
	units := map[string]int64{}
	for _, v := range invoices {
		if v.kind == anOrder {
			for sku, n := range v.asked() {
				units[sku] += n
			}
		}
	}
	return units
}

// received returns what is received of each SKU before the month begins: 97% of what it sells, rounded down. So at
// least one unit is missing of each, and of one that sells a single unit nothing is there.
func received(invoices []*invoice) map[string]int64 {
	units := map[string]int64{}
	for sku, n := range sold(invoices) {
		if n*97/100 > 0 {
			units[sku] = n * 97 / 100
		}
	}
	return units
}

// TestTheMonthIsTheOneThatIsKnown counts what the file has, so that no row can get lost on its way in. Every row has
// a SKU that is valid and a quantity that isn't 0; those that can't be lines of an order are named.
func TestTheMonthIsTheOneThatIsKnown(t *testing.T) {
	invoices := readMonth(t)
	count, rows := map[kind]int{}, map[kind]int{}
	var noOrder []string
	longest := 0
	for _, v := range invoices {
		count[v.kind]++
		rows[v.kind] += len(v.lines)
		for _, l := range v.lines {
			if order := v.kind == anOrder; order != (l.Quantity > 0) || l.SKU == "" || len(l.SKU) > 64 || l.Quantity == 0 {
				t.Errorf("invoice %s has the line %+v", v.id, l)
			}
			if v.kind != anOrder {
				noOrder = append(noOrder, fmt.Sprintf("%s %s %+d", v.id, l.SKU, l.Quantity))
			}
		}
		longest = max(longest, len(v.lines))
	}
	t.Logf("%d rows can't be lines of an order: %s", len(noOrder), strings.Join(noOrder, ", "))
	got := fmt.Sprint(count, rows, len(noOrder), longest, len(sold(invoices)), len(received(invoices)))
	want := "map[correction:70 order:1629 return:326] map[correction:70 order:41683 return:728] 798 675 2805 2572"
	if got != want {
		t.Errorf("the month has %s, expected %s", got, want)
	}
}
