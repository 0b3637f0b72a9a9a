package engine

import "slices"

// prefix keeps how far a sequence is finished without a gap, when its members begin in rising order, not
// necessarily dense, and finish in any. Not safe for concurrent use.
type prefix struct {
	open []member // from the first that is not finished on
	next int64    // one past the last that began
}

type member struct {
	id       int64
	finished bool
}

// begin adds a member. id is higher than any before.
func (p *prefix) begin(id int64) {
	p.open = append(p.open, member{id: id})
	p.next = id + 1
}

// finish marks a member. One that never began, or finished before, is none of ours.
func (p *prefix) finish(id int64) {
	i, found := slices.BinarySearchFunc(p.open, id, func(m member, id int64) int { return int(m.id - id) })
	if !found {
		return
	}
	p.open[i].finished = true
	n := 0
	for n < len(p.open) && p.open[n].finished {
		n++
	}
	if n == len(p.open) {
		n, p.open = 0, p.open[:0] // whose memory serves those that begin next
	}
	p.open = p.open[n:]
}

// end returns the first id that is not known to be finished: everything that began below it is.
func (p *prefix) end() int64 {
	if len(p.open) > 0 {
		return p.open[0].id
	}
	return p.next
}
