package kafkaport

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/kafkaport/groups"
)

// describeGroups tells who is in a group. One that has only commits is empty; so are Stockflow's, which have no members as
// Kafka knows them.
func (r *request) describeGroups(asked *kmsg.DescribeGroupsRequest, answer *kmsg.DescribeGroupsResponse) error {
	known := r.server.journal.Groups()
	for _, id := range asked.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		d, active := r.server.groups.Describe(id)
		g.Group, g.State = id, d.State
		if asked.IncludeAuthorizedOperations {
			g.AuthorizedOperations = r.server.groupOperations(id)
		}
		if !active && !slices.Contains(known, id) && !r.server.isOwn(id) {
			g.State = groups.Dead
			if asked.Version >= 6 {
				err := refusal(kerr.GroupIDNotFound, "no member and no commit")
				g.ErrorCode, g.ErrorMessage = codeOf(err), textOf(err)
			}
		}
		g.ProtocolType, g.Protocol = d.ProtocolType, d.Protocol
		for _, m := range d.Members {
			one := kmsg.NewDescribeGroupsResponseGroupMember()
			one.MemberID, one.InstanceID, one.ClientID, one.ClientHost = m.ID, m.Instance, m.ClientID, "/"+m.Host
			one.ProtocolMetadata, one.MemberAssignment = m.Metadata, m.Assignment
			g.Members = append(g.Members, one)
		}
		answer.Groups = append(answer.Groups, g)
	}
	return nil
}

func (s *Server) groupOperations(group string) int32 {
	if s.isOwn(group) {
		return mayDescribe
	}
	return mayRead | mayDescribe
}

// listGroups lists the groups that have members or commits.
func (r *request) listGroups(asked *kmsg.ListGroupsRequest, answer *kmsg.ListGroupsResponse) error {
	ids := append(r.server.journal.Groups(), r.server.groups.List()...)
	ids = append(ids, r.server.own...)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		d, _ := r.server.groups.Describe(id)
		if !listed(asked.StatesFilter, d.State) || !listed(asked.TypesFilter, "classic") {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = id, d.ProtocolType, d.State, "classic"
		answer.Groups = append(answer.Groups, g)
	}
	return nil
}

// listed reports whether a filter, of which the empty one takes all, has a value.
func listed(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}

func (r *request) describeCluster(asked *kmsg.DescribeClusterRequest, answer *kmsg.DescribeClusterResponse) error {
	const brokers = 1 // the type of endpoint; the other one is controllers, which clients can't reach
	answer.EndpointType, answer.ClusterID, answer.ControllerID = asked.EndpointType, r.server.clusterID(), brokerID
	if asked.Version >= 1 && asked.EndpointType != brokers {
		err := refusal(kerr.MismatchedEndpointType, "this is a broker")
		answer.ErrorCode, answer.ErrorMessage = codeOf(err), textOf(err)
		return nil
	}
	b := kmsg.NewDescribeClusterResponseBroker()
	b.NodeID = brokerID
	b.Host, b.Port = r.server.advertised()
	answer.Brokers = append(answer.Brokers, b)
	if asked.IncludeClusterAuthorizedOperations {
		answer.ClusterAuthorizedOperations = clusterOperations
	}
	return nil
}
