package engine_test

import (
	"slices"

	"stockflow/engine"
	"stockflow/processors"
)

// spec is a machine's group, whatever its state is.
type spec struct {
	name, log, table string
	hand             func(engine.HandConfig) *engine.Hand
}

func specOf[S any](m engine.Machine[S]) spec {
	return spec{m.Group, m.Log, m.Table, func(c engine.HandConfig) *engine.Hand { return engine.NewHand(m, c) }}
}

var specs = []spec{
	specOf(processors.Order(nil)), specOf(processors.Inventory(nil)),
	specOf(processors.Shipment(nil)), specOf(processors.Notification(nil)),
}

// topics are all topics there are.
var topics = []string{
	processors.OrderEvents, processors.InventoryEvents, processors.ShipmentEvents, processors.NotificationEvents,
	processors.OrderTable, processors.InventoryTable, processors.ShipmentTable, processors.NotificationTable, engine.DeadLetters,
}

var topicNumbers = func() map[string]int {
	numbers := map[string]int{}
	for i, t := range topics {
		numbers[t] = i
	}
	return numbers
}()

// group is a consumer group as its coordinator has it.
type group struct {
	spec        spec
	number      int
	members     []*member
	committed   []int64
	rebalancing bool // members are to end their sessions, and then get their partitions
}

// busy reports whether something of a session is under way.
func (m *member) busy() bool {
	if m.hand.Underway > 0 && m.failed == nil {
		return true
	}
	return slices.ContainsFunc(m.workers, func(o *owned) bool { return o.stuck != nil })
}

// current reports whether the coordinator takes commits from m.
func (m *member) current() bool { return m.session && !m.stale }

// commit commits what is marked, of one member.
func (w *world) commit() bool {
	m := w.someMember(func(m *member) bool { return m.session })
	if m == nil {
		return false
	}
	w.commitOf(m)
	return true
}

func (w *world) commitOf(m *member) {
	for p, offset := range m.marked {
		switch {
		case offset <= m.g.committed[p]:
		case !m.current():
			w.count("commits of stale owners that were refused")
		default:
			w.note("%s commits offset %d of %s/%d", m.name, offset, m.g.spec.log, p)
			w.oracle.commits(m.g, int32(p), offset)
			m.g.committed[p] = offset
		}
	}
}

// rebalance calls for new shares of the partitions.
func (w *world) rebalance() bool {
	g := pick(w, w.groups, func(g *group) bool { return !g.rebalancing })
	if g == nil {
		return false
	}
	w.count("rebalances")
	w.note("%s rebalances", g.spec.name)
	g.rebalancing = true
	return true
}

// progress moves groups and members on: those who are to leave their session leave it when nothing is under way, those
// who failed are buried, and when all have left, the partitions are shared out.
func (w *world) progress() bool {
	m := w.someMember(func(m *member) bool { return m.failed != nil && !m.busy() || w.wantsOut(m) })
	if m != nil {
		switch {
		case m.failed != nil || m.quitting && !m.session:
			w.bury(m)
		case !m.leaving && m.session:
			m.leaving = true
			w.note("%s takes no more messages", m.name)
		default:
			w.leave(m)
		}
		return true
	}
	for _, g := range w.groups {
		if g.rebalancing && len(g.members) > 0 && !slices.ContainsFunc(g.members, func(m *member) bool { return m.session }) {
			w.assign(g)
			return true
		}
	}
	return false
}

func (w *world) wantsOut(m *member) bool {
	wants := m.quitting || m.leaving || m.g.rebalancing && !m.stale
	return wants && m.failed == nil && (m.session || m.quitting) && (!m.leaving || !m.busy())
}

// leave ends a session in good order.
func (w *world) leave(m *member) {
	w.note("%s ends its session", m.name)
	w.endSession(m)
	if m.stale {
		w.count("stale owners that came to")
		m.stale = false
		m.g.members = append(m.g.members, m)
		m.g.rebalancing = true
	}
	if m.quitting {
		w.bury(m)
	}
}

// endSession is goka's Cleanup and sarama's last commit.
func (w *world) endSession(m *member) {
	for _, o := range m.workers {
		if err := o.worker.Close(); err != nil {
			w.fail("%s does not close: %v", o, err)
		}
	}
	m.hand.End()
	w.commitOf(m)
	m.session, m.leaving, m.workers = false, false, nil
}

// bury ends a life for good, in order.
func (w *world) bury(m *member) {
	w.note("%s ends", m.name)
	if m.session {
		w.endSession(m)
	}
	m.hand.CloseClients()
	w.forget(m)
}

// forget takes a member out of the world.
func (w *world) forget(m *member) {
	m.g.members = slices.DeleteFunc(m.g.members, func(other *member) bool { return other == m })
	m.g.rebalancing = true
	m.p.members[m.g.number] = nil
}

// assign shares out the partitions.
func (w *world) assign(g *group) {
	shares := make([][]int32, len(g.members))
	for p := range w.shape.partitions {
		i := w.rnd.IntN(len(g.members))
		shares[i] = append(shares[i], p)
	}
	g.rebalancing = false
	for i, m := range slices.Clone(g.members) {
		w.note("%s gets the partitions %v", m.name, shares[i])
		w.begin(m, shares[i])
	}
}
