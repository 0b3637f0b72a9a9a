package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"stockflow/journal/files"
	"stockflow/journal/files/powercut"
)

// image is what the files of a journal have.
type image map[string][]byte

func imageOf(t testing.TB, disk files.FS) image {
	t.Helper()
	entries, err := disk.ReadDir(testDir)
	if err != nil {
		t.Fatal(err)
	}
	content := image{}
	for _, e := range entries {
		name := testDir + "/" + e.Name()
		if content[name], err = files.ReadFile(disk, name); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

// disk returns a disk with these files, where one of them is changed.
func (i image) disk(t testing.TB, name string, change func([]byte) []byte) *powercut.Disk {
	t.Helper()
	disk := powercut.New()
	if err := files.MakeDir(disk, testDir); err != nil {
		t.Fatal(err)
	}
	for n, b := range i {
		if n == name {
			b = change(slices.Clone(b))
		}
		f, err := disk.OpenFile(n, os.O_CREATE|os.O_WRONLY|files.DSync, 0o600)
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err := errors.Join(err, f.Close(), disk.SyncDir(testDir)); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// written is a closed journal: what its files have, where its frames are, and what can be read from those up to each.
type written struct {
	image  image
	frames []writtenFrame
}

type writtenFrame struct {
	file     string
	at, end  int64
	first    Position
	readable []string // before it
}

// writeFrames writes a journal whose frames have a record each, in so many files at least.
func writeFrames(t testing.TB, tails int) written {
	t.Helper()
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	value := func(n int) string { return fmt.Sprintf("%d %0*d", n, 700, n) }
	for n := 0; n < 4 || len(j.tails) < tails; n++ {
		put(t, p, value(n))
	}
	put(t, p, "last but one")
	put(t, p, "last")
	closeNow(t, j)
	w := written{image: imageOf(t, disk)}
	var readable []string
	for number := uint64(1); number <= uint64(tails); number++ {
		name := tailName(testDir, number)
		for at := int64(tailHeader); ; {
			head, frame, ok := readFrame(j.id, number, at, w.image[name][at:])
			if !ok {
				break
			}
			w.frames = append(w.frames, writtenFrame{name, at, at + head.size(), head.first, slices.Clone(readable)})
			readable = append(readable, valuesIn(t, frame)...)
			at += align(head.size())
		}
	}
	return w
}

func valuesIn(t testing.TB, frame []byte) (all []string) {
	t.Helper()
	err := eachEntry(frame, func(_ int64, kind entryKind, body []byte) error {
		if kind != recordEntry {
			return nil
		}
		r, err := decodeRecord(body)
		all = append(all, string(r.Value))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *written) last() writtenFrame { return w.frames[len(w.frames)-1] }

// mustBeDamaged checks that a journal isn't opened for what is wrong at a file and position.
func mustBeDamaged(t *testing.T, disk files.FS, file string, at Position, what string) {
	t.Helper()
	_, err := Open(testDir, smallOptions(disk))
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File != file || damage.Position != at {
		t.Fatalf("%s: got %v, want damage of %s at %d", what, err, file, at)
	}
}

// mustHave checks that a journal is opened, has these values, and goes on. Then the power goes: what was found, and what came
// after it, is there.
func mustHave(t *testing.T, disk *powercut.Disk, want []string, what string) {
	t.Helper()
	j, err := Open(testDir, smallOptions(disk))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	p := j.Partition("orders", 0)
	if got := values(t, p, Durable); !slices.Equal(got, want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	put(t, p, "new")
	disk = disk.Cut(testRand())
	_ = j.Close() // its disk is gone
	if j, err = Open(testDir, smallOptions(disk)); err != nil {
		t.Fatalf("%s: after a power cut: %v", what, err)
	}
	if got := values(t, j.Partition("orders", 0), Durable); !slices.Equal(got, append(want, "new")) {
		t.Fatalf("%s: after a power cut: %d values, want %d", what, len(got), len(want)+1)
	}
	closeNow(t, j)
}

// Each byte that says something is changed once: one of the last frame can't be told from a tear, any other is damage.
func TestAChangedByte(t *testing.T) {
	for _, tails := range []int{1, 2} {
		w := writeFrames(t, tails)
		last := w.last()
		flip := func(name string, at int64) *powercut.Disk {
			return w.image.disk(t, name, func(b []byte) []byte { b[at] ^= 0x10; return b })
		}
		for number := uint64(1); number <= uint64(tails); number++ {
			name, first := tailName(testDir, number), Position(0)
			if number > 1 {
				first = w.firstOf(name)
			}
			for at := range int64(headSize) {
				mustBeDamaged(t, flip(name, at), name, first, fmt.Sprintf("%d tails: byte %d of the header", tails, at))
			}
		}
		for _, f := range w.frames[:len(w.frames)-1] {
			for at := f.at; at < f.end; at += stride(f, at) {
				mustBeDamaged(t, flip(f.file, at), f.file, f.damaged(), fmt.Sprintf("%d tails: byte %d of a frame at %d", tails, at-f.at, f.at))
			}
		}
		for at := last.at; at < last.end; at++ {
			mustHave(t, flip(last.file, at), last.readable, fmt.Sprintf("byte %d of the last frame", at-last.at))
		}
		for at := range int64(len(w.image[manifestName(testDir)])) {
			mustBeDamaged(t, flip(manifestName(testDir), at), manifestName(testDir), 0, fmt.Sprintf("byte %d of the manifest", at))
		}
	}
}

// stride passes over most of what is in a record.
func stride(f writtenFrame, at int64) int64 {
	if at < f.at+frameHeader+40 || at > f.end-20 {
		return 1
	}
	return 101
}

// damaged is the position that is told if the frame is damaged. Of the first frame of all it is not known.
func (f *writtenFrame) damaged() Position { return f.first }

func (w *written) firstOf(file string) Position {
	i := slices.IndexFunc(w.frames, func(f writtenFrame) bool { return f.file == file })
	return w.frames[i].first
}

// The last frame ends anywhere, and behind it is nothing or something.
func TestATornTail(t *testing.T) {
	w := writeFrames(t, 2)
	last := w.last()
	for end := last.at; end < last.end; end++ {
		mustHave(t, w.image.disk(t, last.file, func(b []byte) []byte {
			clear(b[end:])
			return b
		}), last.readable, fmt.Sprintf("zeros from byte %d of the last frame", end-last.at))
	}
	garbage := func() *powercut.Disk {
		return w.image.disk(t, last.file, func(b []byte) []byte {
			for i := last.end; i < int64(len(b)); i++ {
				b[i] = byte(i)
			}
			return b
		})
	}
	mustHave(t, garbage(), append(last.readable, "last"), "garbage behind the last frame")

	disk := garbage()
	j := openSmall(t, disk)
	end := j.tail().end
	disk = disk.Cut(testRand())
	_ = j.Close() // its disk is gone
	if b := imageOf(t, disk)[last.file][end:]; len(bytes.Trim(b, "\x00")) > 0 {
		t.Error("what is behind the end isn't overwritten on the disk")
	}
}

func TestAFileThatIsCut(t *testing.T) {
	w := writeFrames(t, 2)
	one, two := tailName(testDir, 1), tailName(testDir, 2)
	cut := func(name string, size int64) *powercut.Disk {
		return w.image.disk(t, name, func(b []byte) []byte { return b[:size] })
	}
	second := w.frames[slices.IndexFunc(w.frames, func(f writtenFrame) bool { return f.file == two })]
	for size := int64(0); size < 16<<10; size += 97 {
		mustBeDamaged(t, cut(one, size), one, 0, fmt.Sprintf("the first file is cut to %d", size))
		if size >= second.end {
			mustBeDamaged(t, cut(two, size), two, second.first, fmt.Sprintf("the second file is cut to %d", size))
		}
	}
	mustHave(t, cut(two, tailHeader+100), second.readable, "the second file was never whole")
}

func TestFilesThatAreMissing(t *testing.T) {
	w := writeFrames(t, 3)
	without := func(name string) *powercut.Disk {
		i := image{}
		for n, b := range w.image {
			if n != name {
				i[n] = b
			}
		}
		return i.disk(t, "", nil)
	}
	mustBeDamaged(t, without(tailName(testDir, 1)), tailName(testDir, 1), 0, "no first file")
	two := w.firstOf(tailName(testDir, 2))
	mustBeDamaged(t, without(tailName(testDir, 2)), tailName(testDir, 1), two, "no second file")
	mustBeDamaged(t, without(manifestName(testDir)), manifestName(testDir), 0, "no manifest")
}

// A file that is used again has frames of its older life in the very places.
func TestFramesOfAnOlderLifeDontCount(t *testing.T) {
	w := writeFrames(t, 1)
	one := w.image[tailName(testDir, 1)]
	j := openSmall(t, w.image.disk(t, "", nil))
	old := slices.Clone(one)
	copy(old, tailHead(j.id, 2, int64(len(old))))
	w.image[tailName(testDir, 2)] = old
	want := slices.Concat(w.last().readable, []string{"last"})
	mustHave(t, w.image.disk(t, "", nil), want, "the next file has frames of the first")

	disk := w.image.disk(t, "", nil)
	j = openSmall(t, disk)
	p := j.Partition("orders", 0)
	for len(j.tails) < 2 {
		put(t, p, "more")
		want = append(want, "more")
	}
	closeNow(t, j)
	mustHave(t, disk.Crash(), want, "the next file is in use")
}

// Frames of epochs are as they are written at a start, or they don't count.
func TestEpochsFollowEachOther(t *testing.T) {
	begin := func(epoch uint64) []byte {
		b := binary.AppendUvarint(beginEntry(nil, epochEntry), epoch)
		endEntry(b, 0)
		return b
	}
	other := func(uint64) []byte { return begin(99) }
	commit := func(uint64) []byte { return commit{group: "g"}.append(nil) }
	type life struct {
		epoch uint64
		entry func(uint64) []byte
	}
	for _, test := range []struct {
		name  string
		lives []life
		want  int // how many count
	}{
		{"in order", []life{{1, commit}, {2, begin}, {2, commit}, {3, begin}}, 4},
		{"not begun", []life{{1, commit}, {2, commit}}, 1},
		{"begun otherwise", []life{{1, commit}, {2, other}}, 1},
		{"skipped", []life{{1, commit}, {3, begin}}, 1},
		{"of before", []life{{1, commit}, {2, begin}, {1, commit}}, 2},
	} {
		disk := powercut.New()
		j := openSmall(t, disk)
		base := j.Appended()
		closeNow(t, j)
		at := frameBehind(t, disk, j.id)
		w := imageOf(t, disk)
		disk = w.disk(t, tailName(testDir, 1), func(b []byte) []byte {
			for i, l := range test.lives {
				f := &frame{tail: &tailFile{number: 1}, at: at, first: base + Position(i), entries: 1, buf: append(make([]byte, frameHeader), l.entry(l.epoch)...)}
				f.finish(j.id, 0, l.epoch) // nothing shows that it was durable
				at = f.at + int64(copy(b[at:], f.buf))
				at = align(at)
			}
			return b
		})
		j = openSmall(t, disk)
		if got := j.Appended() - base - 1; got != Position(test.want) { // 1: this start's
			t.Errorf("%s: %d frames count, want %d", test.name, got, test.want)
		}
	}
}

// frameBehind returns the end of the first tail file.
func frameBehind(t testing.TB, disk files.FS, id [16]byte) int64 {
	t.Helper()
	b := imageOf(t, disk)[tailName(testDir, 1)]
	at := int64(tailHeader)
	for {
		head, _, ok := readFrame(id, 1, at, b[at:])
		if !ok {
			return at
		}
		at += align(head.size())
	}
}

// A start that dies anywhere can be made again.
func TestAStartThatDies(t *testing.T) {
	w := writeFrames(t, 2)
	last := w.last()
	torn := func() *powercut.Disk {
		return w.image.disk(t, last.file, func(b []byte) []byte { b[last.end-1] ^= 1; return b })
	}
	for n := 0; ; n++ {
		disk := torn()
		disk.CutAt(disk.Changes() + n)
		j, err := Open(testDir, smallOptions(disk))
		if err == nil {
			_ = j.Close()
		}
		done := err == nil
		for range 3 {
			mustHave(t, disk.Cut(testRand()), last.readable, fmt.Sprintf("the power went at change %d of a start", n))
		}
		if done {
			if n < 5 {
				t.Errorf("a start has %d changes", n)
			}
			return
		}
	}
}

func TestEachStartIsAnEpoch(t *testing.T) {
	disk := powercut.New()
	var id, deployment string
	for epoch := uint64(1); epoch < 5; epoch++ {
		j := openSmall(t, disk)
		if j.Epoch() != epoch {
			t.Errorf("epoch %d, want %d", j.Epoch(), epoch)
		}
		if id == "" {
			id, deployment = j.ID(), j.Deployment()
		}
		if j.ID() != id || j.Deployment() != deployment || len(id) != 32 || deployment == "" {
			t.Error(j.ID(), j.Deployment())
		}
		closeNow(t, j)
	}
}
