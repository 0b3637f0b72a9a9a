package kafkaport

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A kind of request, in the versions that are answered.
type kind struct {
	oldest, newest int16
	carryOut       func(*request, kmsg.Request) (kmsg.Response, error)
}

// kinds are the requests that are answered, and that ApiVersions tells of. Produce begins at 0, where old batches are refused
// by name, as librdkafka compresses only for brokers that do.
var kinds map[kmsg.Key]kind

func init() { // the answer to ApiVersions is made from the table
	kinds = map[kmsg.Key]kind{
		kmsg.Produce:              {0, 13, carriedOutBy((*request).produce)},
		kmsg.Fetch:                {4, 18, carriedOutBy((*request).fetch)},
		kmsg.ListOffsets:          {1, 11, carriedOutBy((*request).listOffsets)},
		kmsg.Metadata:             {0, 13, carriedOutBy((*request).metadata)},
		kmsg.OffsetCommit:         {0, 10, carriedOutBy((*request).commitOffsets)},
		kmsg.OffsetFetch:          {0, 10, carriedOutBy((*request).fetchOffsets)},
		kmsg.FindCoordinator:      {0, 6, carriedOutBy((*request).findCoordinator)},
		kmsg.JoinGroup:            {0, 9, carriedOutBy((*request).joinGroup)},
		kmsg.Heartbeat:            {0, 4, carriedOutBy((*request).heartbeat)},
		kmsg.LeaveGroup:           {0, 5, carriedOutBy((*request).leaveGroup)},
		kmsg.SyncGroup:            {0, 5, carriedOutBy((*request).syncGroup)},
		kmsg.DescribeGroups:       {0, 6, carriedOutBy((*request).describeGroups)},
		kmsg.ListGroups:           {0, 5, carriedOutBy((*request).listGroups)},
		kmsg.ApiVersions:          {0, 4, carriedOutBy((*request).apiVersions)},
		kmsg.InitProducerID:       {0, 5, carriedOutBy((*request).initProducerID)},
		kmsg.OffsetForLeaderEpoch: {0, 4, carriedOutBy((*request).offsetForLeaderEpoch)},
		kmsg.DescribeConfigs:      {0, 4, carriedOutBy((*request).describeConfigs)},
		kmsg.DescribeCluster:      {0, 2, carriedOutBy((*request).describeCluster)},
	}
}

// carriedOutBy gives a request to the function for its type, and an answer of the request's version to fill.
func carriedOutBy[Q kmsg.Request, A kmsg.Response](f func(*request, Q, A) error) func(*request, kmsg.Request) (kmsg.Response, error) {
	return func(r *request, asked kmsg.Request) (kmsg.Response, error) {
		answer := asked.ResponseKind()
		if err := f(r, asked.(Q), answer.(A)); err != nil {
			if err == errNoAnswer { //nolint:errorlint // it is never wrapped
				return nil, nil
			}
			return nil, err
		}
		return answer, nil
	}
}

func (r *request) apiVersions(_ *kmsg.ApiVersionsRequest, answer *kmsg.ApiVersionsResponse) error {
	answer.ApiKeys = offered()
	return nil
}

// offered are the kinds and versions that are answered.
func offered() (keys []kmsg.ApiVersionsResponseApiKey) {
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = key.Int16(), kinds[key].oldest, kinds[key].newest
		keys = append(keys, k)
	}
	return keys
}

// oldestAPIVersions is the answer to a version that is too new.
func oldestAPIVersions() kmsg.Response {
	answer := kmsg.NewPtrApiVersionsResponse()
	answer.ErrorCode = kerr.UnsupportedVersion.Code
	answer.ApiKeys = offered()
	return answer
}
