package benchmarks

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"

	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/engine"
	"stockflow/machines/inventory"
)

// stockGoka runs a machine on goka as it comes: its producer, its storage, its commits, its defaults. Changed is only
// what the work needs: it reads the log from its beginning, finds keys where Kafka's clients put them, and keeps its
// rows in the benchmark's directory. Its rows don't say what they have seen and its outputs have no origins: it
// delivers at least once, and has no use for either.
func stockGoka(ctx context.Context, s *stand, m engine.Machine[inventory.State]) error {
	oldest := goka.DefaultConfig()
	oldest.Consumer.Offsets.Initial = sarama.OffsetOldest
	graph := goka.DefineGroup(goka.Group(m.Group),
		goka.Input(goka.Stream(m.Log), eventCodec(m.Decode), callback(m)),
		goka.Persist(rowCodec{m}),
		goka.Output(goka.Stream(m.Sends[0]), new(codec.Bytes)),
	)
	p, err := goka.NewProcessor(s.outside.(broker.Connection).Brokers, graph,
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(oldest)),
		goka.WithHasher(broker.NewHasher()),
		goka.WithStorageBuilder(storage.DefaultBuilder(s.dir)),
		goka.WithLogger(log.New(io.Discard, "", 0)),
	)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// callback is the machine as one would write it down for goka.
func callback(m engine.Machine[inventory.State]) goka.ProcessCallback {
	return func(ctx goka.Context, message any) {
		var state inventory.State
		if row, ok := ctx.Value().(rowOfGoka); ok {
			state = row.state
		}
		res := m.Apply(state, ctx.Key(), ctx.Timestamp().UnixMilli(), message.(codecs.Decoded))
		for _, o := range res.Outputs {
			ctx.Emit(goka.Stream(o.Log), o.Key, o.Value)
		}
		ctx.SetValue(rowOfGoka{codecs.Head{Applied: ctx.Offset()}, res.State})
	}
}

// eventCodec reads the messages of a log.
type eventCodec func([]byte) (codecs.Decoded, error)

func (c eventCodec) Decode(data []byte) (any, error) { return c(data) }
func (eventCodec) Encode(any) ([]byte, error)        { return nil, fmt.Errorf("nobody writes the input") }

type rowOfGoka struct {
	head  codecs.Head
	state inventory.State
}

// rowCodec reads and writes rows as Stockflow does.
type rowCodec struct {
	machine engine.Machine[inventory.State]
}

func (c rowCodec) Encode(value any) ([]byte, error) {
	row := value.(rowOfGoka)
	return c.machine.EncodeRow(row.head, row.state), nil
}

func (c rowCodec) Decode(data []byte) (any, error) {
	head, state, err := c.machine.DecodeRow(data)
	return rowOfGoka{head, state}, err
}
