package kafkaport

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
)

// What a client may ask for instead of a time.
const (
	latestOffset        = -1
	earliestOffset      = -2
	maxTimestamp        = -3
	earliestLocalOffset = -4
	latestTieredOffset  = -5
	earliestPending     = -6
)

// specialSince is the version of ListOffsets that brought a special time.
var specialSince = map[int64]int16{latestOffset: 1, earliestOffset: 1, maxTimestamp: 7, earliestLocalOffset: 8, latestTieredOffset: 9, earliestPending: 11}

func (r *request) listOffsets(asked *kmsg.ListOffsetsRequest, answer *kmsg.ListOffsetsResponse) error {
	for i := range asked.Topics {
		t, missing := r.server.topicNamed(asked.Topics[i].Topic)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = t.Name
		for _, p := range asked.Topics[i].Partitions {
			topic.Partitions = append(topic.Partitions, r.listOffset(asked.Version, t, missing, p))
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return nil
}

// listOffset answers for one partition: -1 is that there is no such record.
func (r *request) listOffset(version int16, t journal.Topic, missing error, asked kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
	answer := kmsg.NewListOffsetsResponseTopicPartition()
	answer.Partition, answer.Offset, answer.Timestamp, answer.LeaderEpoch = asked.Partition, -1, -1, -1
	p, err := r.server.partition(t, missing, asked.Partition)
	if err == nil {
		err = checkEpoch(asked.CurrentLeaderEpoch)
	}
	if since, known := specialSince[asked.Timestamp]; err == nil && asked.Timestamp < 0 && (!known || version < since) {
		err = kerr.UnsupportedVersion
	}
	if err == nil {
		answer.Offset, answer.Timestamp, err = findOffset(p, asked.Timestamp)
	}
	if err != nil {
		answer.ErrorCode = codeOf(err)
		r.server.report("looking for an offset failed", err)
		return answer
	}
	if answer.Offset >= 0 {
		answer.LeaderEpoch = leaderEpoch
	}
	return answer
}

// findOffset returns the offset for a time in ms or a special one, and the time of the record if one was looked for.
func findOffset(p *journal.Partition, ms int64) (offset, at int64, err error) {
	start, end := p.Bounds(journal.Durable)
	switch ms {
	case latestOffset:
		return end, -1, nil
	case earliestOffset, earliestLocalOffset:
		return start, -1, nil
	case latestTieredOffset, earliestPending:
		return -1, -1, nil
	case maxTimestamp:
		if start == end {
			return -1, -1, nil
		}
		// Time never goes back, so it is that of the last record, and the first that has it is meant.
		last, err := p.Follow(end-1, journal.Durable).Try(1)
		if err != nil || len(last) == 0 {
			return -1, -1, err
		}
		ms = last[0].Time
	}
	if offset, at, found := p.FindTime(ms, journal.Durable); found {
		return offset, at, nil
	}
	return -1, -1, nil
}

// offsetForLeaderEpoch says where an epoch ends. There is one, which ends where the partition does.
func (r *request) offsetForLeaderEpoch(asked *kmsg.OffsetForLeaderEpochRequest, answer *kmsg.OffsetForLeaderEpochResponse) error {
	for i := range asked.Topics {
		t, missing := r.server.topicNamed(asked.Topics[i].Topic)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = t.Name
		for _, a := range asked.Topics[i].Partitions {
			one := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			one.Partition, one.LeaderEpoch, one.EndOffset = a.Partition, -1, -1
			p, err := r.server.partition(t, missing, a.Partition)
			if err == nil {
				err = checkEpoch(a.CurrentLeaderEpoch)
			}
			if one.ErrorCode = codeOf(err); err == nil && a.LeaderEpoch == leaderEpoch {
				_, end := p.Bounds(journal.Durable)
				one.LeaderEpoch, one.EndOffset = leaderEpoch, end
			}
			topic.Partitions = append(topic.Partitions, one)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return nil
}
