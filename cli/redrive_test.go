package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/stockflowtest/fake"
	"stockflow/views"
)

// TestARunningStockflowSendsLetters: what it says of a letter decides whether it counts as sent.
func TestARunningStockflowSendsLetters(t *testing.T) {
	t.Parallel()
	const (
		done     = `200 {"id":"order-events/3/7","redrive_id":"order-events/3/7","redriven":1,"log":"order-events","partition":2,"offset":9}`
		unknown  = `503 {"code":"outcome_unknown"}`
		redriven = `409 {"code":"already_redriven"}`
	)
	for name, c := range map[string]struct {
		answers []string
		sent    int
		err     string
	}{
		"done":                               {[]string{done}, 1, ""},
		"sent by another meanwhile":          {[]string{redriven}, 0, ""},
		"sent by a try that wasn't answered": {[]string{unknown, redriven}, 1, ""},
		"sent again":                         {[]string{unknown, done}, 1, ""},
		"refused":                            {[]string{`409 {"code":"would_halt","detail":"Nothing was sent."}`}, 0, "sending order-events/3/7 again: would_halt: Nothing was sent."},
		"no Stockflow":                       {[]string{`404 not found`}, 0, "is answered with 404 not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != "POST" || r.RequestURI != "/v1/dead-letters/order-events%2F3%2F7/redrive" || string(body) != `{"again":2,"value":"eA==","force":true}` {
					t.Errorf("asked was %s %s %s", r.Method, r.RequestURI, body)
				}
				status, text, _ := strings.Cut(c.answers[asked.Add(1)-1], " ")
				w.WriteHeader(int(status[0]-'0')*100 + int(status[2]-'0'))
				_, _ = io.WriteString(w, text)
			}))
			defer server.Close()
			l := views.DeadLetter{DeadLetter: codecs.DeadLetter{Topic: processors.OrderEvents, Partition: 3, Offset: 7}}
			sent, err := servedRedriver{serving{server.URL}}.Send(t.Context(), []views.DeadLetter{l}, deadletters.Options{Again: 2, Value: []byte("x"), Force: true})
			if len(sent) != c.sent || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || int(asked.Load()) != len(c.answers) {
				t.Errorf("sent were %+v, %v, after %d questions", sent, err, asked.Load())
			}
			if len(c.answers) == 1 && c.sent == 1 && (sent[0].At.Partition != 2 || sent[0].At.Offset != 9) {
				t.Errorf("it was sent to %+v", sent[0].At)
			}
		})
	}
}

// TestLettersAreSentAgainOnKafka, by a command that writes itself.
func TestLettersAreSentAgainOnKafka(t *testing.T) {
	t.Parallel()
	conn := broker.Connection{Brokers: fake.Open(t).Brokers()}
	if _, _, err := conn.Ensure(t.Context(), topics(), 2); err != nil {
		t.Fatal(err)
	}
	w, err := conn.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for offset := range int64(3) {
		d := codecs.DeadLetter{Topic: processors.OrderEvents, Offset: offset, Key: []byte("o-1"), Value: []byte(twoLamps), Reason: "why"}
		if err := w.Write(t.Context(), &kgo.Record{Topic: engine.DeadLetters, Key: d.Key, Value: codecs.EncodeDeadLetter(d)}); err != nil {
			t.Fatal(err)
		}
	}
	brokers := "--brokers=" + conn.Brokers[0]
	typed(t, 0, []string{"order-events/0/1 was sent again", "1 sent again, 0 left out"}, "redrive", brokers, "order-events/0/1", "--yes")
	typed(t, 0, []string{"2 sent again, 0 left out"}, "redrive", brokers, "--all", "--yes")
	typed(t, 0, []string{"order-events/0/1 is left out: it was sent again before; --again 1 sends it once more"}, "redrive", brokers, "order-events/0/1", "--yes")
	ends, err := conn.Ends(t.Context(), processors.OrderEvents)
	if sent := ends[broker.TopicPartition{Topic: processors.OrderEvents, Partition: broker.Partition([]byte("o-1"), 2)}]; err != nil || sent != 3 {
		t.Errorf("%d were sent, %v", sent, err)
	}
}
