package codecs

import (
	"bytes"
	"strings"
	"testing"
)

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
			checkDecoded(t, l, x.golden, text, Decoded{Type: x.name(), RulesVersion: 1, Emitted: x.emitted, Event: x.event})
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
