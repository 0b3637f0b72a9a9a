package api

import (
	"encoding/json"
	"strings"
	"testing"

	"stockflow/codecs"
	"stockflow/views"
)

func TestPlacesOfLetters(t *testing.T) {
	want := views.DeadLetterPlace{At: 1_291_190_400_000, ID: views.DeadLetterID{Topic: "order-events", Partition: 3, Offset: 1042}}
	if got, err := parsePlace(placeText(want)); err != nil || *got != want {
		t.Errorf("%v comes back as %v, %v", want, got, err)
	}
	for _, text := range []string{"", "1", "x order-events/3/1042", "1 order-events"} {
		if got, err := parsePlace(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// TestALetterIsShownToTheByte, whatever it holds; what is no text has its bytes beside it.
func TestALetterIsShownToTheByte(t *testing.T) {
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	l := views.DeadLetter{
		DeadLetter: codecs.DeadLetter{
			Topic: "inventory-events", Partition: 3, Offset: 7, At: 1_291_190_400_000, Key: []byte("\xff"), Reason: "why",
			Value:   []byte(`{"receive":{"quantity":-5}}`),
			Headers: []codecs.Header{{Key: "a", Value: []byte("b")}, {Key: "c", Value: []byte("\xfe")}},
		},
		Event: "receive", Size: 27, Redriven: 2,
	}
	const short = `"id":"inventory-events/3/7","topic":"inventory-events","partition":3,"offset":7,"at":"2010-12-01T08:00:00.000Z",` +
		`"key":"\ufffd","key_bytes":"/w==","event":"receive","reason":"why","size":27,"redriven":2`
	if got := text(ShowDeadLetter(l)); got != "{"+short+"}" {
		t.Errorf("got %s", got)
	}
	got := text(ShowWholeDeadLetter(l))
	for _, want := range []string{
		"{" + short, `"headers":[{"key":"a","value":"b"},{"key":"c","value":"\ufffd","bytes":"/g=="}]`,
		`"message":{"receive":{"quantity":"-5"}}`, `"value":"eyJyZWNlaXZlIjp7InF1YW50aXR5IjotNX19"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, expected %s in it", got, want)
		}
	}
	if got := text(ShowWholeDeadLetter(views.DeadLetter{DeadLetter: codecs.DeadLetter{Topic: "order-events", NoValue: true}})); !strings.Contains(got, `"headers":[],"no_value":true}`) {
		t.Errorf("got %s", got)
	}
}
