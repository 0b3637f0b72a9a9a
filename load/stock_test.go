package load

import (
	"strings"
	"testing"
)

func TestStockOfCSV(t *testing.T) {
	text := strings.Join([]string{
		"sku,quantity,location,reference,reason,id",
		"lamp,5,,,,",
		"BANK CHARGES,5,cellar,D-1,,r-1",
		"lamp,-2,,,damage,",
		"lamp,-2,,,,",
		"lamp,x,,,theft,",
		"a/b,,,,,c/d",
		"lamp,1,,D-1,count,",
		"lamp,1",
		"",
	}, "\n")
	want := strings.Join([]string{
		`> inventory/lamp/receipts {"quantity":5} key of line 2`,
		`> inventory/BANK%20CHARGES/receipts {"quantity":5,"location":"cellar","reference":"D-1"} key r-1`,
		`> inventory/lamp/adjustments {"quantity":-2,"reason":"damage"} key of line 4`,
		"5: quantity: must be 1 to 1000000000, is -2",
		`6: reason: must be one of damage, loss, count, return, correction, is "theft"; quantity: must be a whole number, is "x"`,
		"7: sku: must not contain a slash; id: must not contain a slash; quantity: is missing",
		"8: reference: is for receipts, and a row with a reason is an adjustment",
		"9: the row has 2 columns, the header has 6",
	}, "\n")
	if got := entriesOf(t, Options{Kind: Stock, Format: CSV}, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLinesOfNDJSON(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{Orders, ` {"order_id":"A","lines":[]} ` + "\r\n\n" + `{"lines":[{"sku":"lamp","quantity":1}]}`,
			`> orders {"order_id":"A","lines":[]}` + "\n" + `> orders {"lines":[{"sku":"lamp","quantity":1}]} key of line 3`},
		{Orders, `{"order_id":"A"}` + "\n" + `{"order_id":"A"}`,
			`> orders {"order_id":"A"}` + "\n" + `2: order_id: "A" came before, on line 1; the rows of one order must follow each other`},
		{Orders, `{"order_id":null}` + "\n" + `{"order_id":7}` + "\n[]\nnull\n{\n\xff\n" + strings.Repeat("x", maxObject+1), strings.Join([]string{
			`> orders {"order_id":null} key of line 1`,
			"2: order_id: must be text",
			"3: the line is not a JSON object: cannot unmarshal array into Go value of type map[string]json.RawMessage",
			"4: the line is not a JSON object",
			"5: the line is not a JSON object: unexpected end of JSON input",
			"6: the line is not UTF-8",
			"7: the line is longer than 1048576 bytes",
		}, "\n")},
		{Stock, `{"sku":"lamp","quantity":5,"reference":"D"}` + "\n" + `{"sku":"lamp","quantity":-5,"reason":"loss","id":"a-1"}`,
			`> inventory/lamp/receipts {"quantity":5,"reference":"D"} key of line 1` + "\n" +
				`> inventory/lamp/adjustments {"quantity":-5,"reason":"loss"} key a-1`},
		{Stock, `{"sku":"lamp"}` + "\n" + `{"sku":"lamp","quantity":1,"color":"red"}` + "\n" + `{"sku":"lamp","quantity":1}{}` + "\nnull\n", strings.Join([]string{
			"1: quantity: must be 1 to 1000000000, is 0",
			`2: the line is not a movement of stock: unknown field "color"`,
			"3: the line is not a movement of stock: something follows the object",
			`4: the line is not a movement of stock: it begins with "n"`,
		}, "\n")},
	} {
		if got := entriesOf(t, Options{Kind: c.kind, Format: NDJSON}, c.text); got != c.want {
			t.Errorf("%.80q: got\n%s\nwant\n%s", c.text, got, c.want)
		}
	}
}
