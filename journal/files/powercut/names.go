package powercut

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// place is a name in a directory; the zero value is none.
type place struct {
	dir  *node
	name string
}

// rename is what was done to the name of a node: it is made if it has come from nowhere, and removed if it goes nowhere.
type rename struct {
	node     *node
	from, to place
}

func (r rename) touches(dir *node) bool { return r.from.dir == dir || r.to.dir == dir }

// do carries out what the program sees at once, and the disk some time.
func (d *Disk) do(r rename) {
	if r.from.dir != nil {
		delete(r.from.dir.names, r.from.name)
	}
	if r.to.dir != nil {
		r.to.dir.names[r.to.name] = r.node
	}
	d.pending = append(d.pending, r)
}

// names are those on a disk, by directory.
type names map[*node]map[string]*node

// apply carries out r. A node that gets a name has no other one, whatever became of the renames before.
func (all names) apply(r rename) {
	if r.to.dir == nil {
		if all[r.from.dir][r.from.name] == r.node {
			delete(all[r.from.dir], r.from.name)
		}
		return
	}
	for _, in := range all {
		maps.DeleteFunc(in, func(_ string, n *node) bool { return n == r.node })
	}
	all[r.to.dir][r.to.name] = r.node
}

// settle puts the names in dir on the disk. What was done to one of its nodes elsewhere, before, is on the disk by that.
func (d *Disk) settle(dir *node) {
	all := d.kept()
	var rest []rename
	for _, r := range d.pending {
		if r.touches(dir) {
			all.apply(r)
			rest = slices.DeleteFunc(rest, func(before rename) bool { return before.node == r.node })
		} else {
			rest = append(rest, r)
		}
	}
	d.pending = rest
}

// kept returns the names on the disk, in all directories that are seen or on it.
func (d *Disk) kept() names {
	all := make(names)
	var visit func(*node)
	visit = func(n *node) {
		if n.names == nil || all[n] != nil {
			return
		}
		all[n] = n.kept
		for _, below := range n.kept {
			visit(below)
		}
		for _, below := range n.names {
			visit(below)
		}
	}
	visit(d.root)
	for _, r := range d.pending {
		visit(r.node)
		for _, p := range []place{r.from, r.to} {
			if p.dir != nil {
				visit(p.dir)
			}
		}
	}
	return all
}

// survivors returns the root of what is found when the power is back.
func (d *Disk) survivors(rng *rand.Rand) *node {
	all := make(names)
	for dir, in := range d.kept() {
		all[dir] = maps.Clone(in)
	}
	l := throw(rng)
	for _, r := range d.pending {
		if l.choose(rng, 1) == 0 {
			all.apply(r)
		}
	}
	return all.copy(rng, d.root)
}

// copy returns what is found of a directory.
func (all names) copy(rng *rand.Rand, dir *node) *node {
	found := newDir(dir.perm)
	for _, name := range slices.Sorted(maps.Keys(all[dir])) {
		n := all[dir][name]
		if n.names != nil {
			found.names[name] = all.copy(rng, n)
		} else {
			found.names[name] = n.survivor(rng, throw(rng))
		}
	}
	found.kept = maps.Clone(found.names)
	return found
}

// luck is how likely the newest of several versions is found. Between everything and nothing there is much that a
// program survives by chance, so those two are common.
type luck float64

func throw(rng *rand.Rand) luck {
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return 1
	}
	return luck(rng.Float64())
}

// choose returns which of n versions is found, -1 for what was there before the first.
func (l luck) choose(rng *rand.Rand, n int) int {
	switch {
	case rng.Float64() < float64(l):
		return n - 1
	case l == 0:
		return -1
	}
	return rng.IntN(n+1) - 1
}
