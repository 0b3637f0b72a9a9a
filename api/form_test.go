package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"stockflow/codecs"
	"stockflow/machines/order"
)

// readOrder reads the body of an order as readPlacement does, and lists what is wrong, one a line.
func readOrder(body string) (order.Placed, string) {
	var b orderBody
	bad, err := fill([]byte(body), b.fields())
	if err == nil {
		err = merge(bad, codecs.CheckPlaced(b.placed).Err())
	}
	return b.placed, describe(err)
}

func describe(err error) string {
	var invalid codecs.Invalid
	if !errors.As(err, &invalid) {
		return fmt.Sprint(err)
	}
	var lines []string
	for _, f := range invalid {
		lines = append(lines, f.Field+" "+f.Problem)
	}
	return strings.Join(lines, "\n")
}

func TestEveryBadFieldOfABodyIsNamed(t *testing.T) {
	const line = `{"sku":"lamp","quantity":2}`
	for _, c := range []struct{ name, body, want string }{
		{"good", `{"lines":[` + line + `]}`, "<nil>"},
		{"good, with everything", `{"order_id":"o","customer":{"id":"c","name":"n","email":"e@x"},"ship_to":"s","policy":"partial","lines":[` + line + `,` + line + `]} `, "<nil>"},
		{"null is no field", `{"order_id":null,"customer":null,"policy":null,"lines":[` + line + `]}`, "<nil>"},
		{"empty", ``, "lines must be 1 to 1200 lines, is 0"},
		{"no lines", `{}`, "lines must be 1 to 1200 lines, is 0"},
		{"an empty id", `{"order_id":"","lines":[` + line + `]}`, "order_id is empty"},
		{"unknown field", `{"lines":[` + line + `],"color":{"a":[1,{"b":2}]}}`, "color is not a field of this request"},
		{"another case is another field", `{"Lines":[],"lines":[` + line + `]}`, "Lines is not a field of this request"},
		{"given twice", `{"lines":[` + line + `],"ship_to":"a","ship_to":"b"}`, "ship_to is given twice"},
		{"given twice, deep", `{"lines":[{"sku":"a","sku":"b","quantity":1}]}`, "lines[0].sku is given twice"},
		{"unknown and twice", `{"lines":[` + line + `],"x":1,"x":2}`, "x is not a field of this request\nx is not a field of this request"},
		{"all at once", `{"ship_to":5,"customer":{"id":[1],"phone":"1"},"lines":[{"sku":"a","quantity":"two"},7,{"sku":"b/c","quantity":1.5},{"quantity":0}]}`,
			"ship_to must be text\ncustomer.id must be text\ncustomer.phone is not a field of this request\n" +
				"lines[0].quantity must be a whole number\nlines[1] must be an object\n" +
				"lines[2].quantity must be a whole number, without fraction or exponent\n" +
				"lines[2].sku must not contain a slash\nlines[3].sku is missing\nlines[3].quantity must be 1 to 1000000000, is 0"},
		{"an exponent", `{"lines":[{"sku":"a","quantity":1e3}]}`, "lines[0].quantity must be a whole number, without fraction or exponent"},
		{"too large for any number", `{"lines":[{"sku":"a","quantity":99999999999999999999}]}`, "lines[0].quantity is out of range"},
		{"lines are no list", `{"lines":{"sku":"a"}}`, "lines must be a list"},
		{"names and texts in escapes", `{"\u006cines":[{"s\u006bu":"l\u0061mp\"","quantity":2}],"ship_to":"\\","lines":[]}`, "lines is given twice"},
		{"brackets in a text", `{"color":{"a":"]}\"}"},"lines":[` + line + `]}`, "color is not a field of this request"},
		{"deeper than most readers follow", `{"lines":[` + line + `],"color":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "color is not a field of this request"},
		{"half a character", `{"ship_to":"\ud83d","lines":[` + line + `]}`, "ship_to holds a character that Unicode does not have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := readOrder(c.body); got != c.want {
				t.Errorf("%s\nis answered with\n%s\nexpected\n%s", c.body, got, c.want)
			}
		})
	}
}

func TestABodyThatIsNoObjectIsRefused(t *testing.T) {
	for _, body := range []string{
		`[]`, `null`, `"x"`, `7`, `{`, `{"lines"`, `{"lines":[`, `{"lines":[}`, `{"lines":[1,]}`, `{"a":1,}`, `{"a" 1}`, `{'a':1}`,
		`{}{}`, `{} x`, `{"a":01}`, `{"a":NaN}`, `{} []`, "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}", `{"a":"` + "\n" + `"}`,
	} {
		_, err := fill([]byte(body), fields{})
		var f *fault
		if !errors.As(err, &f) || f.code != "bad_json" {
			t.Errorf("%q is answered with %v, expected bad_json", body, err)
		}
	}
}

// Clients write these texts down in their bug reports.
func TestABodyThatIsNotJSONIsToldWhereItBreaksOff(t *testing.T) {
	for body, want := range map[string]string{
		`7`:                "The body must be a JSON object.",
		`[`:                "The body must be a JSON object.",
		`{"lines":[`:       "The body is not JSON: it ends too early, at byte 10.",
		`{"a":1,}`:         "The body is not JSON: invalid character '}' looking for beginning of object key string, at byte 7.",
		`{"a":{"b":nul}}`:  "The body is not JSON: invalid character '}' in literal null (expecting 'l'), at byte 10.",
		`{} []`:            "The body is not JSON: something follows the object, at byte 4.",
		"{\"a\":\"\xff\"}": "The body is not UTF-8.",
	} {
		_, err := fill([]byte(body), fields{})
		var f *fault
		if !errors.As(err, &f) || f.detail != want {
			t.Errorf("%q is answered with %v, expected %s", body, err, want)
		}
	}
}

func TestWhatIsToldOfABadBodyIsBounded(t *testing.T) {
	bad, err := fill([]byte(`{"`+strings.Repeat("n", 1000)+`":1,"lines":[`+strings.Repeat(`7,`, 10_000)+`7]}`),
		new(orderBody).fields())
	if err != nil {
		t.Fatal(err)
	}
	if len(bad) != maxBad {
		t.Errorf("%d fields are named, expected %d", len(bad), maxBad)
	}
	if n := len(bad[0].Field); n > 70 {
		t.Errorf("a name of %d bytes comes back in %d", 1000, n)
	}
}

// What is accepted must be JSON, and mean what encoding/json takes it for.
func FuzzOrderBody(f *testing.F) {
	f.Add([]byte(`{"order_id":"o","customer":{"id":"c","name":"n","email":"e@x"},"ship_to":"s","policy":"partial","lines":[{"sku":"lamp","quantity":2}]}`))
	f.Add([]byte(`{"lines":[{"sku":"a","sku":"b"},null,{"quantity":1e9}],"x":[[{}]]}`))
	f.Add([]byte(`{"lines":[]} {}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b orderBody
		bad, err := fill(body, b.fields())
		if taken, isObject := err == nil, len(bytes.TrimSpace(body)) == 0 || json.Unmarshal(body, &map[string]any{}) == nil; isObject && !taken && utf8.Valid(body) {
			t.Fatalf("%q is JSON, and answered with %v", body, err)
		} else if taken && !isObject {
			t.Fatalf("%q is no JSON, and was read", body)
		}
		if err != nil || len(bad) > 0 || len(bytes.TrimSpace(body)) == 0 {
			return
		}
		var want struct {
			OrderID  string         `json:"order_id"`
			Customer order.Customer `json:"customer"`
			ShipTo   string         `json:"ship_to"`
			Policy   string         `json:"policy"`
			Lines    []order.PlacedLine
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || !json.Valid(body) {
			t.Fatalf("%q was accepted, encoding/json says %v", body, err)
		}
		p := b.placed
		got := fmt.Sprintf("%q %q %q %q %+v", b.id, p.Customer, p.ShipTo, b.policy, p.Lines)
		if w := fmt.Sprintf("%q %q %q %q %+v", want.OrderID, want.Customer, want.ShipTo, want.Policy, want.Lines); got != w {
			t.Fatalf("%q was read as\n%s\nexpected\n%s", body, got, w)
		}
	})
}
