package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"stockflow/broker"
	"stockflow/journal"
	"stockflow/journal/files"
	"stockflow/move"
)

// moveJournal moves a journal to a Kafka.
type moveJournal struct {
	Data     string        `help:"Data directory of a Stockflow that doesn't run." default:"./data"`
	To       []string      `help:"Kafka brokers to move to, HOST:PORT,..." placeholder:"HOST:PORT" required:""`
	Security securityFlags `embed:"" prefix:"brokers-"`
}

// Help is what --help says besides.
func (moveJournal) Help() string {
	return `Logs and dead letters are copied offset for offset, with their times; tables as their newest rows; and what the groups have committed. All of it is
read back and compared. Then DATA is marked: from there on serve wants --brokers. Until then nothing in DATA changes. A move that was
killed, or could not go on, is run again; serve refuses brokers to which one isn't finished.

To start afterwards: stockflow serve --brokers HOST:PORT.`
}

// Run moves, and says what.
func (c moveJournal) Run(stdout io.Writer, k *kong.Kong, log *slog.Logger) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := hasJournal(c.Data); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	release, err := broker.Hold(c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	j, err := journal.OpenReading(journalIn(c.Data), untilEnd, journal.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	m, err := c.prepare(ctx, j, log)
	if err != nil {
		return err
	}
	began := time.Now()
	report, err := func() (*move.Report, error) {
		defer watch(m.Progress, k.Stderr, "moving")()
		return m.Run(ctx)
	}()
	if err != nil {
		return err
	}
	return c.write(stdout, report, time.Since(began))
}

// prepare finds out whether the journal may be moved there.
func (c moveJournal) prepare(ctx context.Context, j *journal.Journal, log *slog.Logger) (*move.Move, error) {
	if j.Restored() {
		return nil, fmt.Errorf("--data: %s was restored from a backup, and the original may still live: start it once with --take-over", c.Data)
	}
	conn, err := cluster{c.To, c.Security}.connect(ctx)
	if err != nil {
		return nil, err
	}
	id, err := conn.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	note, left, err := movedFrom(files.OS(), c.Data)
	if err != nil {
		return nil, err
	}
	if left && note.Cluster != id {
		return nil, fmt.Errorf("--to: the journal in %s was %s, which is another cluster", c.Data, note)
	}
	if err := broker.CheckAccess(ctx, conn, broker.Moving, topics(), j.Groups()...); err != nil { // of topics that exist
		return nil, err
	}
	realm, err := deploymentOf(ctx, broker.NewLocal(j))
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(c.Data)
	return &move.Move{
		From: j, Dir: data, DeploymentID: realm, Topics: topics(), To: conn, Log: log, Left: left,
		Leave: func() error {
			return markMoved(files.OS(), c.Data, movedNote{To: c.To, Cluster: id, At: time.Now().UTC()})
		},
	}, err
}

func (c moveJournal) write(stdout io.Writer, r *move.Report, took time.Duration) error {
	var text strings.Builder
	for _, t := range r.Topics {
		fmt.Fprintf(&text, "%-20s %9d records, the same here and there, digest %s\n", t.Topic, t.Records, t.Digest)
	}
	to := strings.Join(c.To, ",")
	if r.Before {
		fmt.Fprintf(&text, "it was moved to %s before, at %s\n", to, r.State.At.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintf(&text, "moved to %s in %s, with what was committed by %s\n", to, took.Round(time.Millisecond), strings.Join(r.Groups, ", "))
	}
	fmt.Fprintf(&text, "start with: stockflow serve --brokers %s\n", to)
	_, err := io.WriteString(stdout, text.String())
	return err
}

// deploymentOf is what tokens are sealed with on these logs.
func deploymentOf(ctx context.Context, b broker.Broker) ([]byte, error) {
	realm, err := broker.DeploymentID(ctx, b, topics())
	if local, is := b.(broker.Local); is && err == nil { // whose topics a copy that was restored has too
		realm = append(realm, local.Journal().Deployment()...)
	}
	return realm, err
}
