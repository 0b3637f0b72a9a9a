package kafkaport

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// fetchRequest asks for one partition of each topic.
func fetchRequest(change func(*kmsg.FetchRequest), topics ...string) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 11, 0, 1, 1<<20
	for _, topic := range topics {
		t := kmsg.NewFetchRequestTopic()
		t.Topic = topic
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		t.Partitions = append(t.Partitions, p)
		q.Topics = append(q.Topics, t)
	}
	if change != nil {
		change(q)
	}
	return q
}

// sized returns n records of a size.
func sized(n, size int) (all []journal.Record) {
	for range n {
		all = append(all, journal.Record{Value: []byte(strings.Repeat("v", size))})
	}
	return all
}

// TestMaxBytes holds over all partitions, and for each, and lets at least one record through.
func TestMaxBytes(t *testing.T) {
	p := open(t, Limits{})
	for _, topic := range []string{letters, single, table} {
		p.append(topic, 0, sized(20, 1000)...)
	}
	r := p.raw()
	sizes := func(q *kmsg.FetchRequest) (counts []int, total int) {
		for _, topic := range ask[*kmsg.FetchResponse](r, q).Topics {
			counts = append(counts, len(decodeBatches(t, topic.Partitions[0].RecordBatches)))
			total += len(topic.Partitions[0].RecordBatches)
		}
		return counts, total
	}
	for _, c := range []struct {
		total, each int32
		want        [3]int
	}{
		{1 << 20, 1 << 20, [3]int{20, 20, 20}},
		{1 << 20, 5_000, [3]int{4, 4, 4}},
		{30_000, 1 << 20, [3]int{20, 9, 0}},
		{30_000, 12_000, [3]int{11, 11, 7}},
		{500, 1 << 20, [3]int{1, 0, 0}},
		{1 << 20, 500, [3]int{1, 0, 0}},
		{0, 0, [3]int{1, 0, 0}},
		{-1, -1, [3]int{1, 0, 0}},
	} {
		got, total := sizes(fetchRequest(func(q *kmsg.FetchRequest) {
			q.MaxBytes = c.total
			for i := range q.Topics {
				q.Topics[i].Partitions[0].PartitionMaxBytes = c.each
			}
		}, letters, single, table))
		if [3]int(got) != c.want || total > int(c.total) && c.want[0] > 1 {
			t.Errorf("at most %d bytes, %d of each: %v records with %d bytes, expected %v", c.total, c.each, got, total, c.want)
		}
	}
}

// TestAFetchWaits until there are as many bytes as it wants; what isn't durable doesn't count.
func TestAFetchWaits(t *testing.T) {
	p := open(t, Limits{})
	r := p.raw()
	q := fetchRequest(func(q *kmsg.FetchRequest) { q.MaxWaitMillis, q.MinBytes = 60_000, 2_500 }, letters, single)
	r.send(q)
	answered := make(chan kmsg.Response, 1)
	go func() {
		answer, err := r.receive(q)
		if err != nil {
			t.Error(err)
		}
		answered <- answer
	}()
	for _, topic := range []string{letters, single} {
		p.append(topic, 0, sized(1, 1000)...)
		select {
		case a := <-answered:
			t.Fatalf("too few bytes are answered: %+v", a)
		default:
		}
	}
	p.append(single, 0, sized(1, 1000)...)
	answer := (<-answered).(*kmsg.FetchResponse)
	if a, b := len(decodeBatches(t, answer.Topics[0].Partitions[0].RecordBatches)), len(decodeBatches(t, answer.Topics[1].Partitions[0].RecordBatches)); a != 1 || b != 2 {
		t.Errorf("%d and %d records", a, b)
	}
	began := time.Now()
	none := ask[*kmsg.FetchResponse](r, fetchRequest(func(q *kmsg.FetchRequest) { q.MaxWaitMillis = 50 }, orders))
	if got := none.Topics[0].Partitions[0]; len(got.RecordBatches) > 0 || got.RecordBatches == nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("nothing is %+v after %s", got, time.Since(began))
	}
}

func TestFetchesThatAreRefused(t *testing.T) {
	p := open(t, Limits{})
	p.append(single, 0, sized(3, 10)...)
	r := p.raw()
	for name, c := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   *kerr.Error
	}{
		"below the start":    {func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].FetchOffset = -1 }, kerr.OffsetOutOfRange},
		"above the end":      {func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].FetchOffset = 4 }, kerr.OffsetOutOfRange},
		"no such partition":  {func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].Partition = 1 }, kerr.UnknownTopicOrPartition},
		"a negative one":     {func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].Partition = -1 }, kerr.UnknownTopicOrPartition},
		"no such topic":      {func(q *kmsg.FetchRequest) { q.Topics[0].Topic = "unheard-of" }, kerr.UnknownTopicOrPartition},
		"an epoch to come":   {func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].CurrentLeaderEpoch = 1 }, kerr.UnknownLeaderEpoch},
		"an epoch of before": {func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].CurrentLeaderEpoch = -2 }, kerr.FencedLeaderEpoch},
		"a follower":         {func(q *kmsg.FetchRequest) { q.ReplicaID = 2 }, kerr.TopicAuthorizationFailed},
	} {
		q := fetchRequest(func(q *kmsg.FetchRequest) { q.MaxWaitMillis = 60_000; c.change(q) }, single)
		if got := ask[*kmsg.FetchResponse](r, q).Topics[0].Partitions[0].ErrorCode; got != c.want.Code {
			t.Errorf("%s: %v, expected %v", name, kerr.ErrorForCode(got), c.want)
		}
	}
	for name, c := range map[string]struct {
		id, epoch int32
		want      int16
	}{
		"a session to begin": {0, 0, 0}, "none": {0, -1, 0},
		"one to go on with": {7, 1, kerr.FetchSessionIDNotFound.Code}, "one without id": {0, 1, kerr.InvalidFetchSessionEpoch.Code},
	} {
		q := fetchRequest(func(q *kmsg.FetchRequest) { q.SessionID, q.SessionEpoch = c.id, c.epoch }, single)
		if got := ask[*kmsg.FetchResponse](r, q); got.ErrorCode != c.want || got.SessionID != 0 {
			t.Errorf("%s: code %d and session %d", name, got.ErrorCode, got.SessionID)
		}
	}
	unknown := fetchRequest(func(q *kmsg.FetchRequest) { q.Version, q.Topics[0].TopicID = 13, [16]byte{1} }, single)
	if got := ask[*kmsg.FetchResponse](r, unknown).Topics[0].Partitions[0].ErrorCode; got != kerr.UnknownTopicID.Code {
		t.Errorf("an unknown id: %v", kerr.ErrorForCode(got))
	}
}

// TestATableIsRead, with keys that were deleted.
func TestATableIsRead(t *testing.T) {
	p := open(t, Limits{})
	p.append(table, 0, journal.Record{Key: []byte("a"), Value: []byte("1")}, journal.Record{Key: []byte("b"), Value: []byte("1")})
	p.append(table, 0, journal.Record{Key: []byte("a")}, journal.Record{Key: []byte("b"), Value: []byte("2")})
	rows := map[string]string{}
	for _, r := range consume(t, p.client(kgo.ConsumeTopics(table)), 4) {
		if rows[string(r.Key)] = string(r.Value); r.Value == nil {
			delete(rows, string(r.Key))
		}
	}
	if len(rows) != 1 || rows["b"] != "2" {
		t.Errorf("the table is %v", rows)
	}
}

func TestOffsetsAreListed(t *testing.T) {
	p := open(t, Limits{})
	var times []int64
	for range 3 {
		p.append(orders, 1, sized(2, 10)...)
		times = append(times, p.journal.Now())
		for p.journal.Now() == times[len(times)-1] { // until the journal's clock has gone on
			time.Sleep(time.Millisecond)
		}
	}
	admin := kadm.NewClient(p.client())
	at := func(what string, listed kadm.ListedOffsets, err error, want int64) {
		t.Helper()
		got, found := listed.Lookup(orders, 1)
		if err != nil || !found || got.Err != nil || got.Offset != want {
			t.Errorf("%s: %+v, %v, expected %d", what, got, err, want)
		}
	}
	listed, err := admin.ListStartOffsets(t.Context(), orders)
	at("the start", listed, err, 0)
	listed, err = admin.ListEndOffsets(t.Context(), orders)
	at("the end", listed, err, 6)
	listed, err = admin.ListCommittedOffsets(t.Context(), orders)
	at("the end of what is committed", listed, err, 6)
	listed, err = admin.ListOffsetsAfterMilli(t.Context(), times[0])
	at("a time that a record has, or the next", listed, err, firstAfter(t, p, times[0]))
	listed, err = admin.ListOffsetsAfterMilli(t.Context(), times[0]+1)
	at("after the first", listed, err, 2)
	listed, err = admin.ListOffsetsAfterMilli(t.Context(), times[2]+1)
	at("after the last, kadm tells the end", listed, err, 6)
	listed, err = admin.ListMaxTimestampOffsets(t.Context(), orders)
	at("the last time", listed, err, 4)

	r := p.raw()
	for timestamp, want := range map[int64]int16{-4: kerr.UnsupportedVersion.Code, -7: kerr.UnsupportedVersion.Code, -1: 0} {
		if got := ask[*kmsg.ListOffsetsResponse](r, listRequest(4, timestamp)).Topics[0].Partitions[0]; got.ErrorCode != want {
			t.Errorf("time %d in version 4: %+v", timestamp, got)
		}
	}
	if got := ask[*kmsg.ListOffsetsResponse](r, listRequest(9, -5)).Topics[0].Partitions[0]; got.ErrorCode != 0 || got.Offset != -1 {
		t.Errorf("the tiered end: %+v", got)
	}
}

// firstAfter looks for an offset without an index.
func firstAfter(t *testing.T, p *port, ms int64) int64 {
	first := int64(-1)
	if err := p.journal.Partition(orders, 1).Read(t.Context(), 0, 1<<60, journal.Durable, func(r journal.Record) error {
		if r.Time >= ms && first < 0 {
			first = r.Offset
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return first
}

func listRequest(version int16, timestamp int64) *kmsg.ListOffsetsRequest {
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version, q.ReplicaID = version, -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = orders
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Partition, partition.Timestamp = 1, timestamp
	topic.Partitions = append(topic.Partitions, partition)
	q.Topics = append(q.Topics, topic)
	return q
}

func TestAnEpochEndsWhereThePartitionDoes(t *testing.T) {
	p := open(t, Limits{})
	p.append(single, 0, sized(3, 10)...)
	var q kadm.OffsetForLeaderEpochRequest
	q.Add(single, 0, 0)
	got, err := kadm.NewClient(p.client()).OffsetForLeaderEpoch(t.Context(), q)
	if err != nil || got[single][0].EndOffset != 3 || got[single][0].LeaderEpoch != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTheEndIsTheDurableOne: a consumer that begins at the end sees what comes then.
func TestTheEndIsTheDurableOne(t *testing.T) {
	p := open(t, Limits{})
	p.append(single, 0, sized(3, 10)...)
	consumer := p.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{single: {0: kgo.NewOffset().At(3)}}))
	producer := p.client()
	produce(t, producer, single, "next")
	if got := consume(t, consumer, 1); string(got[0].Value) != "next" || got[0].Offset != 3 {
		t.Errorf("%+v", got[0])
	}
	beyond := p.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{single: {0: kgo.NewOffset().At(99)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err := beyond.PollFetches(t.Context()).Err(); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
}
