package engine_test

import (
	"bytes"

	"stockflow/codecs"
	"stockflow/machines/inventory"
)

// What holds at every moment.

// checkStock: nothing is negative and nothing comes from nowhere, after every message of a SKU's log.
func (o *oracle) checkStock(sku string, _, s inventory.State) {
	for _, at := range s.Locations {
		if at.Reserved < 0 || at.OnHand < at.Reserved {
			o.w.fail("%s: 0 <= reserved <= on hand does not hold of %+v", sku, at)
		}
	}
	if s.Received+s.Adjusted != s.OnHand()+s.Shipped {
		o.w.fail("%s: received %d + adjusted %d != on hand %d + shipped %d", sku, s.Received, s.Adjusted, s.OnHand(), s.Shipped)
	}
	if len(s.Queue) > 0 && s.Queue[0].Quantity <= s.Available() {
		o.w.fail("%s: the head %+v waits for what is there: %d", sku, s.Queue[0], s.Available())
	}
}

// commits: what is below a committed offset has happened, for good.
func (o *oracle) commits(g *group, partition int32, offset int64) {
	for at := o.committed[g.number][partition]; at < offset; at++ {
		v := o.verdict(g.spec.log, partition, at)
		if v == nil {
			o.w.fail("offset %d of %s/%d is committed, which does not have it", offset, g.spec.log, partition)
		}
		if what := o.open(g, partition, v, at); what != "" {
			o.w.rule("commit", "offset %d of %s/%d is committed, and offset %d, %s, %s", offset, g.spec.log, partition, at, v.kind, what)
		}
	}
	o.committed[g.number][partition] = max(o.committed[g.number][partition], offset)
}

// open says what of a message has not happened yet, "" if all has.
func (o *oracle) open(g *group, partition int32, v *verdict, offset int64) string {
	if i := v.missing(); i >= 0 {
		return "has an output to " + v.outputs[i].Log + " that is not there"
	}
	switch v.kind {
	case halt, behind:
		return "is for another program"
	case letter:
		if v.lettered == nil {
			return "is not among the letters"
		}
	case taken:
		st, known := o.newest[g.number][v.key]
		if !known || o.w.shelf(g.spec.table, partition).records[st.newest].head.Applied < offset {
			return "is in no row of the changelog"
		}
	}
	return ""
}

// wrote: what a disk holds is in the changelog, nothing older than its offset says, and who starts from it meets
// every key whose last record is not its newest.
func (o *oracle) wrote(own *owned) {
	if !o.w.strict {
		return
	}
	c := own.disk.content
	prefix := map[string]standing{}
	rows := own.changelog.records
	for i := range c.offset + 1 {
		r := &rows[i]
		st, known := prefix[r.key]
		st.last = i
		if !known || r.head.Newer(rows[st.newest].head) {
			st.newest = i
		}
		prefix[r.key] = st
	}
	for key, st := range prefix {
		if rows[st.newest].head.Newer(rows[st.last].head) {
			o.w.rule("pin", "the disk of %s has offset %d, and the last record of %q is not its newest", own, c.offset, key)
		}
		if c.rows[key] == nil {
			o.w.rule("disk", "the disk of %s has offset %d, and no row of %q", own, c.offset, key)
		}
	}
	for key, row := range c.rows {
		head, err := codecs.DecodeHead(row)
		if err != nil {
			o.w.fail("the disk of %s has a row of %q that does not decode: %v", own, key, err)
		}
		if st, known := prefix[key]; known && rows[st.newest].head.Newer(head) {
			o.w.rule("disk", "the disk of %s has offset %d, and the row of %q is older than that", own, c.offset, key)
		}
		if !o.inChangelog(own.changelog, key, row) {
			o.w.rule("row before disk", "the disk of %s has a row of %q at %d that is not in the changelog", own, key, head.Applied)
		}
	}
}

func (o *oracle) inChangelog(s *shelf, key string, row []byte) bool {
	for i := s.visible - 1; i >= 0; i-- {
		if r := &s.records[i]; r.key == key && bytes.Equal(r.value, row) {
			return true
		}
	}
	return false
}
