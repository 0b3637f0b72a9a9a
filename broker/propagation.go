package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hearing is how long a broker may take to say which topics it knows.
const hearing = 2 * time.Second

// notYetPropagated names a topic that a broker has not heard of yet, "" if there is none. Brokers learn of a new topic one after
// the other, and one that hasn't says that there is no such topic to whatever it is asked about it. A broker that can't
// be reached is not waited for.
func (e ensuring) notYetPropagated(ctx context.Context) (string, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	brokers, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return "", fmt.Errorf("list the brokers: %w", err)
	}
	for _, t := range e.topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(t.Name)
		request.Topics = append(request.Topics, topic)
	}
	for _, b := range brokers.Brokers {
		answer, err := e.heard(ctx, b.NodeID, request)
		if err != nil {
			continue
		}
		for _, t := range answer.Topics {
			if errors.Is(kerr.ErrorForCode(t.ErrorCode), kerr.UnknownTopicOrPartition) && t.Topic != nil {
				return fmt.Sprintf("broker %d hasn't heard of topic %s", b.NodeID, *t.Topic), nil
			}
		}
	}
	return "", ctx.Err()
}

func (e ensuring) heard(ctx context.Context, broker int32, request *kmsg.MetadataRequest) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, hearing)
	defer cancel()
	answer, err := e.client.Broker(int(broker)).Request(ctx, request)
	if err != nil {
		return nil, err
	}
	return answer.(*kmsg.MetadataResponse), nil
}
