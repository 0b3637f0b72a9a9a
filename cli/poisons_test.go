package cli

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
)

// poison is a record that no machine can take.
type poison struct {
	*kgo.Record
	what, says string
}

// words are what poison is made of that looks like messages of a log.
type words struct {
	log      string
	hears    string // a log whose machine sends here
	good     []byte // an event that anybody may write, in Protobuf
	other    string // one that names another key than any record has, in JSON
	machines string // one that machines alone send
	negative string
	huge     string // a number beyond what is allowed
	deep     string // the beginning of a list
	badText  []byte // a text that isn't UTF-8
}

func logWords() []words {
	value := func(_ string, value []byte) []byte { return value }
	return []words{
		{
			processors.OrderEvents, processors.InventoryEvents,
			value(codecs.EncodeOrderEvent(order.Placed{Lines: []order.PlacedLine{{SKU: "sku-1", Quantity: 1}}})),
			`{"placed":{"order_id":"another","lines":[{"sku":"sku-1","quantity":1}]}}`,
			`{"reserved":{"sku":"sku-1","takes":[{"location":"main","quantity":"5"}]}}`,
			`{"placed":{"lines":[{"sku":"sku-1","quantity":-1}]}}`,
			`{"placed":{"lines":[{"sku":"sku-1","quantity":9223372036854775807}]}}`,
			`{"placed":{"lines":`, []byte("\x12\x05\x0a\x03\xff\xfe\xfd"),
		}, {
			processors.InventoryEvents, processors.OrderEvents,
			value(codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1, Location: "main"})),
			`{"receive":{"sku":"another","quantity":1}}`,
			`{"reserve":{"order_id":"o-1","quantity":5,"mode":1}}`,
			`{"receive":{"quantity":-5}}`,
			`{"adjust":{"quantity":-9223372036854775808,"reason":"loss"}}`,
			`{"release":{"order_id":"o-1","takes":`, []byte("\x12\x05\x0a\x03\xff\xfe\xfd"),
		}, {
			processors.ShipmentEvents, processors.OrderEvents,
			value(codecs.EncodeShipmentEvent(shipment.Dispatch{Carrier: "DHL", TrackingNumber: "X1"})),
			`{"deliver":{"order_id":"another"}}`,
			`{"cancel":{}}`,
			`{"schedule":{"lines":[{"sku":"sku-1","quantity":-1}]}}`,
			`{"schedule":{"lines":[{"sku":"sku-1","quantity":9223372036854775807}]}}`,
			`{"schedule":{"lines":`, []byte("\x22\x05\x0a\x03\xff\xfe\xfd"),
		}, {
			processors.NotificationEvents, processors.OrderEvents,
			value(codecs.EncodeNotificationEvent(notification.Resend{Kind: notification.Confirmed})),
			`{"resend":{"order_id":"another","kind":"confirmed"}}`,
			`{"notify":{"kind":1,"lines":[{"sku":"sku-1","quantity":1}]}}`,
			`{"sent":{"kind":"confirmed","round":-1,"attempts":1}}`,
			`{"failed":{"kind":"confirmed","round":9223372036854775807,"attempts":1}}`,
			`{"notify":{"lines":`, []byte("\x2a\x05\x0a\x03\xff\xfe\xfd"),
		},
	}
}

const megabyte = 1 << 20

// kinds returns all that can be wrong with a message of a log, but for its size.
func (w words) kinds() []poison {
	bad := func(what string, value []byte, says string, headers ...string) poison {
		r := &kgo.Record{Topic: w.log, Value: value}
		for i := 0; i < len(headers); i += 2 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
		}
		return poison{r, what, says}
	}
	const origin = codecs.HeaderOrigin
	deep := strings.Repeat("[", 100_000)
	kinds := []poison{
		bad("no value", nil, "the message has no value"),
		bad("an empty value", []byte{}, "the value is empty"),
		bad("cut Protobuf", w.good[:len(w.good)-1], "not Protobuf of this log"),
		bad("noise", []byte("\xff\x00\x17noise"), "not Protobuf of this log"),
		bad("text", []byte("hello"), "not Protobuf of this log"),
		bad("another event", []byte(`{"arrive":{"quantity":5}}`), "not JSON of this log"),
		bad("another type", []byte(`{"placed":7,"receive":7,"deliver":7,"sent":7}`), "not JSON of this log"),
		bad("no event", []byte(`{}`), "must be one of"),
		bad("two objects", append([]byte(w.other), w.other...), "not JSON of this log"),
		bad("a text that isn't UTF-8", w.badText, "must be UTF-8"),
		bad("a contradicting key", []byte(w.other), "contradicts", "ce_type", "stockflow.x", "mine", "\x00\xff"),
		bad("a machine's, without origin", []byte(w.machines), "has no origin"),
		bad("a machine's, with an origin that is none", []byte(w.machines), "origin", origin, "nonsense"),
		bad("a machine's, of nobody", []byte(w.machines), "does not send to", origin, "elsewhere/0/0/0"),
		bad("a machine's, of the future", []byte(w.machines), "ends before it", origin, w.hears+"/0/99999999/0"),
		bad("a machine's, of a partition that isn't there", []byte(w.machines), "ends before it", origin, w.hears+"/77/0/0"),
		bad("anybody's, with a machine's origin", w.good, "is not sent by machines", origin, w.hears+"/0/0/0"),
		bad("a redrive of nothing", w.good, "the header redrive is empty", codecs.HeaderRedrive, ""),
		bad("a negative number", []byte(w.negative), "must be"),
		bad("a huge number", []byte(w.huge), "must be"),
		bad("a number beyond all numbers", []byte(strings.Replace(w.negative, ":-", ":99999999999999999999", 1)), "not JSON of this log"),
		bad("deep JSON", []byte(w.deep+deep), "not JSON of this log"),
		bad("deep JSON in an unknown field", []byte(`{"x":`+deep+strings.Repeat("]", len(deep))+`}`), "not JSON of this log"),
		bad("deep Protobuf", bytes.Repeat([]byte{0x2b}, 100_000), "not Protobuf of this log"), // groups
	}
	for i := range kinds {
		kinds[i].Key = []byte("poison")
	}
	for _, key := range []string{"", "a/b", "\xff\xfe", strings.Repeat("k", 300), " ", "a\x00b"} {
		p := bad("a key that is none", w.good, "key")
		p.Key = []byte(key)
		kinds = append(kinds, p)
	}
	return kinds
}

// large are the kinds that are as large as a message may be, nearly.
func (w words) large() []poison {
	noise := &kgo.Record{Topic: w.log, Key: []byte("poison"), Value: bytes.Repeat([]byte{0xff}, 2*megabyte)}
	text := &kgo.Record{Topic: w.log, Key: []byte("poison"), Value: []byte(`{"` + strings.Repeat("x", 2*megabyte) + `":1}`)}
	return []poison{{noise, "2 MiB of noise", "not Protobuf of this log"}, {text, "2 MiB of JSON", "not JSON of this log"}}
}

// manyPoisons returns n poisons, of each kind some, on the four logs in turn.
func manyPoisons(n int) (all []poison) {
	var kinds, large []poison
	for _, w := range logWords() {
		kinds, large = append(kinds, w.kinds()...), append(large, w.large()...)
	}
	for i := range n {
		p := kinds[i*37%len(kinds)]
		if i%(n/len(large)) == 0 && i/(n/len(large)) < len(large) {
			p = large[i/(n/len(large))]
		}
		r := *p.Record
		if bytes.Equal(r.Key, []byte("poison")) { // a key of the good ones
			if r.Key = []byte(poisonSKU(i)); r.Topic != processors.InventoryEvents {
				r.Key = fmt.Appendf(nil, "o-%d-0", i)
			}
		}
		all = append(all, poison{&r, p.what, p.says})
	}
	return all
}
