package torture

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// ledger is what the folds of all machines come to, in a form that can be compared: with each other, with what HTTP
// says, with what clients were told. It is small for each order, as there may be a million.
type ledger struct {
	*complaints
	orders  map[string]fact
	stock   map[string]fact
	parcels map[string]fact
	mails   map[string]fact

	held, gone map[string]int64            // units by SKU, by what orders say: held by open ones, and shipped
	waiting    map[string]map[string]int64 // units by SKU and order that orders say they wait for
	queues     map[string]map[string]int64 // the same by what the stock says
	counted    map[string]int64            // units by the id of a receipt or an adjustment, over all times that it counted
	scheduled  map[string]int              // how often, by order
	letters    map[string]bool             // Message-IDs that must have been sent
	begun      int64                       // messages that senders of e-mails began with
}

// fact is a row of which nothing matters but whether two of them are equal, and a little more.
type fact struct {
	status string // "" is a row that says nothing, as of a parcel that was asked for in vain
	text   uint64 // a checksum of its status, version and lines
	// Of orders: the placement, by a checksum; the statuses it has had and whether there is an address to write to.
	// Of stock: the sums.
	placed           uint64
	history          string
	onHand, reserved int64
}

func newLedger(c *complaints) *ledger {
	return &ledger{
		complaints: c, orders: map[string]fact{}, stock: map[string]fact{}, parcels: map[string]fact{}, mails: map[string]fact{},
		held: map[string]int64{}, gone: map[string]int64{}, waiting: map[string]map[string]int64{}, queues: map[string]map[string]int64{},
		counted: map[string]int64{}, scheduled: map[string]int{}, letters: map[string]bool{},
	}
}

func (l *ledger) sawOrder(string, order.State, engine.Incoming, engine.Result[order.State]) {}

// sawStock: at every prefix of its log the numbers of a SKU add up.
func (l *ledger) sawStock(sku string, before inventory.State, in engine.Incoming, res engine.Result[inventory.State]) {
	s := res.State
	if s.Received+s.Adjusted != s.OnHand()+s.Shipped {
		l.addf("%s at offset %d: %d received and %d adjusted, but %d on hand and %d shipped", sku, in.Offset, s.Received, s.Adjusted, s.OnHand(), s.Shipped)
	}
	for _, at := range s.Locations {
		if at.Reserved < 0 || at.OnHand < at.Reserved {
			l.addf("%s at offset %d: of %d units at %q there are %d reserved", sku, in.Offset, at.OnHand, at.Location, at.Reserved)
		}
	}
	id := ""
	switch e := in.Event.(type) {
	case inventory.Receive:
		id = e.ID
	case inventory.Adjust:
		id = e.ID
	}
	if grown := s.Received + s.Adjusted - before.Received - before.Adjusted; grown != 0 {
		l.counted[id] += grown
	}
}

func (l *ledger) sawParcel(id string, _ shipment.State, in engine.Incoming, _ engine.Result[shipment.State]) {
	if _, schedule := in.Event.(shipment.Schedule); schedule {
		l.scheduled[id]++
	}
}

func (l *ledger) sawMail(string, notification.State, engine.Incoming, engine.Result[notification.State]) {
}

// addOrder takes in an order as it is in the end.
func (l *ledger) addOrder(id string, row engine.Row[order.State]) {
	s := row.State
	f := fact{status: s.Status.String(), placed: placedSum(s.Policy.String(), asked(s))}
	for _, c := range s.History {
		f.history += c.Status.String() + " "
	}
	if s.Customer.Email != "" {
		f.history += "by e-mail"
	}
	text := describe(f.status, row.Applied)
	for _, line := range s.Lines {
		text = text.line(line.SKU, line.Quantity, line.Status.String(), line.Allocated())
		switch {
		case line.Status == order.LinePending || line.Status == order.LineWithdrawing:
			l.addf("order %s is at rest, and its line of %s is %s", id, line.SKU, line.Status)
		case line.Status == order.LineWaiting:
			waits(l.waiting, line.SKU, id, line.Quantity)
		case s.Status == order.Shipped || s.Status == order.Delivered:
			l.gone[line.SKU] += line.Allocated()
		default:
			l.held[line.SKU] += line.Allocated()
		}
	}
	if s.Status <= order.Pending || s.Cancelling {
		l.addf("order %s is at rest, and %s (cancelling: %t)", id, s.Status, s.Cancelling)
	}
	f.text = text.sum()
	l.orders[id] = f
}

func (l *ledger) addStock(sku string, row engine.Row[inventory.State]) {
	s := row.State
	for _, w := range s.Queue {
		waits(l.queues, sku, w.OrderID, w.Quantity)
	}
	if len(s.Queue) > 0 && s.Queue[0].Quantity <= s.Available() {
		l.addf("%s is at rest, and %d units are available for a line that waits for %d", sku, s.Available(), s.Queue[0].Quantity)
	}
	text := describe("", row.Applied)
	for _, at := range s.Locations {
		text = text.line(at.Location, at.OnHand, "", at.Reserved)
	}
	f := fact{text: text.sum(), onHand: s.OnHand(), reserved: s.Reserved()}
	if s.Known {
		f.status = "known"
	}
	if s.Shipped != 0 {
		l.gone[sku] -= s.Shipped
	}
	l.stock[sku] = f
}

func (l *ledger) addParcel(id string, row engine.Row[shipment.State]) {
	s := row.State
	text := describe(s.Status.String(), row.Applied)
	for _, line := range s.Lines {
		text = text.line(line.SKU, line.Quantity, "", 0)
	}
	l.parcels[id] = fact{status: s.Status.String(), text: text.sum()}
}

func (l *ledger) addMails(id string, row engine.Row[notification.State]) {
	f := fact{status: "known"}
	text := describe("", row.Applied)
	for _, m := range row.State.Mails {
		f.history += m.Kind.String() + " "
		if m.Status != notification.StatusSent {
			l.addf("order %s is at rest, and the e-mail %s is %s: %s", id, m.Kind, m.Status, m.Failure)
		}
		text = text.line(m.Kind.String(), m.Attempts, m.Status.String(), 0)
		l.letters[messageID(id, m.Kind)] = true
	}
	f.text = text.sum()
	if len(row.State.Mails) == 0 {
		l.begun++ // a key of the sender's, which is no order's
		return
	}
	l.mails[id] = f
}

// settle compares what the machines say with each other.
func (l *ledger) settle() {
	for sku, f := range l.stock {
		if l.held[sku] != f.reserved {
			l.addf("of %s there are %d units reserved, and orders hold %d", sku, f.reserved, l.held[sku])
		}
	}
	for sku, n := range l.gone {
		if n != 0 {
			l.addf("of %s orders have shipped %d units more than the stock has", sku, n)
		}
	}
	l.sameQueues(l.waiting, l.queues, "the stock doesn't know of it")
	l.sameQueues(l.queues, l.waiting, "the order doesn't know of it")
	for id, o := range l.orders {
		l.settleOrder(id, o)
	}
	for id, parcel := range l.parcels {
		if l.orders[id].status == "" && parcel.status != "" {
			l.addf("there is a parcel of an order %s that isn't there", id)
		}
	}
	for id := range l.mails {
		if l.orders[id].status == "" {
			l.addf("there are e-mails of an order %s that isn't there", id)
		}
	}
}

// settleOrder wants one parcel if the order was ever confirmed, and one e-mail for each status it came to.
func (l *ledger) settleOrder(id string, o fact) {
	parcel := l.parcels[id]
	packed, want := parcel.status != "", 0
	if strings.Contains(o.history, "confirmed") {
		want = 1
	}
	if l.scheduled[id] != want || packed != (want == 1) {
		l.addf("order %s (%s) was scheduled %d times, expected %d", id, o.history, l.scheduled[id], want)
	}
	states := map[string]string{"confirmed": "scheduled", "shipped": "dispatched", "delivered": "delivered", "cancelled": "cancelled"}
	if packed && parcel.status != states[o.status] {
		l.addf("order %s is %s, and its parcel %s", id, o.status, parcel.status)
	}
	mails := ""
	if history, written := strings.CutSuffix(o.history, "by e-mail"); written {
		mails = strings.TrimPrefix(history, "pending ")
	}
	if l.mails[id].history != mails {
		l.addf("order %s has come to %q, and its e-mails are %q", id, o.history, l.mails[id].history)
	}
}

func (l *ledger) sameQueues(one, other map[string]map[string]int64, wrong string) {
	for sku, queue := range one {
		for id, n := range queue {
			if other[sku][id] != n {
				l.addf("order %s waits for %d units of %s: %s", id, n, sku, wrong)
			}
		}
	}
}

func waits(all map[string]map[string]int64, sku, id string, units int64) {
	if all[sku] == nil {
		all[sku] = map[string]int64{}
	}
	all[sku][id] += units
}

// description is a row as text, whoever has it.
type description string

func describe(status string, version int64) description {
	return description(fmt.Sprintf("%s %d", status, version))
}

func (d description) line(name string, quantity int64, status string, other int64) description {
	return d + description(fmt.Sprintf("; %s %d %s %d", name, quantity, status, other))
}

func (d description) sum() uint64 { return sumOf(string(d)) }

// asked is what an order asks for, by SKU.
func asked(s order.State) map[string]int64 {
	units := map[string]int64{}
	for _, l := range s.Lines {
		units[l.SKU] = l.Quantity
	}
	return units
}

// messageID is how an e-mail is called for ever.
func messageID(orderID string, k notification.Kind) string {
	sum := sha256.Sum256([]byte(orderID))
	return hex.EncodeToString(sum[:16]) + "." + k.String() + "@example.org"
}
