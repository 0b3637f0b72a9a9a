package engine_test

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
)

// outside is who writes to logs and is no machine.
const outside = "outside"

type header = kgo.RecordHeader

// people place orders, bring goods and send parcels; some of them make mistakes, and some lie.
type people struct {
	w       *world
	budget  int // of what they do
	placed  []order.Placed
	letters []codecs.DeadLetter  // as they came to be
	packed  []string             // orders whose parcel is to leave
	send    func(*shelf, stored) // is given what they write, in place of the log; nil in the simulation
}

// act does something.
func (p *people) act() bool {
	if p.budget == 0 {
		return false
	}
	p.budget--
	w := p.w
	switch n := w.rnd.IntN(100); {
	case n < 28:
		p.place()
	case n < 34:
		p.placeAgain()
	case n < 42:
		p.cancel()
	case n < 56:
		p.tell(processors.InventoryEvents, p.someSKU(), p.receipt())
	case n < 60:
		p.tell(processors.InventoryEvents, p.someSKU(), inventory.Adjust{ID: p.someID(), Quantity: w.rnd.Int64N(4)*2 - 5, Reason: "count"})
	case n < 72:
		p.tell(processors.ShipmentEvents, p.someParcel(), shipment.Dispatch{Carrier: "DHL", TrackingNumber: fmt.Sprint(w.rnd.IntN(2))})
	case n < 80:
		p.tell(processors.ShipmentEvents, p.someParcel(), shipment.Deliver{})
	case n < 83:
		p.tell(processors.NotificationEvents, p.someOrder(), notification.Resend{Kind: notification.Confirmed})
	case n < 88:
		p.poison()
	case n < 92:
		p.lie()
	case n < 96:
		p.redrive()
	case p.send == nil: // a journal has no gaps
		s := w.shelf(processors.Logs[w.rnd.IntN(4)], w.rnd.Int32N(w.shape.partitions))
		w.put(s, stored{marker: true, by: outside})
		w.note("%s/%d has a gap at offset %d", s.topic, s.partition, len(s.records)-1)
	}
	return true
}

func (p *people) someSKU() string      { return fmt.Sprint("s", p.w.rnd.IntN(p.w.shape.skus)) }
func (p *people) someLocation() string { return []string{"", "east"}[p.w.rnd.IntN(2)] }
func (p *people) someID() string {
	return []string{"", fmt.Sprint("r", p.w.rnd.IntN(20))}[p.w.rnd.IntN(2)]
}
func (p *people) someOrder() string { return fmt.Sprint("o", p.w.rnd.IntN(len(p.placed)+1)) }

// someParcel is one of those that were to be packed, or what somebody took for one.
func (p *people) someParcel() string {
	if len(p.packed) == 0 || p.w.rnd.IntN(8) == 0 {
		return p.someOrder()
	}
	return p.packed[p.w.rnd.IntN(len(p.packed))]
}

func (p *people) receipt() inventory.Receive {
	return inventory.Receive{ID: p.someID(), Quantity: 1 + p.w.rnd.Int64N(12), Location: p.someLocation()}
}

// place orders one to four lines, and tells the log of it in one of three ways: as it should be, on a wrong
// partition, or without a key.
func (p *people) place() {
	rnd := p.w.rnd
	o := order.Placed{Policy: order.Policy(rnd.IntN(3))}
	if rnd.IntN(3) > 0 {
		o.Customer.Email = "ada@example.com"
	}
	for range 1 + rnd.IntN(4) {
		o.Lines = append(o.Lines, order.PlacedLine{SKU: p.someSKU(), Quantity: 1 + rnd.Int64N(5)})
	}
	p.placed = append(p.placed, o)
	p.tell(processors.OrderEvents, fmt.Sprint("o", len(p.placed)-1), o)
}

// placeAgain is a retry, or a mistake.
func (p *people) placeAgain() {
	if len(p.placed) == 0 {
		return
	}
	n := p.w.rnd.IntN(len(p.placed))
	o := p.placed[n]
	if p.w.rnd.IntN(3) == 0 {
		o.ShipTo = "elsewhere"
	}
	p.tell(processors.OrderEvents, fmt.Sprint("o", n), o)
}

func (p *people) cancel() {
	if p.w.rnd.IntN(4) > 0 {
		p.tell(processors.OrderEvents, p.someOrder(), order.Cancel{})
		return
	}
	value := fmt.Appendf(nil, `{"cancel": {"order_id": %q}}`, p.someOrder())
	p.write(processors.OrderEvents, "", value, p.w.rnd.Int32N(p.w.shape.partitions))
}

// tell writes an event, now and then twice, as who has not got an answer does, or to a wrong partition.
func (p *people) tell(log, key string, event any) {
	value := encode(log, event)
	for {
		partition := broker.Partition([]byte(key), p.w.shape.partitions)
		if p.w.rnd.IntN(12) == 0 {
			partition = p.w.rnd.Int32N(p.w.shape.partitions)
		}
		var more []header
		if p.w.rnd.IntN(8) == 0 {
			more = append(more, header{Key: codecs.HeaderTraceParent, Value: fmt.Append(nil, "trace-", p.w.clock)})
		}
		p.write(log, key, value, partition, more...)
		if p.w.rnd.IntN(8) > 0 {
			return
		}
	}
}

func encode(log string, event any) []byte {
	var value []byte
	switch log {
	case processors.OrderEvents:
		_, value = codecs.EncodeOrderEvent(event)
	case processors.InventoryEvents:
		_, value = codecs.EncodeInventoryEvent(event)
	case processors.ShipmentEvents:
		_, value = codecs.EncodeShipmentEvent(event)
	default:
		_, value = codecs.EncodeNotificationEvent(event)
	}
	return value
}

func (p *people) write(log, key string, value []byte, partition int32, more ...header) {
	p.append(p.w.shelf(log, partition), stored{key: key, value: value, headers: more, by: outside})
}

func (p *people) append(s *shelf, r stored) {
	if p.send != nil {
		p.send(s, r)
		return
	}
	offset := p.w.put(s, r)
	p.w.note("%s/%d takes %s from outside at offset %d", s.topic, s.partition, p.w.describe(s, r), offset)
}

// poison is what no one can read, or what contradicts itself.
func (p *people) poison() {
	values := [][]byte{nil, {}, {0xff, 0xff}, []byte("{"), []byte(`{"cancel": {"order_id": "another"}}`)}
	if p.w.shape.newer && p.w.rnd.IntN(3) == 0 {
		values = [][]byte{[]byte(`{"rules": 9}`)} // of a program that is newer
	}
	log := processors.Logs[p.w.rnd.IntN(4)]
	key := p.someOrder()
	if log == processors.InventoryEvents {
		key = p.someSKU()
	}
	p.write(log, key, values[p.w.rnd.IntN(len(values))], p.w.rnd.Int32N(p.w.shape.partitions))
}

// lie plays a machine.
func (p *people) lie() {
	log, key, event := processors.OrderEvents, p.someOrder(), any(inventory.Reserved{SKU: p.someSKU(), Allocations: []inventory.Allocation{{Location: "main", Quantity: 3}}})
	if p.w.rnd.IntN(2) == 0 {
		log, key, event = processors.InventoryEvents, p.someSKU(), inventory.Reserve{OrderID: p.someOrder(), Quantity: 2}
	}
	var more []header
	switch p.w.rnd.IntN(4) {
	case 0:
		more = append(more, header{Key: codecs.HeaderOrigin, Value: []byte("nonsense")})
	case 1:
		more = append(more, header{Key: codecs.HeaderOrigin, Value: []byte("notification-events/0/0/0")})
	case 2:
		source := processors.InventoryEvents
		if log == source {
			source = processors.OrderEvents
		}
		more = append(more, header{Key: codecs.HeaderOrigin, Value: []byte(source + "/0/99999999/0")})
	}
	p.append(p.w.shelf(log, p.w.rnd.Int32N(p.w.shape.partitions)), stored{
		key: key, value: encode(log, event), headers: more, by: outside, forged: true,
	})
}

// redrive sends a letter again, repaired; sometimes one that was sent before, which is to count once.
func (p *people) redrive() {
	if len(p.letters) == 0 {
		return
	}
	d := p.letters[p.w.rnd.IntN(len(p.letters))]
	if len(d.Key) == 0 {
		return
	}
	var event any
	switch d.Topic {
	case processors.OrderEvents:
		event = order.Cancel{}
	case processors.InventoryEvents:
		event = inventory.Receive{Quantity: 3}
	case processors.ShipmentEvents:
		event = shipment.Deliver{}
	default:
		event = notification.Resend{Kind: notification.Shipped}
	}
	l := engine.Redrive{DeadLetter: d, ID: processors.RedriveID(d, 0), Repaired: encode(d.Topic, event)}
	r := l.Record(p.w.shape.partitions)
	if p.w.rnd.IntN(6) == 0 {
		r.Partition = p.w.rnd.Int32N(p.w.shape.partitions)
	}
	p.w.count("letters redriven")
	p.append(p.w.shelf(r.Topic, r.Partition), stored{key: string(r.Key), value: r.Value, headers: r.Headers, by: outside})
}
