package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/deadletters"
	"stockflow/views"
)

// skipMessage has a partition go on behind a message that it has stopped at.
type skipMessage struct {
	logsAt    `embed:""`
	URL       string `help:"A Stockflow that runs, to be asked instead." placeholder:"URL" name:"url"`
	Log       string `arg:"" help:"The log: order-events, inventory-events, shipment-events or notification-events."`
	Partition int32  `arg:"" help:"Its partition."`
	Offset    int64  `arg:"" help:"The offset that the partition has stopped at, as the log and /readyz name it."`
	Yes       bool   `help:"Don't ask."`

	terminal *os.File      // nil is standard input
	patience time.Duration // 0 is skipPatience
}

// skipTimeout is how long the command waits for whoever owns the partition on Kafka.
const skipTimeout = 10 * time.Second

// Help is what --help says below the flags.
func (skipMessage) Help() string {
	return `A partition stops at a message that this program can't take and can't put aside as it is: one of newer rules, one that makes
a machine panic, a batch that can't be read. Replacing the program is the better way: what is behind it waits and is not lost.

A message that is skipped has no effect, now and whenever its log is folded again, even by a program that could take it by then. It is
among the dead letters, from which it can be sent again.

It is done by the Stockflow that owns the partition: at once, or when it starts.`
}

// Run asks, and has the message skipped: over HTTP if a Stockflow runs on the directory or is named.
func (c skipMessage) Run(stdout io.Writer, log *slog.Logger) (err error) {
	id := views.DeadLetterID{Topic: c.Log, Partition: c.Partition, Offset: c.Offset}
	if err := c.confirm(stdout, id); err != nil {
		return err
	}
	url := strings.TrimSuffix(c.URL, "/")
	if url == "" && len(c.Brokers) == 0 {
		if url, err = servedAt(c.Data); err != nil {
			return err
		}
	}
	if url != "" {
		return serving{url: url}.skip(context.Background(), id, stdout)
	}
	return c.run(log, broker.Writing, func(ctx context.Context, conn broker.Broker) error { return c.request(ctx, conn, id, stdout) })
}

func (c skipMessage) confirm(stdout io.Writer, id views.DeadLetterID) error {
	in := cmp.Or(c.terminal, os.Stdin)
	if c.Yes || !isTerminal(in) {
		return nil
	}
	return asked(bufio.NewReader(in), stdout, fmt.Sprintf("skip %s for good", printable(id.String())), "nothing was skipped")
}

// request writes the request itself, and waits for the owner where there may be one.
func (c skipMessage) request(ctx context.Context, conn broker.Broker, id views.DeadLetterID, stdout io.Writer) error {
	writing, err := redriverOn(ctx, conn)
	if err != nil {
		return err
	}
	defer writing.Close()
	skipper := deadletters.NewSkipper(conn, views.NewDeadLetters(conn, nil), writing)
	done, err := skipper.Request(ctx, id)
	if err != nil {
		return fmt.Errorf("nothing was skipped: %w", err)
	}
	if done == nil && len(c.Brokers) > 0 {
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.patience, skipTimeout))
		defer cancel()
		if done, err = skipper.Await(ctx, id); err != nil {
			return err
		}
	}
	saySkipped(stdout, id, done != nil)
	return nil
}

func saySkipped(out io.Writer, id views.DeadLetterID, done bool) {
	if done {
		fmt.Fprintf(out, "%s is skipped\n", printable(id.String()))
		return
	}
	fmt.Fprintf(out, "%s is skipped as soon as a Stockflow that has its partition stops there\n", printable(id.String()))
}

// skip has a running Stockflow skip a message.
func (s serving) skip(ctx context.Context, id views.DeadLetterID, out io.Writer) error {
	path := fmt.Sprintf("/v1/logs/%s/%d/skip", id.Topic, id.Partition)
	status, text, _, err := s.insistOn(ctx, http.MethodPost, path, fmt.Appendf(nil, `{"offset":%d}`, id.Offset))
	if err != nil {
		return fmt.Errorf("skipping %s: %w", id, err)
	}
	var answer api.SkipAnswer
	var problem struct{ Code, Detail string }
	switch {
	case (status == http.StatusOK || status == http.StatusAccepted) && json.Unmarshal(text, &answer) == nil:
		saySkipped(out, id, answer.Letter != nil)
		return nil
	case json.Unmarshal(text, &problem) != nil || problem.Code == "":
		return fmt.Errorf("%s%s is answered with %d %.200s", s.url, path, status, text)
	}
	return errors.New(printable(problem.Code + ": " + problem.Detail))
}
