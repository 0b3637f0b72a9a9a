package engine_test

import (
	"fmt"
	"maps"
	"slices"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/processors"
)

// mails is the sender of e-mails, which is no machine: it reads the table, sends what is queued, and tells the log. It
// forgets everything in a crash.
type mails struct {
	w       *world
	queued  []errand
	known   map[errand]bool // since the last crash
	sent    []errand        // and the log has not been told
	telling []told          // the log was told, and may lose it yet
	count   map[errand]int
	crashes int
}

type errand struct {
	key   string
	kind  notification.Kind
	round int64
}

// told is an outcome on its way into the log.
type told struct {
	errand
	shelf  *shelf
	offset int64
	at     int64
}

func newMails(w *world) *mails {
	return &mails{w: w, known: map[errand]bool{}, count: map[errand]int{}}
}

// told is told of the newest row of a key.
func (m *mails) told(key string, row []byte) {
	_, s, err := codecs.DecodeNotificationRow(row)
	if err != nil {
		m.w.fail("the row of %q in the outbox: %v", key, err)
	}
	for _, mail := range s.Mails {
		e := errand{key, mail.Kind, mail.Round}
		if mail.Status == notification.StatusQueued && !m.known[e] {
			m.known[e] = true
			m.queued = append(m.queued, e)
		}
	}
}

// act sends a mail, or tells the log of one.
func (m *mails) act() bool {
	if len(m.sent) > 0 && m.w.rnd.IntN(2) == 0 {
		e := m.sent[0]
		m.sent = m.sent[1:]
		event := any(notification.Sent{Kind: e.kind, Round: e.round, Attempts: 1})
		if m.w.rnd.IntN(10) == 0 {
			event = notification.Failed{Kind: e.kind, Round: e.round, Attempts: 1, Reason: "no such mailbox"}
		}
		p := broker.Partition([]byte(e.key), m.w.shape.partitions)
		s := m.w.shelf(processors.NotificationEvents, p)
		offset := m.w.put(s, stored{key: e.key, value: encode(s.topic, event), by: outside})
		m.w.note("%s/%d is told of the mail %s at offset %d", s.topic, p, e, offset)
		m.telling = append(m.telling, told{e, s, offset, m.w.clock})
		return true
	}
	m.hear()
	if len(m.queued) == 0 {
		return len(m.sent) > 0
	}
	e := m.queued[0]
	m.queued = m.queued[1:]
	m.count[e]++
	m.sent = append(m.sent, e)
	m.w.note("the mail %s is sent to the customer of %s", e.kind, e.key)
	if n := m.count[e]; n > 1+m.crashes {
		m.w.fail("the mail %s of %s is sent %d times, over %d crashes of the sender", e.kind, e.key, n, m.crashes)
	}
	return true
}

// hear looks what became of what the log was told: what it lost, it is told again.
func (m *mails) hear() {
	m.telling = slices.DeleteFunc(m.telling, func(t told) bool {
		if int64(len(t.shelf.records)) <= t.offset || t.shelf.records[t.offset].at != t.at {
			m.sent = append(m.sent, t.errand)
			return true
		}
		return t.offset < t.shelf.visible
	})
}

// crash makes the sender begin again, from the table.
func (m *mails) crash() bool {
	m.crashes++
	m.w.note("the sender of mails crashes")
	m.queued, m.sent, m.telling, m.known = nil, nil, nil, map[errand]bool{}
	rows := m.w.oracle.newest[notifications]
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		p := broker.Partition([]byte(key), m.w.shape.partitions)
		m.told(key, m.w.shelf(processors.NotificationTable, p).records[rows[key].newest].value)
	}
	return true
}

func (m *mails) idle() bool { return len(m.queued)+len(m.sent)+len(m.telling) == 0 }

// check: every mail that was asked for has been sent, and the table knows.
func (m *mails) check() {
	for key, row := range m.w.oracle.outbox.rows {
		for _, mail := range row.State.Mails {
			sent := 0 // in whichever round: one that comes late counts for the next
			for round := range mail.Round {
				sent += m.count[errand{key, mail.Kind, round + 1}]
			}
			if mail.Status == notification.StatusQueued || sent == 0 {
				m.w.fail("at rest, the mail %s of %s is %s and was sent %d times", mail.Kind, key, mail.Status, sent)
			}
		}
	}
}

// notifications is the number of the notification group.
var notifications = slices.IndexFunc(specs, func(s spec) bool { return s.name == "notification" })

func (e errand) String() string { return fmt.Sprint(e.key, " ", e.kind) }
