package journal

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stockflow/journal/files/powercut"
)

func TestARecordIsReadAsItWasAppended(t *testing.T) {
	disk := powercut.New()
	records := []Record{
		{},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("k"), Value: []byte("v"), Headers: headersOf(header{"a", []byte("1")}, header{"", nil}, header{"a", []byte{}})},
		{Value: []byte(strings.Repeat("x", 3000))},
		{Headers: headersOf(header{"only", []byte("this")})},
	}
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	for i, r := range records {
		if first, _, err := p.Append(r); err != nil || first != int64(i) {
			t.Fatal(first, err)
		}
		records[i].Offset, records[i].Time = int64(i), j.Now()
	}
	check := func(p *Partition, h Horizon) {
		t.Helper()
		c := p.Follow(0, h)
		for _, want := range records {
			got, err := c.Next(t.Context(), 1)
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
				t.Fatalf("got %v %v, want %v", got, err, want)
			}
		}
		if got, err := c.Try(1); err != nil || got != nil {
			t.Fatal(got, err)
		}
	}
	check(p, Appended)
	check(p, Durable)
	closeNow(t, j)
	check(openSmall(t, disk).Partition("orders", 0), Durable) // from the disk
}

func TestTopicsAreMadeOnce(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	made, err := j.CreateTopic("orders", Log, 3)
	if err != nil {
		t.Fatal(err)
	}
	closeNow(t, j)
	j = openSmall(t, disk)
	if again, err := j.CreateTopic("orders", Log, 3); err != nil || again != made {
		t.Errorf("made again: %v %v, was %v", again, err, made)
	}
	for _, test := range []struct {
		name       string
		kind       Kind
		partitions int32
		want       string
	}{
		{"orders", Table, 3, "it is a log, not a table"},
		{"orders", Log, 4, "it has 3 partitions, not 4"},
		{"", Log, 1, "name: must have 1 to 249 bytes, has 0"},
		{"x", 0, 1, "kind: must be log or table, is kind 0"},
		{"x", Log, 0, "partitions: must be 1 to 1024, are 0"},
		{"x", Log, 1025, "partitions: must be 1 to 1024, are 1025"},
		{"x", Log, 1000, "too large"}, // for checkpoints in files as small as these
	} {
		if _, err := j.CreateTopic(test.name, test.kind, test.partitions); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v", test, err)
		}
	}
	if got := j.Topics(); !slices.Equal(got, []Topic{made}) {
		t.Error(got)
	}
	if j.Partition("orders", 3) != nil || j.Partition("orders", -1) != nil || j.Partition("x", 0) != nil {
		t.Error("there is a partition that there isn't")
	}
	if p := j.Partition("orders", 2); p.String() != "orders/2" || p.Number() != 2 || p.Topic() != made {
		t.Error(p)
	}
}

func TestCommitsAreOfTheirHorizon(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	tp := TopicPartition{"orders", 0}
	commit := func(offset int64) Position {
		t.Helper()
		at, err := j.Commit("g", map[TopicPartition]Committed{tp: {Offset: offset, Metadata: "m"}})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if err := j.WaitDurable(t.Context(), commit(1)); err != nil {
		t.Fatal(err)
	}
	outcome := hangingDisk(disk)
	put2 := func() { _, _, _ = p.Append(Record{}) }
	put2()
	at := commit(2)
	if got := j.Committed("g", Appended)[tp]; got != (Committed{2, "m"}) {
		t.Error(got)
	}
	if got := j.Committed("g", Durable)[tp]; got != (Committed{1, "m"}) {
		t.Error(got)
	}
	if _, end := p.Bounds(Durable); end != 0 {
		t.Error(end)
	}
	close(outcome)
	if err := j.WaitDurable(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if got := j.Committed("g", Durable)[tp]; got.Offset != 2 {
		t.Error(got)
	}
	closeNow(t, j)
	j = openSmall(t, disk)
	if got := j.Committed("g", Durable); len(got) != 1 || got[tp] != (Committed{2, "m"}) {
		t.Error(got)
	}
	if got := j.Groups(); !slices.Equal(got, []string{"g"}) {
		t.Error(got)
	}
	if got := j.Committed("other", Durable); len(got) != 0 {
		t.Error(got)
	}
}

func TestWhatIsRefusedIsNotAppended(t *testing.T) {
	o := smallOptions(powercut.New())
	o.TailBytes = 32 << 20
	j := openWith(t, o)
	p := partition(t, j, "orders")
	before := j.Appended()
	tp := TopicPartition{"orders", 0}
	commit := func(group string, tp TopicPartition, c Committed) error {
		_, err := j.Commit(group, map[TopicPartition]Committed{tp: c})
		return err
	}
	_, _, tooLarge := p.Append(Record{Value: make([]byte, maxRecord+1)})
	_, _, together := p.Append(Record{Value: make([]byte, maxRecord)}, Record{Value: make([]byte, maxRecord)})
	for _, test := range []struct{ got, want error }{
		{tooLarge, ErrTooLarge},
		{together, ErrTooLarge},
		{commit("g", TopicPartition{"x", 0}, Committed{}), ErrUnknownTopic},
		{commit("g", tp, Committed{Offset: -1}), ErrOutOfRange},
		{commit("g", tp, Committed{Metadata: strings.Repeat("m", 5000)}), ErrTooLarge},
		{commit(strings.Repeat("g", 2000), tp, Committed{}), ErrTooLarge},
		{j.WaitDurable(t.Context(), before+1), ErrOutOfRange},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("got %v, want %v", test.got, test.want)
		}
	}
	if j.Appended() != before {
		t.Error("something was appended")
	}
	if _, _, err := p.Append(Record{Value: make([]byte, maxRecord)}); err != nil {
		t.Error(err)
	}
}

// A checkpoint has to fit in a file, with what comes after it.
func TestCommitsAreBounded(t *testing.T) {
	disk := powercut.New()
	j := openSmall(t, disk)
	p := partition(t, j, "orders")
	tp := TopicPartition{"orders", 0}
	var err error
	groups := 0
	for ; err == nil; groups++ {
		_, err = j.Commit(strings.Repeat("g", 100+groups), map[TopicPartition]Committed{tp: {Offset: 1}})
	}
	if !errors.Is(err, ErrTooLarge) || groups < 10 {
		t.Fatal(groups, err)
	}
	if _, err := j.Commit(strings.Repeat("g", 100), map[TopicPartition]Committed{tp: {Offset: 2}}); err != nil {
		t.Error("a group that is there may go on: ", err)
	}
	for n := range 100 { // checkpoints of that size are written
		put(t, p, numbered(n*10, 10)...)
	}
	closeNow(t, j)
	if n := len(openSmall(t, disk).Groups()); n != groups-1 {
		t.Errorf("%d groups, %d have committed", n, groups-1)
	}
}

func TestCursorsOutsideOfThePartition(t *testing.T) {
	j := openSmall(t, powercut.New())
	p := partition(t, j, "orders")
	put(t, p, "0", "1")
	for _, from := range []int64{-1, 3, math.MaxInt64} {
		if _, err := p.Follow(from, Durable).Next(t.Context(), 100); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("from %d: %v", from, err)
		}
	}
	if got, err := p.Follow(2, Durable).Try(100); got != nil || err != nil {
		t.Error(got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Follow(2, Durable).Next(ctx, 100); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// As much as is asked for, but at least one; the next call goes on.
func TestBatchesOfACursor(t *testing.T) {
	j := openSmall(t, powercut.New())
	p := partition(t, j, "orders")
	put(t, p, "aaaa", "bbbb", "cccc")
	put(t, p, "dddd", "eeee")
	for _, test := range []struct {
		maxBytes int
		want     []int
	}{
		{-1, []int{1, 1, 1, 1, 1}},
		{0, []int{1, 1, 1, 1, 1}},
		{2*(4+32) - 1, []int{1, 1, 1, 1, 1}},
		{2 * (4 + 32), []int{2, 2, 1}},
		{4 * (4 + 32), []int{4, 1}},
		{1000, []int{5}},
	} {
		c := p.Follow(0, Durable)
		var got []int
		for {
			rs, err := c.Try(test.maxBytes)
			if err != nil {
				t.Fatal(err)
			}
			if len(rs) == 0 {
				break
			}
			got = append(got, len(rs))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%d bytes: %v, want %v", test.maxBytes, got, test.want)
		}
	}
}

// A cursor uses the memory of a batch again, but not that of its records. It lets go of them when there is nothing new.
func TestRecordsOutliveTheirBatch(t *testing.T) {
	j := openSmall(t, powercut.New())
	p := partition(t, j, "orders")
	c := p.Follow(0, Appended)
	var kept []Record
	var batch []Record
	for _, v := range []string{"a", "b", "c"} {
		put(t, p, v)
		rs, err := c.Try(1)
		if err != nil || len(rs) != 1 {
			t.Fatal(rs, err)
		}
		kept, batch = append(kept, rs[0]), rs
	}
	for i, want := range []string{"a", "b", "c"} {
		if kept[i].Offset != int64(i) || string(kept[i].Value) != want {
			t.Errorf("record %d is %d %q", i, kept[i].Offset, kept[i].Value)
		}
	}
	if rs, err := c.Try(1); rs != nil || err != nil {
		t.Fatal(rs, err)
	}
	if batch[0].Value != nil {
		t.Error("the cursor keeps the memory of a record that was read long ago")
	}
}

// What comes between a Try that finds nothing and the call of Wake is not missed.
func TestWakeAfterTry(t *testing.T) {
	j := openSmall(t, powercut.New())
	p := partition(t, j, "orders")
	c := p.Follow(0, Appended)
	for _, v := range []string{"a", "b"} {
		if rs, err := c.Try(1); rs != nil || err != nil {
			t.Fatal(rs, err)
		}
		put(t, p, v)
		select {
		case <-c.Wake():
		default:
			t.Error("not woken for a record that is there")
		}
		if rs, err := c.Try(1); len(rs) != 1 || err != nil {
			t.Fatal(rs, err)
		}
	}
}

func TestFindTime(t *testing.T) {
	o := smallOptions(powercut.New())
	clock := newTestClock()
	o.Clock = clock
	j := openWith(t, o)
	p := partition(t, j, "orders")
	var times []int64
	for n := range 500 {
		put(t, p, numbered(n, 1)...)
		times = append(times, j.Now())
		if n%3 == 0 {
			clock.pass(1000000)
		}
	}
	for _, ms := range append(times, 0, times[0]-1, times[499]+1) {
		want := slices.IndexFunc(times, func(at int64) bool { return at >= ms })
		offset, at, found := p.FindTime(ms, Durable)
		if found != (want >= 0) || found && (offset != int64(want) || at != times[want]) {
			t.Errorf("at %d: %d %d %v, want %d", ms, offset, at, found, want)
		}
	}
}

func TestAfterCloseNothingGoes(t *testing.T) {
	j := openSmall(t, powercut.New())
	p := partition(t, j, "orders")
	c := p.Follow(0, Durable)
	waiting := make(chan error)
	go func() { _, err := c.Next(context.Background(), 1); waiting <- err }()
	closeNow(t, j)
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, _, err := p.Append(Record{}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := p.Follow(0, Durable).Try(1); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
