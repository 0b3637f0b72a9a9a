package replay

import (
	"bytes"
	"context"
	"fmt"

	"stockflow/codecs"
	"stockflow/engine"
)

// CrossChecks is what holds across tables once no message is in transit.
type CrossChecks struct {
	InTransit int64 `json:"in_transit"` // messages that were, and were folded in
	Orders    int64 `json:"orders"`
	SKUs      int64 `json:"skus"`
	Shipments int64 `json:"shipments"`
	Mails     int64 `json:"mails"`
}

// transit is an output that may not have landed in its log when the logs were cut off.
type transit struct {
	engine.Output
	origin codecs.Origin
	at     int64
}

// remember keeps the outputs of a message that may not have been committed when the survey began: those of all
// others lie in their logs, before the ends.
func (p *part) remember(step Step) error {
	return p.sent(p.rows, kindSent, step)
}

// sent keeps the outputs of a message in a scratch, in their order.
func (p *part) sent(in *scratch, k kind, step Step) error {
	for i, o := range step.Outputs {
		t := transit{o, codecs.Origin{Log: p.machine.Log, Partition: p.partition, Offset: step.Offset, Index: int32(i)}, step.At}
		if err := in.put(k, string(number(p.turn())), t.encode()); err != nil {
			return err
		}
	}
	return nil
}

// turn numbers what is kept in order.
func (w *work) turn() int64 { return w.turns.Add(1) }

func (t transit) encode() []byte {
	b := fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00", codecs.EncodeOrigin(t.origin), t.Log, t.Key, t.Type)
	return append(append(b, number(t.at)...), t.Value...)
}

func decodeTransit(b []byte) (t transit, err error) {
	var texts [4]string
	for i := range texts {
		text, rest, found := bytes.Cut(b, []byte{0})
		if !found {
			return t, fmt.Errorf("%q is no message in transit", b)
		}
		texts[i], b = string(text), rest
	}
	t.Output = engine.Output{Log: texts[1], Key: texts[2], Type: texts[3], Value: b[8:]}
	t.at = numberOf(b)
	t.origin, err = codecs.ParseOrigin([]byte(texts[0]))
	return t, err
}

// drain folds what is in transit into the rows, and what that causes, until nothing is; and then looks at what holds
// across tables. It goes by rounds, so that from each partition of a log everything arrives in its order.
func (w *work) drain(ctx context.Context) error {
	if len(w.report.Unchecked) > 0 {
		return nil // what has stopped never comes to rest
	}
	across := &CrossChecks{}
	rounds := [2]*scratch{w.spill.scratch(smallRoom), w.spill.scratch(smallRoom)}
	for _, p := range w.parts {
		if err := w.carry(ctx, across, p.rows, rounds[0]); err != nil {
			return err
		}
	}
	for now := 0; ; now = 1 - now {
		before := w.turns.Load()
		if err := w.carry(ctx, across, rounds[now], rounds[1-now]); err != nil {
			return err
		}
		if w.turns.Load() == before {
			break
		}
	}
	w.report.Across = across
	return w.checkAcross(ctx)
}

// carry lets what is in one scratch arrive, and keeps what it causes in another.
func (w *work) carry(ctx context.Context, across *CrossChecks, from, to *scratch) error {
	return from.each(kindSent, func(turn string, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := decodeTransit(value)
		if err != nil {
			return err
		}
		p := w.partOf(t.Log, t.Key)
		if p == nil {
			return fmt.Errorf("a message in transit to %s, which is no machine's log", t.Log)
		}
		if err := from.put(kindSent, turn, nil); err != nil {
			return err
		}
		return p.arrive(across, t, to)
	})
}

// arrive lets a message arrive as if it landed at the end of the log. One that has arrived before is a repeat.
func (p *part) arrive(across *CrossChecks, t transit, caused *scratch) error {
	p.log.end++
	r := engine.Record{
		Partition: p.partition, Offset: p.log.end - 1, At: t.at, Key: t.Key, Value: t.Value, Origin: codecs.EncodeOrigin(t.origin),
	}
	step, err := p.machine.Fold(r, World{
		Partitions: p.reach.partitions,
		Reaches:    func(codecs.Origin) (bool, error) { return true, nil },
		Row:        func(key string) ([]byte, error) { return p.rows.get(kindFold, key) },
	})
	if err != nil {
		return fmt.Errorf("folding in %s to %s: %w", t.Type, t.Log, err)
	}
	if step.Disposition != engine.Applied {
		return nil
	}
	across.InTransit++
	if err := p.rows.put(kindFold, step.Key, step.After); err != nil {
		return err
	}
	return p.sent(caused, kindSent, step)
}

// partOf returns the part that a message to a log belongs to.
func (w *work) partOf(log, key string) *part {
	for i, m := range w.Machines {
		if m.Log == log {
			return w.part(i, key)
		}
	}
	return nil
}
