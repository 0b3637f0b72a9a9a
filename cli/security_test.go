package cli

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/move"
	"stockflow/stockflowtest"
	"stockflow/stockflowtest/fake"
)

// aclsNeeded are those of docs/security.md, for the user stockflow.
func aclsNeeded() (acls []kfake.ACL) {
	add := func(kind kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, name string, ops ...kmsg.ACLOperation) {
		for _, op := range ops {
			acls = append(acls, kfake.ACL{Resource: kind, Pattern: pattern, Name: name, Operation: op, Allow: true})
		}
	}
	for _, t := range topics() {
		add(kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral, t.Name,
			kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationCreate)
	}
	add(kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral, move.Topic, kmsg.ACLOperationRead)
	for _, group := range []string{"order", "inventory", "shipment", "notification"} {
		add(kmsg.ACLResourceTypeGroup, kmsg.ACLResourcePatternTypeLiteral, group, kmsg.ACLOperationRead)
	}
	return acls
}

// secured is a broker that speaks TLS to those who have a certificate, lets them log in, and allows what is in acls.
type secured struct {
	cluster *kfake.Cluster
	flags   securityFlags
	brokers []string
}

func newSecured(t *testing.T, acls []kfake.ACL) secured {
	t.Helper()
	authority := stockflowtest.NewAuthority(t)
	hence := time.Now().Add(time.Hour)
	ours, theirs := authority.Sign("stockflow", hence), authority.Sign("kafka", hence)
	cluster := fake.Open(t, kfake.NumBrokers(3),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{theirs.Pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool}),
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("SCRAM-SHA-512", "stockflow", "secret", acls...)).Cluster()
	return secured{cluster, securityFlags{
		TLS: true, CA: authority.File, Cert: ours.Cert, Key: ours.Key, ServerName: "kafka",
		SASL: "scram-sha-512", User: "stockflow", PasswordFile: written(t, "secret\n"),
	}, cluster.ListenAddrs()}
}

func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// settings are the flags by name.
func (s secured) settings() map[string]string {
	f := s.flags
	return map[string]string{
		"brokers": strings.Join(s.brokers, ","), "brokers-tls": "true", "brokers-ca": f.CA, "brokers-cert": f.Cert, "brokers-key": f.Key,
		"brokers-server-name": f.ServerName, "brokers-sasl": f.SASL, "brokers-user": f.User, "brokers-password-file": f.PasswordFile,
	}
}

func (s secured) args() (args []string) {
	for name, value := range s.settings() {
		args = append(args, "--"+name+"="+value)
	}
	return args
}

// TestEverythingOverTLSWithALogin: with the ACLs of the documentation and no more, an order goes through all machines,
// and every command finds its logs.
func TestEverythingOverTLSWithALogin(t *testing.T) {
	t.Parallel()
	s, dir := newSecured(t, aclsNeeded()), t.TempDir()
	server, client := start(t, Serve{HTTP: "127.0.0.1:0", Data: dir, Partitions: 2, Brokers: s.brokers, Security: s.flags})
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.want("POST", "/v1/orders", lampOrder, 201, `"confirmed"`)
	newQuiet(t, server).wait(t)
	for _, command := range []string{
		"topics", "verify", "dead-letters list", "show order o-1", "replay --all --dry-run", "dead-letters redrive --all --yes",
	} {
		if command == "replay --all --dry-run" {
			halt(t, server)
		}
		told(t, 0, nil, append(strings.Fields(command), s.args()...)...)
	}
	told(t, 0, nil, append([]string{"replay", "--all", "--yes", "--data", dir}, s.args()...)...)
}

// TestTheEnvironmentAndTheFileTellHowToLogIn has the same flags in both.
func TestTheEnvironmentAndTheFileTellHowToLogIn(t *testing.T) {
	s := newSecured(t, aclsNeeded())
	text, err := json.Marshal(s.settings())
	if err != nil {
		t.Fatal(err)
	}
	told(t, 0, []string{"9 of them missing"}, "topics", "--config", written(t, string(text)))
	for name, value := range s.settings() {
		t.Setenv("STOCKFLOW_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value)
	}
	told(t, 0, []string{"9 of them missing"}, "topics")
}

// TestServeEndsAtOnceWhereItMayNot says why, and doesn't try again.
func TestServeEndsAtOnceWhereItMayNot(t *testing.T) {
	t.Parallel()
	s := newSecured(t, aclsNeeded())
	serve := func(says []string, change ...string) {
		t.Helper()
		args := append([]string{"serve", "--http=127.0.0.1:0", "--data", t.TempDir()}, s.args()...)
		told(t, 1, says, append(args, change...)...)
	}
	serve([]string{`login of "stockflow" by SCRAM-SHA-512`}, "--brokers-password-file", written(t, "guess"))
	serve([]string{"authority that isn't trusted"}, "--brokers-ca", stockflowtest.NewAuthority(t).File)
	serve([]string{"for another name"}, "--brokers-server-name=elsewhere")
	late := stockflowtest.NewAuthority(t).Sign("late", time.Now().Add(-time.Hour))
	serve([]string{"--brokers-cert: the certificate in " + late.Cert + " has expired at "}, "--brokers-cert", late.Cert, "--brokers-key", late.Key)

	s = newSecured(t, aclsNeeded()[1:]) // no READ on order-events: it says so before and after it is made
	serve([]string{"User:stockflow", "READ on topic order-events"})
	serve([]string{"User:stockflow", "READ on topic order-events"})
	all := aclsNeeded()
	s = newSecured(t, all[:len(all)-2])
	serve([]string{"READ on group shipment, READ on group notification"})
}

// TestAWrongPasswordIsNoStorm: whoever knocks again and again with a wrong password is locked out, and hides what others do. Where the broker
// says that it is wrong, as Kafka does, it is tried once. A broker that hangs up instead may have been broken off; it is tried again a few times, and not for ever.
func TestAWrongPasswordIsNoStorm(t *testing.T) {
	t.Parallel()
	guess := written(t, "guess")
	for how, test := range map[string]struct {
		answers bool
		most    int32
	}{"answered": {true, 1}, "hung up on": {false, 10}} {
		for _, command := range []string{"serve --http=127.0.0.1:0 --data=", "verify", "topics"} {
			for _, mechanism := range []string{"plain", "scram-sha-512"} {
				t.Run(mechanism+" "+how+" "+command[:5], func(t *testing.T) {
					t.Parallel()
					cluster := fake.Open(t, kfake.NumBrokers(3), kfake.EnableSASL(), kfake.Superuser("PLAIN", "stockflow", "secret"), kfake.Superuser("SCRAM-SHA-512", "stockflow", "secret")).Cluster()
					logins := loginsOf(cluster, test.answers)
					command := strings.ReplaceAll(command, "--data=", "--data="+t.TempDir())
					args := append(strings.Fields(command), "--brokers="+strings.Join(cluster.ListenAddrs(), ","),
						"--brokers-sasl="+mechanism, "--brokers-user=stockflow", "--brokers-password-file="+guess)
					var stdout, stderr strings.Builder
					if code := run(args, &stdout, &stderr); code == 0 || !strings.Contains(stderr.String(), `login of "stockflow" by `) {
						t.Errorf("it ends with %d and says %s", code, stderr.String())
					}
					if n := logins.Load(); n < 1 || n > test.most {
						t.Errorf("it tried to log in %d times, expected at most %d", n, test.most)
					}
				})
			}
		}
	}
}

// loginsOf counts the logins that are begun at a cluster. With answers it says of each that it is wrong; kfake hangs up by itself.
func loginsOf(cluster *kfake.Cluster, answers bool) *atomic.Int32 {
	var begun atomic.Int32
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		begun.Add(1)
		return nil, nil, false
	})
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return answer, nil, answers
	})
	return &begun
}

func TestSecurityFlagsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	file := written(t, "\n")
	for args, says := range map[string]string{
		"--brokers-tls":                                                                     "--brokers is missing",
		"--brokers=x --brokers-ca=ca.pem":                                                   "--brokers-tls is missing",
		"--brokers=x --brokers-tls --brokers-ca=none.pem":                                   "--brokers-ca: open none.pem",
		"--brokers=x --brokers-tls --brokers-ca=" + file:                                    "has no certificate in PEM",
		"--brokers=x --brokers-tls --brokers-cert=c.pem":                                    "--brokers-cert and --brokers-key must be given together",
		"--brokers=x --brokers-sasl=plain":                                                  "must be given together",
		"--brokers=x --brokers-user=u":                                                      "must be given together",
		"--brokers=x --brokers-sasl=kerberos --brokers-user=u":                              "--brokers-sasl",
		"--brokers=x --brokers-sasl=plain --brokers-user=u --brokers-password-file=" + file: "has no password in its first line",
	} {
		for _, command := range []string{"topics", "serve --http=127.0.0.1:0 --data=" + t.TempDir()} {
			var stdout, stderr strings.Builder
			line := strings.Fields(command + " " + args)
			if code := run(line, &stdout, &stderr); code == 0 || !strings.Contains(stderr.String(), says) {
				t.Errorf("%q ends with %d and %s, expected %q", line, code, stderr.String(), says)
			}
		}
	}
}

// TestARenewedCertificateIsTaken by the next connection.
func TestARenewedCertificateIsTaken(t *testing.T) {
	t.Parallel()
	authority := stockflowtest.NewAuthority(t)
	first, second := authority.Sign("first", time.Now().Add(time.Hour)), authority.Sign("second", time.Now().Add(time.Hour))
	conf, err := securityFlags{TLS: true, Cert: first.Cert, Key: first.Key}.tls()
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{second.Cert: first.Cert, second.Key: first.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	got, err := conf.GetClientCertificate(nil)
	if err != nil || got.Leaf.Subject.CommonName != "second" {
		t.Errorf("the certificate is %v, %v", got, err)
	}
}
