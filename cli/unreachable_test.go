package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/processors"
)

// answerSoon is how long a client of a broken Stockflow waits for its answer.
const answerSoon = 10 * time.Second

// failing makes Kafka refuse every record for the log of orders, until heal is called.
func (p place) failing(err *kerr.Error) (heal func()) {
	return p.kafka.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: processors.OrderEvents, Err: err, Count: -1,
	}).Remove
}

// wantUnknown expects to be told that it is not known whether an order was placed, and how to find out.
func wantUnknown(client *shop, a answer) {
	client.t.Helper()
	p := client.row(a)
	if a.status != http.StatusServiceUnavailable || p.Code != "outcome_unknown" || a.header.Get("Retry-After") == "" {
		client.t.Errorf("the answer is %d %s %s", a.status, a.header, a.text)
	}
	for _, way := range []string{"GET /v1/orders/o-1", "repeat"} {
		if !strings.Contains(p.Detail, way) {
			client.t.Errorf("the client is told %q, expected %q in it", p.Detail, way)
		}
	}
}

// wantRefused expects to be told, and at once, that nothing was written.
func wantRefused(client *shop, a answer) {
	client.t.Helper()
	if p := client.row(a); a.status != http.StatusServiceUnavailable || p.Code != "log_unreachable" || a.header.Get("Retry-After") == "" {
		client.t.Errorf("the answer is %d %s %s", a.status, a.header, a.text)
	}
}

// untilReady waits until nothing is waited for: what was left unacknowledged has been.
func untilReady(t *testing.T, server *Server) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(generous); len(server.Waiting()) > 0; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("it still waits for %q", server.Waiting())
		}
	}
}

// TestALogThatTakesNothing is answered in time: the first who writes waits, the others are refused, and the readiness says why. Once it
// takes something again, the order is placed once, however often it was sent meanwhile.
func TestALogThatTakesNothing(t *testing.T) {
	t.Parallel()
	p := onKafka(t)
	server, client := start(t, p.serve())
	client.http.Timeout = answerSoon
	client.want("POST", lampPath+"/receipts", fiveUnits, 200)
	heal := p.failing(kerr.NotEnoughReplicas)
	wantUnknown(client, client.send("POST", "/v1/orders", lampOrder))
	wantRefused(client, client.send("POST", "/v1/orders", lampOrder, "Prefer: wait=10"))
	client.until("/readyz", "takes nothing: 1 writes have not been acknowledged since")
	client.want("GET", orderPath, "", 404)
	heal()
	untilReady(t, server)
	client.want("POST", "/v1/orders", lampOrder, 201, `"confirmed"`)
	newQuiet(t, server).wait(t)
	client.wantStock("lamp", 5, 2)
}

// TestAnUnknownOutcomeMayBeThatItWasDone: the log took the order, and its acknowledgement was lost.
func TestAnUnknownOutcomeMayBeThatItWasDone(t *testing.T) {
	t.Parallel()
	p := onKafka(t)
	server, client := start(t, p.serve())
	client.http.Timeout = answerSoon
	heal := p.failing(kerr.NotEnoughReplicasAfterAppend)
	wantUnknown(client, client.send("POST", "/v1/orders", lampOrder))
	heal()
	untilReady(t, server)
	newQuiet(t, server).wait(t)
	client.want("GET", orderPath, "", 200, `"order_id":"o-1"`, `"status":"rejected"`)
	client.want("POST", "/v1/orders", lampOrder, 201, `"status":"rejected"`)
}

// TestBrokersThatAreGone: every write is answered with 503 in time, and the server still stops.
func TestBrokersThatAreGone(t *testing.T) {
	t.Parallel()
	p := onKafka(t)
	_, client := start(t, p.serve())
	client.http.Timeout = answerSoon
	p.kafka.Close()
	writes := [][2]string{
		{"/v1/orders", lampOrder}, {lampPath + "/receipts", fiveUnits}, {orderPath + "/cancel", ""}, {parcelPath + "/dispatch", dhl},
	}
	sideBySide(len(writes), len(writes), func(i int) {
		a := client.send("POST", writes[i][0], writes[i][1])
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || client.row(a).Detail == "" {
			t.Errorf("%s is answered with %d %s %s", writes[i][0], a.status, a.header, a.text)
		}
	})
	if a := client.send("GET", "/livez", ""); a.status != http.StatusOK {
		t.Errorf("/livez is answered with %d %s", a.status, a.text)
	}
}
