package replay

import (
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
)

// Machine is an engine.Machine whose rows are bytes, so that all machines are of one type here. It folds as live
// processing does: through Admit and Take.
type Machine struct {
	Name         string // "order": the consumer group, and what the table is called on the command line
	Log, Table   string
	Sends, Hears []string
	show         func(row []byte) ([]byte, error)
	admit        func(engine.Record, World) (engine.Incoming, engine.Decision, error)
	fold         func(engine.Record, World) (Step, error)
	rehead       func(row []byte, change func(*codecs.Head)) ([]byte, error)
	OrderIsKey   bool // its keys are orders' ids, and not SKUs
}

// World is what a record meets.
type World struct {
	Partitions int32
	Reaches    func(codecs.Origin) (bool, error)        // whether a log reaches beyond an origin
	Row        func(key string) (row []byte, err error) // the row of a key as it is, nil for none
}

// Step is what a record did. Before and After are rows, nil for none; they are the same unless the Verdict is
// engine.Taken.
type Step struct {
	engine.Decision
	engine.Incoming
	Before, After []byte
	Refusal       string
	Outputs       []engine.Output // by their index
}

// Machines are all there are, the one that conducts the others first.
var Machines = []Machine{
	machineOf(processors.Order(nil), codecs.ShowOrderRow, true),
	machineOf(processors.Inventory(nil), codecs.ShowInventoryRow, false),
	machineOf(processors.Shipment(nil), codecs.ShowShipmentRow, true),
	machineOf(processors.Notification(nil), codecs.ShowNotificationRow, true),
}

func machineOf[S any](m engine.Machine[S], show func([]byte) ([]byte, error), orderIsKey bool) Machine {
	return Machine{
		Name: m.Group, Log: m.Log, Table: m.Table, Sends: m.Sends, Hears: m.AcceptsFrom, OrderIsKey: orderIsKey, show: show,
		admit: func(r engine.Record, w World) (engine.Incoming, engine.Decision, error) {
			return m.Admit(r, w.Partitions, w.Reaches)
		},
		fold: func(r engine.Record, w World) (Step, error) { return foldOne(m, r, w) },
		rehead: func(row []byte, change func(*codecs.Head)) ([]byte, error) {
			head, state, err := m.DecodeRow(row)
			if err != nil {
				return nil, err
			}
			change(&head)
			return m.EncodeRow(head, state), nil
		},
	}
}

// Fold says what becomes of a record of the machine's log.
func (m Machine) Fold(r engine.Record, w World) (Step, error) { return m.fold(r, w) }

// Show writes a row for people, as JSON with all there is in it.
func (m Machine) Show(row []byte) ([]byte, error) { return m.show(row) }

func foldOne[S any](m engine.Machine[S], r engine.Record, w World) (step Step, err error) {
	if step.Incoming, step.Decision, err = m.Admit(r, w.Partitions, w.Reaches); err != nil || step.Disposition != 0 {
		return step, err
	}
	if step.Before, err = w.Row(step.Key); err != nil {
		return step, err
	}
	row, err := m.RowOf(step.Key, step.Before)
	if err != nil {
		return step, err
	}
	next, res, ruling := m.Decide(row, step.Incoming)
	step.Decision, step.Refusal, step.Outputs, step.After = ruling, res.Refusal, res.Outputs, step.Before
	if ruling.Disposition == engine.Applied {
		step.After = m.EncodeRow(next.Head, next.State)
	} else {
		step.Outputs = nil
	}
	return step, nil
}
