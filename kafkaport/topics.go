package kafkaport

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// leaderEpoch is that of all partitions, always: what is durable is never taken back.
const leaderEpoch = 0

// topicNamed returns a topic that exists.
func (s *Server) topicNamed(name string) (journal.Topic, error) {
	for _, t := range s.journal.Topics() {
		if t.Name == name {
			return t, nil
		}
	}
	return journal.Topic{Name: name}, kerr.UnknownTopicOrPartition
}

// topicWithID returns a topic that exists.
func (s *Server) topicWithID(id [16]byte) (journal.Topic, error) {
	for _, t := range s.journal.Topics() {
		if t.ID == id {
			return t, nil
		}
	}
	return journal.Topic{ID: id}, kerr.UnknownTopicID
}

// topic returns the topic that a request names in one of two ways, of which byID says which.
func (s *Server) topic(name string, id [16]byte, byID bool) (journal.Topic, error) {
	if byID {
		return s.topicWithID(id)
	}
	return s.topicNamed(name)
}

// partition returns one that exists, of a topic that was looked up with an error or not.
func (s *Server) partition(t journal.Topic, missing error, n int32) (*journal.Partition, error) {
	if missing != nil {
		return nil, missing
	}
	if p := s.journal.Partition(t.Name, n); p != nil {
		return p, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

// checkEpoch compares what a client takes for a partition's epoch; -1 is that it doesn't know.
func checkEpoch(epoch int32) error {
	switch {
	case epoch > leaderEpoch:
		return kerr.UnknownLeaderEpoch
	case epoch != -1 && epoch < leaderEpoch:
		return kerr.FencedLeaderEpoch
	}
	return nil
}

// isWritable reports whether a topic may be produced to.
func (s *Server) isWritable(t journal.Topic) bool {
	return t.Kind == journal.Log && slices.Contains(s.writable, t.Name)
}

func (r *request) metadata(asked *kmsg.MetadataRequest, answer *kmsg.MetadataResponse) error {
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID = brokerID
	broker.Host, broker.Port = r.server.advertised()
	answer.Brokers = append(answer.Brokers, broker)
	cluster := r.server.clusterID()
	answer.ClusterID, answer.ControllerID = &cluster, brokerID
	if asked.IncludeClusterAuthorizedOperations {
		answer.AuthorizedOperations = clusterOperations
	}
	if asked.Topics == nil || asked.Version == 0 && len(asked.Topics) == 0 {
		for _, t := range r.server.journal.Topics() {
			answer.Topics = append(answer.Topics, r.describeTopic(asked, t, nil))
		}
		return nil
	}
	for i := range asked.Topics {
		t, err := r.askedTopic(&asked.Topics[i])
		answer.Topics = append(answer.Topics, r.describeTopic(asked, t, err))
	}
	return nil
}

// askedTopic returns the topic that is asked for, by id if there is one. It is never made.
func (r *request) askedTopic(asked *kmsg.MetadataRequestTopic) (journal.Topic, error) {
	switch {
	case asked.TopicID != [16]byte{}:
		return r.server.topicWithID(asked.TopicID)
	case asked.Topic == nil || *asked.Topic == "":
		return journal.Topic{}, kerr.InvalidTopicException
	}
	return r.server.topicNamed(*asked.Topic)
}

// describeTopic describes a topic, or says why there is none.
func (r *request) describeTopic(asked *kmsg.MetadataRequest, t journal.Topic, err error) kmsg.MetadataResponseTopic {
	topic := kmsg.NewMetadataResponseTopic()
	topic.ErrorCode, topic.TopicID = codeOf(err), t.ID
	if t.Name != "" || asked.Version < 12 { // before, null isn't a name
		topic.Topic = &t.Name
	}
	if err != nil {
		return topic
	}
	if asked.IncludeTopicAuthorizedOperations {
		topic.AuthorizedOperations = r.server.topicOperations(t)
	}
	for n := range t.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch = n, brokerID, leaderEpoch
		p.Replicas, p.ISR = []int32{brokerID}, []int32{brokerID}
		topic.Partitions = append(topic.Partitions, p)
	}
	return topic
}

// What a client may do, each a bit of Kafka's AclOperation.
const (
	mayRead            = 1 << kmsg.ACLOperationRead
	mayWrite           = 1 << kmsg.ACLOperationWrite
	mayDescribe        = 1 << kmsg.ACLOperationDescribe
	mayDescribeConfigs = 1 << kmsg.ACLOperationDescribeConfigs
	clusterOperations  = mayDescribe | mayDescribeConfigs | 1<<kmsg.ACLOperationIdempotentWrite
)

func (s *Server) topicOperations(t journal.Topic) int32 {
	if s.isWritable(t) {
		return mayRead | mayDescribe | mayDescribeConfigs | mayWrite
	}
	return mayRead | mayDescribe | mayDescribeConfigs
}
