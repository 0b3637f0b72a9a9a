package engine

import (
	"fmt"
	"runtime/debug"

	"stockflow/broker"
	"stockflow/codecs"
)

// Disposition is what becomes of a record of a machine's log.
type Disposition uint8

// The verdicts. The zero Verdict is none yet.
const (
	Applied      Disposition = iota + 1 // its row takes it in
	Repeat                              // its row has it already
	DeadLettered                        // it is put aside as a dead letter
	Moved                               // it belongs to another partition, and is sent there
	Halt                                // this program can't take it, and its partition stops there
)

// Decision is a verdict with its reason, which Letter and Halt have.
type Decision struct {
	Disposition
	Reason string
	Stack  string // where the machine panicked, if it did
}

// BeyondEnd is how the reason ends of a dead letter whose origin was not in its log yet. Only when it came could that be
// told: a log grows, so whoever folds again goes by the letter.
const BeyondEnd = "the log ends before it"

// Admit says what becomes of a record, as far as that can be told without its row: the Verdict is zero when it is the
// row's to say. reaches tells whether a log reaches beyond an origin. The error is that of reaches.
func (m Machine[S]) Admit(r Record, partitions int32, reaches func(codecs.Origin) (bool, error)) (Incoming, Decision, error) {
	if r.Skipped {
		return Incoming{Partition: r.Partition, Offset: r.Offset, At: r.At, Key: r.Key}, Decision{Disposition: DeadLettered, Reason: SkippedReason}, nil
	}
	in, unreadable := m.Read(r)
	if unreadable != nil {
		verdict := DeadLettered
		if unreadable.Halt {
			verdict = Halt
		}
		return in, Decision{Disposition: verdict, Reason: unreadable.Reason}, nil
	}
	if in.Origin != nil {
		switch ok, err := reaches(*in.Origin); {
		case err != nil:
			return in, Decision{}, err
		case !ok:
			return in, Decision{Disposition: DeadLettered, Reason: fmt.Sprintf("origin %s: %s", r.Origin, BeyondEnd)}, nil
		}
	}
	if broker.Partition([]byte(in.Key), partitions) == in.Partition && r.Key != "" {
		return in, Decision{}, nil
	}
	if in.Emitted {
		return in, Decision{Disposition: DeadLettered, Reason: fmt.Sprintf("%s is sent by machines alone, and key %q belongs to another partition", in.Type, in.Key)}, nil
	}
	return in, Decision{Disposition: Moved}, nil
}

// Decide gives an admitted message to the row of its key. next is the row as it was unless the verdict is Taken.
func (m Machine[S]) Decide(row Row[S], in Incoming) (next Row[S], res Result[S], ruling Decision) {
	if row.Has(in) {
		return row, res, Decision{Disposition: Repeat}
	}
	defer func() {
		if p := recover(); p != nil { // the partition stops there until a program comes that can
			next, ruling = row, Decision{Disposition: Halt, Reason: fmt.Sprintf("the machine panicked: %v", p), Stack: string(debug.Stack())}
		}
	}()
	next, res = m.Fold(row, in)
	if res.Inapplicable != "" {
		return row, res, Decision{Disposition: DeadLettered, Reason: res.Inapplicable}
	}
	return next, res, Decision{Disposition: Applied}
}

// RowOf decodes the row of a key; nil is the row of a key that has none.
func (m Machine[S]) RowOf(key string, data []byte) (Row[S], error) {
	if data == nil {
		return NoRow[S](), nil
	}
	head, state, err := m.DecodeRow(data)
	if err != nil {
		return Row[S]{}, fmt.Errorf("the row of %q in %s does not decode: %w", key, m.Table, err)
	}
	return Row[S]{head, state}, nil
}
