package history

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
	"stockflow/replay"
)

// world is a shop without a broker: logs in memory, and machines that read them in any interleaving. It remembers, of
// each message, the row that it made: what a fold from the start would say, decided at the time.
type world struct {
	t          testing.TB
	chance     *rand.Rand
	partitions int32
	clock      int64
	logs       map[string][][]*kgo.Record
	next       map[string][]int64
	rows       map[string]map[string][]byte // by log and key
	was        map[string][]past            // by log, in the order in which it was decided
	latest     map[string][]int64           // time, by machine and partition
	letters    int
}

// past is what one message did.
type past struct {
	partition  int32
	offset, by int64
	key        string
	row        []byte
	step       replay.Step
}

func newWorld(t testing.TB, seed uint64, partitions int32) *world {
	w := &world{
		t: t, chance: rand.New(rand.NewPCG(seed, 7)), partitions: partitions, clock: 1_700_000_000_000,
		logs: map[string][][]*kgo.Record{engine.DeadLetters: make([][]*kgo.Record, partitions)},
		next: map[string][]int64{}, rows: map[string]map[string][]byte{}, was: map[string][]past{},
		latest: map[string][]int64{},
	}
	for _, m := range replay.Machines {
		w.logs[m.Log], w.next[m.Log] = make([][]*kgo.Record, partitions), make([]int64, partitions)
		w.rows[m.Log], w.latest[m.Name] = map[string][]byte{}, make([]int64, partitions)
	}
	return w
}

// put appends a record to a log, on the partition of its key unless another is given.
func (w *world) put(log, key string, value []byte, on int32, headers ...kgo.RecordHeader) *kgo.Record {
	if on < 0 {
		on = broker.Partition([]byte(key), w.partitions)
	}
	w.clock += int64(w.chance.IntN(3))
	at := w.clock
	if w.chance.IntN(20) == 0 { // the clock of another broker
		at -= int64(w.chance.IntN(10))
	}
	r := &kgo.Record{
		Topic: log, Partition: on, Offset: int64(len(w.logs[log][on])), Timestamp: time.UnixMilli(at),
		Key: []byte(key), Value: value, Headers: headers,
	}
	w.logs[log][on] = append(w.logs[log][on], r)
	return r
}

func originOf(o codecs.Origin) kgo.RecordHeader {
	return kgo.RecordHeader{Key: codecs.HeaderOrigin, Value: codecs.EncodeOrigin(o)}
}

// work has machines read, in any interleaving, until nothing is left or steps are done.
func (w *world) work(steps int) {
	for ; steps > 0; steps-- {
		var open []func()
		for _, m := range replay.Machines {
			for p := range w.partitions {
				if w.next[m.Log][p] < int64(len(w.logs[m.Log][p])) {
					open = append(open, func() { w.fold(m, p) })
				}
			}
		}
		if len(open) == 0 {
			return
		}
		open[w.chance.IntN(len(open))]()
	}
}

// fold takes in the next message of a partition as live processing does.
func (w *world) fold(m replay.Machine, p int32) {
	r := w.logs[m.Log][p][w.next[m.Log][p]]
	w.next[m.Log][p]++
	e := entryOf(r, 0)
	step, err := m.Fold(e.Record, replay.World{
		Partitions: w.partitions,
		Reaches: func(o codecs.Origin) (bool, error) {
			return o.Offset < int64(len(w.logs[o.Log][o.Partition%w.partitions])), nil
		},
		Row: func(key string) ([]byte, error) { return w.rows[m.Log][key], nil },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	switch step.Disposition {
	case engine.DeadLettered:
		w.letters++
		w.put(engine.DeadLetters, e.Key, codecs.EncodeDeadLetter(codecs.DeadLetter{
			Topic: m.Log, Partition: p, Offset: r.Offset, At: e.At, Key: r.Key, Value: r.Value, Reason: step.Reason,
		}), -1)
	case engine.Moved:
		w.put(m.Log, step.Key, r.Value, -1, originOf(codecs.Origin{Log: m.Log, Partition: p, Offset: r.Offset}))
	case engine.Applied:
		w.rows[m.Log][e.Key] = step.After
		w.send(m, r, step.Outputs)
		if w.chance.IntN(10) == 0 { // a crash, after which all of it is sent again
			w.send(m, r, step.Outputs)
		}
	}
	line := &w.latest[m.Name][p]
	*line = max(*line, e.At)
	w.was[m.Log] = append(w.was[m.Log], past{p, r.Offset, *line, e.Key, w.rows[m.Log][e.Key], step})
}

func (w *world) send(m replay.Machine, r *kgo.Record, outputs []engine.Output) {
	for i, o := range outputs {
		w.put(o.Log, o.Key, o.Value, -1, originOf(codecs.Origin{Log: m.Log, Partition: r.Partition, Offset: r.Offset, Index: int32(i)}))
	}
}

func (w *world) pick(what string, n int) string { return fmt.Sprint(what, w.chance.IntN(n)) }

// outside writes what comes from outside: orders, goods, parcels, and messages that make no sense.
func (w *world) outside() {
	on := int32(-1)
	if w.chance.IntN(10) == 0 {
		on = w.chance.Int32N(w.partitions)
	}
	sku, id := w.pick("sku-", 2), w.pick("o-", 60)
	put := func(log, key string, _ string, value []byte) { w.put(log, key, value, on) }
	switch w.chance.IntN(10) {
	case 0, 1, 2, 3:
		placed := order.Placed{
			Policy: order.Policy(w.chance.IntN(3)), Customer: order.Customer{ID: "c", Email: "a@example.com"},
			Lines: []order.PlacedLine{{SKU: sku, Quantity: 1 + w.chance.Int64N(9)}, {SKU: w.pick("sku-", 3), Quantity: 1}},
		}
		typ, value := codecs.EncodeOrderEvent(placed)
		put(processors.OrderEvents, id, typ, value)
	case 4:
		typ, value := codecs.EncodeOrderEvent(order.Cancel{})
		put(processors.OrderEvents, id, typ, value)
	case 5, 6:
		typ, value := codecs.EncodeInventoryEvent(inventory.Receive{ID: w.pick("r-", 1000), Quantity: 1 + w.chance.Int64N(30)})
		put(processors.InventoryEvents, sku, typ, value)
	case 7:
		typ, value := codecs.EncodeShipmentEvent(shipment.Dispatch{Carrier: "DHL", TrackingNumber: "X"})
		put(processors.ShipmentEvents, id, typ, value)
	case 8:
		w.put([]string{processors.OrderEvents, processors.InventoryEvents}[w.chance.IntN(2)], id, []byte("nonsense"), on)
	case 9:
		w.forge(sku, id)
	}
}

// forge writes what nobody has sent, with the origin of a message that is yet to come: a reservation, or an answer to an
// order that waits for one. Taken in, it would change the row.
func (w *world) forge(sku, id string) {
	yetToCome := func(log, key string) kgo.RecordHeader {
		p := broker.Partition([]byte(key), w.partitions)
		return originOf(codecs.Origin{Log: log, Partition: p, Offset: int64(len(w.logs[log][p])) + w.chance.Int64N(3)})
	}
	if w.chance.IntN(2) == 0 {
		_, value := codecs.EncodeInventoryEvent(inventory.Reserve{OrderID: id, Quantity: 1, Mode: inventory.UpTo})
		w.put(processors.InventoryEvents, sku, value, -1, yetToCome(processors.OrderEvents, id))
		return
	}
	_, value := codecs.EncodeOrderEvent(order.Placed{Lines: []order.PlacedLine{{SKU: sku, Quantity: 1}}})
	w.put(processors.OrderEvents, id, value, -1)
	_, value = codecs.EncodeOrderEvent(inventory.Queued{SKU: sku})
	w.put(processors.OrderEvents, id, value, -1, yetToCome(processors.InventoryEvents, sku))
}

// live has so much happen, and brings it to its end.
func (w *world) live(messages int) {
	for range messages {
		w.outside()
		w.work(w.chance.IntN(12))
	}
	w.work(1 << 30)
}

// bounds are those of the world's logs, as a broker tells them.
func (w *world) bounds() bounds {
	b := bounds{starts: map[broker.TopicPartition]int64{}, ends: map[broker.TopicPartition]int64{}, ids: map[string]string{}}
	for log, parts := range w.logs {
		b.ids[log] = "id"
		for p, records := range parts {
			b.ends[broker.TopicPartition{Topic: log, Partition: int32(p)}] = int64(len(records))
		}
	}
	return b
}
