package codecs

import (
	"bytes"
	"strings"
	"testing"
)

// TestRedriveID: letters of the same message have the same id, and others have others.
func TestRedriveID(t *testing.T) {
	letter := func(offset int64, value string, headers ...string) DeadLetter {
		d := DeadLetter{Topic: "order-events", Partition: 3, Offset: offset, Value: []byte(value)}
		for i := 0; i < len(headers); i += 2 {
			d.Headers = append(d.Headers, Header{Key: headers[i], Value: []byte(headers[i+1])})
		}
		return d
	}
	const first = "order-events/3/7"
	for _, test := range []struct {
		what   string
		letter DeadLetter
		n      int
		want   string
	}{
		{"its own name", letter(7, "x"), 0, first},
		{"its own name, once more", letter(7, "x"), 2, first + "#2"},
		{"a letter of the redriven message", letter(9, "y", "ce_id", "1", "redrive", first), 0, first},
		{"and once more", letter(9, "y", "redrive", first), 1, first + "#1"},
		{"an output", letter(7, "x", "origin", "inventory-events/0/5/1"), 0, "inventory-events/0/5/1+2d711642b726b044"},
		{"its repeat", letter(8, "x", "origin", "inventory-events/0/5/1"), 0, "inventory-events/0/5/1+2d711642b726b044"},
		{"another with that origin", letter(8, "y", "origin", "inventory-events/0/5/1"), 0, "inventory-events/0/5/1+a1fce4363854ff88"},
		{"what is no origin", letter(7, "x", "origin", "nonsense"), 0, first},
		{"a header that is empty", letter(7, "x", "redrive", ""), 0, first},
		{"a header that is no text", letter(7, "x", "redrive", "\xff"), 0, "\uFFFD"},
	} {
		if got := RedriveID(test.letter, test.n); got != test.want {
			t.Errorf("%s: got %s, want %s", test.what, got, test.want)
		}
	}
	long := letter(7, "x", "redrive", strings.Repeat("x", 1<<20))
	if id, again := RedriveID(long, 0), RedriveID(long, 1); len(id) > maxRedriveID || id == again {
		t.Errorf("an id of a megabyte becomes %.60s, and %.60s", id, again)
	}
}

// TestShownIsTakenAgain: what is shown of any event is the same message in JSON.
func TestShownIsTakenAgain(t *testing.T) {
	show := map[string]func([]byte) (Shown, error){
		"order-events": ShowOrderEvent, "inventory-events": ShowInventoryEvent,
		"shipment-events": ShowShipmentEvent, "notification-events": ShowNotificationEvent,
	}
	for _, l := range logs {
		for _, x := range l.events {
			_, value := l.encode(x.event)
			shown, err := show[l.log](value)
			if err != nil || shown.Event != x.name() {
				t.Fatalf("%s/%s is shown as %q, %v", l.log, x.golden, shown.Event, err)
			}
			text, err := shown.JSON()
			if err != nil {
				t.Fatal(err)
			}
			checkDecoded(t, l, x.golden, text, Decoded{Type: x.name(), Rules: 1, Emitted: x.emitted, Event: x.event})
		}
	}
}

// TestShowChecksNothing but the form: it is for messages that are wrong.
func TestShowChecksNothing(t *testing.T) {
	const negative = `{"receive":{"quantity":"-5"}}`
	shown, err := ShowInventoryEvent([]byte(negative))
	if err != nil || shown.Event != "receive" {
		t.Fatalf("got %q, %v", shown.Event, err)
	}
	text, err := shown.JSON()
	if got := strings.Join(strings.Fields(string(text)), ""); err != nil || got != negative {
		t.Errorf("got %s, %v", text, err)
	}
	shown, err = ShowOrderEvent(append([]byte{0x12, 6}, "\x0a\x04\xff\xfe\xfd\xfc"...)) // a placement whose first field isn't UTF-8
	if err != nil || shown.Event != "placed" {
		t.Fatalf("a text that isn't UTF-8: got %q, %v", shown.Event, err)
	}
	if text, err := shown.JSON(); err == nil {
		t.Errorf("a text that isn't UTF-8: got %s", text)
	}
	for _, value := range [][]byte{nil, {}, []byte("{"), []byte("\xff"), bytes.Repeat([]byte("["), 1<<20)} {
		if shown, err := ShowOrderEvent(value); err == nil || shown != (Shown{}) {
			t.Errorf("%.20q: got %+v, %v", value, shown, err)
		}
	}
	if shown, err := ShowOrderEvent([]byte(`{"rules": 7}`)); err != nil || shown.Event != "" {
		t.Errorf("no event: got %q, %v", shown.Event, err)
	}
}
