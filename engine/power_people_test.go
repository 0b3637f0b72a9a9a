package engine_test

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/machines/notification"
	"stockflow/processors"
)

// client does what people do, one thing after the other, and notes what it is answered.
func (l *powerLife) client() {
	for l.ctx.Err() == nil && !isOff(l.disk) {
		for _, r := range l.w.next() {
			l.write(r)
		}
		time.Sleep(l.w.chance.upTo(100 * time.Millisecond))
	}
}

// next returns the records of what somebody does next.
func (w *powerWorld) next() (all []*kgo.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sim.people.send = func(s *shelf, r stored) {
		all = append(all, &kgo.Record{Topic: s.topic, Partition: s.partition, Key: []byte(r.key), Value: r.value, Headers: r.headers})
	}
	w.sim.people.act()
	return all
}

// write writes a record, and promises that it is there if that is what is answered.
func (l *powerLife) write(r *kgo.Record) {
	if err := l.writer.Write(l.ctx, r); err == nil {
		l.w.stats.count(&l.w.stats.answered)
		l.w.promise(r)
	} else if l.ctx.Err() == nil {
		l.failed("write a message", err)
	}
}

// promise is called when somebody outside hears of a record.
func (w *powerWorld) promise(r *kgo.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	if w.told[at] == nil {
		w.told[at] = map[int64]stored{}
	}
	w.told[at][r.Offset] = stored{key: string(r.Key), value: r.Value, headers: slices.Clone(r.Headers)}
}

// read reads everything as it comes, as somebody outside does.
func (l *powerLife) read() {
	f, err := l.outside.Follow(l.w.fed(topics...))
	if err != nil {
		l.failed("follow all topics", err)
		return
	}
	for {
		batches, err := f.Poll(l.ctx)
		if err != nil {
			return
		}
		for _, b := range batches {
			for _, r := range b.Records {
				l.w.stats.count(&l.w.stats.seen)
				l.w.promise(r)
			}
		}
		for _, g := range specs {
			committed, err := l.outside.Committed(l.ctx, g.name)
			if err != nil {
				l.failed("ask what is committed", err)
			}
			l.w.mu.Lock()
			l.w.done[g.name] = committed
			l.w.mu.Unlock()
		}
	}
}

// fed returns up to where the oracle knows the partitions of some topics.
func (w *powerWorld) fed(names ...string) map[string]map[int32]int64 {
	from := map[string]map[int32]int64{}
	for _, name := range names {
		from[name] = map[int32]int64{}
		for p := range w.sim.shape.partitions {
			from[name][p] = w.sim.shelf(name, p).visible
		}
	}
	return from
}

// sendMails sends what is queued, and tells the log of it. A process that begins knows of nothing that was sent.
func (l *powerLife) sendMails() {
	from := l.w.fed(processors.NotificationTable)
	for p := range from[processors.NotificationTable] {
		from[processors.NotificationTable][p] = 0
	}
	f, err := l.outside.Follow(from)
	if err != nil {
		l.failed("follow the outbox", err)
		return
	}
	known := map[errand]bool{}
	for {
		batches, err := f.Poll(l.ctx)
		if err != nil {
			return
		}
		newest := map[string][]byte{}
		for _, b := range batches {
			for _, r := range b.Records {
				newest[string(r.Key)] = r.Value
			}
		}
		for key, row := range newest {
			l.sendQueued(key, row, known)
		}
	}
}

func (l *powerLife) sendQueued(key string, row []byte, known map[errand]bool) {
	_, s, err := codecs.DecodeNotificationRow(row)
	if err != nil {
		l.w.fail("the row of %q in the outbox: %w", key, err)
		return
	}
	for _, mail := range s.Mails {
		e := errand{key, mail.Kind, mail.Round}
		if mail.Status != notification.StatusQueued || known[e] {
			continue
		}
		known[e] = true
		l.w.mu.Lock()
		l.w.mailed[e]++
		l.w.mu.Unlock()
		l.w.stats.count(&l.w.stats.mails)
		l.write(&kgo.Record{
			Topic: processors.NotificationEvents, Partition: broker.Partition([]byte(key), l.w.sim.shape.partitions), Key: []byte(key),
			Value: encode(processors.NotificationEvents, notification.Sent{Kind: e.kind, Round: e.round, Attempts: 1}),
		})
	}
}

// rest lets people do what they still want to, and then nothing, until nothing happens any more.
func (w *powerWorld) rest(l *powerLife) {
	l.running.Go(l.client)
	for quiet, before := 0, l.journal.Appended(); quiet < 3; {
		time.Sleep(5 * time.Second)
		w.mu.Lock()
		busy := w.sim.people.budget > 0
		w.mu.Unlock()
		now := l.journal.Appended()
		if quiet++; busy || now != before || now != l.journal.Durable() {
			quiet = 0
		}
		if before = now; !w.sound() || isOff(l.disk) {
			return
		}
	}
	w.audit(l.journal)
	w.checkAtRest()
}
