package broker

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/stockflowtest/fake"
)

// A broker that hears late of a topic says that there is none, whatever it is asked. Ensure waits until it has heard.
func TestEnsureWaitsUntilAllBrokersKnow(t *testing.T) {
	cluster := fake.Open(t, kfake.NumBrokers(3)).Cluster()
	const late, looks = 1, 3
	var asked atomic.Int64
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		metadata := request.(*kmsg.MetadataRequest)
		if cluster.CurrentNode() != late || len(metadata.Topics) == 0 || asked.Add(1) > looks {
			return nil, nil, false
		}
		answer := metadata.ResponseKind().(*kmsg.MetadataResponse)
		for _, topic := range metadata.Topics {
			unknown := kmsg.NewMetadataResponseTopic()
			unknown.Topic, unknown.ErrorCode = topic.Topic, kerr.UnknownTopicOrPartition.Code
			answer.Topics = append(answer.Topics, unknown)
		}
		return answer, nil, true
	})
	c := Connection{Brokers: cluster.ListenAddrs()[:1]}
	if _, _, err := c.Ensure(t.Context(), shop, 2); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n <= looks {
		t.Errorf("broker %d was asked %d times, and didn't know yet", late, n)
	}
}
