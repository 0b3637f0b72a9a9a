package kafkaport

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// setting is one that a Kafka would have to be as the journal is. None can be changed.
type setting struct {
	name, value string
	as          kmsg.ConfigType
}

const dayInMS = "86400000"

// topicSettings are those of a topic.
func (s *Server) topicSettings(t journal.Topic) []setting {
	all := []setting{
		{"cleanup.policy", "delete", kmsg.ConfigTypeList},
		{"compression.type", "uncompressed", kmsg.ConfigTypeString},
		{"max.message.bytes", strconv.Itoa(s.limits.Batch), kmsg.ConfigTypeInt},
		{"message.timestamp.type", "LogAppendTime", kmsg.ConfigTypeString},
		{"min.insync.replicas", "1", kmsg.ConfigTypeInt},
		{"retention.bytes", "-1", kmsg.ConfigTypeLong},
		{"retention.ms", "-1", kmsg.ConfigTypeLong},
		{"unclean.leader.election.enable", "false", kmsg.ConfigTypeBoolean},
	}
	if t.Kind == journal.Table {
		all[0].value = "compact"
		all = append(all, setting{"delete.retention.ms", dayInMS, kmsg.ConfigTypeLong}, setting{"min.compaction.lag.ms", dayInMS, kmsg.ConfigTypeLong})
	}
	return all
}

// brokerSettings are those of the broker.
func (s *Server) brokerSettings() []setting {
	return []setting{
		{"auto.create.topics.enable", "false", kmsg.ConfigTypeBoolean},
		{"delete.topic.enable", "false", kmsg.ConfigTypeBoolean},
		{"default.replication.factor", "1", kmsg.ConfigTypeInt},
		{"group.max.session.timeout.ms", strconv.FormatInt(s.groups.Limits().LongestSession.Milliseconds(), 10), kmsg.ConfigTypeInt},
		{"group.min.session.timeout.ms", strconv.FormatInt(s.groups.Limits().ShortestSession.Milliseconds(), 10), kmsg.ConfigTypeInt},
		{"log.message.timestamp.type", "LogAppendTime", kmsg.ConfigTypeString},
		{"log.retention.ms", "-1", kmsg.ConfigTypeLong},
		{"message.max.bytes", strconv.Itoa(s.limits.Batch), kmsg.ConfigTypeInt},
		{"offsets.retention.minutes", strconv.Itoa(maxVersion << 16), kmsg.ConfigTypeInt},
	}
}

func (r *request) describeConfigs(asked *kmsg.DescribeConfigsRequest, answer *kmsg.DescribeConfigsResponse) error {
	for i := range asked.Resources {
		resource := &asked.Resources[i]
		one := kmsg.NewDescribeConfigsResponseResource()
		one.ResourceType, one.ResourceName = resource.ResourceType, resource.ResourceName
		settings, source, err := r.settingsOf(resource)
		one.ErrorCode, one.ErrorMessage = codeOf(err), textOf(err)
		for _, s := range settings {
			if resource.ConfigNames == nil || slices.Contains(resource.ConfigNames, s.name) {
				one.Configs = append(one.Configs, s.describe(source))
			}
		}
		answer.Resources = append(answer.Resources, one)
	}
	return nil
}

// settingsOf returns the settings of a topic or a broker, and where they come from.
func (r *request) settingsOf(of *kmsg.DescribeConfigsRequestResource) ([]setting, kmsg.ConfigSource, error) {
	switch of.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		t, err := r.server.topicNamed(of.ResourceName)
		if err != nil {
			return nil, 0, err
		}
		return r.server.topicSettings(t), kmsg.ConfigSourceDynamicTopicConfig, nil
	case kmsg.ConfigResourceTypeBroker:
		if of.ResourceName != "" && of.ResourceName != strconv.Itoa(brokerID) {
			return nil, 0, refusal(kerr.InvalidRequest, "there is no such broker")
		}
		return r.server.brokerSettings(), kmsg.ConfigSourceStaticBrokerConfig, nil
	}
	return nil, 0, refusal(kerr.InvalidRequest, "only topics and brokers have settings")
}

func (s setting) describe(source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.Source, c.ConfigType = s.name, &s.value, true, source, s.as
	return c
}
