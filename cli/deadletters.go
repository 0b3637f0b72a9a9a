package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"stockflow/broker"
	"stockflow/engine"
)

// deadLetters is what is done about messages that no machine could take.
type deadLetters struct {
	List    listLetters    `cmd:"" help:"List the dead letters, the newest first, each once."`
	Show    showLetter     `cmd:"" help:"Print all there is of one."`
	Redrive redriveLetters `cmd:"" help:"Send letters to their logs again."`
}

// logsAt is where a command finds the logs that it is about.
type logsAt struct {
	Data     string                                                            `help:"Data directory of a Stockflow. If it runs, its broker is asked; if not, this process opens the log." default:"./data"`
	Brokers  []string                                                          `help:"Kafka brokers to ask instead, HOST:PORT,..." placeholder:"HOST:PORT"`
	Security securityFlags                                                     `embed:"" prefix:"brokers-"`
	openLog  func(dir string, opts ...broker.Option) (*broker.Embedded, error) // broker.OpenEmbedded if nil
}

// run calls do with a way to reach the logs, which ends when do does; access is what do needs of them. A signal ends
// do's context.
func (l logsAt) run(log *slog.Logger, access broker.Access, do func(context.Context, broker.Connection) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	conn, closeLog, err := l.open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	if !conn.Embedded {
		if err := broker.CheckAccess(ctx, conn, access, topics()); err != nil {
			return err
		}
	}
	return do(ctx, conn)
}

// open finds the broker. A directory in which there was never a Stockflow is not made one.
func (l logsAt) open(ctx context.Context, log *slog.Logger) (broker.Connection, func() error, error) {
	none := func() error { return nil }
	if len(l.Brokers) > 0 {
		conn, err := cluster{l.Brokers, l.Security}.connect(ctx)
		return conn, none, err
	}
	if _, err := (cluster{security: l.Security}).connection(); err != nil {
		return broker.Connection{}, none, err
	}
	conn, running, err := broker.Find(l.Data)
	if err != nil {
		return conn, none, fmt.Errorf("--data: %w; if it uses other brokers, name them with --brokers", err)
	}
	if running {
		return conn, none, nil
	}
	if _, err := os.Stat(filepath.Join(l.Data, "broker")); err != nil {
		return conn, none, fmt.Errorf("--data: there is no Stockflow's log in %s: %w", l.Data, err)
	}
	openLog := broker.OpenEmbedded
	if l.openLog != nil {
		openLog = l.openLog
	}
	embedded, err := openLog(l.Data, broker.Logger(log), broker.Unmerged())
	if err != nil {
		return conn, none, err
	}
	return embedded.Connection(), embedded.Close, nil
}

// partitionsOf returns how many partitions the logs have.
func partitionsOf(ctx context.Context, conn broker.Connection) (int32, error) {
	client, err := conn.Client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(ctx, engine.Letters)
	if err != nil {
		return 0, err
	}
	return int32(len(topics[engine.Letters].Partitions)), topics.Error()
}
