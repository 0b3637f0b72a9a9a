package engine_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/broker"
	"stockflow/journal/files/powercut"
)

// paced is the journal as the groups see it, but that each record takes a while before it is appended.
type paced struct {
	broker.Local
	disk   *powercut.Disk
	chance *chance
}

func (p paced) Keep() (broker.Broker, func(), error) { return p, func() {}, nil }

func (p paced) Producer(largest int) (broker.Producer, error) {
	inner, err := p.Local.Producer(largest)
	return pacedProducer{inner, p}, err
}

type pacedProducer struct {
	broker.Producer
	of paced
}

func (p pacedProducer) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	if !isOff(p.of.disk) {
		time.Sleep(p.of.chance.upTo(20 * time.Millisecond))
	}
	p.Producer.Produce(ctx, r, promise)
}

// hasty is a writer that answers when a record is appended.
type hasty struct{ producer broker.Producer }

func (h hasty) Write(ctx context.Context, r *kgo.Record) (err error) {
	h.producer.Produce(ctx, r, func(_ *kgo.Record, e error) { err = e })
	return err
}
func (hasty) Waiting() []string { return nil }
func (h hasty) Close()          { h.producer.Close() }

// setAside counts the stores that the engine says it has set aside, and drops what else it says.
type setAside struct{ stats *powerStats }

func (setAside) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (s setAside) WithAttrs([]slog.Attr) slog.Handler             { return s }
func (s setAside) WithGroup(string) slog.Handler                  { return s }
func (s setAside) Handle(_ context.Context, r slog.Record) error {
	if r.NumAttrs() == 3 && r.Level == slog.LevelWarn {
		s.stats.count(&s.stats.setAside)
	}
	return nil
}
