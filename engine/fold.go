package engine

import (
	"fmt"
	"hash/fnv"
	"slices"

	"stockflow/codecs"
)

// maxRedriven is how many redrive ids a row remembers.
const maxRedriven = 100

// Record is a record of a machine's log as the broker has it.
type Record struct {
	Partition int32
	Offset    int64
	At        int64 // LogAppendTime in milliseconds since 1970
	Key       string
	Value     []byte // nil if the record has no value
	Origin    []byte // the header origin, nil if there is none
	Redrive   []byte // the header redrive, nil if there is none
	// Skipped is set by who folds a log, if a letter says that the partition went on behind the message.
	Skipped bool
	// Unreadable says why the broker could not give what stands there, of which there is nothing else; "" if it could.
	Unreadable string
}

// Incoming is a record that its machine can take.
type Incoming struct {
	Partition int32
	Offset    int64
	At        int64
	Key       string // the record's, or what its value names where the record has none
	Origin    *codecs.Origin
	Redrive   uint64 // which redrive of a dead letter this is, 0 for none
	codecs.Decoded
}

// Row is a row of a table.
type Row[S any] struct {
	codecs.Head
	State S
}

// NoRow is what Fold starts a key with.
func NoRow[S any]() Row[S] { return Row[S]{Head: codecs.Head{Applied: -1}} }

// Unreadable says why a record can't be taken. Its text is for people: it goes into the dead letter or, for Halt,
// into the log and the readiness answer.
type Unreadable struct {
	Reason string
	// Halt is set when the record may well be right and this program too old for it: its partition stops there.
	Halt bool
}

func (u *Unreadable) Error() string { return u.Reason }

// Read decodes a record and checks everything that needs no row: its rules number, its key, and whether it may
// carry the origin it carries. It does not check that the origin exists.
func (m Machine[S]) Read(r Record) (Incoming, *Unreadable) {
	in := Incoming{Partition: r.Partition, Offset: r.Offset, At: r.At, Key: r.Key}
	switch {
	case r.Unreadable != "":
		return in, &Unreadable{Halt: true, Reason: r.Unreadable}
	case r.Value == nil:
		return in, &Unreadable{Reason: "the message has no value"}
	}
	d, err := m.Decode(r.Value)
	if d.RulesVersion > m.RulesVersion {
		return in, &Unreadable{Halt: true, Reason: fmt.Sprintf("written under rules number %d, and this program knows them up to %d", d.RulesVersion, m.RulesVersion)}
	}
	if err != nil {
		return in, &Unreadable{Reason: err.Error()}
	}
	in.Decoded = d
	if in.Key, err = keyOf(r.Key, d.Key); err != nil {
		return in, &Unreadable{Reason: err.Error()}
	}
	if err := m.readOrigin(r, &in); err != nil {
		return in, &Unreadable{Reason: err.Error()}
	}
	return in, nil
}

// keyOf reconciles the key of a record with the one that its value names.
func keyOf(record, value string) (string, error) {
	switch {
	case record == "" && value == "":
		return "", fmt.Errorf("neither the record nor its value has a key")
	case record == "":
		return value, nil
	case value != "" && value != record:
		return "", fmt.Errorf("the record's key %q contradicts the key %q in its value", record, value)
	}
	return record, codecs.CheckID("key", record)
}

// readOrigin takes the origin and the redrive id from the headers. Types that only machines send must have one of
// them, or a repeat could not be told; from outside, a type may carry an origin only as a moved message does. A redrive
// id stands for the origin: a dead letter that is sent again has lost its place behind the others of its source, so an
// origin beside it, such as that of a redriven message which was moved, says nothing.
func (m Machine[S]) readOrigin(r Record, in *Incoming) error {
	if r.Redrive != nil {
		if len(r.Redrive) == 0 { // all that had it would count as one
			return fmt.Errorf("the header %s is empty", codecs.HeaderRedrive)
		}
		in.Redrive = hashOf(r.Redrive)
		return nil
	}
	if r.Origin == nil {
		if in.Emitted {
			return fmt.Errorf("%s is sent by machines alone, and has no origin", in.Type)
		}
		return nil
	}
	o, err := codecs.ParseOrigin(r.Origin)
	if err != nil {
		return err
	}
	switch {
	case in.Emitted && !slices.Contains(m.AcceptsFrom, o.Log):
		return fmt.Errorf("origin %s: %s does not send to %s", r.Origin, o.Log, m.Log)
	case !in.Emitted && o.Log != m.Log:
		return fmt.Errorf("origin %s: %s is not sent by machines", r.Origin, in.Type)
	}
	in.Origin = &o
	return nil
}

// hashOf makes a redrive id small enough to be remembered. 0 means none.
func hashOf(id []byte) uint64 {
	h := fnv.New64a()
	h.Write(id)
	return max(h.Sum64(), 1)
}

// Has reports whether the row took in this message before: then it changes nothing and emits nothing.
func (r Row[S]) Has(in Incoming) bool {
	if in.Offset <= r.Applied {
		return true
	}
	if in.Redrive != 0 {
		return slices.Contains(r.Redriven, in.Redrive)
	}
	if in.Origin == nil {
		return false
	}
	i, found := findSeen(r.Seen, *in.Origin)
	return found && !after(*in.Origin, r.Seen[i])
}

// Fold takes a message into a row that does not have it yet. Unfit results leave the row as it was. Live
// processing, replay, verification and simulation all come through here.
func (m Machine[S]) Fold(row Row[S], in Incoming) (Row[S], Result[S]) {
	res := m.Apply(row.State, in.Key, in.At, in.Decoded)
	if res.Inapplicable != "" {
		return row, res
	}
	return Row[S]{Head: headWith(row.Head, in), State: res.State}, res
}

// headWith returns the head after a message: shared slices are not written to.
func headWith(h codecs.Head, in Incoming) codecs.Head {
	h.Applied = in.Offset
	if in.Redrive != 0 {
		old := h.Redriven
		h.Redriven = append(slices.Clone(old[max(0, len(old)-maxRedriven+1):]), in.Redrive)
	}
	if in.Origin == nil {
		return h
	}
	i, found := findSeen(h.Seen, *in.Origin)
	if found {
		h.Seen = slices.Clone(h.Seen)
		h.Seen[i] = *in.Origin
	} else {
		h.Seen = slices.Concat(h.Seen[:i], []codecs.Origin{*in.Origin}, h.Seen[i:])
	}
	return h
}

// findSeen finds the entry of an origin's partition.
func findSeen(seen []codecs.Origin, o codecs.Origin) (int, bool) {
	return slices.BinarySearchFunc(seen, o, func(a, b codecs.Origin) int {
		if a.Log != b.Log {
			if a.Log < b.Log {
				return -1
			}
			return 1
		}
		return int(a.Partition) - int(b.Partition)
	})
}

// after reports whether a comes after b in their partition.
func after(a, b codecs.Origin) bool {
	if a.Offset != b.Offset {
		return a.Offset > b.Offset
	}
	return a.Index > b.Index
}
