package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/processors"
	"stockflow/replay"
	"stockflow/replay/history"
)

// truth is what people were shown: it must be so for ever.
type truth struct {
	t *testing.T

	mu       sync.Mutex // guards what follows
	shown    map[rowVersion][]byte
	accepted map[rowKey]bool
	tokens   map[string]rowKey
	event    string            // the id of the last event
	orders   map[string]string // by the digest that e-mails have of them
	checked  int               // rows that were shown, and were found
}

// rowKey names a row.
type rowKey struct{ table, key string }

// rowVersion names a row at a version.
type rowVersion struct {
	rowKey
	version int64
}

func newTruth(t *testing.T) *truth {
	return &truth{t: t, shown: map[rowVersion][]byte{}, accepted: map[rowKey]bool{}, tokens: map[string]rowKey{}, orders: map[string]string{}}
}

// show is called when somebody is shown a row.
func (t *truth) show(table, key string, body []byte) {
	var row struct {
		Version *int64 `json:"version"`
	}
	if err := json.Unmarshal(body, &row); err != nil || row.Version == nil {
		t.t.Errorf("the row of %s in %s is answered with %s: %v", key, table, body, err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown[rowVersion{rowKey{table, key}, *row.Version}] = body
}

// accept is called when somebody is told that a message was accepted.
func (t *truth) accept(table, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepted[rowKey{table, key}] = true
}

// place is called before somebody places an order, of which there may be e-mails whatever is answered.
func (t *truth) place(order string) {
	sum := sha256.Sum256([]byte(order))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.orders[hex.EncodeToString(sum[:16])] = order
}

// give is called when somebody gets a token.
func (t *truth) give(table, key, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[token] = rowKey{table, key}
}

// tell is called when somebody is told of a change.
func (t *truth) tell(id, data string) {
	var event struct {
		Key string
		Row json.RawMessage
	}
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		t.t.Errorf("the event %s: %v", data, err)
		return
	}
	t.show(processors.OrderTable, event.Key, event.Row)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.event = id
}

func (t *truth) lastEvent() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.event
}

// check holds a program that has just started against what was shown, and forgets what was found. What can't be found because the disk is
// ill is looked for at the next start.
func (t *truth) check(l *powerLife) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.checkAll(l); err != nil && !l.plant.isIll() {
		t.t.Error(err)
	}
}

func (t *truth) checkAll(l *powerLife) error {
	for _, check := range []func(*powerLife) error{t.checkShown, t.checkAccepted, t.checkTokens, t.checkMails, checkTables} {
		if err := check(l); err != nil {
			return err
		}
	}
	return nil
}

// checkShown folds the logs again: each row that was shown must come out at its version.
func (t *truth) checkShown(l *powerLife) error {
	rows := map[rowKey]*history.Single{}
	defer func() {
		for _, s := range rows {
			_ = s.Close() // it is in memory
		}
	}()
	for at, body := range t.shown {
		if rows[at.rowKey] == nil {
			s, err := recall(l, at.rowKey)
			if err != nil {
				return err
			}
			rows[at.rowKey] = s
		}
		m, err := rows[at.rowKey].AtOffset(at.version)
		if err != nil {
			return fmt.Errorf("somebody was shown version %d of %s, which is gone: %w", at.version, at.key, err)
		}
		now, _, err := api.Render(at.table, at.key, m.Row)
		if err != nil || m.Offset != at.version || strings.TrimSpace(string(now)) != strings.TrimSpace(string(body)) {
			return fmt.Errorf("somebody was shown %s as %s, and version %d is %s, %w", at.key, body, m.Offset, now, err)
		}
		t.checked++
	}
	clear(t.shown)
	return nil
}

func recall(l *powerLife, at rowKey) (*history.Single, error) {
	m, err := machineOf(at.table)
	if err != nil {
		return nil, err
	}
	return history.Recall(context.Background(), l.server.Broker(), history.Question{
		Machine: m, Key: at.key, Partitions: l.server.partitions, Log: l.server.log.Warn,
	})
}

func machineOf(table string) (replay.Machine, error) {
	for _, m := range replay.Machines {
		if m.Table == table {
			return m, nil
		}
	}
	return replay.Machine{}, fmt.Errorf("there is no machine of %s", table)
}

// checkAccepted looks for the messages that were accepted.
func (t *truth) checkAccepted(l *powerLife) error {
	for _, m := range replay.Machines {
		last, err := l.newest(m.Log)
		if err != nil {
			return err
		}
		for at := range t.accepted {
			if at.table == m.Table && last[at.key] == nil {
				return fmt.Errorf("a message of %s was accepted, and is gone", at.key)
			}
		}
	}
	clear(t.accepted)
	return nil
}

// checkTokens reads after each token. What the write caused isn't known any more, but that it is there.
func (t *truth) checkTokens(l *powerLife) error {
	for token, at := range t.tokens {
		a, err := l.client.try("GET", places[at.table].path+"/"+at.key+"?wait=10&after="+token, "")
		if err == nil && a.status != http.StatusOK && a.status != http.StatusNotFound && a.status != http.StatusGone {
			err = fmt.Errorf("a read of %s after a token of before is answered with %d %s", at.key, a.status, a.text)
		}
		if err != nil {
			return err
		}
	}
	clear(t.tokens)
	return nil
}

// checkMails: what was sent is in the outbox, queued at least.
func (t *truth) checkMails(l *powerLife) error {
	newest, err := l.newest(processors.NotificationTable)
	if err != nil {
		return err
	}
	for id := range l.plant.relay.Counts() {
		digest, rest, _ := strings.Cut(id, ".")
		name, _, _ := strings.Cut(rest, "@")
		kind, err := codecs.ParseKind(name)
		if err != nil {
			return fmt.Errorf("the e-mail %s: %w", id, err)
		}
		order := t.orders[digest]
		_, s, err := codecs.DecodeNotificationRow(newest[order])
		if _, queued := s.Find(kind); err != nil || !queued {
			return fmt.Errorf("the e-mail %s of %s was sent, and the outbox has %+v, %w", name, order, s, err)
		}
	}
	return nil
}

// newest returns the last value of each key of a topic.
func (l *powerLife) newest(topic string) (map[string][]byte, error) {
	all, b := map[string][]byte{}, l.server.Broker()
	ends, err := b.Ends(context.Background(), topic)
	for at, end := range ends {
		err = errors.Join(err, b.Read(context.Background(), topic, at.Partition, 0, end, func(r *kgo.Record) error {
			all[string(r.Key)] = r.Value
			return nil
		}))
	}
	return all, err
}

// checkTables holds every table, and what HTTP serves, against the fold of its log.
func checkTables(l *powerLife) error {
	ctx, cancel := context.WithTimeout(l.plant.Context(), generous)
	defer cancel()
	served := serving{url: l.client.url}.asked()
	served.Latest = func(context.Context) (broker.Broker, error) { return l.server.Broker(), nil }
	report, err := replay.Verification{Conn: l.server.Broker(), Machines: replay.Machines, Dir: l.plant.TempDir(), Served: served}.Verify(ctx)
	if err == nil && (!report.Equal() || len(report.Unchecked) > 0) {
		err = fmt.Errorf("the tables are not what their logs make them: %+v; not verified: %q", report.Differences, report.Unchecked)
	}
	return err
}
