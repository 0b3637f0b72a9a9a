package history

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/processors"
	"stockflow/replay"
)

// openAll opens the annals of a world.
func (w *world) openAll(dir string) map[string][]*partitionHistory {
	all := map[string][]*partitionHistory{}
	for _, m := range replay.Machines {
		for p := range w.partitions {
			a := newPartitionHistory(m, p, w.partitions, Dir(dir, m.Log, p), func(string, ...any) {})
			if err := a.open(w.bounds()); err != nil {
				w.t.Fatal(err)
			}
			all[m.Log] = append(all[m.Log], a)
		}
	}
	return all
}

// feed has annals read some of what they have not read yet, in batches of any size, and reports whether there is more.
func (w *world) feed(a *partitionHistory, most int64) bool {
	m := a.at()
	records, letters := w.logs[a.machine.Log][a.partition], w.logs[engine.DeadLetters][a.partition]
	end := min(m.Next+1+w.chance.Int64N(most), int64(len(records)))
	lettersEnd := min(m.Letters+w.chance.Int64N(3), int64(len(letters)))
	// Some of what was read before comes again, as after a restart of another partition's.
	if err := errors.Join(a.take(records[max(0, m.Next-2):end]), a.addDeadLetters(letters[max(0, m.Letters-1):lettersEnd])); err != nil {
		w.t.Fatal(err)
	}
	return end < int64(len(records)) || lettersEnd < int64(len(letters))
}

// agree fails the test unless each row was at each offset, and at each time, what was made of it then.
func (w *world) agree(all map[string][]*partitionHistory) {
	w.t.Helper()
	for log, was := range w.was {
		for p := range w.partitions {
			a := all[log][p]
			keys := map[string][]past{}
			var times []int64
			for _, then := range was {
				if then.partition == p {
					keys[then.key] = append(keys[then.key], then)
					times = append(times, then.by)
				}
			}
			checked := 0
			for key, steps := range keys { // in any order, so these are any keys
				if a.checkKey(key) && checked < 5 {
					w.agreeOn(a, key, steps, times)
					checked++
				}
			}
		}
	}
}

func (w *world) agreeOn(a *partitionHistory, key string, steps []past, times []int64) {
	w.t.Helper()
	at := func(known func(past) bool) (row []byte, offset int64) {
		offset = -1
		for _, s := range steps {
			if known(s) {
				row, offset = s.row, s.offset
			}
		}
		return row, offset
	}
	same := func(m Moment, err error, row []byte, offset int64, what string, point int64) {
		w.t.Helper()
		unborn := new(Unborn)
		switch {
		case offset < 0 && errors.As(err, &unborn):
		case err != nil || m.Offset != offset || !bytes.Equal(m.Row, row):
			got, _ := a.machine.Show(m.Row)
			want, _ := a.machine.Show(row)
			w.t.Fatalf("the row of %q in %s by %s %d is that after %d %s\n%v, expected that after %d\n%s", key, a.name(), what, point, m.Offset, got, err, offset, want)
		}
	}
	for offset := range int64(len(w.logs[a.machine.Log][a.partition])) {
		row, last := at(func(s past) bool { return s.offset <= offset })
		m, err := a.momentAt(key, offset)
		same(m, err, row, last, "offset", offset)
	}
	for _, time := range slices.Compact(times) {
		for _, point := range []int64{time - 1, time} {
			row, last := at(func(s past) bool { return s.by <= point })
			m, err := a.momentBy(key, point)
			same(m, err, row, last, "time", point)
		}
	}
}

// A row is at every offset and at every time what a fold from the start makes of it, however the log was read, and
// whatever was forged.
func TestARowWasWhatTheFoldOfItsLogSays(t *testing.T) {
	letters, forged, snapshots := 0, 0, 0
	for seed := range uint64(12) {
		dir := t.TempDir()
		w := newWorld(t, seed, 1+int32(seed%3))
		w.live(150 + int(seed%3)*100)
		all := w.openAll(dir)
		for more := true; more; {
			more = false
			for log := range all {
				for p, a := range all[log] {
					more = w.feed(a, 200) || more
					if w.chance.IntN(20) == 0 { // a restart
						must(t, a.close())
						must(t, a.open(w.bounds()))
					}
					all[log][p] = a
				}
			}
		}
		w.agree(all)
		letters += w.letters
		for _, as := range all {
			for _, a := range as {
				must(t, a.view(func(r leveldb.Reader) error {
					forged += count(r, func(name []byte) bool { return bytes.HasPrefix(name, []byte(ruledPrefix)) })
					snapshots += count(r, func(name []byte) bool {
						_, kind, _ := bytes.Cut(name, []byte{0})
						return name[0] != 0 && kind[0] == snapshotKind
					})
					return nil
				}))
				must(t, a.close())
			}
		}
	}
	t.Logf("%d letters, %d of them for forged origins; %d snapshots", letters, forged, snapshots)
	if forged < 10 || snapshots < 10 {
		t.Errorf("there were %d forged origins and %d snapshots", forged, snapshots)
	}
}

func count(r leveldb.Reader, is func(name []byte) bool) (n int) {
	it := r.NewIterator(nil, nil)
	defer it.Release()
	for it.Next() {
		if is(it.Key()) {
			n++
		}
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// No look back folds more than a stretch that it isn't asked for, at any offset of a hot key.
func TestALookBackFoldsAStretch(t *testing.T) {
	w := newWorld(t, 3, 1)
	w.live(400)
	a := w.openAll(t.TempDir())[processors.InventoryEvents][0]
	defer func() { must(t, a.close()) }()
	for w.feed(a, 300) {
	}
	most := 0
	must(t, a.view(func(r leveldb.Reader) error {
		for offset := range int64(len(w.logs[processors.InventoryEvents][0])) {
			begin, _, err := a.snapshot(r, "sku-1", offset)
			if err != nil {
				return err
			}
			n := 0
			it := r.NewIterator(nil, nil)
			for ok := it.Seek(place("sku-1", entryKind, begin)); ok && bytes.Compare(it.Key(), place("sku-1", entryKind, offset)) < 0; ok = it.Next() {
				n++
			}
			it.Release()
			most = max(most, n)
		}
		return nil
	}))
	if most < stretch-1 || most > stretch {
		t.Errorf("up to %d messages are folded, expected %d", most, stretch)
	}
}

// Annals that are damaged are set aside when they are opened, or when a read has found it, and made again.
func TestDamagedAnnalsAreMadeAgain(t *testing.T) {
	w := newWorld(t, 5, 1)
	w.live(300)
	dir := t.TempDir()
	all := w.openAll(dir)
	read := func(a *partitionHistory) {
		for w.feed(a, 500) {
		}
	}
	for _, as := range all {
		read(as[0])
		must(t, as[0].close())
	}
	for log, as := range all {
		files, err := filepath.Glob(filepath.Join(Dir(dir, log, 0), "MANIFEST-*"))
		must(t, err)
		must(t, os.Truncate(files[0], 7))
		must(t, as[0].open(w.bounds()))
		if as[0].at().Next != 0 {
			t.Errorf("the damaged history of %s is at %d", log, as[0].at().Next)
		}
		read(as[0])
	}
	w.agree(all)
	for _, as := range all {
		must(t, as[0].close())
	}
}

// A read that meets damage says so, has all opened again, and the annals are set aside then.
func TestAReadThatMeetsDamageHasTheAnnalsMadeAgain(t *testing.T) {
	w := newWorld(t, 8, 1)
	_, value := codecs.EncodeInventoryEvent(inventory.Receive{Quantity: 1})
	for range 20_000 {
		w.put(processors.InventoryEvents, "lamp", value, -1)
	}
	a := w.openAll(t.TempDir())[processors.InventoryEvents][0]
	read := func() {
		for w.feed(a, 20_000) {
		}
	}
	read()
	must(t, a.close())
	must(t, a.open(w.bounds())) // which makes a table of the journal
	must(t, a.close())
	tables, err := filepath.Glob(filepath.Join(a.dir, "*.ldb"))
	must(t, err)
	for _, table := range tables {
		text, err := os.ReadFile(table)
		must(t, err)
		text[len(text)/2] ^= 0x10
		must(t, os.WriteFile(table, text, 0o644))
	}
	must(t, a.open(w.bounds()))
	var told error
	a.broken = func(err error) { told = err }
	for offset := int64(0); offset < 20_000 && told == nil; offset += 50 {
		_, _ = a.momentAt("lamp", offset)
	}
	if len(tables) == 0 || told == nil {
		t.Fatalf("nobody noticed the damage of %d tables", len(tables))
	}
	must(t, a.close())
	must(t, a.open(w.bounds()))
	if m := a.at(); m.Next != 0 {
		t.Errorf("the damaged annals are at %+v", m)
	}
	read()
	if m, err := a.momentAt("lamp", 19_999); err != nil || m.Offset != 19_999 {
		t.Errorf("they are made again, and the row is %+v, %v", m, err)
	}
	must(t, a.close())
}

// A log that was made again, was cut, or has lost what was not read yet, begins anew.
func TestAnnalsOfAnotherLogAreBegunAnew(t *testing.T) {
	w := newWorld(t, 6, 1)
	w.live(60)
	a := w.openAll(t.TempDir())[processors.OrderEvents][0]
	for w.feed(a, 500) {
	}
	was := a.at()
	for _, change := range []func(*bounds){
		func(b *bounds) { b.ids[processors.OrderEvents] = "another" },
		func(b *bounds) { setOffset(b.ends, was.Next-1) },
		func(b *bounds) { setOffset(b.starts, was.Next+1); setOffset(b.ends, was.Next+2) },
	} {
		must(t, a.close())
		must(t, a.open(w.bounds()))
		for w.feed(a, 500) {
		}
		must(t, a.close())
		b := w.bounds()
		change(&b)
		must(t, a.open(b))
		if m := a.at(); m.Next != b.start(processors.OrderEvents, 0) || m.First != 0 {
			t.Errorf("the history goes on at %+v", m)
		}
		_, err := a.momentBy("o-1", math.MaxInt64)
		if expired, unborn := new(Expired), new(Unborn); !errors.As(err, &unborn) && !errors.As(err, &expired) {
			t.Errorf("it still has the row: %v", err)
		}
	}
	must(t, a.close())
}

func setOffset(all map[broker.TopicPartition]int64, offset int64) {
	all[broker.TopicPartition{Topic: processors.OrderEvents}] = offset
}
