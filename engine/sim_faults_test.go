package engine_test

import (
	"slices"
)

// crash kills a process. What was on its way to the broker may still arrive, and its disks keep what they have.
func (w *world) crash() bool {
	p := pick(w, w.processes, func(p *process) bool { return p.up })
	if p == nil {
		return false
	}
	w.count("crashes")
	w.kill(p)
	return true
}

func (w *world) kill(p *process) {
	w.note("%s crashes", p.name)
	p.up = false
	for _, m := range p.members {
		if m == nil {
			continue
		}
		if m.hand.Underway > 0 {
			w.count("crashes with messages under way")
		}
		if slices.ContainsFunc(m.workers, func(o *owned) bool { return !o.working }) {
			w.count("crashes during a recovery")
		}
		w.abandon(m)
	}
	for _, disks := range p.disks {
		for _, d := range disks {
			d.open = nil
		}
	}
}

// abandon takes a member out of the world as it stands.
func (w *world) abandon(m *member) {
	for _, o := range m.workers {
		if o.stuck != nil {
			o.stuck.stop()
		}
	}
	w.leaveGhosts(m.client)
	w.leaveGhosts(m.letters)
	w.forget(m)
}

// start starts a process that is down, or a group in one whose last life ended with an error.
func (w *world) start() bool {
	p := pick(w, w.processes, func(p *process) bool { return !p.quitting() && slices.Contains(p.members, nil) })
	if p == nil {
		return false
	}
	p.up = true
	for i, m := range p.members {
		if m == nil {
			w.join(p, w.groups[i])
		}
	}
	return true
}

func (p *process) quitting() bool {
	return slices.ContainsFunc(p.members, func(m *member) bool { return m != nil && m.quitting })
}

// stop stops a process in order.
func (w *world) stop() bool {
	p := pick(w, w.processes, func(p *process) bool { return p.up && !p.quitting() })
	if p == nil {
		return false
	}
	w.count("graceful stops")
	w.note("%s is told to stop", p.name)
	p.up = false
	for _, m := range p.members {
		if m != nil {
			m.quitting = true
		}
	}
	return true
}

// losePatience ends the wait of somebody who leaves.
func (w *world) losePatience() bool {
	m := w.someMember(func(m *member) bool { return m.quitting && m.failed == nil && m.hand.Underway > 0 })
	if m == nil {
		return false
	}
	w.note("%s waits no longer", m.name)
	w.count("stops whose patience ended")
	m.hand.GiveUp()
	return true
}

// giveUp has a group declare a member dead that is not: it goes on, and doesn't know.
func (w *world) giveUp() bool {
	m := w.someMember(func(m *member) bool { return m.session && !m.stale && len(m.g.members) > 1 })
	if m == nil {
		return false
	}
	w.count("stale owners")
	w.note("%s is declared dead, and goes on", m.name)
	m.stale, m.leaving = true, false
	m.g.members = slices.DeleteFunc(m.g.members, func(other *member) bool { return other == m })
	m.g.rebalancing = true
	return true
}

// comeTo has a stale owner learn that it is one.
func (w *world) comeTo() bool {
	m := w.someMember(func(m *member) bool { return m.stale && !m.leaving })
	if m == nil {
		return false
	}
	w.note("%s learns that it was declared dead", m.name)
	m.leaving = true
	return true
}

// loseDisk loses the disks of a process that is down.
func (w *world) loseDisk() bool {
	p := pick(w, w.processes, func(p *process) bool { return !p.up && !p.quitting() })
	if p == nil {
		return false
	}
	w.count("disks lost")
	w.note("%s loses a disk", p.name)
	disks := p.disks[w.rnd.IntN(len(p.disks))]
	for i := range disks {
		disks[i] = newPlatter()
	}
	return true
}

// losePower ends everything at once: disks and logs lose what they had not made safe.
func (w *world) losePower() bool {
	w.count("losses of power")
	w.note("the power is lost")
	for _, p := range w.processes {
		if p.up || p.quitting() {
			w.kill(p)
		}
		for _, disks := range p.disks {
			for _, d := range disks {
				keep := w.rnd.IntN(len(d.unsynced) + 1)
				if keep < len(d.unsynced) {
					w.count("batches that a disk lost")
				}
				d.losePower(keep)
			}
		}
	}
	w.ghosts = nil
	for _, s := range w.shelves {
		w.cut(s)
	}
	w.mails.crash()
	return true
}

// loseSuffix has a broker end that had what the others have not.
func (w *world) loseSuffix() bool {
	s := pick(w, w.shelves, func(s *shelf) bool { return s.visible < int64(len(s.records)) })
	if s == nil {
		return false
	}
	w.cut(s)
	return true
}
