package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// allow is an entry for everything that begins with prefix.
func allow(kind kmsg.ACLResourceType, prefix string, ops ...kmsg.ACLOperation) (acls []kfake.ACL) {
	for _, op := range ops {
		acls = append(acls, kfake.ACL{Resource: kind, Name: prefix, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: op, Allow: true})
	}
	return acls
}

const (
	topicACL = kmsg.ACLResourceTypeTopic
	groupACL = kmsg.ACLResourceTypeGroup
)

// guarded is a broker with the shop's topics, which allows its user what is in acls.
func guarded(t *testing.T, acls ...kfake.ACL) Connection {
	t.Helper()
	c := kafka(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.User("PLAIN", "shop", "secret", acls...))
	c.Security = Security{Login: Plain, User: "root", Password: "secret"}
	ensure(t, c, 1, shop...)
	c.Security.User = "shop"
	return c
}

func TestAccessThatIsMissingIsNamed(t *testing.T) {
	read, write, describe, configs := kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs
	joined := func(some ...[]kfake.ACL) (all []kfake.ACL) {
		for _, s := range some {
			all = append(all, s...)
		}
		return all
	}
	for name, test := range map[string]struct {
		acls   []kfake.ACL
		access Access
		want   []string // in the error; none if there is none
	}{
		"nothing allowed": {nil, Writing, []string{"User:shop", "READ and WRITE and DESCRIBE_CONFIGS on topic orders", "on topic order-table",
			"READ on group order"}},
		"all that is needed": {joined(allow(topicACL, "", read, write, configs), allow(groupACL, "order", read)), Writing, nil},
		"no writing":         {joined(allow(topicACL, "", read, configs), allow(groupACL, "", read)), Writing, []string{": WRITE on topic orders, WRITE on topic"}},
		"one topic is missing": {joined(allow(topicACL, "order", read, write, configs), allow(groupACL, "", read)), Writing,
			[]string{"needs: READ and WRITE and DESCRIBE_CONFIGS on topic dead-letters"}},
		"the group is missing":       {allow(topicACL, "", read, write, configs), Writing, []string{"needs: READ on group order"}},
		"to read takes reading":      {allow(topicACL, "", read), Reading, nil},
		"to look takes no reading":   {allow(topicACL, "", describe, configs), Looking, nil},
		"to look is not yet to read": {allow(topicACL, "", describe, configs), Reading, []string{"READ on topic orders"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := guarded(t, test.acls...)
			var groups []string
			if test.access == Writing {
				groups = []string{"order"}
			}
			err := CheckAccess(t.Context(), c, test.access, shop, groups...)
			if len(test.want) > 0 {
				wantError(t, err, test.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A broker that asks nobody allows everything, and topics that aren't there yet are nobody's.
func TestAccessWhereNobodyIsAsked(t *testing.T) {
	c := kafka(t, 1)
	if err := CheckAccess(t.Context(), c, Writing, shop, "order"); err != nil {
		t.Error(err)
	}
	ensure(t, c, 1, shop...)
	if err := CheckAccess(t.Context(), c, Writing, shop, "order"); err != nil {
		t.Error(err)
	}
}

func TestTopicsThatMayNotBeMadeAreNamed(t *testing.T) {
	all := []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribeConfigs}
	c := kafka(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "shop", "secret", allow(topicACL, "", all...)...))
	c.Security = Security{Login: Plain, User: "shop", Password: "secret"}
	_, _, err := c.Ensure(t.Context(), shop, 1)
	wantError(t, err, "create topic orders", "AUTHORIZATION_FAILED")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is in %v", err)
	}
}
