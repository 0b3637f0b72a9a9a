// Package views holds what can be read: a copy of each table, kept up to date from its changelog, and ways to wait
// for a row to change.
//
// A table answers nothing before it has read its changelog to the end once, so an answer is never older than the
// moment the process began to follow the table.
package views

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal/files"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
	"stockflow/processors"
)

// Tables are the tables that Stockflow's clients read.
type Tables struct {
	Orders      *Table[order.State]
	Inventory   *Table[inventory.State]
	Shipments   *Table[shipment.State]
	Mails       *Table[notification.State]
	DeadLetters *DeadLetters // which are in no table
}

// follower is a table, whatever its rows are.
type follower interface {
	Run(ctx context.Context) error
	WaitRecovered(ctx context.Context) error
	waits() error
	logName() string
	await(ctx context.Context, key string, name codecs.Origin) (*effect, error)
	goThrough(files.FS)
}

// Open returns the tables, kept under dir, of the logs behind conn. They answer nothing before they are run.
func Open(conn broker.Broker, dir string, log *slog.Logger) *Tables {
	t := &Tables{
		Orders:      NewTable(processors.OrderTable, codecs.DecodeOrderRow, conn, dir, log),
		Inventory:   NewTable(processors.InventoryTable, codecs.DecodeInventoryRow, conn, dir, log),
		Shipments:   NewTable(processors.ShipmentTable, codecs.DecodeShipmentRow, conn, dir, log),
		Mails:       NewTable(processors.NotificationTable, codecs.DecodeNotificationRow, conn, dir, log),
		DeadLetters: NewDeadLetters(conn, nil),
	}
	t.Orders.index, t.Inventory.index, t.Shipments.index, t.Mails.index = orderIndex, stockIndex, shipmentIndex, mailIndex
	return t
}

// Files has the files of the tables go through a layer. It is to be called before Run.
func (t *Tables) Files(fsys files.FS) {
	for _, table := range t.all() {
		table.goThrough(fsys)
	}
}

func (t *Tables) all() []follower { return []follower{t.Orders, t.Inventory, t.Shipments, t.Mails} }

// Run follows the tables until ctx ends; then they are closed, their rows on disk. Whoever reads them is to stop
// before: a closed table answers nothing but ErrRecovering.
func (t *Tables) Run(ctx context.Context) error {
	var running sync.WaitGroup
	errs := make([]error, len(t.all()))
	for i, table := range t.all() {
		running.Go(func() { errs[i] = table.Run(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Recovered returns nil when every table can be read, and otherwise what is waited for: an error that joins an
// *ErrRecovering for each table that can't.
func (t *Tables) Recovered() error {
	var errs []error
	for _, table := range t.all() {
		errs = append(errs, table.waits())
	}
	return errors.Join(errs...)
}

// WaitRecovered returns nil as soon as every table can be read, or the error of ctx when it ends before.
func (t *Tables) WaitRecovered(ctx context.Context) error {
	for _, table := range t.all() {
		if err := table.WaitRecovered(ctx); err != nil {
			return err
		}
	}
	return nil
}
