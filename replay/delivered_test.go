package replay

import (
	"testing"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/processors"
)

// TestOnlyBelievedOriginsHaveLanded: one record a line, and whether the output that it claims to be has landed by it, and
// the one before that output.
func TestOnlyBelievedOriginsHaveLanded(t *testing.T) {
	const partitions, sku = 8, "lamp"
	home := broker.Partition([]byte(sku), partitions)
	from := func(log string, offset int64) codecs.Origin {
		return codecs.Origin{Log: log, Partition: 3, Offset: offset}
	}
	_, receive := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1})
	typ, release := codecs.EncodeInventoryEvent(inventory.Release{OrderID: "o-1", Allocations: []inventory.Allocation{{Location: "main", Quantity: 1}}})
	for name, c := range map[string]struct {
		value, redrive   []byte
		origin           codecs.Origin
		partition        int32
		letter           string
		landed, previous bool
	}{
		"what a machine has sent":            {value: release, origin: from(processors.OrderEvents, 9), partition: home, landed: true, previous: true},
		"what machines don't send":           {value: receive, origin: from(processors.OrderEvents, 9), partition: home},
		"what was moved":                     {value: receive, origin: from(processors.InventoryEvents, 9), partition: home, landed: true, previous: true},
		"from a log that doesn't send there": {value: release, origin: from(processors.ShipmentEvents, 9), partition: home},
		"on another's partition":             {value: release, origin: from(processors.OrderEvents, 9), partition: (home + 1) % partitions},
		"sent again by hand":                 {value: release, redrive: []byte("r1"), origin: from(processors.OrderEvents, 9), partition: home},
		"beyond its log":                     {value: release, origin: from(processors.OrderEvents, 20), partition: home},
		"beyond its log when it came":        {value: release, origin: from(processors.OrderEvents, 9), partition: home, letter: "origin: " + engine.BeyondEnd},
		"no order's release":                 {value: release, origin: from(processors.OrderEvents, 9), partition: home, letter: "nothing is reserved", landed: true},
		"no message at all":                  {value: []byte("nonsense"), origin: from(processors.OrderEvents, 9), partition: home},
	} {
		t.Run(name, func(t *testing.T) {
			w := &work{reach: collected{partitions: partitions}}
			w.letters = w.spill.scratch(smallRoom)
			if c.letter != "" {
				if err := w.letters.put(kindLetter, letterKey(processors.InventoryEvents, c.partition, 5), []byte(c.letter)); err != nil {
					t.Fatal(err)
				}
			}
			logs := map[string][]extent{}
			for _, m := range Machines {
				logs[m.Log] = make([]extent, partitions)
				logs[m.Log][3].end = 20
			}
			l := deliveredOutputs{map[route]codecs.Origin{}, w.spill.scratch(smallRoom)}
			err := w.land(l, Machines[1], engine.Record{Partition: c.partition, Offset: 5, Key: sku, Value: c.value,
				Origin: codecs.EncodeOrigin(c.origin), Redrive: c.redrive}, logs)
			if err != nil {
				t.Fatal(err)
			}
			o := output{c.origin, processors.InventoryEvents, c.partition, sku, typ}
			if got, err := l.has(o); err != nil || got != c.landed {
				t.Errorf("it has landed: %v, %v", got, err)
			}
			o.origin.Offset--
			if got, err := l.has(o); err != nil || got != c.previous {
				t.Errorf("the one before it has landed: %v, %v", got, err)
			}
		})
	}
}
