package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"stockflow/broker"
	"stockflow/codecs"
)

// Served is what HTTP serves of the tables.
type Served struct {
	// List calls each with everything that is served of a table: the row's JSON, and its version. It reports false for a
	// table that isn't served.
	List func(ctx context.Context, table string, each func(key string, version int64, body []byte) error) (bool, error)
	// Get asks for one row; found is false for a 404.
	Get func(ctx context.Context, table, key string) (version int64, body []byte, found bool, err error)
	// Render is what should be served of a row; shown is false for one that is answered with a 404.
	Render func(table, key string, row []byte) (body []byte, shown bool, err error)
	// Latest returns the logs and tables as far as anything that was listed has come from. It is nil where those of
	// Verification.Conn grow; of a journal beside a server that writes it, they end where they did when it was opened.
	Latest func(ctx context.Context) (broker.Broker, error)
}

// servedRoom is the memory for what HTTP serves of all tables, before any of them is folded. All parts take it in at once, so
// none may have as much as when it is folded.
const servedRoom = 8 << 20

// readServed takes in what HTTP serves.
func (w *work) readServed(ctx context.Context) (err error) {
	if w.Served == nil {
		return nil
	}
	if w.bodies, err = w.spill.bodies(); err != nil {
		return err
	}
	r := reading{work: w}
	for i, m := range w.Machines {
		r.machine, r.most = i, ""
		served, err := w.Served.List(ctx, m.Table, r.take)
		if err != nil {
			return fmt.Errorf("reading what HTTP serves of %s: %w", m.Table, err)
		}
		for p := range w.reach.partitions {
			w.parts[int32(i)*w.reach.partitions+p].served = served
		}
	}
	if err := w.bodies.written(); err != nil {
		return fmt.Errorf("keeping what HTTP serves: %w", err)
	}
	if r.spilled {
		if err := w.keepAll(); err != nil {
			return err
		}
	}
	return w.catchUp(ctx)
}

// catchUp goes on with logs and tables that have all that was listed. What was committed is known from before: that of then was
// done when HTTP was asked.
func (w *work) catchUp(ctx context.Context) error {
	if w.Served.Latest == nil {
		return nil
	}
	latest, err := w.Served.Latest(ctx)
	if err != nil {
		return fmt.Errorf("opening the logs that HTTP serves from: %w", err)
	}
	return w.use(latest)
}

// reading is how far HTTP's lists have been read.
type reading struct {
	*work
	machine int    // whose table's list it is
	most    string // the last in order of its keys so far
	held    int    // bytes in memory
	spilled bool
}

// take takes in a row of the list.
func (r *reading) take(key string, version int64, body []byte) error {
	d, err := digestOfJSON(body)
	if err != nil {
		return err
	}
	p := r.part(r.machine, key)
	if key <= r.most { // lists are in the order of their keys, so no other can be there already
		before, err := p.rows.get(kindServed, key)
		if err != nil {
			return err
		}
		if before != nil {
			return p.misserved(Difference{Key: key, Problem: "HTTP lists it twice"}, body)
		}
	}
	r.most = max(r.most, key)
	at, err := r.bodies.put(body)
	if err != nil {
		return fmt.Errorf("keeping what HTTP serves: %w", err)
	}
	value := listed{version, d, at, int64(len(body))}.bytes()
	if r.held += room(full(kindServed, key), value); r.held >= servedRoom {
		r.held, r.spilled = 0, true
		if err := r.keepAll(); err != nil {
			return err
		}
	}
	return p.rows.put(kindServed, key, value)
}

// keepAll makes room in memory: what all parts hold goes to disk.
func (w *work) keepAll() error {
	for _, p := range w.parts {
		if err := p.rows.keep(); err != nil {
			return err
		}
	}
	return nil
}

// checkServed compares what HTTP serves at the offset that it shows.
func (p *part) checkServed(step Step) error {
	if !p.served {
		return nil
	}
	target, err := p.rows.get(kindServed, step.Key)
	if err != nil {
		return err
	}
	if target == nil || numberOf(target) < step.Offset {
		if step.Offset >= p.committed {
			return nil
		}
		return p.rows.put(kindBehind, step.Key, number(step.Offset))
	}
	if numberOf(target) != step.Offset {
		return nil
	}
	if err := p.rows.put(kindShown, step.Key, []byte{1}); err != nil {
		return err
	}
	p.shown++
	l := readListed(target)
	return p.compareServed(step.Key, step.After, l.digest, func() ([]byte, error) { return p.bodies.get(l) })
}

// compareServed compares the digest of what is served of a row with what should be. body returns what that is the digest of.
func (p *part) compareServed(key string, row []byte, got digest, body func() ([]byte, error)) error {
	due, shown, err := p.Served.Render(p.machine.Table, key, row)
	if err != nil {
		return err
	}
	problem := "HTTP serves what has no row to be seen"
	if shown {
		want, err := digestOfJSON(due)
		if err != nil || want == got {
			return err
		}
		problem = "HTTP serves something else than the log makes at the version that it shows"
	}
	served, err := body()
	if err != nil {
		return err
	}
	return p.misserved(Difference{Key: key, Problem: problem, Fold: row}, served)
}

// checkUnmade tells of what HTTP serves at a version that the fold did not come across.
func (p *part) checkUnmade() error {
	return p.rows.each(kindServed, func(key string, target []byte) error {
		if shown, err := p.rows.get(kindShown, key); err != nil || shown != nil {
			return err
		}
		l := readListed(target)
		if p.halted != nil && l.version >= p.halted.At {
			return nil
		}
		fold, err := p.rows.get(kindFold, key)
		if err != nil {
			return err
		}
		served, err := p.bodies.get(l)
		if err != nil {
			return err
		}
		return p.misserved(Difference{Key: key, Fold: fold, Problem: fmt.Sprintf("HTTP serves version %d of it, which the log doesn't make", l.version)}, served)
	})
}

// checkBehind asks again for what HTTP served too little of: it follows the table, a moment behind.
func (p *part) checkBehind(ctx context.Context) error {
	return p.rows.each(kindBehind, func(key string, least []byte) error {
		row, err := p.rows.get(kindFold, key)
		if err != nil {
			return err
		}
		if _, shown, err := p.Served.Render(p.machine.Table, key, row); err != nil || !shown {
			return err
		}
		version, body, found, err := p.caughtUp(ctx, key, numberOf(least))
		switch {
		case err != nil:
			return fmt.Errorf("asking HTTP for %q: %w", key, err)
		case !found:
			return p.misserved(Difference{Key: key, Problem: "HTTP doesn't serve it", Fold: row}, nil)
		case version < numberOf(least):
			return p.misserved(Difference{Key: key, Fold: row,
				Problem: fmt.Sprintf("HTTP serves version %d of it, and offset %d is committed", version, numberOf(least))}, body)
		}
		head, err := codecs.DecodeHead(row)
		if err != nil || head.Applied != version {
			return err // ahead of what was folded
		}
		got, err := digestOfJSON(body)
		if err != nil {
			return err
		}
		if err := p.rows.put(kindShown, key, []byte{1}); err != nil {
			return err
		}
		p.shown++
		return p.compareServed(key, row, got, func() ([]byte, error) { return body, nil })
	})
}

// viewTimeout is how long a view may be behind the table that it follows.
const viewTimeout = 10 * time.Second

// caughtUp asks HTTP for a row until it has taken in an offset, as far as patience goes: on a busy machine the view may be
// further behind the table than the fold took.
func (p *part) caughtUp(ctx context.Context, key string, least int64) (version int64, body []byte, found bool, err error) {
	late := time.NewTimer(viewTimeout)
	defer late.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		version, body, found, err = p.Served.Get(ctx, p.machine.Table, key)
		if err != nil || found && version >= least || p.late.Load() {
			return version, body, found, err
		}
		select {
		case <-ctx.Done():
			return version, body, found, ctx.Err()
		case <-late.C:
			p.late.Store(true) // for all rows: a view that stands still has many
		case <-again.C:
		}
	}
}

// OverHTTP is what a difference in what HTTP serves is about. Both are JSON, nil for a row that isn't there to be seen.
type OverHTTP struct {
	Expected json.RawMessage `json:"expected"` // what it should serve of the row that the log makes
	Served   json.RawMessage `json:"served"`
}

// misserved tells that HTTP serves a row wrongly; served is nil if it doesn't serve it.
func (p *part) misserved(d Difference, served []byte) error {
	d.HTTP = &OverHTTP{Served: served}
	return p.unequal(d)
}

// expect adds what should be served, once it is known what the log makes.
func (p *part) expect(d *Difference) error {
	if d.HTTP == nil {
		return nil
	}
	due, _, err := p.Served.Render(p.machine.Table, d.Key, d.Fold)
	d.HTTP.Expected = due
	return err
}
