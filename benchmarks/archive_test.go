package benchmarks

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
	"stockflow/replay"
)

// archive is the log of a shop that has delivered very many orders, with its tables and what its groups have committed:
// all that a stopped Stockflow has left, but made by folding, which takes a fraction of the time. Every order has five messages:
// placed, reserved, scheduled, dispatched and delivered. Those of one order lie as far from each other as can be, which
// is the worst for whoever folds them.
type archive struct {
	testing.TB
	*watcher
	*producer
	parts []*folded
}

// folded is a partition of a machine's log with the rows that it makes.
type folded struct {
	machine   replay.Machine
	partition int32
	next      int64
	rows      map[string][]byte
}

// makeArchive fills a directory.
func makeArchive(b testing.TB, dir string, orders int) {
	b.Helper()
	began := time.Now()
	logs := openJournal(b, filepath.Join(dir, "journal"))
	topics := []broker.Topic{{Name: engine.DeadLetters, Kind: broker.Letters}}
	for _, m := range replay.Machines {
		topics = append(topics, broker.Topic{Name: m.Log, Kind: broker.Log}, broker.Topic{Name: m.Table, Kind: broker.Table})
	}
	if _, _, err := logs.Ensure(b.Context(), topics, shopPartitions); err != nil {
		b.Fatal(err)
	}
	a := &archive{TB: b, watcher: newWatcher(b, logs), producer: newProducer(b, logs)}
	for _, m := range replay.Machines {
		for p := range int32(shopPartitions) {
			a.parts = append(a.parts, &folded{machine: m, partition: p, rows: map[string][]byte{}})
		}
	}
	a.trade(orders)
	a.commit()
	a.producer.close()
	closeJournal(b, logs)
	b.Logf("an archive of %d orders, %.0f MiB, was made in %v", orders, mib(onDisk(filepath.Join(dir, "journal"))), time.Since(began).Round(time.Second))
}

// trade receives stock and lets all orders go through.
func (a *archive) trade(orders int) {
	_, receipt := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1_000_000})
	for i := range shopSKUs {
		a.write(processors.InventoryEvents, sku(i), receipt, nil)
	}
	a.settle()
	a.each(orders, processors.OrderEvents, func(i int) []byte {
		_, value := codecs.EncodeOrderEvent(order.Placed{
			Customer: order.Customer{ID: fmt.Sprintf("c-%05d", i%50_000)},
			Lines:    []order.PlacedLine{{SKU: sku(i % shopSKUs), Quantity: 1}},
		})
		return value
	})
	a.each(orders, processors.ShipmentEvents, func(i int) []byte {
		_, value := codecs.EncodeShipmentEvent(shipment.Dispatch{Carrier: "Post", TrackingNumber: fmt.Sprintf("P-%010d", i)})
		return value
	})
	_, delivery := codecs.EncodeShipmentEvent(shipment.Deliver{})
	a.each(orders, processors.ShipmentEvents, func(int) []byte { return delivery })
}

// each writes a message about each order, and waits for all that follows.
func (a *archive) each(orders int, log string, value func(i int) []byte) {
	for i := range orders {
		a.write(log, orderKey(i), value(i), nil)
	}
	a.settle()
}

func (a *archive) write(log, key string, value []byte, headers []kgo.RecordHeader) {
	r := toShop(log, key, value)
	r.Headers = headers
	a.send(r)
}

// settle folds what is in the logs, until no more comes.
func (a *archive) settle() {
	for more := true; more; {
		a.flush()
		more = false
		for _, m := range replay.Machines {
			ends, err := a.ends(a.Context(), m.Log)
			if err != nil {
				a.Fatal(err)
			}
			g, ctx := errgroup.WithContext(a.Context())
			for _, p := range a.parts {
				if end := ends[p.partition]; p.machine.Log == m.Log && p.next < end {
					more = true
					g.Go(func() error { return a.fold(ctx, p, end) })
				}
			}
			if err := g.Wait(); err != nil {
				a.Fatal(err)
			}
		}
	}
}

// fold does with messages what a processor does: it writes the rows, and sends what they cause.
func (a *archive) fold(ctx context.Context, p *folded, end int64) error {
	from := p.next
	p.next = end
	world := replay.World{
		Partitions: shopPartitions,
		Reaches:    func(codecs.Origin) (bool, error) { return true, nil },
		Row:        func(key string) ([]byte, error) { return p.rows[key], nil },
	}
	return a.broker.Read(ctx, p.machine.Log, p.partition, from, end, func(r *kgo.Record) error {
		step, err := p.machine.Fold(replay.RecordOf(r), world)
		if err != nil || step.Disposition != engine.Applied {
			return fmt.Errorf("%s/%d/%d comes to %v %s %w", r.Topic, r.Partition, r.Offset, step.Disposition, step.Reason, err)
		}
		p.rows[step.Key] = step.After
		for i, o := range step.Outputs {
			a.write(o.Log, o.Key, o.Value, dress(o, codecs.Origin{Log: r.Topic, Partition: r.Partition, Offset: r.Offset, Index: int32(i)}))
		}
		a.write(p.machine.Table, step.Key, step.After, nil)
		return nil
	})
}

// dress returns headers as long as those of the engine's outputs are.
func dress(o engine.Output, origin codecs.Origin) []kgo.RecordHeader {
	id := codecs.EncodeOrigin(origin)
	return []kgo.RecordHeader{
		{Key: codecs.HeaderOrigin, Value: id}, {Key: codecs.HeaderID, Value: id},
		{Key: codecs.HeaderType, Value: []byte("stockflow." + o.Type)}, {Key: codecs.HeaderSource, Value: []byte("/stockflow/" + origin.Log)},
		{Key: codecs.HeaderTime, Value: []byte("2026-01-05T09:30:00.000Z")}, {Key: codecs.HeaderSpecVersion, Value: []byte(codecs.SpecVersion)},
		{Key: codecs.HeaderContentType, Value: []byte(codecs.ContentTypeProtobuf)},
	}
}

// commit commits for the groups all that their logs have.
func (a *archive) commit() {
	for _, m := range replay.Machines {
		offsets := map[broker.TopicPartition]int64{}
		for _, p := range a.parts {
			if p.machine.Log == m.Log {
				offsets[broker.TopicPartition{Topic: m.Log, Partition: p.partition}] = p.next
			}
		}
		if err := a.broker.Commit(a.Context(), m.Name, offsets); err != nil {
			a.Fatal(err)
		}
	}
}
