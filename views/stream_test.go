package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/broker"
)

// told returns the changes of a table whose rows show their key, version and value.
func told(table *Table[string]) *Changes {
	return table.Changes(func(key string, row Row[string]) []byte {
		return fmt.Appendf(nil, "%s@%d=%s", key, row.Head.Applied, row.State)
	})
}

func read(t *testing.T, c *Changes, position []int64) *Reader {
	t.Helper()
	r, err := c.Open(within(t), position)
	must(t, err)
	t.Cleanup(r.Close)
	return r
}

// take reads until it has n texts, and returns them.
func take(t *testing.T, r *Reader, n int) (texts []string) {
	t.Helper()
	for len(texts) < n {
		changes, err := r.Next(within(t))
		must(t, err)
		for _, c := range changes {
			if text := c.Text(); text != nil {
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}

// nothing fails the test if there is something to read yet.
func nothing(t *testing.T, r *Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if changes, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("there is more: %v, %v", changes, err)
	}
}

func expectTexts(t *testing.T, got []string, want string) {
	t.Helper()
	if s := strings.Join(got, " "); s != want {
		t.Errorf("the reader was told %s, expected %s", s, want)
	}
}

func TestAReaderIsToldWhatIsWrittenFromNowOn(t *testing.T) {
	w := newWorld(t, 1)
	w.write("lamp", thing{Applied: 1, Value: "before"})
	table, _ := w.running()
	changes := told(table)
	one, other := read(t, changes, nil), read(t, changes, nil)
	w.write("lamp", thing{Applied: 2, Value: "on"})
	w.write("desk", thing{Applied: 3, Value: "tidy"})
	w.write("lamp", thing{Applied: 4, Value: "off"})
	for _, r := range []*Reader{one, other} {
		expectTexts(t, take(t, r, 3), "lamp@2=on desk@3=tidy lamp@4=off")
		nothing(t, r)
	}
}

func TestAReaderGoesOnWhereItWasWithoutGapOrRepeat(t *testing.T) {
	w := newWorld(t, 2)
	table, stop := w.running()
	r := read(t, told(table), nil)
	w.write("lamp", thing{Applied: 1, Value: "a"})
	expectTexts(t, take(t, r, 1), "lamp@1=a")
	position := r.Position()
	r.Close()
	w.write("lamp", thing{Applied: 2, Value: "b"})
	stop()
	w.write("lamp", thing{Applied: 3, Value: "c"})
	table, _ = w.running()
	w.write("lamp", thing{Applied: 4, Value: "d"})

	r = read(t, told(table), position)
	expectTexts(t, take(t, r, 3), "lamp@2=b lamp@3=c lamp@4=d")
	w.write("lamp", thing{Applied: 5, Value: "e"})
	expectTexts(t, take(t, r, 1), "lamp@5=e")
	nothing(t, r)
}

// However a reader's way back meets what is written meanwhile, it is told each change once, in the order of its
// partition. So little is remembered here that it has to go back to the changelog.
func TestReadersJoinAmidWritesWithoutGapOrRepeat(t *testing.T) {
	const keys, rounds, readers = 8, 60, 6
	w := newWorld(t, 4)
	table, _ := w.running()
	changes := told(table)
	changes.most = 50
	start := read(t, changes, nil).Position()

	var want [keys][]string
	var all sync.WaitGroup
	all.Go(func() {
		for i := int64(1); i <= rounds; i++ {
			for k := range keys {
				w.write(fmt.Sprint("k", k), thing{Applied: i, Value: "v"})
			}
		}
	})
	for k := range keys {
		for i := range rounds {
			want[k] = append(want[k], fmt.Sprintf("k%d@%d=v", k, i+1))
		}
	}
	for range readers {
		all.Go(func() {
			var got [keys][]string
			for _, text := range takeOver(t, changes, start, keys*rounds) {
				got[text[1]-'0'] = append(got[text[1]-'0'], text)
			}
			for k := range keys {
				if !slices.Equal(got[k], want[k]) {
					t.Errorf("of k%d a reader was told %v", k, got[k])
				}
			}
		})
	}
	all.Wait()
}

// takeOver reads n texts from a position on, leaving and coming back after every few.
func takeOver(t *testing.T, changes *Changes, position []int64, n int) (texts []string) {
	for len(texts) < n {
		r, err := changes.Open(within(t), position)
		if err != nil {
			t.Error(err)
			return texts
		}
		for few := min(len(texts)+100, n); len(texts) < few; {
			told, err := r.Next(within(t))
			if errors.Is(err, ErrBehind) {
				break
			}
			if err != nil {
				t.Error(err)
				return texts
			}
			for _, c := range told {
				texts = append(texts, string(c.Text()))
			}
		}
		position = r.Position()
		r.Close()
	}
	return texts
}

func TestAReaderThatIsTooSlowIsLeftBehindAndMayComeBack(t *testing.T) {
	w := newWorld(t, 1)
	table, _ := w.running()
	changes := told(table)
	changes.most = 3
	slow, quick := read(t, changes, nil), read(t, changes, nil)
	w.write("lamp", thing{Applied: 1, Value: "v"})
	take(t, slow, 1)
	take(t, quick, 1)
	for i := int64(2); i <= 6; i++ {
		w.write("lamp", thing{Applied: i, Value: "v"})
		take(t, quick, 1)
	}
	if _, err := slow.Next(within(t)); !errors.Is(err, ErrBehind) {
		t.Errorf("the error is %v, expected ErrBehind", err)
	}
	again := read(t, changes, slow.Position())
	expectTexts(t, take(t, again, 5), "lamp@2=v lamp@3=v lamp@4=v lamp@5=v lamp@6=v")
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	w := newWorld(t, 1)
	changes := told(w.table())
	row := thing{Applied: 1, Value: strings.Repeat("x", keepBytes/100)}.row()
	changes.add(arrival{key: "nobody reads", row: row})
	if len(changes.recent) != 0 {
		t.Error("a change is remembered for nobody")
	}
	changes.join(1)
	for i := range int64(500) {
		changes.add(arrival{key: "k", offset: i, row: row})
	}
	if changes.weight > keepBytes || len(changes.recent) < 40 || changes.end() != 500 {
		t.Errorf("%d changes of %d bytes are remembered, up to %d", len(changes.recent), changes.weight, changes.end())
	}
	for i := range int64(2 * keepChanges) {
		changes.add(arrival{key: "k", offset: i})
	}
	if len(changes.recent) != keepChanges {
		t.Errorf("%d changes are remembered", len(changes.recent))
	}
	changes.join(-1)
	if len(changes.recent) != 0 || changes.weight != 0 {
		t.Errorf("%d changes are remembered for nobody", len(changes.recent))
	}
}

// The stale owner's row is in the changelog, but it never was the table's.
func TestARowOfAStaleOwnerIsNotShown(t *testing.T) {
	w := newWorld(t, 1)
	table, _ := w.running()
	r := read(t, told(table), nil)
	w.write("lamp", thing{Applied: 5, Value: "new"})
	w.write("lamp", thing{Applied: 4, Value: "stale"})
	w.write("lamp", thing{Applied: 6, Value: "newer"})
	expectTexts(t, take(t, r, 2), "lamp@5=new lamp@6=newer")
	if p := r.Position(); p[0] != 3 {
		t.Errorf("the position is %v", p)
	}
}

func TestAPositionThatTheChangelogDoesNotHaveIsRefused(t *testing.T) {
	w, kafka := newKafkaWorld(t, 2) // whose topics can be cut
	table, _ := w.running()
	changes := told(table)
	w.write("lamp", thing{Applied: 1})
	w.write("lamp", thing{Applied: 2})
	partition := table.Partition("lamp")
	end := read(t, changes, nil).Position()
	beyond := slices.Clone(end)
	beyond[partition]++
	client, err := broker.Connection{Brokers: kafka.Brokers()}.Client()
	must(t, err)
	defer client.Close()
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: things, Partition: partition, At: 1})
	_, err = kadm.NewClient(client).DeleteRecords(t.Context(), cut)
	must(t, err)
	for _, position := range [][]int64{{0, 0}, beyond, {}, {0}, {0, 0, 0}} {
		if _, err := changes.Open(within(t), position); !errors.Is(err, ErrGone) {
			t.Errorf("at %v the error is %v, expected ErrGone", position, err)
		}
	}
	if changes.readers != 1 {
		t.Errorf("%d readers are counted", changes.readers)
	}
}

func TestNobodyReadsATableThatCanNotBeRead(t *testing.T) {
	w := newWorld(t, 1)
	var recovering *ErrRecovering
	if _, err := told(w.table()).Open(within(t), nil); !errors.As(err, &recovering) {
		t.Errorf("the error is %v", err)
	}
}
