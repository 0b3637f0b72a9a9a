package replay

import (
	"context"
	"fmt"

	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/processors"
)

// mostTold is how many differences of a partition are told in full; the others are counted.
const mostTold = 100

// check compares what a message left with what others have, if they have taken in just as much.
func (p *part) check(step Step) error {
	switch step.Disposition {
	case engine.DeadLettered:
		return p.checkDeadLetter(step)
	case engine.Applied:
	default:
		return nil
	}
	if p.machine.Table == processors.InventoryTable {
		if err := p.checkStock(step); err != nil {
			return err
		}
	}
	if step.Offset >= p.committed {
		if err := p.remember(step); err != nil {
			return err
		}
	}
	if err := p.checkTable(step); err != nil {
		return err
	}
	return p.checkServed(step)
}

// checkDeadLetter expects a dead letter of a message that is done with.
func (p *part) checkDeadLetter(step Step) error {
	if step.Offset >= p.committed {
		return nil
	}
	reason, err := p.letters.get(kindLetter, letterKey(p.machine.Log, p.partition, step.Offset))
	if err == nil && reason == nil {
		p.tell(Difference{Key: step.Key, At: step.Offset, Parted: true, Problem: "the message can't be taken (" + step.Reason + "), and there is no dead letter of it"})
	}
	return err
}

// checkTable compares the changelog's row of a key at the offset that it has taken in.
func (p *part) checkTable(step Step) error {
	if p.unread > 0 {
		if unread, err := p.rows.get(kindUnread, step.Key); err != nil || unread != nil {
			return err // which is told in the end; what came before it is not the table's row
		}
	}
	text, err := p.rows.get(kindMark, step.Key)
	if err != nil {
		return err
	}
	m, below := readMark(text), step.Offset < p.committed
	switch {
	case text == nil && below:
		return p.differs(Difference{Key: step.Key, Problem: "the row is missing from the table"})
	case text == nil || m.Applied > step.Offset:
		return nil // not yet there, or not yet here
	case m.Applied < step.Offset && below:
		return p.differs(Difference{Key: step.Key, Problem: fmt.Sprintf("the table's row has not taken in offset %d, which is committed", step.Offset)})
	case m.Applied < step.Offset:
		return nil
	}
	m.compared = true
	if err := p.rows.put(kindMark, step.Key, m.bytes()); err != nil {
		return err
	}
	p.compared++
	fold := digestOfRow(step.Key, step.After)
	p.digest[0].join(fold)
	p.digest[1].join(m.digest)
	if m.digest == fold {
		return nil
	}
	return p.differs(Difference{Key: step.Key, Problem: rowsDiffer, Fold: step.After})
}

const rowsDiffer = "the rows differ"

// plain is a row as the fold has it: how often it was rebuilt is not told by any log.
func (p *part) plain(row []byte) ([]byte, error) {
	return p.machine.rehead(row, func(h *codecs.Head) { h.Rebuilt = 0 })
}

// checkRest looks at what the fold did not come across: rows that should not be, and what HTTP serves.
func (p *part) checkRest(ctx context.Context) error {
	err := p.rows.each(kindUnread, func(key string, problem []byte) error {
		fold, err := p.rows.get(kindFold, key)
		if err != nil {
			return err
		}
		return p.differs(Difference{Key: key, Problem: string(problem), Fold: fold})
	})
	if err != nil {
		return err
	}
	err = p.rows.each(kindMark, func(key string, text []byte) error {
		m := readMark(text)
		if m.compared || p.halted != nil && m.Applied >= p.halted.At {
			return nil // or it is beyond what this program can fold
		}
		fold, err := p.rows.get(kindFold, key)
		if err != nil {
			return err
		}
		if told, err := p.rows.get(kindUnequal, key); err != nil || told != nil {
			return err
		}
		return p.differs(Difference{Key: key, Fold: fold, Problem: p.claim(m.Applied)})
	})
	if err != nil || !p.served {
		return err
	}
	if err := p.checkBehind(ctx); err != nil {
		return err
	}
	return p.checkUnmade()
}

// claim says what is wrong with a row that has taken in an offset last at which no message is its.
func (p *part) claim(applied int64) string {
	if applied >= p.log.end {
		return fmt.Sprintf("the table's row claims to have taken in offset %d last, and the log ends at %d", applied, p.log.end)
	}
	return fmt.Sprintf("the table's row claims to have taken in offset %d last, and no message there is its", applied)
}

// checkStock holds the stock against its own totals, after each message.
func (p *part) checkStock(step Step) error {
	_, s, err := codecs.DecodeInventoryRow(step.After)
	if err != nil {
		return err
	}
	if s.Received+s.Adjusted == s.OnHand()+s.Shipped && s.Available() >= 0 {
		return nil
	}
	return p.unequal(Difference{Key: step.Key, At: step.Offset, Parted: true, Fold: step.After,
		Problem: fmt.Sprintf("received %d + adjusted %d is not on hand %d + shipped %d", s.Received, s.Adjusted, s.OnHand(), s.Shipped)})
}

// differs tells a difference of a key's row in the changelog.
func (p *part) differs(d Difference) error {
	d.ofTable = true
	return p.unequal(d)
}

// unequal tells a difference of a key, once a key.
func (p *part) unequal(d Difference) error {
	if told, err := p.rows.get(kindUnequal, d.Key); err != nil || told != nil {
		return err
	}
	p.tell(d)
	return p.rows.put(kindUnequal, d.Key, []byte{1})
}

func (p *part) tell(d Difference) {
	if len(p.differences) == mostTold {
		p.hidden++
		return
	}
	d.Topic, d.Partition, d.Log, d.machine = p.machine.Table, p.partition, p.machine.Log, p.machine
	p.differences = append(p.differences, d)
}
