package views

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/journal/files"
)

// A view that lost its broker tries again after so long, at first at once. goka's own steps are 10 s.
const (
	backoffStep = 100 * time.Millisecond
	backoffMax  = 2 * time.Second
)

// Run follows the table's changelog until ctx ends, and begins anew whenever something breaks. While the broker is
// away the table goes on to answer with what it has.
func (t *Table[S]) Run(ctx context.Context) error {
	backoff := goka.NewSimpleBackoff(backoffStep, backoffMax)
	for {
		err := t.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		t.end(err.Error())
		t.log.Warn("the table is opened again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff.Duration()):
		}
	}
}

// follow runs one view until it ends, which it does by itself only when something is broken.
func (t *Table[S]) follow(ctx context.Context) error {
	ctx, broken := context.WithCancelCause(ctx)
	defer broken(nil)
	link := &link{conn: t.conn, client: "views-" + t.name}
	defer link.close()

	topics, err := link.topics(nil)
	if err != nil {
		return fmt.Errorf("connecting to the broker: %w", err)
	}
	partitions, err := topics.Partitions(t.name)
	if err != nil {
		return fmt.Errorf("finding the partitions of the topic %s: %w", t.name, err)
	}
	t.begin(len(partitions), broken)
	defer t.end("its start")

	view, err := goka.NewView(nil, goka.Table(t.name), new(codec.Bytes), t.options(link)...)
	if err != nil {
		return fmt.Errorf("opening the view: %w", err)
	}
	err = view.Run(ctx)
	return whyEnded(context.Cause(ctx), err)
}

// whyEnded prefers what broke a view to what its end brought about.
func whyEnded(cause, err error) error {
	switch {
	case cause != nil:
		return cause
	case err != nil:
		return err
	}
	return errors.New("the view ended by itself")
}

func (t *Table[S]) options(link *link) []goka.ViewOption {
	return []goka.ViewOption{
		goka.WithViewLogger(chatter{t.log}),
		goka.WithViewHasher(broker.NewHasher()),
		goka.WithViewCallback(t.takeIn),
		goka.WithViewStorageBuilder(t.store),
		goka.WithViewConsumerSaramaBuilder(link.consumer),
		goka.WithViewTopicManagerBuilder(link.topics),
		goka.WithViewBackoffBuilder(func() (goka.Backoff, error) {
			return goka.NewSimpleBackoff(backoffStep, backoffMax), nil
		}),
		goka.WithViewAutoReconnect(),
	}
}

func (t *Table[S]) store(_ string, partition int32) (storage.Storage, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if int(partition) >= len(t.partitions) {
		return nil, fmt.Errorf("partition %d of %s appeared just now", partition, t.name)
	}
	return t.partitions[partition], nil
}

// takeIn is told each record of the changelog, once or more, in the order of its partition. A row gives way only to
// one that is not older: an owner that lost its partition may go on to write old rows for a while. A record without
// a row takes the row away, as a replay does with one that should not be; one that can't be decoded leaves it as it was.
func (t *Table[S]) takeIn(ctx goka.UpdateContext, rows storage.Storage, key string, value []byte) error {
	if value == nil {
		return rows.Delete(key)
	}
	head, err := codecs.DecodeHead(value)
	if err != nil {
		t.log.Error("a record of the changelog is no row", "partition", ctx.Partition(), "offset", ctx.Offset(), "error", err)
		return nil
	}
	taken := ctx.Headers()[codecs.HeaderTaken] // without it, no message went into the row: the owner wrote an older one again
	var newer []byte
	err = t.effectsAt(ctx.Partition()).place(key, head.Applied, taken, func() (err error) {
		newer, err = setUnlessOlder(rows, key, value, head)
		return err
	})
	if err != nil {
		t.fail(err)
		return err
	}
	arrived := arrival{key: key, partition: ctx.Partition(), offset: ctx.Offset()}
	if newer == nil {
		newer, arrived.row = value, value
	}
	// The row is in its place before anyone is woken: who is woken and reads, reads this row or a newer one.
	if watches := t.watches.of(key); len(watches) > 0 {
		t.tell(watches, key, newer, taken)
	}
	t.feed.tell(arrived)
	return nil
}

// setUnlessOlder sets a row, or returns the newer one that was there and stays.
func setUnlessOlder(rows storage.Storage, key string, value []byte, head codecs.Head) (newer []byte, err error) {
	old, err := rows.Get(key)
	if err != nil {
		return nil, err
	}
	if have, err := codecs.DecodeHead(old); err == nil && have.Newer(head) {
		return old, nil
	}
	return nil, rows.Set(key, value)
}

// effectsAt returns what is remembered of a partition of the view that runs now.
func (t *Table[S]) effectsAt(partition int32) *effects {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.effects[partition]
}

// tell wakes those who watch a key.
func (t *Table[S]) tell(watches []*Watch[S], key string, value, header []byte) {
	head, state, err := t.decode(value)
	if err != nil {
		t.log.Error("a row does not decode", "key", key, "error", err)
		return
	}
	tellAll(watches, Row[S]{Head: head, State: state, Found: true}, t.decodeTaken(key, header))
}

// decodeTaken returns which messages went into a record of key.
func (t *Table[S]) decodeTaken(key string, header []byte) []codecs.Taken {
	taken, err := codecs.DecodeTaken(header)
	if err != nil {
		t.log.Error("a record of the changelog has a bad header", "key", key, "error", err)
	}
	return taken
}

func (t *Table[S]) goThrough(fsys files.FS) { t.files = fsys }

// fail ends the view that runs now, so that its stores are opened again: a damaged one is set aside then.
func (t *Table[S]) fail(err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.broken(err)
}

// link makes what a view needs of the broker, and closes all of it: goka leaves some of it open.
type link struct {
	conn   broker.Broker
	client string
	open   []io.Closer
}

func (l *link) consumer([]string, string) (sarama.Consumer, error) {
	c, err := l.conn.Consumer(l.client)
	if err == nil {
		l.open = append(l.open, c)
	}
	return c, err
}

func (l *link) topics([]string) (goka.TopicManager, error) {
	tm, err := l.conn.TopicOffsets(l.client)
	if err == nil {
		l.open = append(l.open, tm)
	}
	return tm, err
}

// close closes everything. Some of it goka has closed already, which is an error that nobody needs to know.
func (l *link) close() {
	for _, c := range l.open {
		_ = c.Close()
	}
}

// chatter is goka's logger. What goka has to say is for whoever debugs it.
type chatter struct{ log *slog.Logger }

func (c chatter) Print(args ...any)                 { c.log.Debug(fmt.Sprint(args...)) }
func (c chatter) Println(args ...any)               { c.log.Debug(fmt.Sprint(args...)) }
func (c chatter) Printf(format string, args ...any) { c.log.Debug(fmt.Sprintf(format, args...)) }
