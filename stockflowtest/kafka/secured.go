package kafka

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/stockflowtest"
)

// safe are the settings of a broker that asks who comes, and allows what its ACLs say. Whoever comes without TLS is its
// administrator.
//
//go:embed secured.properties
var safe string

// Secured is a broker of today's Kafka with a port for each way to come in.
type Secured struct {
	*Cluster
	Admin  *kadm.Client
	Logins string // host and port for TLS with a login, by PLAIN or by SCRAM-SHA-512
	Certs  string // for TLS with a client certificate, whose common name is the user
}

// NewSecured starts a broker whose certificate, for the name kafka, is of an authority, which also signs those of clients. It
// knows one user. Nobody is allowed anything yet.
func NewSecured(t testing.TB, authority *stockflowtest.Authority, user, password string) *Secured {
	t.Helper()
	at := ports(t, 4)
	b := &Node{ID: 1, Address: at[0], t: t, jars: classpath(t, "kraft"), dir: filepath.Join(t.TempDir(), "1")}
	own := authority.Sign("kafka", time.Now().Add(time.Hour))
	var pair []byte
	for _, file := range []string{own.Key, own.Cert} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pair = append(pair, text...)
	}
	b.configure("pair.pem", string(pair))
	b.configure("server.properties", alone(settings)+fmt.Sprintf(safe, at[0], at[1], at[2], at[3], b.file("log"), b.file("pair.pem"), authority.File, user, password))
	b.main = []string{"kafka.Kafka", b.file("server.properties")}
	b.run("kafka.tools.StorageTool", "format", "-t", clusterID, "-c", b.file("server.properties"))
	c := &Cluster{t: t, Brokers: []*Node{b}}
	c.open(1)
	set, err := c.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = set.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &Secured{Cluster: c, Admin: c.admin, Logins: at[1], Certs: at[2]}
}
