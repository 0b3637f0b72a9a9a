package kafkaport

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/kafkaport/groups"
)

// coordinator types of FindCoordinator.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
)

// findCoordinator answers that the coordinator of every group is here.
func (r *request) findCoordinator(asked *kmsg.FindCoordinatorRequest, answer *kmsg.FindCoordinatorResponse) error {
	var refused error
	switch asked.CoordinatorType {
	case groupCoordinator:
	case transactionCoordinator:
		refused = refusal(kerr.TransactionalIDAuthorizationFailed, "there are no transactions here")
	default:
		refused = refusal(kerr.InvalidRequest, "there are coordinators for groups only")
	}
	host, port, node := "", int32(-1), int32(-1)
	if refused == nil {
		host, port = r.server.advertised()
		node = brokerID
	}
	if asked.Version < 4 {
		answer.ErrorCode, answer.ErrorMessage = codeOf(refused), textOf(refused)
		answer.NodeID, answer.Host, answer.Port = node, host, port
		return nil
	}
	for _, key := range asked.CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.ErrorCode, c.ErrorMessage = key, codeOf(refused), textOf(refused)
		c.NodeID, c.Host, c.Port = node, host, port
		answer.Coordinators = append(answer.Coordinators, c)
	}
	return nil
}

// joinGroup answers once the group has been rebalanced, which takes as long as its members need.
func (r *request) joinGroup(asked *kmsg.JoinGroupRequest, answer *kmsg.JoinGroupResponse) error {
	answer.Generation, answer.MemberID = -1, asked.MemberID
	answer.Protocol = new(string)
	if err := r.server.checkGroup(asked.Group); err != nil {
		answer.ErrorCode = codeOf(err)
		return nil
	}
	j := groups.Join{
		Caller:       groups.Caller{Group: asked.Group, Member: asked.MemberID, Instance: asked.InstanceID},
		ClientID:     r.client,
		Host:         r.host,
		ProtocolType: asked.ProtocolType,
		Session:      milliseconds(asked.SessionTimeoutMillis),
		Rebalance:    milliseconds(asked.RebalanceTimeoutMillis),
		TwoSteps:     asked.Version >= 4,
	}
	if asked.Version == 0 {
		j.Rebalance = j.Session
	}
	for _, p := range asked.Protocols {
		j.Protocols = append(j.Protocols, groups.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	joined, err := r.server.groups.Join(r.ctx, j)
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if joined.Member != "" {
		answer.MemberID = joined.Member
	}
	if err != nil {
		answer.ErrorCode = codeOf(err)
		return nil
	}
	answer.Generation, answer.LeaderID = joined.Generation, joined.Leader
	answer.ProtocolType, answer.Protocol = &joined.ProtocolType, &joined.Protocol
	for _, m := range joined.Members {
		one := kmsg.NewJoinGroupResponseMember()
		one.MemberID, one.InstanceID, one.ProtocolMetadata = m.ID, m.Instance, m.Metadata
		answer.Members = append(answer.Members, one)
	}
	return nil
}

func milliseconds(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

// syncGroup takes the leader's assignments, and answers each member with its own.
func (r *request) syncGroup(asked *kmsg.SyncGroupRequest, answer *kmsg.SyncGroupResponse) error {
	answer.MemberAssignment = []byte{}
	if err := r.server.checkGroup(asked.Group); err != nil {
		answer.ErrorCode = codeOf(err)
		return nil
	}
	y := groups.Sync{
		Caller:       groups.Caller{Group: asked.Group, Member: asked.MemberID, Instance: asked.InstanceID, Generation: asked.Generation},
		ProtocolType: asked.ProtocolType,
		Protocol:     asked.Protocol,
		Assignments:  make(map[string][]byte, len(asked.GroupAssignment)),
	}
	for _, a := range asked.GroupAssignment {
		y.Assignments[a.MemberID] = a.MemberAssignment
	}
	synced, err := r.server.groups.Sync(r.ctx, y)
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if err != nil {
		answer.ErrorCode = codeOf(err)
		return nil
	}
	answer.ProtocolType, answer.Protocol = &synced.ProtocolType, &synced.Protocol
	if synced.Assignment != nil {
		answer.MemberAssignment = synced.Assignment
	}
	return nil
}

func (r *request) heartbeat(asked *kmsg.HeartbeatRequest, answer *kmsg.HeartbeatResponse) error {
	err := r.server.checkGroup(asked.Group)
	if err == nil {
		err = r.server.groups.Heartbeat(groups.Caller{Group: asked.Group, Member: asked.MemberID, Instance: asked.InstanceID, Generation: asked.Generation})
	}
	answer.ErrorCode = codeOf(err)
	return nil
}

// leaveGroup takes one member out of its group, or, since version 3, several.
func (r *request) leaveGroup(asked *kmsg.LeaveGroupRequest, answer *kmsg.LeaveGroupResponse) error {
	if err := r.server.checkGroup(asked.Group); err != nil {
		answer.ErrorCode = codeOf(err)
		return nil
	}
	if asked.Version < 3 {
		answer.ErrorCode = codeOf(r.server.groups.Leave(groups.Caller{Group: asked.Group, Member: asked.MemberID}))
		return nil
	}
	for _, m := range asked.Members {
		one := kmsg.NewLeaveGroupResponseMember()
		one.MemberID, one.InstanceID = m.MemberID, m.InstanceID
		one.ErrorCode = codeOf(r.server.groups.Leave(groups.Caller{Group: asked.Group, Member: m.MemberID, Instance: m.InstanceID}))
		answer.Members = append(answer.Members, one)
	}
	return nil
}
