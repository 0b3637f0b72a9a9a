package processors

import (
	"strings"
	"testing"

	"stockflow/codecs"
)

// TestRedriveID: letters of the same message have the same id, and others have others.
func TestRedriveID(t *testing.T) {
	const (
		first     = "order-events/3/7"
		scheduled = `{"scheduled":{}}` // an answer
		delivered = `{"delivered":{}}`
		placed    = `{"placed":{"lines":[{"sku":"lamp","quantity":1}]}}` // from outside
		noise     = "\xff"
		origin    = "shipment-events/0/5/1"
	)
	letter := func(offset int64, value string, headers ...string) codecs.DeadLetter {
		d := codecs.DeadLetter{Topic: OrderEvents, Partition: 3, Offset: offset, Key: []byte("o-1"), Value: []byte(value)}
		for i := 0; i < len(headers); i += 2 {
			d.Headers = append(d.Headers, codecs.Header{Key: headers[i], Value: []byte(headers[i+1])})
		}
		return d
	}
	for _, test := range []struct {
		what   string
		letter codecs.DeadLetter
		n      int
		want   string
	}{
		{"its own name", letter(7, noise), 0, first},
		{"its own name, once more", letter(7, noise), 2, first + "#2"},
		{"a letter of the redriven message", letter(9, placed, "ce_id", "1", "redrive", first), 0, first},
		{"and once more", letter(9, placed, "redrive", first), 1, first + "#1"},
		{"an output", letter(7, scheduled, "origin", origin), 0, origin + "+9860cb971c1e62eb"},
		{"its repeat", letter(8, scheduled, "origin", origin), 0, origin + "+9860cb971c1e62eb"},
		{"another with that origin", letter(8, delivered, "origin", origin), 0, origin + "+365e4ec0956c3320"},
		{"a moved message", letter(7, placed, "origin", "order-events/0/5/0"), 0, "order-events/0/5/0+e9543dcc250eff67"},
		{"a message that has no origin by right", letter(7, placed, "origin", origin), 0, first},
		{"what says nothing, with an origin", letter(7, noise, "origin", origin), 0, first},
		{"what is no origin", letter(7, scheduled, "origin", "nonsense"), 0, first},
		{"a header that is empty", letter(7, scheduled, "redrive", ""), 0, first},
		{"a header that is no text", letter(7, scheduled, "redrive", "\xff"), 0, "\uFFFD"},
	} {
		if got := RedriveID(test.letter, test.n); got != test.want {
			t.Errorf("%s: got %s, want %s", test.what, got, test.want)
		}
	}
	long := letter(7, noise, "redrive", strings.Repeat("x", 1<<20))
	if id, again := RedriveID(long, 0), RedriveID(long, 1); len(id) > maxRedriveID || id == again {
		t.Errorf("an id of a megabyte becomes %.60s, and %.60s", id, again)
	}
}
