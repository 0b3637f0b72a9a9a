package move

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/order"
)

var every = flag.Int64("every", 9, "a move is killed at each request of so many")

// A move that is killed at any request, before the broker has seen it or after, is finished by the next, though the journal
// has grown meanwhile; and until then nobody may use what is there.
func TestAMoveIsKilledAtAnyRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kills := 0
	for n := int64(1); ; n += *every {
		w.opens()
		met := w.killed(n, n%2 == 0)
		if !met {
			break
		}
		kills++
		if state, known, err := Find(t.Context(), w.conn); err != nil || !known || !state.Finished {
			if _, _, err := Check(t.Context(), w.conn); known && (err == nil || !strings.Contains(err.Error(), "isn't finished")) {
				t.Errorf("killed at request %d, it may be used: %v", n, err)
			}
			if !w.left && n%3 == 0 {
				w.write(5)
			}
		}
		again, err := w.move(t.Context())
		if err != nil {
			t.Fatalf("after it was killed at request %d: %v", n, err)
		}
		w.moved()
		if t.Failed() {
			t.Fatalf("after it was killed at request %d: %+v", n, again)
		}
		w.kafka.Close()
	}
	w.moved()
	t.Logf("killed at %d requests", kills)
}

// A move that is killed again and again, each time a little later, comes to its end.
func TestAMoveIsKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := int64(1); w.killed(n, n%2 == 0); n += 5 {
		if !w.left {
			w.write(1)
		}
	}
	w.moved()
}

// begun is a Kafka to which a move has begun, and nothing more.
func (w *world) begun() {
	w.t.Helper()
	w.opens()
	_, _, err := w.conn.Ensure(w.t.Context(), []broker.Topic{topic}, 1)
	must(w.t, err)
	_, err = State{Journal: w.journal.ID(), Deployment: w.journal.Deployment(), From: "/data"}.note(w.t.Context(), w.conn)
	must(w.t, err)
	must(w.t, w.conn.EnsureMoving(w.t.Context(), shop, partitions))
}

func (w *world) produce(r kgo.Record) {
	w.t.Helper()
	client, err := w.conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(w.t, err)
	defer client.Close()
	must(w.t, client.ProduceSync(w.t.Context(), &r).FirstErr())
}

// refused moves, and expects an error with these texts and that nothing is marked.
func (w *world) refused(says ...string) {
	w.t.Helper()
	_, err := w.move(w.t.Context())
	w.says(err, says...)
	if w.left {
		w.t.Error("the directory is marked")
	}
}

func (w *world) says(err error, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			w.t.Errorf("it says %v, not %q", err, text)
		}
	}
}

// What is there before a move begins, and is not of the journal, ends it by name.
func TestAKafkaThatIsUsedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, err := w.conn.Ensure(t.Context(), shop, partitions)
	must(t, err)
	w.refused("topic "+aLog+" has message.timestamp.type=LogAppendTime", "set it to CreateTime")
	for _, topic := range shop {
		w.opens()
		must(t, w.conn.EnsureMoving(t.Context(), shop, partitions))
		w.produce(kgo.Record{Topic: topic.Name, Partition: 1, Value: []byte("somebody's")})
		w.refused("topic " + topic.Name + ", partition 1 has 1 records")
	}
	w.opens()
	must(t, w.conn.EnsureMoving(t.Context(), shop, partitions+1))
	w.refused("3 partitions", "journal 2")

	other := newWorld(t)
	_, err = other.move(t.Context())
	must(t, err)
	w.conn = other.conn
	w.refused("for another journal", other.journal.Deployment())
	other.left = false
	other.refused("is a copy of it that doesn't know")
}

// What comes there while a move is under way is found, and left as it is.
func TestWhatIsNotOfTheJournalIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for topic, says := range map[string]string{aLog: "the key is", letters: "the key is", aTable: "not in the journal"} {
		w.begun()
		w.produce(kgo.Record{Topic: topic, Partition: 1, Key: []byte("theirs"), Value: []byte("somebody's")})
		w.refused("topic "+topic+", partition 1, offset 0: ", says)
	}
	w.begun()
	r := &run{Move: w.newMove(), local: broker.NewLocal(w.journal), report: new(Report)}
	must(t, r.copy(t.Context()))
	must(t, r.commit(t.Context()))
	must(t, r.compare(t.Context()))
	w.produce(kgo.Record{Topic: aLog, Partition: 1, Value: []byte("one more")})
	w.says(r.compare(t.Context()), "the topic ends at 16, and the journal at 15")
}

// Each thing that a record has is compared.
func TestAChangedRecordIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var first kgo.Record
	must(t, broker.NewLocal(w.journal).Read(t.Context(), aLog, 0, 0, 1, func(r *kgo.Record) error {
		first = *r
		first.Headers = slices.Clone(r.Headers)
		return nil
	}))
	for what, change := range map[string]func(*kgo.Record){
		"the key is":      func(r *kgo.Record) { r.Key = nil },
		"the value has":   func(r *kgo.Record) { r.Value = append([]byte(nil), "massage 0"...) },
		"the value has 0": func(r *kgo.Record) { r.Value = nil },
		"the time is":     func(r *kgo.Record) { r.Timestamp = r.Timestamp.Add(time.Millisecond) },
		"the headers are": func(r *kgo.Record) { r.Headers = r.Headers[:1] },
	} {
		changed := first
		change(&changed)
		w.begun()
		w.produce(changed)
		w.refused("topic events, partition 0, offset 0: " + what)
		if digestAt(&changed) == digestAt(&first) {
			t.Errorf("%s something else, and the digest is the same", what)
		}
	}
	w.begun()
	w.produce(first)
	_, err := w.move(t.Context())
	must(t, err)
	w.moved()
}

// What a run of before had sent may arrive while the next one looks: it is taken for what it is, and nothing is sent twice.
func TestWhatArrivesLateIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var records []kgo.Record
	must(t, broker.NewLocal(w.journal).Read(t.Context(), aLog, 0, 0, 2, func(r *kgo.Record) error {
		records = append(records, *r)
		records[r.Offset].Headers = slices.Clone(r.Headers)
		return nil
	}))
	for _, changed := range []bool{false, true} {
		w.begun()
		w.produce(records[0])
		ends, err := w.conn.Ends(t.Context(), aLog)
		must(t, err)
		at := broker.TopicPartition{Topic: aLog, Partition: 0}
		late := records[1]
		if changed {
			late.Value = []byte("something else")
		}
		w.produce(late)
		p := part{run: &run{Move: w.newMove(), local: broker.NewLocal(w.journal)}, TopicPartition: at, end: 15, there: ends[at]}
		switch err := p.copyLog(t.Context()); {
		case changed:
			w.says(err, "topic events, partition 0, offset 1: the value")
		case err != nil || !slices.Equal(w.read(w.conn, aLog, 0, true), w.read(p.local, aLog, 0, true)):
			t.Errorf("%v, %q", err, w.read(w.conn, aLog, 0, true))
		}
	}
}

// A row that is there as it was in the journal some time ago is gone on from; what is newer than the journal's is not its own.
func TestOlderRowsAreReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	row := func(applied int64) kgo.Record {
		return kgo.Record{Topic: aTable, Key: []byte("key-0"), Value: codecs.EncodeOrderRow(codecs.Head{Applied: applied}, order.State{})}
	}
	w.begun()
	w.produce(row(0))
	_, err := w.move(t.Context())
	must(t, err)
	w.moved()
	w.begun()
	w.produce(row(1000))
	w.refused("topic table, partition 0, offset 0: ", "neither that of the journal nor an older one")
}

// Log time never goes back: the brokers' clock has passed the last record when the move is finished, or there is none.
func TestTheBrokersClockMayBeBehind(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, ahead(1500*time.Millisecond))
	last := w.journal.Now()
	report, err := w.move(t.Context())
	must(t, err)
	if report.State.At.UnixMilli() < last-100 { // the world was written within those
		t.Errorf("the move was finished at %d, and the last record is of %d", report.State.At.UnixMilli(), last)
	}
	w = newWorldAt(t, ahead(2*time.Minute))
	w.refused("the brokers' clock shows ")
}

// ahead is a clock that is ahead of the brokers'.
type ahead time.Duration

func (a ahead) Wall() time.Time     { return time.Now().Add(time.Duration(a)) }
func (a ahead) Boot() time.Duration { return time.Since(begun) }

var begun = time.Now()
