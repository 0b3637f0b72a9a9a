package codecs

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"stockflow/machines/order"
)

// Golden bytes are what older logs hold. They may be added to, with -update, and never change: -update leaves
// what is there alone.
var update = flag.Bool("update", false, "add the golden bytes that are missing")

const goldenFile = "testdata/golden.txt"

// golden reads the file: a line for each name, its bytes in hexadecimal.
func golden(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(goldenFile)
	if err != nil && (!*update || !os.IsNotExist(err)) {
		t.Fatal(err)
	}
	known := map[string][]byte{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, digits, _ := strings.Cut(lines.Text(), " ")
		if known[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %s: %v", goldenFile, name, err)
		}
	}
	return known
}

// checkGolden returns the golden bytes of a name, after comparing them with what is written today.
func checkGolden(t *testing.T, known map[string][]byte, name string, today []byte) []byte {
	t.Helper()
	was, ok := known[name]
	switch {
	case ok && !bytes.Equal(was, today):
		t.Errorf("%s is written as\n%x, but logs hold\n%x", name, today, was)
		return was
	case !ok && !*update:
		t.Errorf("%s has no golden bytes: run with -update to add them", name)
	case !ok:
		appendGolden(t, name, today)
	}
	return today
}

func appendGolden(t *testing.T, name string, b []byte) {
	t.Helper()
	file, err := os.OpenFile(goldenFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(file, "%s %x\n", name, b)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestGoldenEvents(t *testing.T) {
	known := golden(t)
	for _, l := range logs {
		for _, x := range l.events {
			name, today := l.encode(x.event)
			value := checkGolden(t, known, l.log+"/"+x.golden, today)
			want := Decoded{Type: x.name(), RulesVersion: 1, Emitted: x.emitted, Event: x.event}
			if name != want.Type {
				t.Errorf("%s/%s: is named %s", l.log, x.golden, name)
			}
			checkDecoded(t, l, x.golden, value, want)
			checkDecoded(t, l, x.golden+" as JSON", asJSON(t, l, value), want)
		}
	}
}

func checkDecoded(t *testing.T, l logCodec, name string, value []byte, want Decoded) {
	t.Helper()
	if got, err := l.decode(value); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s/%s:\n got %+v, %v\nwant %+v", l.log, name, got, err, want)
	}
}

// asJSON reads a value by the Protobuf library, apart from the code generated for speed, and writes it as JSON.
func asJSON(t *testing.T, l logCodec, value []byte) []byte {
	t.Helper()
	m := l.message()
	if err := proto.Unmarshal(value, m); err != nil {
		t.Fatal(err)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGoldenRows(t *testing.T) {
	known := golden(t)
	keyed := order.State{Status: order.Pending, RepeatKey: 1<<64 - 2}
	row := checkGolden(t, known, "order-table/row-keyed", EncodeOrderRow(seenBy, keyed))
	checkRow(t, row, seenBy, keyed, DecodeOrderRow)
	for _, h := range []struct {
		name string
		head Head
	}{{"", seenBy}, {"-new", Head{Applied: -1}}} {
		row = checkGolden(t, known, "order-table/row"+h.name, EncodeOrderRow(h.head, orderRow))
		checkRow(t, row, h.head, orderRow, DecodeOrderRow)
		row = checkGolden(t, known, "inventory-table/row"+h.name, EncodeInventoryRow(h.head, inventoryRow))
		checkRow(t, row, h.head, inventoryRow, DecodeInventoryRow)
		row = checkGolden(t, known, "shipment-table/row"+h.name, EncodeShipmentRow(h.head, shipmentRow))
		checkRow(t, row, h.head, shipmentRow, DecodeShipmentRow)
		row = checkGolden(t, known, "notification-table/row"+h.name, EncodeNotificationRow(h.head, notificationRow))
		checkRow(t, row, h.head, notificationRow, DecodeNotificationRow)
	}
}

// checkRow decodes a row both ways.
func checkRow[S any](t interface {
	Helper()
	Fatalf(string, ...any)
}, row []byte, head Head, state S, decode func([]byte) (Head, S, error)) {
	t.Helper()
	h, s, err := decode(row)
	if err != nil || !reflect.DeepEqual(h, head) || !reflect.DeepEqual(s, state) {
		t.Fatalf("row:\n got %+v %+v, %v\nwant %+v %+v", h, s, err, head, state)
	}
	if h, err := DecodeHead(row); err != nil || !reflect.DeepEqual(h, head) {
		t.Fatalf("head:\n got %+v, %v\nwant %+v", h, err, head)
	}
}

func TestGoldenTaken(t *testing.T) {
	want := []Taken{{Offset: 7}, {Offset: 9, Refusal: "below_zero"}, {}}
	header := checkGolden(t, golden(t), "header/taken", EncodeTaken(want))
	if got, err := DecodeTaken(header); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

var deadLetters = map[string]DeadLetter{
	"dead-letters/letter": deadLetter, "dead-letters/note": deadLetterNote, "dead-letters/cut": deadLetterCut,
	"dead-letters/skipped": deadLetterSkipped, "dead-letters/request": skipRequest,
}

func TestGoldenDeadLetter(t *testing.T) {
	known := golden(t)
	for name, letter := range deadLetters {
		value := checkGolden(t, known, name, EncodeDeadLetter(letter))
		if got, err := DecodeDeadLetter(value); err != nil || !reflect.DeepEqual(got, letter) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// TestGoldenIsUsed fails when an example is taken away: what logs hold must be readable for ever.
func TestGoldenIsUsed(t *testing.T) {
	used := map[string]bool{"header/taken": true, "order-table/row-keyed": true}
	for name := range deadLetters {
		used[name] = true
	}
	for _, l := range logs {
		for _, x := range l.events {
			used[l.log+"/"+x.golden] = true
		}
	}
	for _, table := range []string{"order-table", "inventory-table", "shipment-table", "notification-table"} {
		used[table+"/row"], used[table+"/row-new"] = true, true
	}
	for name := range golden(t) {
		if !used[name] {
			t.Errorf("%s: no test reads it any more", name)
		}
	}
}
