package engine

import (
	"fmt"
	"runtime/debug"

	"stockflow/broker"
	"stockflow/codecs"
)

// Verdict is what becomes of a record of a machine's log.
type Verdict uint8

// The verdicts. The zero Verdict is none yet.
const (
	Taken  Verdict = iota + 1 // its row takes it in
	Repeat                    // its row has it already
	Letter                    // it is put aside as a dead letter
	Moved                     // it belongs to another partition, and is sent there
	Halt                      // this program can't take it, and its partition stops there
)

// Ruling is a verdict with its reason, which Letter and Halt have.
type Ruling struct {
	Verdict
	Reason string
	Stack  string // where the machine panicked, if it did
}

// BeyondEnd is how the reason ends of a dead letter whose origin was not in its log yet. Only when it came could that be
// told: a log grows, so whoever folds again goes by the letter.
const BeyondEnd = "the log ends before it"

// Admit says what becomes of a record, as far as that can be told without its row: the Verdict is zero when it is the
// row's to say. reaches tells whether a log reaches beyond an origin. The error is that of reaches.
func (m Machine[S]) Admit(r Record, partitions int32, reaches func(codecs.Origin) (bool, error)) (Incoming, Ruling, error) {
	if r.Skipped {
		return Incoming{Partition: r.Partition, Offset: r.Offset, At: r.At, Key: r.Key}, Ruling{Verdict: Letter, Reason: SkippedReason}, nil
	}
	in, unreadable := m.Read(r)
	if unreadable != nil {
		verdict := Letter
		if unreadable.Halt {
			verdict = Halt
		}
		return in, Ruling{Verdict: verdict, Reason: unreadable.Reason}, nil
	}
	if in.Origin != nil {
		switch ok, err := reaches(*in.Origin); {
		case err != nil:
			return in, Ruling{}, err
		case !ok:
			return in, Ruling{Verdict: Letter, Reason: fmt.Sprintf("origin %s: %s", r.Origin, BeyondEnd)}, nil
		}
	}
	if broker.Partition([]byte(in.Key), partitions) == in.Partition && r.Key != "" {
		return in, Ruling{}, nil
	}
	if in.Emitted {
		return in, Ruling{Verdict: Letter, Reason: fmt.Sprintf("%s is sent by machines alone, and key %q belongs to another partition", in.Type, in.Key)}, nil
	}
	return in, Ruling{Verdict: Moved}, nil
}

// Take gives an admitted message to the row of its key. next is the row as it was unless the verdict is Taken.
func (m Machine[S]) Take(row Row[S], in Incoming) (next Row[S], res Result[S], ruling Ruling) {
	if row.Has(in) {
		return row, res, Ruling{Verdict: Repeat}
	}
	defer func() {
		if p := recover(); p != nil { // the partition stops there until a program comes that can
			next, ruling = row, Ruling{Verdict: Halt, Reason: fmt.Sprintf("the machine panicked: %v", p), Stack: string(debug.Stack())}
		}
	}()
	next, res = m.Fold(row, in)
	if res.Unfit != "" {
		return row, res, Ruling{Verdict: Letter, Reason: res.Unfit}
	}
	return next, res, Ruling{Verdict: Taken}
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
