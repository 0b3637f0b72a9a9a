package kafkaport

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
	"stockflow/kafkaport/groups"
)

// Bounds of what a group may write down.
const (
	longestGroupID  = 255
	longestMetadata = 4096 // of a commit, as in Kafka
)

// checkGroup refuses groups that can't be joined or committed to.
func (s *Server) checkGroup(group string) error {
	switch {
	case s.isOwn(group):
		return refusal(kerr.GroupAuthorizationFailed, group+" is a group of Stockflow's")
	case group == "" || len(group) > longestGroupID:
		return refusal(kerr.InvalidGroupID, "a group id has 1 to 255 bytes")
	}
	return nil
}

// checkNewGroup refuses one group too many.
func (s *Server) checkNewGroup(group string) error {
	others := slices.DeleteFunc(s.journal.Groups(), s.isOwn)
	if len(others) >= s.limits.Groups && !slices.Contains(others, group) {
		return refusal(kerr.PolicyViolation, "there are too many groups")
	}
	return nil
}

// commitOffsets writes down how far a group has come, and answers when that is durable. Partitions that can't be committed
// stop no others.
func (r *request) commitOffsets(asked *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse) error {
	offsets := make(map[journal.TopicPartition]journal.Committed)
	refused := r.server.checkGroup(asked.Group)
	if refused == nil {
		refused = r.server.checkNewGroup(asked.Group)
	}
	for i := range asked.Topics {
		topic := &asked.Topics[i]
		t, missing := r.server.topic(topic.Topic, topic.TopicID, asked.Version >= 10)
		one := kmsg.NewOffsetCommitResponseTopic()
		one.Topic, one.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			err := refused
			if err == nil {
				err = r.server.addCommit(offsets, t, missing, p)
			}
			done := kmsg.NewOffsetCommitResponseTopicPartition()
			done.Partition, done.ErrorCode = p.Partition, codeOf(err)
			one.Partitions = append(one.Partitions, done)
		}
		answer.Topics = append(answer.Topics, one)
	}
	if refused != nil {
		return nil
	}
	failCommit(answer, coordinatorCodeOf(r.commit(asked, offsets)))
	return nil
}

// addCommit adds a partition to those that are committed, or says why it isn't.
func (s *Server) addCommit(offsets map[journal.TopicPartition]journal.Committed, t journal.Topic, missing error, p kmsg.OffsetCommitRequestTopicPartition) error {
	if _, err := s.partition(t, missing, p.Partition); err != nil {
		return err
	}
	c := journal.Committed{Offset: p.Offset}
	if p.Metadata != nil {
		c.Metadata = *p.Metadata
	}
	switch {
	case p.Offset < 0:
		return refusal(kerr.InvalidRequest, "offsets begin at 0")
	case len(c.Metadata) > longestMetadata:
		return refusal(kerr.OffsetMetadataTooLarge, "the metadata of a commit has at most 4096 bytes")
	}
	offsets[journal.TopicPartition{Topic: t.Name, Partition: p.Partition}] = c
	return nil
}

// commit appends the offsets, if the member may commit in the group's generation, and waits until they are durable.
func (r *request) commit(asked *kmsg.OffsetCommitRequest, offsets map[journal.TopicPartition]journal.Committed) error {
	var at journal.Position
	by := groups.Caller{Group: asked.Group, Member: asked.MemberID, Instance: asked.InstanceID, Generation: asked.Generation}
	err := r.server.groups.Commit(by, func() (err error) {
		if len(offsets) > 0 {
			at, err = r.server.journal.Commit(asked.Group, offsets)
		}
		return err
	})
	if err == nil {
		err = r.server.journal.WaitDurable(r.ctx, at)
	}
	if err != nil && r.ctx.Err() == nil {
		r.server.report("a commit of a Kafka group failed", err)
	}
	return err
}

// failCommit writes an error into those partitions of an answer that had none.
func failCommit(answer *kmsg.OffsetCommitResponse, code int16) {
	for i := range answer.Topics {
		for j := range answer.Topics[i].Partitions {
			if p := &answer.Topics[i].Partitions[j]; p.ErrorCode == 0 {
				p.ErrorCode = code
			}
		}
	}
}

// fetchOffsets answers with durable commits, of Stockflow's groups too: of one group, or, since version 8, of several.
func (r *request) fetchOffsets(asked *kmsg.OffsetFetchRequest, answer *kmsg.OffsetFetchResponse) error {
	if asked.Version >= 8 {
		for i := range asked.Groups {
			answer.Groups = append(answer.Groups, r.fetchGroupOffsets(asked.Version, &asked.Groups[i]))
		}
		return nil
	}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = asked.Group
	for _, t := range asked.Topics {
		one := kmsg.NewOffsetFetchRequestGroupTopic()
		one.Topic, one.Partitions = t.Topic, t.Partitions
		group.Topics = append(group.Topics, one)
	}
	if asked.Topics != nil && group.Topics == nil {
		group.Topics = []kmsg.OffsetFetchRequestGroupTopic{} // none, which isn't all
	}
	found := r.fetchGroupOffsets(asked.Version, &group)
	answer.ErrorCode = found.ErrorCode
	for _, t := range found.Topics {
		one := kmsg.NewOffsetFetchResponseTopic()
		one.Topic = t.Topic
		for _, p := range t.Partitions {
			one.Partitions = append(one.Partitions, kmsg.OffsetFetchResponseTopicPartition(p))
		}
		answer.Topics = append(answer.Topics, one)
	}
	return nil
}

// fetchGroupOffsets returns the commits of a group: in the partitions that are asked for, -1 for none, or in all that it has
// committed.
func (r *request) fetchGroupOffsets(version int16, asked *kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	answer := kmsg.NewOffsetFetchResponseGroup()
	answer.Group = asked.Group
	committed := r.server.journal.Committed(asked.Group, journal.Durable)
	if asked.Topics == nil {
		answer.Topics = allCommits(r.server.journal.Topics(), committed)
		return answer
	}
	for _, topic := range asked.Topics {
		t, missing := r.server.topic(topic.Topic, topic.TopicID, version >= 10)
		one := kmsg.NewOffsetFetchResponseGroupTopic()
		one.Topic, one.TopicID = topic.Topic, topic.TopicID
		for _, n := range topic.Partitions {
			p := commitOf(committed, t.Name, n)
			if version >= 10 && missing != nil {
				p.ErrorCode = codeOf(missing)
			}
			one.Partitions = append(one.Partitions, p)
		}
		answer.Topics = append(answer.Topics, one)
	}
	return answer
}

// allCommits are the commits of a group, by topic.
func allCommits(topics []journal.Topic, committed map[journal.TopicPartition]journal.Committed) (all []kmsg.OffsetFetchResponseGroupTopic) {
	for _, t := range topics {
		one := kmsg.NewOffsetFetchResponseGroupTopic()
		one.Topic, one.TopicID = t.Name, t.ID
		for n := range t.Partitions {
			if _, has := committed[journal.TopicPartition{Topic: t.Name, Partition: n}]; has {
				one.Partitions = append(one.Partitions, commitOf(committed, t.Name, n))
			}
		}
		if one.Partitions != nil {
			all = append(all, one)
		}
	}
	return all
}

func commitOf(committed map[journal.TopicPartition]journal.Committed, topic string, n int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = n, -1, -1, new(string)
	if c, has := committed[journal.TopicPartition{Topic: topic, Partition: n}]; has {
		p.Offset, p.LeaderEpoch, p.Metadata = c.Offset, leaderEpoch, &c.Metadata
	}
	return p
}
