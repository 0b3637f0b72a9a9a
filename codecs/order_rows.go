package codecs

import (
	"errors"
	"fmt"
	"slices"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/inventory"
	"stockflow/machines/order"
)

// EncodeOrderRow returns a row of order-table. It panics if a line's Reason is not one of those that
// inventory.Refused may have.
func EncodeOrderRow(h Head, s order.State) []byte {
	m := wire.OrderRowFromVTPool()
	m.Status, m.Reason, m.Policy = wire.OrderStatus(s.Status), s.Reason, wirePolicy(s.Policy)
	m.Customer, m.ShipTo, m.Cancelling = wireCustomer(s.Customer), s.ShipTo, s.Cancelling
	m.RepeatKey = s.RepeatKey
	if s.Fingerprint != [16]byte{} {
		m.Fingerprint = append(m.Fingerprint, s.Fingerprint[:]...)
	}
	at := places{names: m.Locations}
	for _, line := range s.Lines {
		at.fill(next(&m.Lines), line)
	}
	m.Locations = at.names
	for _, c := range s.History {
		change := next(&m.History)
		change.Status, change.At = wire.OrderStatus(c.Status), c.At
	}
	return encodeRow(h, m)
}

// DecodeOrderRow reads a row of order-table.
func DecodeOrderRow(row []byte) (Head, order.State, error) {
	return decodeRow(row, wire.OrderRowFromVTPool(), orderState)
}

func wirePolicy(p order.Policy) wire.Policy {
	return wire.Policy(p) + wire.Policy_POLICY_ALL_OR_NOTHING
}

// places numbers the locations of an order, so that each is named once however many lines it serves.
type places struct {
	names  []string
	number map[string]int // from when there are too many to look through
}

// fewPlaces is how many names are as quickly compared as looked up in a map.
const fewPlaces = 8

// place returns the place of a name, a new one if it is new.
func (p *places) place(name string) int {
	if len(p.names) <= fewPlaces {
		if i := slices.Index(p.names, name); i >= 0 {
			return i
		}
	} else if i, known := p.number[name]; known {
		return i
	}
	p.names = append(p.names, name)
	p.count()
	return len(p.names) - 1
}

// count keeps the map, once there is one, up with the names.
func (p *places) count() {
	if len(p.names) == fewPlaces+1 {
		p.number = make(map[string]int)
		for i, name := range p.names {
			p.number[name] = i
		}
	} else if p.number != nil {
		p.number[p.names[len(p.names)-1]] = len(p.names) - 1
	}
}

// fill writes a line. Nearly all are served by one location in full, which takes two bytes.
func (p *places) fill(m *wire.OrderLine, line order.Line) {
	m.Sku, m.Quantity, m.Available = line.SKU, line.Quantity, line.Available
	m.Status = wire.LineStatus(line.Status) + wire.LineStatus_LINE_STATUS_PENDING
	m.Refusal = mustRefusal(line.Reason)
	if len(line.Allocations) == 1 && line.Allocations[0].Quantity == line.Quantity {
		m.AllAt = uint32(p.place(line.Allocations[0].Location)) + 1
		return
	}
	for _, t := range line.Allocations {
		take := next(&m.Takes)
		take.Location, take.Quantity = uint32(p.place(t.Location)), t.Quantity
	}
}

func orderState(m *wire.OrderRow) (s order.State, err error) {
	s = order.State{Status: order.Status(m.Status), Reason: m.Reason, Policy: order.Policy(m.Policy - 1),
		Customer: customer(m.Customer), ShipTo: m.ShipTo, Cancelling: m.Cancelling, RepeatKey: m.RepeatKey}
	if err = knownOrderStatus(m.Status); err != nil {
		return s, err
	}
	if err = knownNumber("policy", m.Policy, wire.Policy_POLICY_ALL_OR_NOTHING, wire.Policy_POLICY_BACKORDER); err != nil {
		return s, err
	}
	if n := copy(s.Fingerprint[:], m.Fingerprint); n != len(m.Fingerprint) || n != 0 && n != len(s.Fingerprint) {
		return s, fmt.Errorf("fingerprint: must be %d bytes, is %d", len(s.Fingerprint), len(m.Fingerprint))
	}
	if s.Lines, err = orderLines(m); err != nil {
		return s, err
	}
	s.History, err = orderHistory(m.History)
	return s, err
}

// orderLines cuts the takes of all lines from one piece of memory. Each has just its own capacity, so appending
// to one moves it and leaves the next alone.
func orderLines(m *wire.OrderRow) ([]order.Line, error) {
	if len(m.Lines) == 0 {
		return nil, nil
	}
	lines := make([]order.Line, len(m.Lines))
	takes := make([]inventory.Allocation, 0, countAllocations(m.Lines))
	for i, line := range m.Lines {
		begin := len(takes)
		var err error
		if takes, err = appendAllocations(takes, line, m.Locations); err == nil {
			lines[i], err = orderLine(line)
		}
		if err != nil {
			return nil, fmt.Errorf("lines[%d].%w", i, err)
		}
		if begin < len(takes) {
			lines[i].Allocations = takes[begin:len(takes):len(takes)]
		}
	}
	return lines, nil
}

// orderLine reads a line but for its takes.
func orderLine(m *wire.OrderLine) (order.Line, error) {
	err := knownNumber("status", m.Status, wire.LineStatus_LINE_STATUS_PENDING, wire.LineStatus_LINE_STATUS_SHIPPED)
	if err == nil {
		err = knownNumber("refusal", m.Refusal, wire.Refusal_REFUSAL_UNSPECIFIED, wire.Refusal_REFUSAL_QUEUE_FULL)
	}
	if err != nil {
		return order.Line{}, err
	}
	return order.Line{SKU: m.Sku, Quantity: m.Quantity, Status: order.LineStatus(m.Status - 1),
		Available: m.Available, Reason: refusals[m.Refusal]}, nil
}

func countAllocations(lines []*wire.OrderLine) (n int) {
	for _, line := range lines {
		n += len(line.Takes)
		if line.AllAt > 0 {
			n++
		}
	}
	return n
}

func appendAllocations(takes []inventory.Allocation, line *wire.OrderLine, names []string) ([]inventory.Allocation, error) {
	if line.AllAt > 0 {
		if len(line.Takes) > 0 {
			return takes, errors.New("takes: must be none beside all_at")
		}
		return appendAllocation(takes, line.AllAt-1, line.Quantity, names)
	}
	var err error
	for _, t := range line.Takes {
		if takes, err = appendAllocation(takes, t.Location, t.Quantity, names); err != nil {
			break
		}
	}
	return takes, err
}

func appendAllocation(takes []inventory.Allocation, place uint32, quantity int64, names []string) ([]inventory.Allocation, error) {
	if int64(place) >= int64(len(names)) {
		return takes, fmt.Errorf("location: is place %d of %d", place, len(names))
	}
	return append(takes, inventory.Allocation{Location: names[place], Quantity: quantity}), nil
}

func orderHistory(list []*wire.OrderChange) ([]order.Change, error) {
	if len(list) == 0 {
		return nil, nil
	}
	history := make([]order.Change, len(list))
	for i, c := range list {
		if err := knownOrderStatus(c.Status); err != nil {
			return nil, fmt.Errorf("history[%d].%w", i, err)
		}
		history[i] = order.Change{Status: order.Status(c.Status), At: c.At}
	}
	return history, nil
}

func knownOrderStatus(status wire.OrderStatus) error {
	return knownNumber("status", status, wire.OrderStatus_ORDER_STATUS_UNSPECIFIED, wire.OrderStatus_ORDER_STATUS_CANCELLED)
}

// refusals are the names of the numbers that rows hold. A name that is added here keeps its number for ever.
var refusals = [...]string{
	wire.Refusal_REFUSAL_UNSPECIFIED:    "",
	wire.Refusal_REFUSAL_UNKNOWN_SKU:    inventory.RefusalUnknownSKU,
	wire.Refusal_REFUSAL_INSUFFICIENT:   inventory.RefusalInsufficient,
	wire.Refusal_REFUSAL_HELD_BY_OTHERS: inventory.RefusalHeld,
	wire.Refusal_REFUSAL_QUEUE_AHEAD:    inventory.RefusalQueueAhead,
	wire.Refusal_REFUSAL_QUEUE_FULL:     inventory.RefusalQueueFull,
}

// wireRefusal returns the number of a reason, and whether it has one.
func wireRefusal(reason string) (wire.Refusal, bool) {
	i := slices.Index(refusals[:], reason)
	return wire.Refusal(i), i >= 0
}

func mustRefusal(reason string) wire.Refusal {
	refusal, known := wireRefusal(reason)
	if !known {
		panic(fmt.Sprintf("codecs: %q is not a reason to refuse a line", reason))
	}
	return refusal
}
