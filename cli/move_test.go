package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/broker"
	"stockflow/move"
	"stockflow/stockflowtest/fake"
)

// A shop outgrows its machine. On Kafka it is the same shop: the same rows, byte for byte, the same past, the same name; and it
// goes on where it was.
func TestWhatIsMovedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	data, kafka := t.TempDir(), fake.Open(t)
	server, client := open(t, data)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.want("POST", "/v1/orders", lampOrder, 201, `"confirmed"`)
	newQuiet(t, server).wait(t)
	movesTo(t, server, client, Serve{HTTP: "127.0.0.1:0", Data: data, Partitions: 8, Brokers: kafka.Brokers()}, func(server *Server, client *shop) {
		client.want("GET", "/v1/orders/o-1", "", 200, `"confirmed"`)
		client.want("POST", "/v1/orders", `{"order_id":"o-2","lines":[{"sku":"lamp","quantity":4}]}`, 201, `"rejected"`)
		client.want("POST", "/v1/orders", `{"order_id":"o-3","lines":[{"sku":"lamp","quantity":3}]}`, 201, `"confirmed"`)
		newQuiet(t, server).wait(t)
		client.wantStock("lamp", 5, 5)
	})
}

// movesTo stops a Stockflow on a journal, moves it, and starts it as there says, where all is as it was; then goes on with what
// comes after.
func movesTo(t *testing.T, server *Server, client *shop, there Serve, after func(*Server, *shop)) {
	t.Helper()
	data, to := there.Data, strings.Join(there.Brokers, ",")
	received := client.send("POST", "/v1/inventory/vase/receipts", `{"quantity":7}`)
	token := received.header.Get("Stockflow-Token")
	client.want("GET", "/v1/inventory/vase?wait=30&after="+token, "", 200)
	reader := &eventReader{t: t, told: map[string][]string{}}
	reader.follow(client, 0)
	var page struct{ Next string }
	must(t, json.Unmarshal([]byte(client.send("GET", "/v1/inventory?limit=1", "").text), &page))
	var about struct{ Deployment string }
	must(t, json.Unmarshal([]byte(client.send("GET", "/v1/system", "").text), &about))
	moment := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	then, err := client.insist("GET", "/v1/inventory/vase?at="+moment, "")
	if err != nil || then.status != 200 {
		t.Fatalf("what is now is answered with %d %s, %v", then.status, then.text, err)
	}
	newQuiet(t, server).wait(t)
	halt(t, server)
	before := digests(t, "--data="+data)

	told(t, 0, []string{"moved to " + to, "the same here and there"}, "move", "--to="+to, "--data="+data)
	told(t, 0, []string{"before"}, "move", "--to="+to, "--data="+data)
	told(t, 1, []string{"was moved to the Kafka at " + to}, "serve", "--http=127.0.0.1:0", "--kafka=off", "--data="+data)
	told(t, 1, []string{"was moved to the Kafka at " + to}, "replay", "--all", "--yes", "--data="+data)
	if now := digests(t, "--brokers="+to); !maps.Equal(now, before) {
		t.Errorf("the tables that were moved are %v, and were %v", now, before)
	}

	server, client = start(t, there)
	client.want("GET", "/v1/system", "", 200, fmt.Sprintf(`"deployment":%q`, about.Deployment))
	client.want("GET", "/v1/inventory/vase?after="+token, "", 410, "token_expired")
	client.want("GET", "/v1/inventory?limit=1&cursor="+page.Next, "", 200)
	if a := client.send("GET", "/v1/events?table=orders", "", "Last-Event-ID: "+reader.last); a.status != 410 {
		t.Errorf("an id of before is answered with %d %s", a.status, a.text)
	}
	past, err := client.insist("GET", "/v1/inventory/vase?at="+moment, "")
	if err != nil || past.text != then.text {
		t.Errorf("what was then is %d %s now, and was %s; %v", past.status, past.text, then.text, err)
	}
	after(server, client)
	newQuiet(t, server).wait(t)
	told(t, 0, []string{allEqual, "over HTTP"}, "verify", "--brokers="+to, "--url=http://"+server.HTTPAddr())
	halt(t, server)
}

// A move to brokers that want to know who comes needs the ACLs of the documentation, and says which are missing.
func TestAMoveOverTLSWithALogin(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	server, client := open(t, data)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	client.want("POST", "/v1/orders", lampOrder, 201, `"confirmed"`)
	newQuiet(t, server).wait(t)
	halt(t, server)

	moves := func(s secured) []string {
		args := []string{"move", "--data=" + data, "--to=" + strings.Join(s.brokers, ",")}
		return append(args, slices.DeleteFunc(s.args(), func(arg string) bool { return strings.HasPrefix(arg, "--brokers=") })...)
	}
	needed := func(ops ...kmsg.ACLOperation) secured {
		acls := aclsNeeded()
		for _, name := range append(namesOf(topics()), move.Topic) {
			for _, op := range ops {
				acls = append(acls, kfake.ACL{
					Resource: kmsg.ACLResourceTypeTopic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Name: name, Operation: op, Allow: true,
				})
			}
		}
		return newSecured(t, acls)
	}
	told(t, 1, []string{"create topic stockflow-move"}, moves(needed())...)
	told(t, 1, []string{"ALTER_CONFIGS on topic order-events"}, moves(needed(kmsg.ACLOperationCreate, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribeConfigs))...)
	s := needed(kmsg.ACLOperationCreate, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs)
	told(t, 0, []string{"moved to"}, moves(s)...)
	_, client = start(t, Serve{HTTP: "127.0.0.1:0", Data: data, Brokers: s.brokers, Security: s.flags, Partitions: 8})
	client.want("GET", "/v1/orders/o-1", "", 200, `"confirmed"`)
}

func namesOf(topics []broker.Topic) (names []string) {
	for _, topic := range topics {
		names = append(names, topic.Name)
	}
	return names
}

// To brokers to which a move has begun nobody comes who would write: serve doesn't, and no command.
func TestAnUnfinishedMoveIsRefused(t *testing.T) {
	t.Parallel()
	data, kafka := t.TempDir(), fake.Open(t)
	to := strings.Join(kafka.Brokers(), ",")
	server, client := open(t, data)
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	newQuiet(t, server).wait(t)
	halt(t, server)
	kafka.Cluster().ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		answer := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, asked := range r.(*kmsg.OffsetCommitRequest).Topics {
			topic := kmsg.OffsetCommitResponseTopic{Topic: asked.Topic}
			for _, p := range asked.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.GroupAuthorizationFailed.Code})
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
	told(t, 1, []string{"committing the offsets of group"}, "move", "--to="+to, "--data="+data)
	unfinished := "a move to these brokers isn't finished, of the journal in " + data
	told(t, 1, []string{unfinished}, "serve", "--http=127.0.0.1:0", "--data="+t.TempDir(), "--brokers="+to)
	told(t, 1, []string{unfinished}, "replay", "--all", "--yes", "--data="+t.TempDir(), "--brokers="+to)
	server, client = open(t, data) // which has left nothing
	client.wantStock("lamp", 5, 0)
	halt(t, server)
}
