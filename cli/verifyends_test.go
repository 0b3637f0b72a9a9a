package cli

import (
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/machines/notification"
	"stockflow/machines/shipment"
	"stockflow/processors"
	"stockflow/replay"
)

// TestBrokersThatTellTheirEndsOneAfterTheOther: an order is placed, decided and told of while the ends of the logs are asked
// for. Some logs' leaders have told theirs before, and the others' afterwards. Whichever those are, and whichever the
// question is at which it happens, what is compared agrees.
func TestBrokersThatTellTheirEndsOneAfterTheOther(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	p := tradedOnKafka(t)
	before := momentOf(t, p.conn())
	m := millOf(t, p)
	m.client.want("POST", "/v1/inventory/sku-9/receipts", `{"quantity":100}`, 200)
	m.client.want("POST", "/v1/orders", `{"order_id":"late","customer":{"id":"ada","email":"ada@example.org"},"lines":[{"sku":"sku-9","quantity":1}]}`, 201, `"confirmed"`)
	until(m, m.server.tables.Shipments, "late", func(s shipment.State) bool { return s.Status == shipment.StatusScheduled })
	until(m, m.server.tables.Mails, "late", func(s notification.State) bool { return len(s.Mails) > 0 })
	halt(t, m.server)
	for group, offsets := range before.committed {
		must(t, p.conn().Commit(t.Context(), group, offsets))
	}
	verifiesWhateverIsToldFirst(t, p, before, momentOf(t, p.conn()))
}

func verifiesWhateverIsToldFirst(t *testing.T, p place, before, after moment) {
	t.Helper()
	var asked asking
	p.kafka.Cluster().ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		p.kafka.Cluster().KeepControl()
		request := r.(*kmsg.ListOffsetsRequest)
		if request.Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false // that is where topics begin
		}
		return asked.answer(request, before, after), nil, true
	})
	for _, logs := range [][]string{
		{processors.OrderEvents}, {processors.InventoryEvents}, {processors.OrderEvents, processors.InventoryEvents},
		{processors.ShipmentEvents, processors.OrderEvents},
	} {
		for question := range 4 {
			asked.set(question, logs)
			report, err := replay.Verification{Conn: p.conn(), Machines: replay.Machines, Dir: t.TempDir()}.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Differences) > 0 {
				d := report.Differences[0]
				t.Errorf("when %v are told before the others at question %d, %s %q differs: %s", logs, question, d.Topic, d.Key, d.Problem)
			}
		}
	}
}

// asking is how often it was asked where the logs end, and at which question their ends move.
type asking struct {
	mu    sync.Mutex
	n     int
	moves int      // the question
	early []string // the logs whose ends are told before it
}

func (a *asking) set(moves int, early []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n, a.moves, a.early = -1, moves, early
}

// answer answers where topics end. Where tables end was always told before.
func (a *asking) answer(r *kmsg.ListOffsetsRequest, before, after moment) kmsg.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	logs := slices.ContainsFunc(r.Topics, func(t kmsg.ListOffsetsRequestTopic) bool { return t.Topic == processors.OrderEvents })
	if logs {
		a.n++
	}
	answer := r.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, asked := range r.Topics {
		ends := after.ends
		if !logs || a.n < a.moves || a.n == a.moves && slices.Contains(a.early, asked.Topic) {
			ends = before.ends
		}
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = asked.Topic
		for _, p := range asked.Partitions {
			told := kmsg.NewListOffsetsResponseTopicPartition()
			told.Partition, told.Offset = p.Partition, ends[broker.TopicPartition{Topic: asked.Topic, Partition: p.Partition}]
			topic.Partitions = append(topic.Partitions, told)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}
