package cli

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/move"
	"stockflow/stockflowtest"
	"stockflow/stockflowtest/kafka"
)

// TestOnASecuredKafka comes in by each way that a Kafka may ask for, with the ACLs of docs/security.md and no more; and is told
// why, at once, where it may not.
func TestOnASecuredKafka(t *testing.T) {
	authority := stockflowtest.NewAuthority(t)
	brokers := kafka.NewSecured(t, authority, "stockflow", "secret")
	logins := func(mechanism, password string) secured {
		return secured{brokers: []string{brokers.Logins}, flags: securityFlags{
			TLS: true, CA: authority.File, ServerName: "kafka", SASL: mechanism, User: "stockflow", PasswordFile: written(t, password),
		}}
	}
	certs := func(of stockflowtest.Signed) secured {
		return secured{brokers: []string{brokers.Certs}, flags: securityFlags{TLS: true, CA: authority.File, ServerName: "kafka", Cert: of.Cert, Key: of.Key}}
	}
	hence, ago := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	ways := map[string]secured{
		"SCRAM": logins("scram-sha-512", "secret"), "PLAIN": logins("plain", "secret"), "a certificate": certs(authority.Sign("stockflow", hence)),
	}
	refused := func(s secured, change []string, says ...string) {
		t.Helper()
		args := append([]string{"serve", "--http=127.0.0.1:0", "--data", t.TempDir()}, s.args()...)
		told(t, 1, says, append(args, change...)...)
	}
	for _, s := range ways {
		refused(s, nil, "READ on group order", "READ on group notification")
	}
	allow(t, brokers.Admin)
	for name, s := range ways {
		t.Run(name, func(t *testing.T) {
			server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: t.TempDir(), Partitions: 2, Brokers: s.brokers, Security: s.flags})
			client.want("POST", lampPath+"/receipts", fiveUnits, 200)
			client.want("POST", "/v1/orders", `{"order_id":"`+name+`","lines":[{"sku":"lamp","quantity":2}]}`, 201, `"confirmed"`)
			newQuiet(t, server).wait(t)
			told(t, 0, []string{allEqual}, append([]string{"verify"}, s.args()...)...)
			halt(t, server)
		})
	}

	refused(logins("scram-sha-512", "guess"), nil, `login of "stockflow" by SCRAM-SHA-512; user or password are wrong`)
	refused(logins("plain", "guess"), nil, `login of "stockflow" by PLAIN; user or password are wrong`)
	refused(ways["SCRAM"], []string{"--brokers-sasl=scram-sha-256"}, "takes no login by SCRAM-SHA-256")
	refused(certs(authority.Sign("late", ago)), nil, "--brokers-cert: the certificate in", "has expired at "+ago.UTC().Format(time.RFC3339))
	refused(certs(stockflowtest.NewAuthority(t).Sign("stranger", hence)), nil, "refuses our certificate, or that there is none")
	refused(secured{brokers: []string{brokers.Certs}, flags: securityFlags{TLS: true, CA: authority.File, ServerName: "kafka"}}, nil, "refuses our certificate, or that there is none")
	refused(ways["SCRAM"], []string{"--brokers-ca", stockflowtest.NewAuthority(t).File}, "authority that isn't trusted")
	refused(secured{brokers: brokers.Connection().Brokers, flags: securityFlags{TLS: true, CA: authority.File}}, nil, "no answer to TLS")
	told(t, 2, []string{"is TLS missing?"}, "topics", "--brokers", brokers.Logins)

	forbid(t, brokers.Admin, "shipment-events", kadm.OpWrite)
	refused(ways["PLAIN"], nil, "the brokers don't allow User:stockflow what it needs: WRITE on topic shipment-events\n")
	refused(ways["a certificate"], nil, "the brokers don't allow the holder of the client certificate what it needs: WRITE on topic shipment-events\n")
}

// allow gives the user stockflow the ACLs of docs/security.md.
func allow(t *testing.T, admin *kadm.Client) {
	t.Helper()
	var names []string
	for _, topic := range topics() {
		names = append(names, topic.Name)
	}
	for _, acls := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(names...).Operations(kadm.OpRead, kadm.OpWrite, kadm.OpDescribeConfigs, kadm.OpCreate),
		kadm.NewACLs().Topics(move.Topic).Operations(kadm.OpRead),
		kadm.NewACLs().Groups("order", "inventory", "shipment", "notification").Operations(kadm.OpRead),
	} {
		made, err := admin.CreateACLs(t.Context(), acls.ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:stockflow").AllowHosts())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range made {
			if one.Err != nil {
				t.Fatal(one.Err)
			}
		}
	}
}

func forbid(t *testing.T, admin *kadm.Client, topic string, operation kadm.ACLOperation) {
	t.Helper()
	gone, err := admin.DeleteACLs(t.Context(), kadm.NewACLs().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(operation).Allow("User:stockflow").AllowHosts())
	if err != nil || len(gone) != 1 || len(gone[0].Deleted) != 1 {
		t.Fatalf("%v: %+v", err, gone)
	}
}
