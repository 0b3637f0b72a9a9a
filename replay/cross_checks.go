package replay

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"stockflow/codecs"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
)

// What is counted over all orders, to be held against the stock. Keys are a SKU, a null byte, and the rest.
const (
	kindHeld    kind = 'H' // units by SKU and location
	kindShipped kind = 'S' // units by SKU
	kindWaiting kind = 'W' // units by SKU and order
)

// crossCheckBytes is the memory for these counts.
const crossCheckBytes = 32 << 20

const separator = "\x00" // ids have no control characters

// crossChecks looks at what holds crossChecks tables.
type crossChecks struct {
	*work
	counts *scratch
}

// checkAcross holds the tables against each other: units are reserved if and only if an open order holds them, shipped
// if and only if one has them; a line waits if and only if it is in the queue; each order has the one shipment and the
// e-mails that it should have, and there are no others.
func (w *work) checkAcross(ctx context.Context) error {
	a := crossChecks{w, w.spill.scratch(crossCheckBytes)}
	for _, step := range []struct {
		table string
		check func(p *part, key string, row []byte) error
	}{
		{processors.OrderTable, a.order}, {processors.InventoryTable, a.stock},
		{processors.ShipmentTable, a.shipment}, {processors.NotificationTable, a.mails},
	} {
		for _, p := range w.parts {
			if p.machine.Table != step.table {
				continue
			}
			err := p.rows.each(kindFold, func(key string, row []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return step.check(p, key, row)
			})
			if err != nil {
				return err
			}
		}
	}
	if err := a.left(); err != nil {
		return err
	}
	return w.addRows(ctx)
}

// addRows adds the changelog's rows to the differences that were told without: only the folds were held against each other.
func (w *work) addRows(ctx context.Context) error {
	for _, p := range w.parts {
		trails := map[string]*differencePath{}
		for _, d := range w.report.Differences {
			if p.lacksRow(d) {
				trails[d.Key] = newDifferencePath()
			}
		}
		if len(trails) == 0 {
			continue
		}
		if err := p.readPaths(ctx, trails); err != nil {
			return err
		}
		for i := range w.report.Differences {
			if d := &w.report.Differences[i]; p.lacksRow(*d) {
				p.addRow(d, trails[d.Key])
			}
		}
	}
	return nil
}

// lacksRow reports whether a difference is the part's, and was told without the changelog's row.
func (p *part) lacksRow(d Difference) bool {
	return d.across && d.Topic == p.machine.Table && d.Partition == p.partition
}

// order counts what an order has, and holds its shipment and its e-mails against it.
func (a crossChecks) order(p *part, id string, row []byte) error {
	_, s, err := codecs.DecodeOrderRow(row)
	if err != nil || s.Status == order.None {
		return err
	}
	a.report.Across.Orders++
	for _, l := range s.Lines {
		if err := a.line(id, l); err != nil {
			return err
		}
	}
	if s.Status == order.Pending || s.Cancelling {
		a.wrong(p, id, row, "the order is pending, and nothing is in transit that could decide it")
	}
	if err := a.parcel(p, id, s, row); err != nil {
		return err
	}
	return a.told(p, id, s, row)
}

// line counts the units of a line.
func (a crossChecks) line(id string, l order.Line) error {
	if l.Status == order.LineWaiting {
		_, err := a.counts.add(kindWaiting, l.SKU+separator+id, l.Quantity)
		return err
	}
	if l.Status == order.LineShipped {
		_, err := a.counts.add(kindShipped, l.SKU, l.Allocated())
		return err
	}
	for _, take := range l.Allocations {
		if _, err := a.counts.add(kindHeld, l.SKU+separator+take.Location, take.Quantity); err != nil {
			return err
		}
	}
	return nil
}

// parcels are where a shipment stands at rest, by where its order stands. One of a cancelled order is there if the
// order was confirmed before.
var parcels = map[order.Status]shipment.Status{
	order.Confirmed: shipment.StatusScheduled,
	order.Shipped:   shipment.StatusDispatched,
	order.Delivered: shipment.StatusDelivered,
	order.Cancelled: shipment.StatusCancelled,
}

func (a crossChecks) parcel(p *part, id string, s order.State, row []byte) error {
	got, data, err := rowIn(a.work, processors.ShipmentEvents, id, codecs.DecodeShipmentRow)
	if err != nil {
		return err
	}
	want := parcels[s.Status]
	if !slices.ContainsFunc(s.History, func(c order.Change) bool { return c.Status == order.Confirmed }) {
		want = shipment.None
	}
	if got.Status != want {
		a.wrong(p, id, row, fmt.Sprintf("the order is %s, and its shipment %q: %x", s.Status, got.Status, data))
	}
	return nil
}

// occasions are the changes of an order that are worth an e-mail.
var occasions = map[order.Status]notification.Kind{
	order.Confirmed: notification.Confirmed, order.Backordered: notification.Backordered, order.Rejected: notification.Rejected,
	order.Shipped: notification.Shipped, order.Delivered: notification.Delivered, order.Cancelled: notification.Cancelled,
}

// told expects an e-mail for each change of an order whose customer has an address, and no other.
func (a crossChecks) told(p *part, id string, s order.State, row []byte) error {
	got, _, err := rowIn(a.work, processors.NotificationEvents, id, codecs.DecodeNotificationRow)
	if err != nil {
		return err
	}
	var want, have []notification.Kind
	for _, c := range s.History {
		if kind, worth := occasions[c.Status]; worth && s.Customer.Email != "" && !slices.Contains(want, kind) {
			want = append(want, kind)
		}
	}
	for _, m := range got.Mails {
		have = append(have, m.Kind)
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		a.wrong(p, id, row, fmt.Sprintf("the order is worth the e-mails %v, and has %v", want, have))
	}
	return nil
}

// rowIn returns the row of a key in the table of a log, and its bytes.
func rowIn[S any](w *work, log, key string, decode func([]byte) (codecs.Head, S, error)) (s S, data []byte, err error) {
	p := w.partOf(log, key)
	if data, err = p.rows.get(kindFold, key); err != nil || data == nil {
		return s, nil, err
	}
	_, s, err = decode(data)
	return s, data, err
}

// stock holds a SKU against what orders have.
func (a crossChecks) stock(p *part, sku string, row []byte) error {
	_, s, err := codecs.DecodeInventoryRow(row)
	if err != nil {
		return err
	}
	a.report.Across.SKUs++
	for _, at := range s.Locations {
		if left, err := a.counts.add(kindHeld, sku+separator+at.Location, -at.Reserved); err != nil {
			return err
		} else if left != 0 {
			a.wrong(p, sku, row, fmt.Sprintf("at %q %d are reserved, and open orders hold %d", at.Location, at.Reserved, at.Reserved+left))
		}
	}
	if left, err := a.counts.add(kindShipped, sku, -s.Shipped); err != nil {
		return err
	} else if left != 0 {
		a.wrong(p, sku, row, fmt.Sprintf("%d were shipped, and orders had %d shipped", s.Shipped, s.Shipped+left))
	}
	return a.queue(p, sku, s, row)
}

func (a crossChecks) queue(p *part, sku string, s inventory.State, row []byte) error {
	for _, w := range s.Queue {
		if left, err := a.counts.add(kindWaiting, sku+separator+w.OrderID, -w.Quantity); err != nil {
			return err
		} else if left != 0 {
			a.wrong(p, sku, row, fmt.Sprintf("%d wait for the order %q, which waits for %d", w.Quantity, w.OrderID, w.Quantity+left))
		}
	}
	if len(s.Queue) > 0 && s.Queue[0].Quantity <= s.Available() {
		a.wrong(p, sku, row, "the head of the queue waits for what is there")
	}
	return nil
}

// shipment expects an order to a shipment.
func (a crossChecks) shipment(p *part, id string, row []byte) error {
	_, s, err := codecs.DecodeShipmentRow(row)
	if err != nil || s.Status == shipment.None {
		return err
	}
	a.report.Across.Shipments++
	return a.ordered(p, id, row)
}

// mails expects an order to e-mails.
func (a crossChecks) mails(p *part, id string, row []byte) error {
	_, s, err := codecs.DecodeNotificationRow(row)
	if err != nil || len(s.Mails) == 0 {
		return err
	}
	a.report.Across.Mails += int64(len(s.Mails))
	return a.ordered(p, id, row)
}

func (a crossChecks) ordered(p *part, id string, row []byte) error {
	o, _, err := rowIn(a.work, processors.OrderEvents, id, codecs.DecodeOrderRow)
	if err == nil && o.Status == order.None {
		a.wrong(p, id, row, "there is no such order")
	}
	return err
}

// left tells of what orders hold or wait for and the stock doesn't know.
func (a crossChecks) left() error {
	for k, what := range map[kind]string{kindHeld: "orders hold %d at %q of which the stock doesn't know",
		kindShipped: "orders had %d shipped%.0s of which the stock doesn't know", kindWaiting: "%d wait for the order %q, and not in the queue"} {
		err := a.counts.each(k, func(key string, value []byte) error {
			sku, rest, _ := bytes.Cut([]byte(key), []byte(separator))
			p := a.partOf(processors.InventoryEvents, string(sku))
			row, err := p.rows.get(kindFold, string(sku))
			if n := numberOf(value); err == nil && n > 0 { // what is below 0 was told with its SKU
				a.wrong(p, string(sku), row, fmt.Sprintf(what, n, rest))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wrong tells of a row that doesn't agree with others.
func (a crossChecks) wrong(p *part, key string, row []byte, problem string) {
	if len(a.report.Differences) >= mostTold*len(a.parts) {
		a.report.Hidden++
		return
	}
	a.report.Differences = append(a.report.Differences, Difference{
		Topic: p.machine.Table, Partition: p.partition, Key: key, Problem: problem, Fold: row, machine: p.machine, across: true,
	})
}
