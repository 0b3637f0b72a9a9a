package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// Report is what a verification came to.
type Report struct {
	Tables      []TableReport `json:"tables"`
	Differences []Difference  `json:"differences"`
	Hidden      int64         `json:"differences_not_shown"` // beyond the first hundred of each partition
	// Across is what holds across tables, nil if not all were looked at.
	Across *CrossChecks `json:"across_tables,omitempty"`
	// Unchecked says what could not be looked at, and why.
	Unchecked []string `json:"unchecked,omitempty"`
}

// Equal reports whether everything that was looked at is as the logs make it.
func (r *Report) Equal() bool { return len(r.Differences) == 0 }

// TableReport is a table's part of a report.
type TableReport struct {
	Table      string            `json:"table"`
	Messages   int64             `json:"messages"`    // folded
	Rows       int64             `json:"rows"`        // compared with the changelog, or just folded
	HTTPRows   int64             `json:"http_rows"`   // compared with what HTTP serves
	Digest     string            `json:"digest"`      // of the rows of the changelog
	FoldDigest string            `json:"fold_digest"` // of the rows that the log makes
	Partitions []PartitionReport `json:"partitions"`
	digest     [2]digest
}

// PartitionReport is a partition's part.
type PartitionReport struct {
	Partition  int32  `json:"partition"`
	Cut        int64  `json:"cut"` // below it everything had to be there; -1 if nothing was committed
	End        int64  `json:"end"` // up to there the log was folded
	Messages   int64  `json:"messages"`
	Rows       int64  `json:"rows"`
	HTTPRows   int64  `json:"http_rows"`
	Digest     string `json:"digest"`
	FoldDigest string `json:"fold_digest"`
}

// Difference is a row that is not what the log makes it.
type Difference struct {
	Topic     string // the table
	Partition int32
	Key       string
	Problem   string
	Log       string
	At        int64     // the first offset of Log at which they part, if Parted
	Parted    bool      // At is known
	Fold      []byte    // the row that the log makes, nil for none
	Table     []byte    // the newest row of the changelog, nil for none; it may be one that doesn't decode
	HTTP      *OverHTTP // if it is what HTTP serves that differs
	machine   Machine
	ofTable   bool // it is the row of the changelog that differs
	across    bool // it contradicts others as it is folded
}

// MarshalJSON shows the rows as JSON too.
func (d Difference) MarshalJSON() ([]byte, error) {
	shown := struct {
		Table     string          `json:"table"`
		Partition int32           `json:"partition"`
		Key       string          `json:"key"`
		Problem   string          `json:"problem"`
		Log       string          `json:"log,omitempty"`
		Offset    *int64          `json:"first_offset,omitempty"`
		Fold      json.RawMessage `json:"fold,omitempty"`
		Row       json.RawMessage `json:"row,omitempty"`
		HTTP      *OverHTTP       `json:"http,omitempty"`
	}{d.Topic, d.Partition, d.Key, d.Problem, d.Log, nil, d.show(d.Fold), d.show(d.Table), d.HTTP}
	if d.Parted {
		shown.Offset = &d.At
	}
	return json.Marshal(shown)
}

// Rows returns both rows for people, "none" for one that isn't there.
func (d Difference) Rows() (fold, table string) {
	text := func(row []byte) string {
		if row == nil {
			return "none"
		}
		return string(d.show(row))
	}
	return text(d.Fold), text(d.Table)
}

func (d Difference) show(row []byte) json.RawMessage {
	if row == nil || d.machine.show == nil {
		return nil
	}
	text, err := d.machine.Show(row)
	if err != nil {
		text, _ = json.Marshal(fmt.Sprintf("%x, which doesn't decode: %v", row, err))
	}
	return text
}

// add adds a part's results.
func (r *Report) add(p *part) {
	if n := len(r.Tables); n == 0 || r.Tables[n-1].Table != p.machine.Table {
		r.Tables = append(r.Tables, TableReport{Table: p.machine.Table})
	}
	t := &r.Tables[len(r.Tables)-1]
	t.Partitions = append(t.Partitions, PartitionReport{
		p.partition, p.committed, p.log.end, p.folded, p.compared, p.shown, p.digest[1].String(), p.digest[0].String(),
	})
	t.Messages += p.folded
	t.Rows += p.compared
	t.HTTPRows += p.shown
	for i := range t.digest {
		t.digest[i].join(p.digest[i])
	}
	t.FoldDigest, t.Digest = t.digest[0].String(), t.digest[1].String()
	r.Differences = append(r.Differences, p.differences...)
	r.Hidden += p.hidden
	if p.halted != nil {
		r.Unchecked = append(r.Unchecked, fmt.Sprintf("%s/%d from offset %d on: %s", p.machine.Log, p.partition, p.halted.At, p.halted.Problem))
	}
}

// digest is of a set of rows, in whatever order they come: the exclusive or of a hash of each.
type digest [16]byte

// digestOfRow is of one row and its key.
func digestOfRow(key string, row []byte) digest {
	b := strconv.AppendInt(make([]byte, 0, 512), int64(len(key)), 10)
	b = append(append(append(b, ':'), key...), row...)
	return digestOf(b)
}

// digestOf is of one row.
func digestOf(row []byte) digest {
	sum := sha256.Sum256(row)
	return digest(sum[:16])
}

func (d *digest) join(o digest) {
	for i := range d {
		d[i] ^= o[i]
	}
}

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// digestOfJSON is the same for texts that differ in blanks and in the order of fields alone.
func digestOfJSON(text []byte) (d digest, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return d, fmt.Errorf("what HTTP serves is not JSON: %w", err)
	}
	plain, err := json.Marshal(value)
	return digestOf(plain), err
}
