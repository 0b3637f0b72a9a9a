package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// checkDamage returns a DamageError if there is a frame, in the last file or one behind it, that shows that more was
// durable than was read. Of a file behind it that is any that comes next, for the file was prepared before.
func (r *recovery) checkDamage() error {
	j := r.j
	if j.manifest.Backup {
		return nil // its one file was written at once
	}
	numbers, err := tailNumbers(j.options.Files, j.dir)
	if err != nil {
		return err
	}
	number, from, least := j.manifest.FirstTail, int64(tailHeader), j.appended+1
	if n := len(j.tails); n > 0 {
		number, from = j.tail().number, j.tail().end
	}
	for _, n := range numbers {
		if n < number {
			continue
		}
		t, err := r.openFile(n)
		if absent(err) {
			continue
		}
		if err != nil {
			return err
		}
		r.buf, err = t.read(r.buf)
		if err := errors.Join(err, t.file.Close()); err != nil {
			return err
		}
		if shown := j.showsDurable(least, n, from, r.buf); shown != nil {
			return r.damage(shown, number)
		}
		from, least = tailHeader, j.appended
	}
	return nil
}

// laterFrame is a valid frame behind the end of what was read.
type laterFrame struct {
	number uint64
	at     int64
	first  Position
}

// damage says what is wrong, given the file that what was read ends in.
func (r *recovery) damage(shown *laterFrame, number uint64) error {
	j := r.j
	d := &DamageError{File: tailName(j.dir, number), Position: j.appended}
	if shown.number > number && shown.first == j.appended {
		d.File = tailName(j.dir, shown.number)
		d.What = "its header isn't valid, or it isn't whole"
		return d
	}
	if r.badStart && shown.number > number {
		d.File = r.unused.name
	}
	d.What = fmt.Sprintf("a frame isn't valid, and the one at %d of %s was written after it", shown.at, tailName(j.dir, shown.number))
	return d
}

// showsDurable looks for a valid frame that was written when a position was durable.
func (j *Journal) showsDurable(least Position, number uint64, from int64, content []byte) *laterFrame {
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	for at := from; at < int64(len(content)); at++ {
		i := bytes.Index(content[at:], magic)
		if i < 0 {
			break
		}
		at += int64(i)
		if at%frameAlign != 0 || at+frameHeader > int64(len(content)) {
			continue
		}
		if durable := binary.LittleEndian.Uint64(content[at+24:]); durable < uint64(least) || durable > 1<<62 {
			continue // most of what an older life left ends here, without its checksum
		}
		if head, _, ok := readFrame(j.id, number, at, content[at:]); ok {
			return &laterFrame{number, at, head.first}
		}
	}
	return nil
}
