package kafkaport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answers reports whether the port answers one who behaves.
func (p *port) answers() bool {
	p.t.Helper()
	q := kmsg.NewPtrMetadataRequest()
	q.Version = 9
	return len(ask[*kmsg.MetadataResponse](p.raw(), q).Topics) == 4
}

// frameOf is what goes over the wire for a request of a kind.
func frameOf(key, version int16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(10+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 1, 0xff, 0xff) // correlation id, no client id
	return append(b, body...)
}

// TestMalformedRequestsEndTheirConnection, and nothing else.
func TestMalformedRequestsEndTheirConnection(t *testing.T) {
	p := open(t, Limits{})
	tooManyTags := binary.AppendUvarint(nil, 1<<32-1)
	for name, sent := range map[string][]byte{
		"HTTP":                           []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"nothing":                        {0, 0, 0, 0, 0, 0},
		"a negative size":                {0xff, 0xff, 0xff, 0xff, 0, 18},
		"a command that is too large":    {0, 0x20, 0, 0, 0, 3},
		"a produce that is too large":    {0x7f, 0, 0, 0, 0, 0},
		"a client id that isn't there":   {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff},
		"a kind that isn't":              frameOf(999, 0),
		"a kind that is not offered":     frameOf(kmsg.CreateTopics.Int16(), 5, 0, 0, 0, 0, 0),
		"a version that is too new":      frameOf(kmsg.Metadata.Int16(), 99),
		"a version that is too old":      frameOf(kmsg.Fetch.Int16(), 3),
		"a negative version":             frameOf(kmsg.Metadata.Int16(), -1),
		"a body that ends too soon":      frameOf(kmsg.Metadata.Int16(), 1, 0, 0),
		"a list that isn't there":        frameOf(kmsg.Metadata.Int16(), 1, 0x7f, 0xff, 0xff, 0xff),
		"tags that aren't there":         frameOf(kmsg.ApiVersions.Int16(), 3, append([]byte{0, 1, 1}, tooManyTags...)...),
		"tags in the header":             frameOf(kmsg.ApiVersions.Int16(), 3, tooManyTags...),
		"null where there must be bytes": frameOf(kmsg.Heartbeat.Int16(), 0, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff),
	} {
		r := p.raw()
		r.within(10 * time.Second)
		if _, err := r.conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		if !r.isClosed() {
			t.Errorf("%s: it is answered", name)
		}
	}
	if !p.answers() {
		t.Error("the port doesn't answer any more")
	}
}

// TestAVersionThatIsTooNew of the first request is answered with those that there are.
func TestAVersionThatIsTooNew(t *testing.T) {
	p := open(t, Limits{})
	r := p.raw()
	if _, err := r.conn.Write(frameOf(kmsg.ApiVersions.Int16(), 50, 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	r.n = 1
	oldest := kmsg.NewPtrApiVersionsRequest()
	got, err := r.receive(oldest)
	if err != nil {
		t.Fatal(err)
	}
	answer := got.(*kmsg.ApiVersionsResponse)
	if answer.ErrorCode != kerr.UnsupportedVersion.Code || len(answer.ApiKeys) != len(kinds) {
		t.Errorf("it is told %+v", answer)
	}
	oldest.Version = 3
	if again := ask[*kmsg.ApiVersionsResponse](r, oldest); again.ErrorCode != 0 || len(again.ApiKeys) != len(kinds) {
		t.Errorf("the second time it is told %+v", again)
	}
	for _, key := range answer.ApiKeys {
		if key.ApiKey == kmsg.Produce.Int16() && key.MinVersion != 0 {
			t.Error("librdkafka doesn't compress for a broker that takes no Produce of version 0")
		}
	}
}

// TestEveryVersionIsAnswered, as kmsg can read.
func TestEveryVersionIsAnswered(t *testing.T) {
	p := open(t, Limits{})
	r := p.raw()
	eachVersion(func(q kmsg.Request) {
		if fetch, ok := q.(*kmsg.FetchRequest); ok {
			fetch.ReplicaID, fetch.ReplicaState.ID = -1, -1
		}
		if produce, ok := q.(*kmsg.ProduceRequest); ok {
			produce.Acks = 1
		}
		r.send(q)
		answer, err := r.receive(q)
		if err != nil || answer.GetVersion() != q.GetVersion() {
			t.Fatalf("%s version %d: %+v, %v", kmsg.NameForKey(q.Key()), q.GetVersion(), answer, err)
		}
	})
}

func TestWhatThereIs(t *testing.T) {
	p := open(t, Limits{})
	admin := kadm.NewClient(p.client())
	m, err := admin.Metadata(t.Context())
	if err != nil || !strings.HasPrefix(m.Cluster, ClusterID) || !strings.Contains(m.Cluster, p.journal.ID()) || len(m.Brokers) != 1 || len(m.Topics) != 4 || len(m.Topics[orders].Partitions) != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	if host, port, _ := net.SplitHostPort(p.address); m.Brokers[0].Host != host || port == "" || m.Topics[orders].ID == [16]byte{} {
		t.Errorf("the broker is %+v", m.Brokers[0])
	}
	q := kmsg.NewPtrMetadataRequest()
	q.Version, q.AllowAutoTopicCreation = 12, true
	byID := kmsg.NewMetadataRequestTopic()
	byID.TopicID = m.Topics[table].ID
	unknown := kmsg.NewMetadataRequestTopic()
	unknown.TopicID = [16]byte{1}
	unheard := kmsg.NewMetadataRequestTopic()
	unheard.Topic = kmsg.StringPtr("unheard-of")
	q.Topics = append(q.Topics, byID, unknown, unheard)
	q.IncludeTopicAuthorizedOperations = true
	topics := ask[*kmsg.MetadataResponse](p.raw(), q).Topics
	if *topics[0].Topic != table || topics[0].ErrorCode != 0 || topics[0].AuthorizedOperations&mayWrite != 0 {
		t.Errorf("the table is %+v", topics[0])
	}
	if topics[1].ErrorCode != kerr.UnknownTopicID.Code || topics[2].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("the others are %+v", topics[1:])
	}
	if got := len(p.journal.Topics()); got != 4 {
		t.Errorf("there are %d topics", got)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), orders, table, "unheard-of")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs {
		values := map[string]string{}
		for _, one := range c.Configs {
			values[one.Key] = one.MaybeValue()
		}
		want := map[string]string{orders: "delete", table: "compact"}[c.Name]
		if c.Name == "unheard-of" && !errors.Is(c.Err, kerr.UnknownTopicOrPartition) {
			t.Errorf("%s: %v", c.Name, c.Err)
		}
		if c.Err == nil && (values["cleanup.policy"] != want || values["retention.ms"] != "-1" || values["message.timestamp.type"] != "LogAppendTime") {
			t.Errorf("%s: %v", c.Name, values)
		}
	}
	if broker, err := admin.DescribeBrokerConfigs(t.Context(), brokerID); err != nil || len(broker[0].Configs) == 0 {
		t.Errorf("%+v, %v", broker, err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "mine"); err == nil {
		t.Error("a topic is made")
	}
}

// TestTooManyConnections are closed, and one that goes makes room.
func TestTooManyConnections(t *testing.T) {
	p := open(t, Limits{Connections: 2})
	q := kmsg.NewPtrApiVersionsRequest()
	first, second := p.raw(), p.raw()
	ask[*kmsg.ApiVersionsResponse](first, q)
	ask[*kmsg.ApiVersionsResponse](second, q)
	if !p.raw().isClosed() {
		t.Error("one too many is answered")
	}
	_ = first.conn.Close()
	for end := time.Now().Add(time.Minute); ; { // until the port has heard of it
		third := p.raw()
		if _, err := third.conn.Write(encode(q, 1)); err == nil {
			third.n = 1
			if _, err := third.receive(q); err == nil {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatal("there is no room after one has gone")
		}
	}
}

// TestRequestsShareTheirMemory: who finds it used up waits until others are done.
func TestRequestsShareTheirMemory(t *testing.T) {
	p := open(t, Limits{Request: 1 << 20, Command: 1 << 20, Requests: 1 << 20, Transfer: time.Minute})
	slow := p.raw()
	batch := newBatch(strings.Repeat("v", 1<<20-200)).bytes()
	sent := encode(produceRequest(9, single, 0, batch), 1)
	if _, err := slow.conn.Write(sent[:len(sent)-1]); err != nil {
		t.Fatal(err)
	}
	for p.server.requests.TryAcquire(1000) { // until it holds all of it
		p.server.requests.Release(1000)
		time.Sleep(time.Millisecond)
	}
	waits := p.raw()
	answered := make(chan bool)
	q := produceRequest(9, single, 0, newBatch("w").bytes())
	waits.send(q)
	go func() {
		_, err := waits.receive(q)
		answered <- err == nil
	}()
	select {
	case <-answered:
		t.Error("a request is answered while others have all memory")
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := slow.conn.Write(sent[len(sent)-1:]); err != nil {
		t.Fatal(err)
	}
	if !<-answered {
		t.Error("it isn't answered when there is memory again")
	}
	slow.n = 1
	if _, err := slow.receive(q); err != nil {
		t.Error(err)
	}
	if end := p.ends(single)[0]; end != 2 {
		t.Errorf("the log ends at %d", end)
	}
}

// TestWhoSaysHalfARequestIsClosed, so that its memory comes back.
func TestWhoSaysHalfARequestIsClosed(t *testing.T) {
	p := open(t, Limits{Transfer: 20 * time.Millisecond, Idle: 20 * time.Millisecond})
	half, idle := p.raw(), p.raw()
	if _, err := half.conn.Write([]byte{0, 0, 0, 100, 0, 18, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if !half.isClosed() || !idle.isClosed() {
		t.Error("it is answered")
	}
	if !p.server.requests.TryAcquire(p.server.limits.Requests) {
		t.Error("memory is held")
	}
}

// TestWhoWaitsIsNotIdle: a fetch may wait for longer than a connection may be idle.
func TestWhoWaitsIsNotIdle(t *testing.T) {
	p := open(t, Limits{Idle: 10 * time.Millisecond})
	r := p.raw()
	if got := ask[*kmsg.FetchResponse](r, fetchRequest(func(q *kmsg.FetchRequest) { q.MaxWaitMillis = 100 }, single)); got.ErrorCode != 0 {
		t.Errorf("%+v", got)
	}
}

// flaky is a listener that fails some times before each accept.
type flaky struct {
	net.Listener
	mu       sync.Mutex
	failures int
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

// TestAcceptingIsTriedAgain when the process has no file descriptor left for a while.
func TestAcceptingIsTriedAgain(t *testing.T) {
	p := open(t, Limits{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(&flaky{Listener: listener, failures: 5}) }()
	produce(t, clientAt(t, listener.Addr().String()), single, "v")
	p.close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Journal: openJournal(t), Log: quiet(t)})
	if err := s.Serve(listener); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("all interfaces are served: %v", err)
	}
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener stays open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseEndsThoseWhoWait for records, or for others to join.
func TestCloseEndsThoseWhoWait(t *testing.T) {
	p := open(t, Limits{})
	fetches := p.raw()
	fetches.send(fetchRequest(func(q *kmsg.FetchRequest) { q.MaxWaitMillis = 30_000 }, single))
	joins := make([]*raw, 2) // nobody of them is the other
	for i := range joins {
		joins[i] = p.raw()
		q := kmsg.NewPtrJoinGroupRequest()
		q.Version, q.Group, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = 1, "shop", 30_000, 300_000, "consumer"
		q.Protocols = append(q.Protocols, kmsg.JoinGroupRequestProtocol{Name: "range", Metadata: []byte{}})
		if i == 0 {
			ask[*kmsg.JoinGroupResponse](joins[i], q)
		} else {
			joins[i].send(q)
		}
	}
	for len(p.server.groups.List()) == 0 {
		time.Sleep(time.Millisecond)
	}
	p.close()
	if !fetches.isClosed() || !joins[1].isClosed() {
		t.Error("they are answered")
	}
}

// TestAnAnswerHasNoMoreThanItMay: records go out within the limit of the server, whatever the client asks for.
func TestAnAnswerHasNoMoreThanItMay(t *testing.T) {
	p := open(t, Limits{Fetch: 10_000})
	p.append(single, 0, sized(100, 1000)...)
	got := ask[*kmsg.FetchResponse](p.raw(), fetchRequest(nil, single)).Topics[0].Partitions[0].RecordBatches
	if len(got) > 10_000 || len(got) < 8_000 {
		t.Errorf("an answer has %d bytes of records", len(got))
	}
	large := bytes.Repeat([]byte("v"), 1<<20)
	if err := p.client(kgo.ProducerBatchMaxBytes(8<<20)).ProduceSync(t.Context(), &kgo.Record{Topic: letters, Value: large}).FirstErr(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Error(err)
	}
	produce(t, p.client(kgo.ProducerBatchMaxBytes(8<<20)), orders, string(large[:1<<20]))
	if got := consume(t, p.client(kgo.ConsumeTopics(orders)), 1); len(got[0].Value) != 1<<20 {
		t.Errorf("a large record comes back with %d bytes", len(got[0].Value))
	}
}
