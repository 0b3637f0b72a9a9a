package load

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// entriesOf reads a file and writes down what it says: "> METHOD body key" for a request, and "line: reason" for each bad
// row, in the order of the file.
func entriesOf(t *testing.T, o Options, text string) string {
	t.Helper()
	if o.Separator == "" {
		o.Separator = ","
	}
	k := keys{"f", "", o.Kind}
	var from source = newObjects(strings.NewReader(text), o.Kind, k)
	if o.Format == CSV {
		s, err := openSheet(strings.NewReader(text), o)
		if err != nil {
			return err.Error()
		}
		from = &orderSheet{sheet: s, keys: k}
		if o.Kind == Stock {
			from = &stockSheet{s, k}
		}
	}
	var all []string
	last, end := int64(0), int64(0)
	for {
		e, err := from.next()
		if errors.Is(err, io.EOF) {
			return strings.Join(all, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.rows[0].line <= last || e.end <= end {
			t.Errorf("an entry on line %d follows line %d", e.rows[0].line, last)
		}
		last, end = e.last(), e.end
		if !e.isBad() {
			key := ""
			for _, r := range e.rows { // an id of the file's own is told from one that was made
				if key = " key " + e.key; e.key == k.at(r.line) {
					key = fmt.Sprintf(" key of line %d", r.line)
				} else if e.key == "" {
					key = ""
				}
			}
			all = append(all, "> "+strings.TrimPrefix(e.path, "/v1/")+" "+string(e.body)+key)
			continue
		}
		for _, r := range e.rows {
			all = append(all, fmt.Sprintf("%d: %s", r.line, r.reason))
		}
	}
}

func TestOrdersOfCSV(t *testing.T) {
	const spoiled = "%d: line %d of the same order is bad, and an order is sent whole or not at all"
	s := func(line, bad int) string { return fmt.Sprintf(spoiled, line, bad) }
	for _, c := range []struct{ name, text, want string }{
		{"rows that follow each other are one order",
			"order_id,sku,quantity\nA,lamp,1\nA,lamp,2\nB,desk, 3 \n",
			`> orders {"order_id":"A","lines":[{"sku":"lamp","quantity":1},{"sku":"lamp","quantity":2}]}` + "\n" +
				`> orders {"order_id":"B","lines":[{"sku":"desk","quantity":3}]}`},
		{"every field",
			"customer_id,customer_name,customer_email,ship_to,policy,order_id,sku,quantity,color\nc,n,e@example.org,s,partial,A,lamp,1,red\n,,,,,A,desk,1,\n",
			`> orders {"order_id":"A","customer":{"id":"c","name":"n","email":"e@example.org"},"ship_to":"s","policy":"partial",` +
				`"lines":[{"sku":"lamp","quantity":1},{"sku":"desk","quantity":1}]}`},
		{"without ids each row is an order",
			"sku,quantity\nlamp,1\nlamp,1\n",
			`> orders {"lines":[{"sku":"lamp","quantity":1}]} key of line 2` + "\n" + `> orders {"lines":[{"sku":"lamp","quantity":1}]} key of line 3`},
		{"a bad row takes its order with it, and no other",
			"order_id,sku,quantity\nA,lamp,1\nA,,1.5\nA,a/b,0\nB,desk,1\n",
			s(2, 3) + "\n3: quantity: must be a whole number, is \"1.5\"; sku: is missing\n" +
				"4: sku: must not contain a slash; quantity: must be 1 to 1000000000, is 0\n" +
				`> orders {"order_id":"B","lines":[{"sku":"desk","quantity":1}]}`},
		{"what is wrong with the order itself",
			"order_id,customer_id,policy,sku,quantity\na/b,c,x,lamp,1\na/b,d,,lamp,1\n",
			`2: policy: must be all_or_nothing, partial or backorder, is "x"; order_id: must not contain a slash` + "\n" +
				`3: customer_id: is "d", and "c" on line 2, of the same order`},
		{"an order that comes again",
			"order_id,sku,quantity\nA,lamp,1\nB,lamp,1\nA,lamp,2\n",
			`> orders {"order_id":"A","lines":[{"sku":"lamp","quantity":1}]}` + "\n" + `> orders {"order_id":"B","lines":[{"sku":"lamp","quantity":1}]}` + "\n" +
				`4: order_id: "A" came before, on line 2; the rows of one order must follow each other`},
		{"a row that nobody can tell the order of spoils those around it",
			"order_id,sku,quantity\nA,lamp,1\n\"B,lamp,2\nC,lamp,3\nC,lamp,4\nD,lamp,5\n",
			s(2, 3) + "\n3: a quote is opened and not closed\n4: nobody can say whether line 3, before it, is of this order\n" + s(5, 4) +
				"\n" + `> orders {"order_id":"D","lines":[{"sku":"lamp","quantity":5}]}`},
		{"so does one without an id, or with a column too few or many, even inside",
			"order_id,sku,quantity\nA,lamp,1\n,lamp,2\nA,lamp,3\nB,lamp,1\nB,lamp\nB,lamp,1,x\n",
			s(2, 3) + "\n3: order_id: is missing\n" + s(4, 3) + "\n" +
				s(5, 6) + "\n6: the row has 2 columns, the header has 3\n7: the row has 4 columns, the header has 3"},
		{"a bad row before all orders",
			"order_id,sku,quantity\n,lamp,2\nA,lamp,3\n",
			"2: order_id: is missing\n3: nobody can say whether line 2, before it, is of this order"},
		{"a bad row without ids is alone",
			"sku,quantity\nlamp\nlamp,3\n",
			"2: the row has 1 columns, the header has 2\n> orders {\"lines\":[{\"sku\":\"lamp\",\"quantity\":3}]} key of line 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := entriesOf(t, Options{Kind: Orders, Format: CSV}, c.text); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestAnOrderThatIsTooLarge is rejected to its last row, and the one behind it is not.
func TestAnOrderThatIsTooLarge(t *testing.T) {
	text := "order_id,sku,quantity\n" + strings.Repeat("A,lamp,1\n", 1_200) + strings.Repeat("B,lamp,1\n", 1_201+50) + "C,lamp,1\nB,lamp,1\n"
	all := strings.Split(entriesOf(t, Options{Kind: Orders, Format: CSV}, text), "\n")
	if len(all) != 1+1_251+1+1 || !strings.HasPrefix(all[0], `> orders {"order_id":"A"`) || !strings.HasPrefix(all[1_252], `> orders {"order_id":"C"`) {
		t.Fatalf("%d entries", len(all))
	}
	for i, line := range all[1:1_252] {
		if want := fmt.Sprintf("%d: the order has more than 1200 rows or 1048576 bytes", 1_202+i); line != want {
			t.Fatalf("got %q, expected %q", line, want)
		}
	}
	if !strings.Contains(all[1_253], `"B" came before, on line 1202`) {
		t.Errorf("the last is %q", all[1_253])
	}
	wide := "order_id,sku,quantity,x\n" + strings.Repeat("A,lamp,1,"+strings.Repeat("x", 60_000)+"\n", 30)
	if got := entriesOf(t, Options{Kind: Orders, Format: CSV}, wide); strings.Count(got, "1048576 bytes") != 30 {
		t.Errorf("got %.200s", got)
	}
}

func TestOrderIDsAreForgottenOnlyWhenThereAreVeryMany(t *testing.T) {
	const most = 1_000
	s := seen{most: most}
	for i := range 5*most + most/2 {
		if at := s.before(fmt.Sprint(i), int64(i+1)); at != 0 {
			t.Fatalf("order %d came before, on line %d", i, at)
		}
		if recent := i - most + 1; recent >= 0 && s.before(fmt.Sprint(recent), 1) != int64(recent+1) {
			t.Fatalf("at order %d, order %d is forgotten", i, recent)
		}
	}
	if n := len(s.recent) + len(s.older); n > 2*most {
		t.Errorf("%d ids are remembered", n)
	}
}

func TestColumns(t *testing.T) {
	const header = "InvoiceNo,StockCode,Quantity,Country,Country\n536365,85123A,6,UK,UK\n"
	columns := func(more ...string) map[string]string {
		m := map[string]string{"order_id": "InvoiceNo", "sku": "StockCode", "quantity": "Quantity"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for _, c := range []struct {
		text    string
		columns map[string]string
		want    string
	}{
		{header, columns(), `> orders {"order_id":"536365","lines":[{"sku":"85123A","quantity":6}]}`},
		{header, columns("order_id", ""), `> orders {"lines":[{"sku":"85123A","quantity":6}]} key of line 2`},
		{header, columns("ship_to", "Country"), `--map: there are several columns "Country", and ship_to needs one`},
		{header, columns("policy", "Rule"), `--map: there is no column "Rule" for policy; the columns are "InvoiceNo" "StockCode" "Quantity" "Country" "Country"`},
		{header, columns("sku", ""), `--map: there is no column "" for sku; the columns are "InvoiceNo" "StockCode" "Quantity" "Country" "Country"`},
		{"sku\nlamp\n", nil, `--map: there is no column "quantity" for quantity; the columns are "sku"`},
		{"InvoiceNo,StockCode,Quantity\nA,b/c,-1", columns(), "2: sku (StockCode): must not contain a slash; quantity (Quantity): must be 1 to 1000000000, is -1"},
		{"", nil, "f.csv is empty: its first line must name the columns"},
		{"\"sku,quantity\n", nil, "f.csv: its first line must name the columns, and a quote is opened and not closed"},
	} {
		if got := entriesOf(t, Options{Kind: Orders, Format: CSV, File: "f.csv", Columns: c.columns}, c.text); got != c.want {
			t.Errorf("%q with %v: got\n%s\nwant\n%s", c.text, c.columns, got, c.want)
		}
	}
	if got := entriesOf(t, Options{Kind: Stock, Format: CSV, Separator: ";"}, "sku;quantity\nlamp;1\n"); !strings.HasPrefix(got, "> inventory/lamp/receipts") {
		t.Errorf("with semicolons: %s", got)
	}
}
