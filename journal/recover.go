package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"stockflow/journal/files"
)

// recovery reads what the tail files have: frame by frame, up to the first that isn't valid. It changes nothing on the
// disk.
type recovery struct {
	j     *Journal
	upTo  Position // entries from here on are left out, but for the first: the checkpoint behind what is sealed
	all   bool     // of another process, and it isn't known what is durable: files are opened so that they can be synced
	begun bool     // something was taken in
	epoch uint64   // of the last frame

	unused   *tailFile // the one behind the last with frames that count, if there is one with the header of its number
	badStart bool      // it has no valid frame at its start
	last     []byte    // the last frame, and where it is
	lastAt   int64
	buf      []byte // memory for the content of a file
}

// errUpTo ends the reading.
var errUpTo = errors.New("up to here")

func (r *recovery) read() error {
	err := r.readTails()
	if errors.Is(err, errUpTo) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.checkDamage()
}

func (r *recovery) readTails() error {
	j := r.j
	for number := j.manifest.FirstTail; ; number++ {
		t, content, err := r.open(number)
		if err != nil {
			return err
		}
		if t == nil {
			break
		}
		err = r.frames(t, content)
		if len(t.frames) == 0 && err == nil {
			r.unused = t
			_, _, valid := readFrame(j.id, number, tailHeader, content[tailHeader:])
			r.badStart = !valid
			break
		}
		j.tails = append(j.tails, t)
		if err != nil {
			return err
		}
		if j.manifest.Backup {
			break // another file is of a run that wasn't finished
		}
	}
	if len(j.tails) == 0 && (r.unused == nil || j.manifest.FirstTail != 1) {
		return &DamageError{File: tailName(j.dir, j.manifest.FirstTail), Position: j.appended, What: "its beginning is missing"}
	}
	return nil
}

// open opens a tail file and reads it. It returns nil if there is none that was prepared: with the header of its number,
// and whole. A file is prepared, durably, before it gets its first frame.
func (r *recovery) open(number uint64) (*tailFile, []byte, error) {
	t, err := r.openFile(number)
	if absent(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if r.buf, err = t.read(r.buf); err != nil {
		return nil, nil, errors.Join(err, t.file.Close())
	}
	id, size, ok := readTailHead(r.buf, number)
	if ok && id == r.j.id && size == t.size {
		return t, r.buf, nil
	}
	return nil, nil, t.file.Close()
}

// absent says that there is no file, or the process that writes is just giving it another number.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, files.ErrLocked) }

func (r *recovery) openFile(number uint64) (*tailFile, error) {
	j := r.j
	if !j.readOnly {
		return openTail(&j.options, j.dir, number)
	}
	name, flag := tailName(j.dir, number), os.O_RDONLY
	if r.all {
		flag = os.O_RDWR
	}
	f, err := j.options.Files.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Lock(files.Shared); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newTail(f, name, number)
}

// frames takes in the frames of a file, and sets its end.
func (r *recovery) frames(t *tailFile, content []byte) error {
	defer func() { r.last = bytes.Clone(r.last) }() // content is used for the next file
	for t.end+frameHeader <= t.size {
		head, frame, ok := readFrame(r.j.id, t.number, t.end, content[t.end:])
		if !ok || !r.follows(t, head, frame) {
			return nil
		}
		r.last, r.lastAt, r.epoch = frame, t.end, head.epoch
		if err := r.take(t, frame); err != nil {
			return err
		}
		if r.j.appended != head.end() {
			return r.unreadable(t, fmt.Errorf("the frame at %d has not %d entries", t.end, head.entries))
		}
		t.end += align(head.size())
	}
	return nil
}

// follows says whether a valid frame is the next one: at this position, and of this epoch or beginning the next. The first
// of all says where the tail begins.
func (r *recovery) follows(t *tailFile, head frameHead, frame []byte) bool {
	kind, body, rest, err := cutEntry(frame[frameHeader:])
	if err != nil || (kind == checkpointEntry) != (len(t.frames) == 0) {
		return false
	}
	if len(r.j.tails) == 0 && len(t.frames) == 0 {
		r.j.appended = head.first
		return true
	}
	if head.first != r.j.appended || head.epoch == r.epoch || r.j.options.flaws.oldEpochs {
		return head.first == r.j.appended
	}
	if kind == checkpointEntry {
		if kind, body, _, err = cutEntry(rest); err != nil {
			return false
		}
	}
	begun, _ := binary.Uvarint(body)
	return kind == epochEntry && begun == head.epoch && head.epoch == r.epoch+1
}

// take takes in the entries of a frame.
func (r *recovery) take(t *tailFile, frame []byte) error {
	j := r.j
	t.frames = append(t.frames, frameAt{at: uint32(t.end)})
	return eachEntry(frame, func(at int64, kind entryKind, body []byte) error {
		if j.appended >= r.upTo && r.begun {
			t.end += align(int64(len(frame)))
			return errUpTo
		}
		if err := j.take(t, t.end+at, kind, body); err != nil {
			return r.unreadable(t, err)
		}
		r.begun = true
		j.appended++
		return nil
	})
}

func (r *recovery) unreadable(t *tailFile, err error) error {
	return &DamageError{File: t.name, Position: r.j.appended, What: err.Error()}
}

// take takes in an entry that was read, at a place of a file.
func (j *Journal) take(t *tailFile, at int64, kind entryKind, body []byte) error {
	d := &decoder{b: body}
	switch kind {
	case recordEntry:
		return j.takeRecord(t, at, d)
	case commitEntry:
		c := readCommit(d)
		for n := range c.offsets {
			if int(n) >= len(j.partitions) {
				return fmt.Errorf("a commit of partition %d, which doesn't exist", n)
			}
		}
		j.commit(c)
	case topicEntry:
		j.addTopic(readTopic(d))
	case producerEntry:
		j.producerIDs.end = d.int64()
	case epochEntry:
		d.uint()
	case checkpointEntry:
		if len(j.tails) == 0 {
			return j.readCheckpoint(body)
		}
	default:
		return fmt.Errorf("an entry of the unknown kind %d", kind)
	}
	return d.err()
}

func (j *Journal) takeRecord(t *tailFile, at int64, d *decoder) error {
	var head recordHead
	head.read(d)
	if d.failed || int(head.partition) >= len(j.partitions) {
		return fmt.Errorf("a record of partition %d, which doesn't exist", head.partition)
	}
	p := j.partitions[head.partition]
	if head.offset != p.end[Appended] {
		return fmt.Errorf("%s: a record with offset %d, %d was next", p, head.offset, p.end[Appended])
	}
	if head.flags&hasProducer != 0 {
		p.remember(&head.batch, head.offset, head.time, j.appended+Position(head.batch.count))
	}
	p.index(t, at)
	j.time = max(j.time, head.time)
	return nil
}
