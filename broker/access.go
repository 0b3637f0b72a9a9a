package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Access is what a process does with topics, and so what the brokers must allow it.
type Access int

// The kinds of access.
const (
	Looking Access = iota // at topics and their settings
	Reading
	Writing // and reading, and looking
	Moving  // and changing their settings
)

// operations are what an access needs on each topic.
func (a Access) operations() []kmsg.ACLOperation {
	switch a {
	case Looking:
		return []kmsg.ACLOperation{kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs}
	case Reading:
		return []kmsg.ACLOperation{kmsg.ACLOperationRead}
	case Moving:
		return append(Writing.operations(), kmsg.ACLOperationAlterConfigs)
	}
	return []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribeConfigs}
}

// untold is what a broker answers that doesn't tell what it allows.
const untold = math.MinInt32

// CheckAccess returns an error that names every topic and group that the brokers don't allow the use of, with the
// operations that are missing; without it, clients would find out one by one, and not always say for what. Topics that
// don't exist are passed over. Members of groups need Read on them.
func CheckAccess(ctx context.Context, c Connection, a Access, topics []Topic, groups ...string) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	missing, err := missingOnTopics(ctx, cl, a, topics)
	if err != nil {
		return fmt.Errorf("ask what the brokers allow: %w", c.Explain(err))
	}
	for _, g := range groups {
		allowed, err := mayJoin(ctx, cl, g)
		if err != nil {
			return fmt.Errorf("ask what the brokers allow on group %s: %w", g, err)
		}
		if !allowed {
			missing = append(missing, "READ on group "+g)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the brokers don't allow %s what it needs: %s", c.Security.principal(), strings.Join(missing, ", "))
	}
	return nil
}

// Denied reports whether the brokers refuse something to whoever we are, which no waiting mends.
func Denied(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed)
}

// principal is who the brokers take us for, as far as we know.
func (s Security) principal() string {
	switch {
	case s.Login != "":
		return "User:" + s.User
	case s.TLS != nil && (len(s.TLS.Certificates) > 0 || s.TLS.GetClientCertificate != nil):
		return "the holder of the client certificate"
	}
	return "User:ANONYMOUS"
}

func missingOnTopics(ctx context.Context, cl *kgo.Client, a Access, topics []Topic) (missing []string, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for _, t := range topics {
		asked := kmsg.NewMetadataRequestTopic()
		asked.Topic = kmsg.StringPtr(t.Name)
		req.Topics = append(req.Topics, asked)
	}
	answer, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	for _, t := range answer.Topics {
		if t.Topic == nil {
			continue
		}
		allowed := t.AuthorizedOperations
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			allowed = 0
		case err != nil: // it doesn't exist, or its leaders are on their way
			continue
		}
		if names := lacking(a, allowed); names != "" {
			missing = append(missing, names+" on topic "+*t.Topic)
		}
	}
	return missing, nil
}

// lacking names the operations that are not among those allowed, "" if none is missing.
func lacking(a Access, allowed int32) string {
	var names []string
	if allowed == untold {
		return ""
	}
	for _, op := range a.operations() {
		if allowed&(1<<op) == 0 {
			names = append(names, op.String())
		}
	}
	return strings.Join(names, " and ")
}

// mayJoin asks without a trace: no group has a member of this name, so nothing comes of its heartbeat.
func mayJoin(ctx context.Context, cl *kgo.Client, group string) (bool, error) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID = group, -1, "nobody"
	answer, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	var told *kerr.Error
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return false, nil
	case errors.As(err, &told): // that there is no such member, or not yet such a group
		return true, nil
	}
	return true, err
}
