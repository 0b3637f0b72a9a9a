package codecs

import (
	"reflect"
	"testing"
)

// Whatever the bytes are, decoding doesn't panic; and what it returns is written and read again unchanged.

func FuzzOrderEvent(f *testing.F)        { fuzzEvent(f, logs[0]) }
func FuzzInventoryEvent(f *testing.F)    { fuzzEvent(f, logs[1]) }
func FuzzShipmentEvent(f *testing.F)     { fuzzEvent(f, logs[2]) }
func FuzzNotificationEvent(f *testing.F) { fuzzEvent(f, logs[3]) }

func fuzzEvent(f *testing.F, l logCodec) {
	for _, x := range l.events {
		_, value := l.encode(x.event)
		f.Add(value)
		f.Add(value[:len(value)/2])
	}
	f.Add([]byte(`{"rules":2}`))
	f.Add([]byte(`{"placed":{"order_id":"o-1","customer":{"name":"n"},"lines":[{"sku":"lamp","quantity":"2"}]}}`))
	f.Add([]byte(`{"receive":{"sku":"lamp","quantity":5},"adjust":null}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := l.decode(value)
		if err != nil || d.RulesVersion > RulesVersion {
			if d.Event != nil {
				t.Fatalf("an event beside %v, rules %d", err, d.RulesVersion)
			}
			return
		}
		name, again := l.encode(d.Event)
		got, err := l.decode(again)
		d.Key = "" // the encoders leave it out
		if err != nil || name != d.Type || !reflect.DeepEqual(got, d) {
			t.Fatalf("%s %+v comes back as %+v, %v", name, d, got, err)
		}
	})
}

func FuzzOrderRow(f *testing.F) {
	f.Add(EncodeOrderRow(seenBy, orderRow))
	f.Add(EncodeOrderRow(Head{Applied: -1}, orderRow))
	fuzzRow(f, EncodeOrderRow, DecodeOrderRow)
}

func FuzzInventoryRow(f *testing.F) {
	f.Add(EncodeInventoryRow(seenBy, inventoryRow))
	fuzzRow(f, EncodeInventoryRow, DecodeInventoryRow)
}

func FuzzShipmentRow(f *testing.F) {
	f.Add(EncodeShipmentRow(seenBy, shipmentRow))
	fuzzRow(f, EncodeShipmentRow, DecodeShipmentRow)
}

func FuzzNotificationRow(f *testing.F) {
	f.Add(EncodeNotificationRow(seenBy, notificationRow))
	fuzzRow(f, EncodeNotificationRow, DecodeNotificationRow)
}

func fuzzRow[S any](f *testing.F, encode func(Head, S) []byte, decode func([]byte) (Head, S, error)) {
	f.Fuzz(func(t *testing.T, row []byte) {
		_, _ = DecodeHead(row)
		h, s, err := decode(row)
		if err == nil {
			checkRow(t, encode(h, s), h, s, decode)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add([]byte("order-events/3/1042/0"))
	f.Add(EncodeTaken([]Taken{{Offset: 9, Refusal: "below_zero"}}))
	f.Add(EncodeDeadLetter(deadLetter))
	f.Add(EncodeDeadLetter(deadLetterNote))
	f.Add([]byte("\x2a\x00\x32\x00\x42\x02\x12\x00")) // a dead letter with empty bytes, as others may write them
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := ParseOrigin(b); err == nil && string(EncodeOrigin(o)) != string(b) {
			t.Fatalf("%q is written as %q", b, EncodeOrigin(o))
		}
		if taken, err := DecodeTaken(b); err == nil {
			if again, err := DecodeTaken(EncodeTaken(taken)); err != nil || !reflect.DeepEqual(again, taken) {
				t.Fatalf("%v comes back as %v, %v", taken, again, err)
			}
		}
		if d, err := DecodeDeadLetter(b); err == nil {
			d.Topic, d.Reason = valid(d.Topic), valid(d.Reason)
			if again, err := DecodeDeadLetter(EncodeDeadLetter(d)); err != nil || !reflect.DeepEqual(again, d) {
				t.Fatalf("%+v comes back as %+v, %v", d, again, err)
			}
		}
	})
}
