package broker

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/stockflowtest/fake"
)

// A producer is told of a refusal before the client tells it, also over TLS with a login; and of nothing that the client tries again at.
func TestAProducerIsToldOfRefusals(t *testing.T) {
	is := sign(t)
	for name, c := range map[string]struct {
		broker []kfake.Opt
		ours   Security
	}{
		"in plain text": {},
		"over TLS with a login": {
			[]kfake.Opt{kfake.TLS(server(is.good, nil)), kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "secret")},
			Security{TLS: trusting(is.authority), Login: Plain, User: "shop", Password: "secret"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fake.Open(t, append(c.broker, kfake.NumBrokers(2), kfake.SeedTopics(1, "logs"))...).Cluster()
			told := make(chan error, 100)
			client, err := Connection{Brokers: cluster.ListenAddrs(), Security: c.ours}.intercepting(func(err error) { told <- err })
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			send := func(refusal *kerr.Error) error {
				fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "logs", Err: refusal})
				defer fault.Remove()
				return client.ProduceSync(t.Context(), &kgo.Record{Topic: "logs", Value: []byte("x")}).FirstErr()
			}
			for _, passing := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend} {
				if err := send(passing); err != nil || len(told) > 0 {
					t.Errorf("after %v: %v, and %d refusals were told", passing, err, len(told))
				}
			}
			for _, last := range []*kerr.Error{kerr.UnknownServerError, kerr.TopicAuthorizationFailed, kerr.CorruptMessage} {
				if err := send(last); !errors.Is(err, last) || len(told) != 1 {
					t.Fatalf("%v came to %v, and %d refusals were told", last, err, len(told))
				}
				wantError(t, <-told, "refuses a Produce for good", last.Message)
			}
		})
	}
}
