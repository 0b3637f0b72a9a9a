package processors_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

var (
	seed   = flag.Uint64("seed", 0, "of the run of all machines; 0 draws one")
	orders = flag.Int("orders", 5000, "that the run of all machines places")
)

// TestRun plays a busy house: thousands of orders of all policies, cancellations, dispatches, deliveries,
// receipts and adjustments, all of them at any moment. Each log has several partitions; within one the order is
// kept, between them anything goes. A failure names the seed that repeats it:
//
//	go test ./processors -run TestRun -seed N
func TestRun(t *testing.T) {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	h := newHouse(t, n)
	h.work(*orders)
	h.rest()
	h.checkOrders()
	h.checkStock()
	h.checkReplay()
	if *orders >= 5000 {
		h.checkVariety()
	}
	t.Logf("%d orders, %d messages", len(h.placed), h.time)
}

// The logs, each in several partitions.
const (
	toOrders = iota
	toInventory
	toShipments
	logs
	partitions = 4
)

// record is a message in a partition.
type record struct {
	key   string
	at    int64
	event any
}

// partition is a log's part: every message that it ever took in, and how many of them have been applied.
type partition struct {
	records []record
	applied int
}

// house is the whole of Stockflow in memory: the logs, and the tables that they fold to. One goroutine owns it.
type house struct {
	t    *testing.T
	seed uint64
	rnd  *rand.Rand
	logs [logs][partitions]partition
	time int64
	tables

	placed   []order.Placed // by number of the order
	packed   []string       // orders whose parcel was to be packed
	receipts int
	mails    map[string]bool // sent, by order and kind
	seen     map[string]int  // how often what happened

	// outside, if there is one, is told too what somebody does, though not what machines tell each other.
	outside func(log int, key string, event any)
}

// tables are the rows of all machines, by key.
type tables struct {
	orders  map[string]order.State
	stock   map[string]inventory.State
	parcels map[string]shipment.State
}

func newTables() tables {
	return tables{map[string]order.State{}, map[string]inventory.State{}, map[string]shipment.State{}}
}

func newHouse(t *testing.T, seed uint64) *house {
	return &house{
		t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), tables: newTables(),
		mails: map[string]bool{}, seen: map[string]int{},
	}
}

// work lets people and machines act by chance until all orders are placed. Sometimes the people are quicker and
// much is in transit, sometimes the machines.
func (h *house) work(orders int) {
	var rush int
	for n := 0; len(h.placed) < orders; n++ {
		if n%1000 == 0 {
			rush = []int{2, 10, 30}[h.rnd.IntN(3)]
		}
		if h.rnd.IntN(100) < rush {
			h.act()
		} else {
			h.step()
		}
	}
}

// rest lets the machines go on until nothing is in transit.
func (h *house) rest() {
	for h.pending() {
		h.step()
	}
}

func (h *house) pending() bool {
	for _, log := range h.logs {
		for _, p := range log {
			if p.applied < len(p.records) {
				return true
			}
		}
	}
	return false
}

// act is what somebody does.
func (h *house) act() {
	switch n := h.rnd.IntN(100); {
	case n < 35:
		h.place()
	case n < 42:
		h.send(toOrders, h.someOrder(), order.Cancel{})
	case n < 45:
		h.placeAgain()
	case n < 67:
		parcel := shipment.Dispatch{Carrier: "DHL", TrackingNumber: fmt.Sprint(h.rnd.IntN(9))}
		h.send(toShipments, h.someParcel(), parcel)
	case n < 80:
		h.send(toShipments, h.someParcel(), shipment.Deliver{})
	case n < 95:
		h.receive()
	default:
		h.adjust()
	}
}

// place orders one to five lines. The SKU s0 is asked for by nearly everybody and hardly ever comes, so that its
// queue fills up.
func (h *house) place() {
	policies := []order.Policy{order.AllOrNothing, order.Partial, order.Backorder, order.Backorder}
	p := order.Placed{Policy: policies[h.rnd.IntN(4)]}
	if h.rnd.IntN(2) == 0 {
		p.Customer.Email = "ada@example.com"
	}
	if p.Policy == order.Backorder && h.rnd.IntN(10) < 9 {
		p.Lines = append(p.Lines, order.PlacedLine{SKU: "s0", Quantity: 9})
	}
	for range 1 + h.rnd.IntN(4) {
		p.Lines = append(p.Lines, order.PlacedLine{SKU: h.someSKU(), Quantity: 1 + h.rnd.Int64N(8)})
	}
	if p.Policy == order.AllOrNothing && h.rnd.IntN(20) == 0 {
		p.Lines[0].Quantity = 100_000 // more than the house ever has
	}
	h.placed = append(h.placed, p)
	h.send(toOrders, fmt.Sprint("o", len(h.placed)-1), p)
}

// placeAgain is a retry, or a mistake.
func (h *house) placeAgain() {
	if len(h.placed) == 0 {
		return
	}
	n := h.rnd.IntN(len(h.placed))
	p := h.placed[n]
	if h.rnd.IntN(2) == 0 {
		p.ShipTo = "elsewhere"
	}
	h.send(toOrders, fmt.Sprint("o", n), p)
}

// receive brings goods to one of several locations, in one of ten cases a second time.
func (h *house) receive() {
	if h.rnd.IntN(10) > 0 {
		h.receipts++
	}
	id := fmt.Sprint("r", h.receipts)
	h.send(toInventory, h.someSKU(), inventory.Receive{ID: id, Quantity: 1 + h.rnd.Int64N(50), Location: h.someLocation()})
}

func (h *house) adjust() {
	e := inventory.Adjust{Quantity: h.rnd.Int64N(9) - 5, Reason: "count", Location: h.someLocation()}
	if e.Quantity != 0 {
		h.send(toInventory, h.someSKU(), e)
	}
}

func (h *house) someSKU() string { return fmt.Sprint("s", h.rnd.IntN(30)) }

func (h *house) someLocation() string { return []string{"", "east", "west"}[h.rnd.IntN(3)] }

// someOrder is one of the latest, or one that is about to be placed.
func (h *house) someOrder() string {
	return fmt.Sprint("o", max(0, len(h.placed)+20-h.rnd.IntN(400)))
}

// someParcel is one of those that were to be packed lately, or what somebody took for one.
func (h *house) someParcel() string {
	if len(h.packed) == 0 || h.rnd.IntN(10) == 0 {
		return h.someOrder()
	}
	return h.packed[max(0, len(h.packed)-1-h.rnd.IntN(100))]
}

// send appends what somebody says to its log.
func (h *house) send(log int, key string, event any) {
	if h.outside != nil {
		h.outside(log, key, event)
	}
	h.append(log, key, event)
}

// append appends a message to its partition.
func (h *house) append(log int, key string, event any) {
	sum := fnv.New32a()
	sum.Write([]byte(key))
	h.time++
	p := &h.logs[log][sum.Sum32()%partitions]
	p.records = append(p.records, record{key, h.time, event})
}

// step applies the next message of some partition, if there is one.
func (h *house) step() {
	log := h.rnd.IntN(logs)
	p := &h.logs[log][h.rnd.IntN(partitions)]
	if p.applied == len(p.records) {
		return
	}
	r := p.records[p.applied]
	p.applied++
	out, refusal, unfit := h.apply(log, r)
	if unfit != "" {
		h.fail("%T for %s is unfit: %s", r.event, r.key, unfit)
	}
	h.seen["refusal "+refusal]++
	h.seen[fmt.Sprintf("message %T", r.event)]++
	for _, o := range out {
		h.pass(o)
	}
	if _, pack := r.event.(shipment.Schedule); pack {
		h.packed = append(h.packed, r.key)
	}
	if log == toInventory {
		h.checkSKU(r.key)
	}
}

// apply folds a record into the table of its log. What is sent comes back as it would be written.
func (w tables) apply(log int, r record) (out []sent, refusal, unfit string) {
	switch log {
	case toOrders:
		res := order.Apply(w.orders[r.key], order.Message{OrderID: r.key, At: r.at, RulesVersion: 1, Event: r.event})
		w.orders[r.key] = res.State
		for _, o := range res.Outputs {
			out = append(out, sent{destinations[o.To], o.Key, o.Command})
		}
		return out, res.Refusal, res.Inapplicable
	case toInventory:
		res := inventory.Apply(w.stock[r.key], inventory.Message{SKU: r.key, At: r.at, RulesVersion: 1, Event: r.event})
		w.stock[r.key] = res.State
		for _, o := range res.Outputs {
			out = append(out, sent{toOrders, o.OrderID, o.Answer})
		}
		return out, res.Refusal, res.Inapplicable
	default:
		res := shipment.Apply(w.parcels[r.key], shipment.Message{OrderID: r.key, At: r.at, RulesVersion: 1, Event: r.event})
		w.parcels[r.key] = res.State
		for _, o := range res.Outputs {
			out = append(out, sent{toOrders, o.OrderID, o.Answer})
		}
		return out, res.Refusal, res.Inapplicable
	}
}

// sent is an output on its way.
type sent struct {
	log     int
	key     string
	message any
}

// destinations are the logs of an order's outputs; e-mails go nowhere here.
var destinations = map[order.Destination]int{
	order.ToInventory: toInventory, order.ToShipment: toShipments, order.ToNotification: logs,
}

// pass appends an output to its log, and checks that a customer is told a thing once.
func (h *house) pass(o sent) {
	if o.log != logs {
		h.append(o.log, o.key, o.message)
		return
	}
	mail := o.key + " " + o.message.(notification.Notify).Kind.String()
	if h.mails[mail] {
		h.fail("a second e-mail %s", mail)
	}
	h.mails[mail] = true
}

func (h *house) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("-seed %d: "+format, append([]any{h.seed}, args...)...)
}
